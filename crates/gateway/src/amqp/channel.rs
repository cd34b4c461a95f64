//! What a channel remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::id::{ConsumerId, Millis, QueueId};
use broker::topology::Address;

use super::confirms::Confirms;
use super::unsettled::Unsettled;
use super::window::Window;

/// One open channel.
#[derive(Default)]
pub(super) struct Channel {
    /// Tells this channel from an earlier one of the same number.
    pub life: u16,
    /// The last delivery tag given.
    pub delivered: u64,
    pub unsettled: Unsettled,
    pub tags: BTreeMap<Box<str>, ConsumerId>,
    /// For consumers that come; 0 is no limit.
    pub prefetch: u16,
    /// Shared by all consumers with acks, after basic.qos with `global`.
    pub window: Option<Window>,
    /// In confirm mode.
    pub confirms: Option<Confirms>,
    /// The queue declared last, which an empty name means.
    pub last_queue: Option<Arc<str>>,
    /// Where the last publish went.
    pub target: Option<Target>,
}

/// An exchange that may be published to, as far as was known then.
pub(super) struct Target {
    pub exchange: Box<str>,
    pub address: Arc<Address>,
    /// Of the topology.
    pub version: u64,
    /// When permission must be asked again.
    pub until: Millis,
}

/// A receiver on one of the channels.
pub(super) struct Consumer {
    pub channel: u16,
    pub tag: Box<str>,
    pub queue: QueueId,
    pub settling: Settling,
}

/// How deliveries of a consumer are settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settling {
    /// As they are sent.
    Automatic,
    /// By the peer.
    Manual {
        /// Its own prefetch; 0 is no limit.
        prefetch: u16,
        unsettled: u32,
        /// Settled since credit was granted last.
        regrant: u32,
    },
}

impl Channel {
    pub fn next_tag(&mut self) -> u64 {
        self.delivered += 1;
        self.delivered
    }
}

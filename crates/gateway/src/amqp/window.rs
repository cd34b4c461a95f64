//! A window shared by the consumers of a channel (basic.qos with `global`).
//!
//! The queues cannot know how much of it is left, so its consumers have no credit: a queue says
//! that it is ready, and the channel gets one message at a time as long as the window has room.
//! A get is always answered, so that what is under way is known exactly; a get that came back
//! empty asks to be told again.

use std::collections::VecDeque;

use broker::id::ConsumerId;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    pub limit: u16,
    /// Deliveries of its consumers that are not settled.
    pub unsettled: u32,
    /// For whom gets are not answered, once for each.
    under_way: Vec<ConsumerId>,
    /// Whose queues have something, in turn.
    pub ready: VecDeque<ConsumerId>,
}

impl Window {
    pub fn new(limit: u16, unsettled: u32) -> Window {
        Window {
            limit,
            unsettled,
            under_way: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    pub fn has_room(&self) -> bool {
        self.unsettled as usize + self.under_way.len() < usize::from(self.limit)
    }

    pub fn is_ready(&mut self, consumer: ConsumerId) {
        if !self.ready.contains(&consumer) {
            self.ready.push_back(consumer);
        }
    }

    /// A get was asked for.
    pub fn asked(&mut self, consumer: ConsumerId) {
        self.under_way.push(consumer);
    }

    /// It was answered.
    pub fn answered(&mut self, consumer: ConsumerId) {
        if let Some(at) = self.under_way.iter().position(|other| *other == consumer) {
            self.under_way.swap_remove(at);
        }
    }

    /// Its queue has nothing more.
    pub fn is_dry(&mut self, consumer: ConsumerId) {
        self.ready.retain(|other| *other != consumer);
    }

    /// The consumer has gone. What is still got for it is given back when it comes.
    pub fn forget(&mut self, consumer: ConsumerId) {
        self.is_dry(consumer);
        self.under_way.retain(|other| *other != consumer);
    }
}

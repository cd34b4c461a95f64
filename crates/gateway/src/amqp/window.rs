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
    /// Gets that are not answered.
    pub under_way: u32,
    /// Whose queues have something, in turn.
    pub ready: VecDeque<ConsumerId>,
}

impl Window {
    pub fn new(limit: u16) -> Window {
        Window { limit, unsettled: 0, under_way: 0, ready: VecDeque::new() }
    }

    pub fn has_room(&self) -> bool {
        self.unsettled + self.under_way < u32::from(self.limit)
    }

    pub fn is_ready(&mut self, consumer: ConsumerId) {
        if !self.ready.contains(&consumer) {
            self.ready.push_back(consumer);
        }
    }

    pub fn forget(&mut self, consumer: ConsumerId) {
        self.ready.retain(|other| *other != consumer);
    }
}

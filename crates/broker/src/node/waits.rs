//! Answers that wait until the messages that were sent on before are where they should be.

use std::collections::VecDeque;

use super::shard::Shard;
use crate::id::{SessionId, Token};

#[derive(Debug, Default)]
pub(super) struct Waits(VecDeque<Wait>);

/// An answer, and the last message of each shard that was doomed before it was asked for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    session: SessionId,
    token: Token,
    log: u64,
    volatile: u64,
}

impl Wait {
    fn is_over(&self, log: &Shard, volatile: &Shard) -> bool {
        !log.dispatch.is_dooming(self.log) && !volatile.dispatch.is_dooming(self.volatile)
    }
}

impl Waits {
    /// Whether an answer must wait; if so, it is kept.
    pub fn must(
        &mut self,
        session: SessionId,
        token: Token,
        log: &Shard,
        volatile: &Shard,
    ) -> bool {
        let (last, last_volatile) = (log.dispatch.last_doomed(), volatile.dispatch.last_doomed());
        let wait = Wait {
            session,
            token,
            log: last,
            volatile: last_volatile,
        };
        let must = !wait.is_over(log, volatile);
        if must {
            self.0.push_back(wait);
        }
        must
    }

    pub fn is_ready(&self, log: &Shard, volatile: &Shard) -> bool {
        self.0
            .front()
            .is_some_and(|wait| wait.is_over(log, volatile))
    }

    /// The next answer that need not wait any more.
    pub fn pop(&mut self, log: &Shard, volatile: &Shard) -> Option<(SessionId, Token)> {
        let wait = self
            .0
            .front()
            .filter(|wait| wait.is_over(log, volatile))
            .copied()?;
        self.0.pop_front();
        Some((wait.session, wait.token))
    }
}

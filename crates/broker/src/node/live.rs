//! What the log still has to keep, for whoever makes old segments smaller.

use super::Node;
use crate::bytes::Undecodable;
use crate::id::{Index, MessageRef};
use crate::ledger::{LiveStep, LiveWalk, SpanWalk, entries_from};

impl Node {
    /// One step of telling how much is live between which frames of the log; `false` at the end.
    pub fn live_spans(&self, walk: &mut SpanWalk, see: &mut dyn FnMut(Index, Index, u64)) -> bool {
        self.log.ledger.live_spans(walk, see)
    }

    /// One step of telling the live messages of some frames of the log, and the bytes of their
    /// records.
    pub fn live_messages(
        &self,
        walk: &mut LiveWalk,
        see: &mut dyn FnMut(MessageRef, u32),
    ) -> LiveStep {
        self.log.ledger.live_messages(walk, see)
    }

    /// The page that such a walk asked for.
    pub fn live_page(
        &self,
        walk: &mut LiveWalk,
        bytes: &[u8],
        see: &mut dyn FnMut(MessageRef, u32),
    ) -> Result<(), Undecodable> {
        let entries = entries_from(bytes)?;
        self.log.ledger.live_page(walk, &entries, see);
        Ok(())
    }
}

//! A queue as its leader sees it: where each live position is, who waits for one.

use std::collections::{BTreeMap, VecDeque};

use super::line::Line;
use super::rewinds::Rewinds;
use super::strands::Strands;
use crate::entry::{Entry, EntryFlags};
use crate::event::PageSlot;
use crate::id::{ConsumerId, MessageRef, Millis, Position, SessionId, Token};
use crate::ledger::QueueLedger;
use crate::map::IdMap;
use crate::pass::Mode;

/// How far the offered mark is moved at a time.
const OFFERED_STEP: u64 = 4096;

#[derive(Debug, Default)]
pub(super) struct QueueDispatch {
    /// No position below is fresh.
    pub cursor: Position,
    /// Whether it counts as redelivered.
    pub returned: BTreeMap<Position, bool>,
    pub out: IdMap<Position, Out>,
    /// How many of them are leased.
    pub leased: u64,
    /// What an earlier life of this process may have handed out.
    pub redelivered_below: Position,
    /// Where the offered mark will be when everything that is wanted is logged.
    pub offered_wanted: Position,
    pub line: Line,
    pub rewinds: Rewinds,
    pub gets: VecDeque<Get>,
    /// Positions that are purged and not settled yet.
    pub purging: u64,
    pub stall: Option<Stall>,
    pub is_dirty: bool,
    /// So often was it asked not to hand out anything.
    pub paused: u32,
    /// When the head is looked at for expiry.
    pub check: Option<Millis>,
    /// What is here and above came since the last step: it may be taken though it expires at once.
    pub arriving: Position,
    /// Once a message of a strand was met.
    pub strands: Option<Box<Strands>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Out {
    Leased {
        session: SessionId,
        redelivered: bool,
    },
    Settling,
    /// Comes back when its attempts are logged.
    Returning,
}

/// What a queue waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stall {
    Record(MessageRef),
    Page(PageSlot),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Get {
    pub session: SessionId,
    pub token: Token,
    pub mode: Mode,
    pub holder: ConsumerId,
    /// What is free below is in strands of others.
    pub scan: Position,
}

impl QueueDispatch {
    /// How much could be handed out.
    pub fn ready(&self, known: &QueueLedger) -> u64 {
        known
            .pages
            .live()
            .saturating_sub(self.out.len() as u64 + self.purging)
    }

    /// The first free position at or after `from`.
    pub fn next_free(&self, known: &QueueLedger, from: Position) -> Option<Position> {
        let returned = self.returned.range(from..).next();
        let returned = returned.map(|(position, _)| *position);
        let mut fresh = known.pages.next_live(from.max(self.cursor));
        while let Some(position) = fresh
            && self.out.contains_key(&position)
        {
            fresh = known.pages.next_live(position.next());
        }
        returned.into_iter().chain(fresh).min()
    }

    /// Whether a message may not be handed out any more.
    pub fn is_over(&self, position: Position, entry: Entry, now: Millis) -> bool {
        let is_arriving = entry.flags().has(EntryFlags::AT_ONCE) && position >= self.arriving;
        entry.has_expired(now) && !is_arriving
    }

    /// Whether a live position is neither handed out nor on its way to be settled.
    pub fn is_free(&self, position: Position) -> bool {
        let fresh = position >= self.cursor && !self.out.contains_key(&position);
        fresh || self.returned.contains_key(&position)
    }

    /// Leaves behind what consumers with filters hold, so that nobody walks over it again.
    pub fn move_cursor(&mut self, known: &QueueLedger) {
        while let Some(position) = known.pages.next_live(self.cursor)
            && self.out.contains_key(&position)
        {
            self.cursor = position.next();
        }
    }

    /// Where the offered mark shall be, so that there is room beyond a position.
    pub fn offer_beyond(&mut self, position: Position) -> Position {
        self.offered_wanted = Position(position.0 + OFFERED_STEP);
        self.offered_wanted
    }

    pub fn take_out(&mut self, position: Position, out: Out) {
        self.returned.remove(&position);
        self.set_out(position, Some(out));
    }

    /// Returns what it was.
    pub fn set_out(&mut self, position: Position, out: Option<Out>) -> Option<Out> {
        let is_leased = |out: Option<Out>| u64::from(matches!(out, Some(Out::Leased { .. })));
        let was = match out {
            Some(out) => self.out.insert(position, out),
            None => self.out.remove(&position),
        };
        self.leased = self.leased + is_leased(out) - is_leased(was);
        was
    }

    /// An out position is free again.
    pub fn give_back(&mut self, position: Position, redelivered: bool) {
        let was = self.set_out(position, None);
        self.returned.insert(position, redelivered);
        if let Some(strands) = &mut self.strands {
            strands.returned(position, was == Some(Out::Returning));
        }
        self.rewinds.push(position);
        self.rewind();
    }

    /// A position is settled.
    pub fn forget(&mut self, position: Position) {
        let was = self.set_out(position, None);
        if let Some(strands) = &mut self.strands {
            strands.settled(position, was == Some(Out::Returning));
        }
    }

    /// Goes back to what was left behind of strands that are free again.
    /// Tells whether there was something.
    pub fn rewind(&mut self) -> bool {
        let strands = self.strands.as_deref_mut();
        let left_behind = strands.and_then(Strands::take_rewind);
        if let Some(position) = left_behind {
            self.rewinds.push(position);
        }
        left_behind.is_some()
    }
}

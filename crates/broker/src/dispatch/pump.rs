//! One step of one queue: what expires, what is handed out, what must be loaded first.

use super::{Asked, Dispatch, QueueDispatch, RECORDS_MAX, Stall, Wanted};
use crate::event::{Effects, Records};
use crate::id::{Millis, Position, QueueId, ShardId};
use crate::ledger::{Ledger, Lookup, QueueLedger};

/// One step of one queue looks at no more messages than this.
const LOOKS_MAX: u32 = 4096;
/// How long expired messages wait when too many are on their way out.
const BURDENED_MS: u64 = 50;
/// What is read ahead of a consumer that reads from disk.
const AHEAD_MESSAGES_MAX: usize = RECORDS_MAX;
const AHEAD_BYTES_MAX: u64 = 256 << 10;

/// Everything that one step of one queue needs.
pub(super) struct Step<'a> {
    pub id: QueueId,
    pub shard: ShardId,
    pub ledger: &'a Ledger,
    pub known: &'a QueueLedger,
    pub now: Millis,
    pub records: &'a dyn Records,
    pub effects: &'a mut Effects,
    pub wanted: &'a mut Wanted,
    pub asked: &'a mut Asked,
    /// How many more messages may be looked at.
    pub looks: u32,
}

impl Dispatch {
    pub(super) fn pump(
        &mut self,
        id: QueueId,
        ledger: &Ledger,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        let (Some(known), Some(mut queue)) = (ledger.queue(id), self.queues.remove(&id)) else {
            return;
        };
        queue.is_dirty = false;
        if queue.paused > 0 {
            self.queues.insert(id, queue);
            return;
        }
        let mut step = Step {
            id,
            shard: self.shard,
            ledger,
            known,
            now,
            records,
            effects,
            wanted: &mut self.wanted,
            asked: &mut self.asked,
            looks: LOOKS_MAX,
        };
        queue.move_cursor(known);
        let may_expire = ledger.may_expire(id);
        if may_expire {
            step.expire_heads(&mut queue);
        }
        step.serve_gets(&mut queue, &mut self.sessions);
        step.serve_consumers(&mut queue, &mut self.consumers, &mut self.sessions);
        step.tell_ready(&mut queue, &mut self.consumers, &self.sessions);
        if may_expire && step.has_served(&queue) {
            queue.arriving = known.pages.next();
            step.expire_heads(&mut queue);
        }
        let check = may_expire.then(|| step.head_expiry(&queue)).flatten();
        if step.looks == 0 {
            queue.is_dirty = true;
            self.dirty.push_back(id);
        }
        if queue.stall.is_some() && !self.stalled.contains(&id) {
            self.stalled.push(id);
        }
        if check != queue.check {
            if let Some(at) = queue.check {
                self.checks.remove(&(at, id));
            }
            if let Some(at) = check {
                self.checks.insert((at, id));
            }
            queue.check = check;
        }
        self.queues.insert(id, queue);
    }
}

impl Step<'_> {
    /// Notes what the queue waits for, and asks for it. The first one counts.
    pub fn stall(&mut self, queue: &mut QueueDispatch, stall: Stall, position: Position) {
        if queue.stall.is_some() {
            return;
        }
        queue.stall = Some(stall);
        match stall {
            Stall::Page(slot) => self.asked.page(slot, self.now, self.effects),
            Stall::Record(_) => self.read_ahead(position),
        }
    }

    /// Asks for the record at a position, and for those behind it.
    fn read_ahead(&mut self, mut from: Position) {
        let mut wanted = Vec::new();
        let mut bytes = 0;
        while let Some(ahead) = self.known.pages.next_live(from)
            && let Lookup::Entry(entry) = self.known.pages.get(ahead)
            && wanted.len() < AHEAD_MESSAGES_MAX
            && (bytes == 0 || bytes + u64::from(entry.size()) <= AHEAD_BYTES_MAX)
        {
            let message = self.ledger.message(entry);
            if self.records.record(message).is_none() {
                bytes += u64::from(entry.size());
                wanted.push(message);
            }
            from = ahead.next();
        }
        // Asked for once per stall, also if somebody else had asked: what was read for him may be
        // dropped again before its turn comes here.
        self.asked.records_again(wanted, self.now, self.effects);
    }

    /// Whether everybody who can take something has seen what is there, so that nothing waits for a
    /// page, a record or the offered mark.
    fn has_served(&self, queue: &QueueDispatch) -> bool {
        let offered = self.known.offered();
        let waits_for_mark = queue.offered_wanted > offered
            && (queue.next_free(self.known, Position(0))).is_some_and(|head| head >= offered);
        self.looks > 0 && queue.stall.is_none() && !waits_for_mark
    }

    fn expire_heads(&mut self, queue: &mut QueueDispatch) {
        while self.looks > 0
            && !self.wanted.is_burdened()
            && let Some(position) = queue.next_free(self.known, Position(0))
            && let Lookup::Entry(entry) = self.known.pages.get(position)
            && queue.is_over(position, entry, self.now)
        {
            self.look(queue, position);
        }
        // The head must be seen to know when it expires.
        if let Some(position) = queue.next_free(self.known, Position(0))
            && let Lookup::Spilled(slot) = self.known.pages.get(position)
        {
            self.stall(queue, Stall::Page(slot), position);
        }
    }

    /// When the message at the head expires.
    fn head_expiry(&self, queue: &QueueDispatch) -> Option<Millis> {
        let head = queue.next_free(self.known, Position(0))?;
        match self.known.pages.get(head) {
            Lookup::Entry(entry) => {
                let at = entry.expires(self.now)?;
                Some(if self.wanted.is_burdened() {
                    at.max(self.now.plus(BURDENED_MS))
                } else {
                    at
                })
            }
            Lookup::Spilled(_) | Lookup::Absent => None,
        }
    }
}

//! Handing out: which message to whom.

use super::{Asked, Consumer, Dispatch, Doomed, Fate, Out, QueueDispatch, Session, Stall, Wanted};
use crate::entry::Entry;
use crate::event::{Delivery, Effects, Event, Records};
use crate::id::{ConsumerId, Millis, Position, QueueId, SessionId, ShardId};
use crate::ledger::{Ledger, Lookup, QueueLedger, Reason};
use crate::map::IdMap;
use crate::pass::{Mode, Sharing};
use crate::record::{DeathReason, Record};

/// How far the offered mark is moved at a time.
pub const OFFERED_STEP: u64 = 4096;
/// The mark is moved again when fewer positions are left below it.
const OFFERED_LEFT_MIN: u64 = 2048;
/// One step of one queue looks at no more messages than this.
const LOOKS_MAX: u32 = 4096;
/// How long expired messages wait when too many are on their way out.
const BURDENED_MS: u64 = 50;
/// What is read ahead of a consumer that reads from disk.
const AHEAD_MESSAGES_MAX: usize = super::RECORDS_MAX;
const AHEAD_BYTES_MAX: u64 = 256 << 10;

/// Everything that one step of one queue needs.
struct Step<'a> {
    id: QueueId,
    shard: ShardId,
    ledger: &'a Ledger,
    known: &'a QueueLedger,
    now: Millis,
    records: &'a dyn Records,
    effects: &'a mut Effects,
    wanted: &'a mut Wanted,
    asked: &'a mut Asked,
    looks: u32,
}

enum Next {
    Found {
        position: Position,
        entry: Entry,
    },
    Nothing,
    /// A record, a page or the offered mark is waited for.
    Stalled,
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
        let shard = self.shard;
        let (wanted, asked, looks) = (&mut self.wanted, &mut self.asked, LOOKS_MAX);
        let mut step = Step {
            id,
            shard,
            ledger,
            known,
            now,
            records,
            effects,
            wanted,
            asked,
            looks,
        };
        step.expire_heads(&mut queue);
        step.serve_gets(&mut queue, &mut self.sessions);
        step.serve_consumers(&mut queue, &mut self.consumers, &mut self.sessions);
        step.tell_ready(&mut queue, &mut self.consumers, &self.sessions);
        if step.looks == 0 {
            queue.is_dirty = true;
            self.dirty.push_back(id);
        }
        if queue.stall.is_some() && !self.stalled.contains(&id) {
            self.stalled.push(id);
        }
        let check = step.head_expiry(&queue);
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
    /// The first free position at or after `from`.
    fn next_free(&self, queue: &QueueDispatch, from: Position) -> Option<Position> {
        let returned = queue
            .returned
            .range(from..)
            .next()
            .map(|(position, _)| *position);
        let mut fresh = self.known.pages.next_live(from.max(queue.cursor));
        while let Some(position) = fresh
            && queue.out.contains_key(&position)
        {
            fresh = self.known.pages.next_live(position.next());
        }
        returned.into_iter().chain(fresh).min()
    }

    fn stall(&mut self, queue: &mut QueueDispatch, stall: Stall, position: Position) {
        if queue.stall.is_some() {
            return;
        }
        queue.stall = Some(stall);
        match stall {
            Stall::Page(slot) => self.asked.page(slot, self.now, self.effects),
            Stall::Record(_) => {
                let mut wanted = Vec::new();
                let mut bytes = 0;
                let mut from = position;
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
                // Asked for once per stall, also if somebody else had asked: what was read for
                // him may be dropped again before its turn comes here.
                self.asked.records_again(wanted, self.now, self.effects);
            }
        }
    }

    /// The entry at a free position, unless its page must be loaded or it has expired, which
    /// dooms it.
    fn look(&mut self, queue: &mut QueueDispatch, position: Position) -> Look {
        self.looks = self.looks.saturating_sub(1);
        match self.known.pages.get(position) {
            Lookup::Entry(entry) if entry.has_expired(self.now) && self.is_burdened() => {
                Look::Stalled
            }
            Lookup::Entry(entry) if entry.has_expired(self.now) => {
                queue.take_out(position, Out::Settling);
                let reason = DeathReason::Expired;
                let fate = Fate::Died {
                    reason,
                    fallback: None,
                    cause: None,
                };
                let message = self.ledger.message(entry);
                let attempts = self.known.attempts(position);
                let (serial, queue) = (self.wanted.begin_doom(), self.id);
                let doomed = Doomed {
                    serial,
                    queue,
                    position,
                    message,
                    fate,
                    attempts,
                };
                self.wanted.doomed.push(doomed);
                Look::Gone
            }
            Lookup::Entry(entry) => Look::Entry(entry),
            Lookup::Spilled(slot) => {
                self.stall(queue, Stall::Page(slot), position);
                Look::Stalled
            }
            Lookup::Absent => unreachable!("a free position is live"),
        }
    }

    fn is_burdened(&self) -> bool {
        self.wanted.dooming.len() >= super::DOOMED_MAX
    }

    /// Leaves behind what consumers with filters hold, so that nobody walks over it again.
    fn move_cursor(&self, queue: &mut QueueDispatch) {
        while let Some(position) = self.known.pages.next_live(queue.cursor)
            && queue.out.contains_key(&position)
        {
            queue.cursor = position.next();
        }
    }

    fn expire_heads(&mut self, queue: &mut QueueDispatch) {
        self.move_cursor(queue);
        while self.looks > 0
            && !self.is_burdened()
            && let Some(position) = self.next_free(queue, Position(0))
            && let Lookup::Entry(entry) = self.known.pages.get(position)
            && entry.has_expired(self.now)
        {
            self.look(queue, position);
        }
        // The head must be seen to know when it expires.
        if self.ledger.may_expire(self.id)
            && let Some(position) = self.next_free(queue, Position(0))
            && let Lookup::Spilled(slot) = self.known.pages.get(position)
        {
            self.stall(queue, Stall::Page(slot), position);
        }
    }

    /// When the message at the head expires.
    fn head_expiry(&self, queue: &QueueDispatch) -> Option<Millis> {
        match self.known.pages.get(self.next_free(queue, Position(0))?) {
            Lookup::Entry(entry) if self.is_burdened() => entry
                .expires(self.now)
                .map(|at| at.max(self.now.plus(BURDENED_MS))),
            Lookup::Entry(entry) => entry.expires(self.now),
            Lookup::Spilled(_) | Lookup::Absent => None,
        }
    }

    /// Whether a position may be handed out as far as the offered mark is concerned. The mark is
    /// moved ahead of time, so that this waits for the log only when a backlog is first met.
    fn may_offer(&mut self, queue: &mut QueueDispatch, position: Position) -> bool {
        if self.shard == ShardId::VOLATILE {
            return true;
        }
        let offered = self.known.offered();
        let left = queue.offered_wanted.0.saturating_sub(position.0);
        if left < OFFERED_LEFT_MIN {
            queue.offered_wanted = Position(position.0 + OFFERED_STEP);
            self.wanted.offer(self.id, queue.offered_wanted);
        }
        position < offered
    }

    /// What an unfiltered consumer gets next.
    fn next_plain(&mut self, queue: &mut QueueDispatch) -> Next {
        loop {
            let Some(position) = self.next_free(queue, Position(0)) else {
                return Next::Nothing;
            };
            match self.look(queue, position) {
                Look::Gone => {}
                Look::Stalled => return Next::Stalled,
                Look::Entry(entry) => return self.check(queue, position, entry),
            }
        }
    }

    /// Whether a message can be handed out this moment.
    fn check(&mut self, queue: &mut QueueDispatch, position: Position, entry: Entry) -> Next {
        let message = self.ledger.message(entry);
        if self.records.record(message).is_none() {
            self.stall(queue, Stall::Record(message), position);
            return Next::Stalled;
        }
        if !self.may_offer(queue, position) {
            return Next::Stalled;
        }
        Next::Found { position, entry }
    }

    /// What a consumer with a filter gets next; moves its scan position up to it.
    fn next_filtered(&mut self, queue: &mut QueueDispatch, consumer: &mut Consumer) -> Next {
        let filter = consumer
            .options
            .filter
            .clone()
            .expect("only filtered consumers come here");
        while self.looks > 0 {
            let Some(position) = self.next_free(queue, consumer.scan) else {
                return Next::Nothing;
            };
            match self.look(queue, position) {
                Look::Gone => continue,
                Look::Stalled => return Next::Stalled,
                Look::Entry(entry) => {
                    let message = self.ledger.message(entry);
                    let Some(bytes) = self.records.record(message) else {
                        self.stall(queue, Stall::Record(message), position);
                        return Next::Stalled;
                    };
                    if self.wants(&filter, bytes) {
                        if !self.may_offer(queue, position) {
                            return Next::Stalled;
                        }
                        return Next::Found { position, entry };
                    }
                    consumer.scan = position.next();
                }
            }
        }
        Next::Stalled
    }

    fn wants(&self, filter: &crate::filter::Predicate, bytes: &[u8]) -> bool {
        let mut wants = false;
        if let Ok(record) = Record::decode(bytes) {
            self.records.with_properties(&record, &mut |properties| {
                wants = filter.matches(properties);
            });
        }
        wants
    }

    /// What a browser sees next, whoever holds it.
    fn next_browsed(&mut self, queue: &mut QueueDispatch, consumer: &mut Consumer) -> Next {
        while self.looks > 0 {
            let position = match self.known.pages.next_live(consumer.scan) {
                Some(position) if position < consumer.end => position,
                _ => return Next::Nothing,
            };
            self.looks -= 1;
            let entry = match self.known.pages.get(position) {
                Lookup::Entry(entry) => entry,
                Lookup::Spilled(slot) => {
                    self.stall(queue, Stall::Page(slot), position);
                    return Next::Stalled;
                }
                Lookup::Absent => unreachable!("found live"),
            };
            let message = self.ledger.message(entry);
            let Some(bytes) = self.records.record(message) else {
                self.stall(queue, Stall::Record(message), position);
                return Next::Stalled;
            };
            let settling = matches!(queue.out.get(&position), Some(Out::Settling));
            let filter = consumer.options.filter.as_deref();
            if !settling
                && !entry.has_expired(self.now)
                && filter.is_none_or(|filter| self.wants(filter, bytes))
            {
                return Next::Found { position, entry };
            }
            consumer.scan = position.next();
        }
        Next::Stalled
    }

    fn next_for(&mut self, queue: &mut QueueDispatch, consumer: &mut Consumer) -> Next {
        if consumer.options.mode == Mode::Browse {
            self.next_browsed(queue, consumer)
        } else if consumer.options.filter.is_some() {
            self.next_filtered(queue, consumer)
        } else {
            self.next_plain(queue)
        }
    }

    /// Takes a free position out and says how it goes.
    fn hand_out(
        &mut self,
        queue: &mut QueueDispatch,
        position: Position,
        entry: Entry,
        to: Receiver,
        sessions: &mut IdMap<SessionId, Session>,
    ) -> Delivery {
        let Receiver {
            session,
            consumer,
            mode,
            moves_cursor,
        } = to;
        let again = queue.returned.get(&position).copied();
        let redelivered = again.unwrap_or(position < queue.redelivered_below);
        match mode {
            Mode::Browse => {}
            Mode::Lease => {
                queue.take_out(
                    position,
                    Out::Leased {
                        session,
                        redelivered,
                    },
                );
                if let Some(session) = sessions.get_mut(&session) {
                    session.holds.insert(self.id);
                }
            }
            Mode::Settled => {
                queue.take_out(position, Out::Settling);
                self.wanted
                    .settle(self.id, position..position.next(), Reason::Accepted);
            }
        }
        if moves_cursor && position >= queue.cursor {
            queue.cursor = position.next();
        }
        Delivery {
            session,
            consumer,
            queue: self.id,
            position,
            message: self.ledger.message(entry),
            redelivered,
            attempts: self.known.attempts(position),
        }
    }

    fn serve_gets(&mut self, queue: &mut QueueDispatch, sessions: &mut IdMap<SessionId, Session>) {
        while let Some(get) = queue.gets.front().copied() {
            let delivery = match self.next_plain(queue) {
                Next::Stalled => return,
                Next::Nothing => None,
                Next::Found { position, entry } => {
                    sessions.entry(get.session).or_insert_with(|| Session {
                        consumers: Vec::new(),
                        holds: Default::default(),
                        held_back: false,
                    });
                    let to = Receiver {
                        session: get.session,
                        consumer: get.holder,
                        mode: get.mode,
                        moves_cursor: true,
                    };
                    Some(self.hand_out(queue, position, entry, to, sessions))
                }
            };
            queue.gets.pop_front();
            let ready = queue.ready(self.known);
            let (session, token) = (get.session, get.token);
            self.effects.events.push(Event::Got {
                session,
                token,
                delivery,
                ready,
            });
        }
    }

    fn is_served(queue: &QueueDispatch, id: ConsumerId, consumer: &Consumer) -> bool {
        match (queue.active, consumer.options.sharing) {
            _ if consumer.options.mode == Mode::Browse => true,
            (None, _) => true,
            (Some(active), Sharing::Active) => active == id,
            (Some(_), Sharing::Shared | Sharing::Sole) => false,
        }
    }

    fn serve_consumers(
        &mut self,
        queue: &mut QueueDispatch,
        consumers: &mut IdMap<ConsumerId, Consumer>,
        sessions: &mut IdMap<SessionId, Session>,
    ) {
        let mut at = 0;
        while let Some(id) = queue.consumers.get(at).copied()
            && self.looks > 0
        {
            let consumer = consumers.get_mut(&id).expect("attached to this queue");
            let held_back = sessions.get(&consumer.session).is_some_and(|s| s.held_back);
            let open = consumer.credit > 0 || consumer.fetching > 0;
            if held_back || !open || !Self::is_served(queue, id, consumer) {
                at += 1;
                continue;
            }
            match self.next_for(queue, consumer) {
                Next::Found { position, entry } => {
                    let to = Receiver {
                        session: consumer.session,
                        consumer: id,
                        mode: consumer.options.mode,
                        moves_cursor: consumer.options.filter.is_none()
                            && consumer.options.mode != Mode::Browse,
                    };
                    let delivery = self.hand_out(queue, position, entry, to, sessions);
                    self.effects.events.push(Event::Deliver(delivery));
                    if consumer.options.filter.is_some() || consumer.options.mode == Mode::Browse {
                        consumer.scan = position.next();
                    }
                    if consumer.fetching > 0 {
                        consumer.fetching -= 1;
                    } else if consumer.credit != u64::MAX {
                        consumer.credit -= 1;
                    }
                    consumer.told = false;
                    // To the end of its priority: the others come first next time.
                    let priority = consumer.options.priority;
                    let same = queue.consumers[at + 1..]
                        .partition_point(|other| consumers[other].options.priority >= priority);
                    // Those before it can take nothing in this step.
                    queue.consumers[at..=at + same].rotate_left(1);
                }
                Next::Nothing if consumer.options.mode == Mode::Browse => {
                    consumer.fetching = 0;
                    self.end_browse(id, consumer);
                    at += 1;
                }
                Next::Nothing => {
                    if consumer.fetching > 0 {
                        consumer.fetching = 0;
                        consumer.told = false;
                    }
                    at += 1;
                }
                Next::Stalled => at += 1,
            }
        }
    }

    /// Tells a browser once that it has seen everything.
    fn end_browse(&mut self, id: ConsumerId, consumer: &mut Consumer) {
        if !consumer.told {
            consumer.told = true;
            consumer.credit = 0;
            let session = consumer.session;
            self.effects.events.push(Event::BrowseEnded {
                session,
                consumer: id,
            });
        }
    }

    /// Tells consumers that fetch when a fetch would find something.
    fn tell_ready(
        &mut self,
        queue: &mut QueueDispatch,
        consumers: &mut IdMap<ConsumerId, Consumer>,
        sessions: &IdMap<SessionId, Session>,
    ) {
        for at in 0..queue.consumers.len() {
            let id = queue.consumers[at];
            let consumer = consumers.get_mut(&id).expect("attached to this queue");
            let fetches = consumer.credit == 0
                && consumer.fetching == 0
                && consumer.options.credit == crate::pass::Credit::None
                && consumer.options.mode != Mode::Browse;
            let held_back = sessions.get(&consumer.session).is_some_and(|s| s.held_back);
            if !fetches || consumer.told || held_back || !Self::is_served(queue, id, consumer) {
                continue;
            }
            if let Next::Found { .. } = self.next_for(queue, consumer) {
                consumer.told = true;
                let session = consumer.session;
                self.effects.events.push(Event::Ready {
                    session,
                    consumer: id,
                });
            }
        }
    }
}

enum Look {
    Entry(Entry),
    /// It had expired.
    Gone,
    Stalled,
}

/// Who gets a message, and how.
#[derive(Clone, Copy)]
struct Receiver {
    session: SessionId,
    consumer: ConsumerId,
    mode: Mode,
    /// Nothing free is left behind it.
    moves_cursor: bool,
}

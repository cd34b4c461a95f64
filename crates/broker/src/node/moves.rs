//! Messages that the broker itself sends on: dead letters, messages that were kept until they
//! are due, messages forwarded on demand. Each is a new record (a fresh envelope, the native
//! bytes unchanged) in the same frame as the fact that the old one is done with.

use std::sync::Arc;

use super::Node;
use super::shard::{Assembly, must_sync};
use crate::bytes::Undecodable;
use crate::dispatch::{Doomed, Fate, RECORDS_MAX};
use crate::event::{Answer, Effects, Event, Records};
use crate::id::{Durability, Millis, PartitionId, SessionId, ShardId, Token};
use crate::ledger::{Fact, Reason};
use crate::pass::{Batch, Destination, Destinations, Forward, Summary};
use crate::record::{Copies, Death, DeathReason, Envelope, Record};
use crate::refusal::{Kind, Refusal};
use crate::topology::{Change, DeadLetter, QueueOptions, QueueSpec, Route};

/// One step sends on no more messages than this.
const MOVES_MAX: usize = 256;
/// One step decides about no more doomed messages than this.
const DECISIONS_MAX: usize = 4096;
/// The history of a message keeps its newest deaths.
const DEATHS_MAX: usize = 32;
/// A death keeps so many keys.
const DEATH_KEYS_MAX: usize = 256;

/// What is sent on with the next frames.
#[derive(Debug, Default)]
pub struct Moves {
    durable: Batch,
    volatile: Batch,
    /// The shard from which each message of the two comes.
    durable_sources: Vec<ShardId>,
    volatile_sources: Vec<ShardId>,
    facts: Vec<Fact>,
    volatile_facts: Vec<Fact>,
    stored: Vec<(SessionId, Token, u16)>,
    volatile_stored: Vec<(SessionId, Token, u16)>,
}

impl Moves {
    pub fn is_empty(&self) -> bool {
        self.durable.heads.is_empty()
            && self.volatile.heads.is_empty()
            && self.facts.is_empty()
            && self.volatile_facts.is_empty()
    }

    pub fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    pub(super) fn is_full(&self) -> bool {
        let full = |batch: &Batch| {
            batch.heads.len() >= MOVES_MAX || batch.records.len() >= Batch::BYTES_MAX
        };
        full(&self.durable) || full(&self.volatile)
    }

    pub fn settled(&mut self, doomed: &Doomed, reason: Reason) {
        let range = doomed.position..doomed.position.next();
        let fact = Fact::Settled {
            queue: doomed.queue,
            range,
            reason,
        };
        match doomed.queue.durability() {
            Durability::Durable => fact.join(&mut self.facts),
            Durability::Volatile => fact.join(&mut self.volatile_facts),
        }
    }

    pub(super) fn store(
        &mut self,
        source: ShardId,
        envelope: &Envelope<'_>,
        native: &[u8],
        tag_hash: u32,
        destinations: &[Destination],
        mut stored: Option<(SessionId, Token)>,
    ) {
        let summary = Summary::of(envelope, tag_hash);
        for durability in [Durability::Durable, Durability::Volatile] {
            let Some(destinations) = Destinations::within(destinations, durability) else {
                continue;
            };
            let (batch, sources, to_tell) = match durability {
                Durability::Durable => {
                    let sources = &mut self.durable_sources;
                    (&mut self.durable, sources, &mut self.stored)
                }
                Durability::Volatile => {
                    let sources = &mut self.volatile_sources;
                    (&mut self.volatile, sources, &mut self.volatile_stored)
                }
            };
            let slot = batch.push(envelope, &[native], summary, destinations);
            sources.push(source);
            // The durable copy, if there is one, is what the sender is told of.
            if let Some((session, token)) = stored.take() {
                to_tell.push((session, token, slot));
            }
        }
    }
}

impl Node {
    /// Gives out what was prepared as frames of their own.
    pub(super) fn flush_moves(&mut self, now: Millis, effects: &mut Effects) {
        if self.moves.is_empty() {
            return;
        }
        let Moves {
            durable,
            volatile,
            durable_sources,
            volatile_sources,
            facts,
            volatile_facts,
            stored,
            volatile_stored,
        } = std::mem::take(&mut self.moves);
        let changes = facts
            .iter()
            .filter_map(Fact::topology)
            .any(|change| change.durability() == Durability::Durable);
        let must_sync = changes || durable.heads.iter().any(must_sync);
        let mut numbered = self.log.number(&durable_sources);
        numbered.extend(facts);
        let log = Assembly {
            batch: durable,
            facts: numbered,
            must_sync,
            stored,
            ..Assembly::default()
        };
        self.log.flush(log, now, effects);
        let mut numbered = self.volatile.number(&volatile_sources);
        numbered.extend(volatile_facts);
        let volatile = Assembly {
            batch: volatile,
            facts: numbered,
            stored: volatile_stored,
            ..Assembly::default()
        };
        self.volatile.flush(volatile, now, effects);
    }

    /// Sends on what is doomed, in order, as far as it can be read.
    pub(super) fn bury(&mut self, now: Millis, records: &dyn Records, effects: &mut Effects) {
        for _ in 0..DECISIONS_MAX {
            if self.moves.is_full() {
                break;
            }
            let Some(doomed) = self.doomed.pop_front() else {
                break;
            };
            if !self.needs_record(&doomed) {
                self.decided(&doomed, doomed.fate.reason());
                continue;
            }
            let Some(bytes) = records.record(doomed.message) else {
                self.doomed.push_front(doomed);
                self.ask_for_doomed(now, records, effects);
                break;
            };
            let sent = Record::decode(bytes)
                .map(|record| self.send_on(&doomed, record, now, records, effects));
            if let Err(Undecodable(_)) = sent {
                self.decided(&doomed, doomed.fate.reason());
            }
        }
    }

    /// Asks for the record of the first doomed message, and of some behind it.
    fn ask_for_doomed(&mut self, now: Millis, records: &dyn Records, effects: &mut Effects) {
        let ahead = self.doomed.iter().take(RECORDS_MAX);
        let missing = ahead
            .map(|doomed| doomed.message)
            .filter(|m| records.record(*m).is_none());
        let missing = missing.collect();
        self.asked.records(missing, now, effects);
    }

    /// Where a message goes that has died; a queue that is gone buries nobody.
    fn dead_letter<'a>(&'a self, doomed: &'a Doomed) -> Option<&'a DeadLetter> {
        match &doomed.fate {
            Fate::Died { fallback, .. } => {
                let queue = self.visible.queue_by_id(doomed.queue)?;
                queue
                    .spec
                    .options
                    .dead_letter
                    .as_ref()
                    .or(fallback.as_ref())
            }
            Fate::Forward(..) => None,
        }
    }

    pub(super) fn needs_record(&self, doomed: &Doomed) -> bool {
        match &doomed.fate {
            Fate::Died { .. } => self.dead_letter(doomed).is_some(),
            Fate::Forward(..) => true,
        }
    }

    fn send_on(
        &mut self,
        doomed: &Doomed,
        record: Record<'_>,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        match &doomed.fate {
            Fate::Died {
                reason,
                cause,
                fallback: _,
            } => {
                self.send_to_grave(doomed, *reason, cause.clone(), record, now, records);
            }
            Fate::Forward(forward, session) => {
                self.forward(doomed, forward, *session, record, now, records, effects);
            }
        }
    }

    fn send_to_grave(
        &mut self,
        doomed: &Doomed,
        reason: DeathReason,
        cause: Option<Box<str>>,
        record: Record<'_>,
        now: Millis,
        records: &dyn Records,
    ) {
        let letter = self.dead_letter(doomed).cloned();
        let letter = letter.expect("asked before the record was");
        let source = self
            .visible
            .queue_by_id(doomed.queue)
            .map(|queue| queue.spec.name.clone());
        let source = source.unwrap_or_default();
        let mut envelope = record.envelope.clone();
        self.decided(doomed, doomed.fate.reason());
        if letter.persistent_only && !envelope.persistent {
            return;
        }
        let key: Arc<str> = letter.key.clone().unwrap_or_else(|| envelope.key.into());
        if letter.create_queue && self.planned.queue(&key).is_none() {
            let options = QueueOptions::default();
            self.plan(&Change::DeclareQueue(QueueSpec {
                name: key.clone(),
                durability: Durability::Durable,
                auto_delete: false,
                owner: None,
                implicit: true,
                options,
                arguments: [].into(),
            }));
        }
        // The queue that was made for the dead does not bury its own dead in itself.
        if letter.create_queue && letter.address.is_empty() && *key == *source {
            return;
        }
        let shown = envelope.copies.shown.iter();
        let keys = std::iter::once(&envelope.key).chain(shown);
        let keys = keys.take(DEATH_KEYS_MAX).map(|key| Box::from(*key));
        let expires = envelope.expires.take();
        let mut death = Death {
            queue: (*source).into(),
            reason,
            count: 1,
            time: now,
            address: envelope.address.into(),
            keys: keys.collect(),
            last_address: envelope.address.into(),
            expires,
            cause,
        };
        let same = |d: &Death| d.queue == death.queue && d.reason == death.reason;
        if let Some(at) = envelope.deaths.iter().position(same) {
            let earlier = envelope.deaths.remove(at);
            death = Death {
                count: earlier.count + 1,
                last_address: death.last_address,
                expires: death.expires,
                cause: death.cause,
                ..earlier
            };
        }
        envelope.deaths.insert(0, death);
        envelope.deaths.truncate(DEATHS_MAX);
        envelope.received = now;
        envelope.partition = None;
        envelope.attempts = 0;
        envelope.address = &letter.address;
        envelope.key = &key;
        // A key of the queue's own takes the place of all that the sender gave.
        if letter.key.is_some() {
            envelope.copies = Copies::default();
        }
        let mut destinations = self.route(&envelope, record.native, records);
        self.break_cycles(&envelope, reason, &mut destinations);
        if !destinations.is_empty() {
            let tag_hash = (self.tag_hash)(&key);
            let (from, native) = (self.shard(doomed.queue).id, record.native);
            self.moves
                .store(from, &envelope, native, tag_hash, &destinations, None);
        }
    }

    /// A message that died of itself does not come back to where it has been since it was last
    /// rejected by somebody.
    fn break_cycles(
        &self,
        envelope: &Envelope<'_>,
        reason: DeathReason,
        destinations: &mut Vec<Destination>,
    ) {
        if reason == DeathReason::Rejected {
            return;
        }
        destinations.retain(|destination| match destination {
            Destination::Queue(id) => {
                let Some(queue) = self.planned.queue_by_id(*id) else {
                    return false;
                };
                let Some(at) = envelope
                    .deaths
                    .iter()
                    .position(|d| *d.queue == *queue.spec.name)
                else {
                    return true;
                };
                envelope.deaths[..=at]
                    .iter()
                    .any(|d| d.reason == DeathReason::Rejected)
            }
            Destination::Partition(_) | Destination::Timer(_) => true,
        });
    }

    fn forward(
        &mut self,
        doomed: &Doomed,
        forward: &Forward,
        session: SessionId,
        record: Record<'_>,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        let mut envelope = record.envelope.clone();
        envelope.address = &forward.address;
        envelope.key = &forward.key;
        envelope.copies = Copies::default();
        envelope.partition = forward.partition;
        envelope.received = now;
        envelope.attempts = forward.attempts;
        envelope.origin = Some(doomed.message);
        let destinations = match forward.due {
            Some(due) => vec![Destination::Timer(due)],
            None => self.route(&envelope, record.native, records),
        };
        if destinations.is_empty() {
            // It is not lost: it goes back to where it stood.
            let shard = self.shard(doomed.queue);
            shard.dispatch.reprieve(doomed, &shard.ledger);
            if let Some(token) = forward.token {
                let name = forward.address.as_ref().into();
                let result: Result<Answer, _> = Err(Refusal::NotFound {
                    kind: Kind::Address,
                    name,
                });
                effects.events.push(Event::Done {
                    session,
                    token,
                    result,
                });
            }
            return;
        }
        self.decided(doomed, Reason::Moved);
        let stored = forward.token.map(|token| (session, token));
        let tag_hash = (self.tag_hash)(&forward.key);
        let (from, native) = (self.shard(doomed.queue).id, record.native);
        self.moves
            .store(from, &envelope, native, tag_hash, &destinations, stored);
    }

    /// Where a message goes whose envelope names an address.
    pub(super) fn route(
        &mut self,
        envelope: &Envelope<'_>,
        native: &[u8],
        records: &dyn Records,
    ) -> Vec<Destination> {
        let Some(address) = self.planned.address(envelope.address).cloned() else {
            return Vec::new();
        };
        let record = Record {
            envelope: envelope.clone(),
            native,
        };
        let mut route = Route::default();
        let topology = &self.planned;
        records.with_properties(&record, &mut |properties| {
            topology.route(&address, &envelope.keys(), properties, &mut route);
        });
        let mut destinations: Vec<_> = route
            .queues
            .iter()
            .map(|queue| Destination::Queue(*queue))
            .collect();
        for id in &route.partitioned {
            let Some(target) = self.planned.address_by_id(*id) else {
                continue;
            };
            let write = target
                .spec
                .partitions
                .as_ref()
                .map_or(1, |p| p.write.max(1));
            self.turn += 1;
            let own = envelope.partition.filter(|_| *id == address.id);
            let number = own.unwrap_or((self.turn % u64::from(write)) as u32);
            destinations.push(Destination::Partition(PartitionId {
                address: *id,
                number,
            }));
        }
        destinations
    }
}

impl Fate {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Fate::Died { reason, .. } => match reason {
                DeathReason::Rejected | DeathReason::AttemptsExhausted => Reason::Rejected,
                DeathReason::Expired => Reason::Expired,
                DeathReason::Overflow => Reason::Dropped,
            },
            Fate::Forward(..) => Reason::Moved,
        }
    }
}

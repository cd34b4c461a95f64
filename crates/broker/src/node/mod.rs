//! A node: the topology, one shard with a log and one without, and the order between them.
//!
//! One step is: [`Node::handle`] decides about a pass and gives out frames; the frames are
//! appended; [`Node::advance`] applies what is durable, hands out messages and answers. What it
//! wants logged itself (marks, forwarded messages) comes out of the next `handle`.
//!
//! Invariants. Frames are applied in the order of their index, each exactly once, and only when
//! every frame up to it that must be synced is. Facts of the topology go through the log shard's
//! order even if nothing of them is logged, so that the topology has one history. `planned` is
//! ahead of `visible` by exactly the pending facts.
//!
//! What was asked for by [`Load`](crate::event::Load) is answered by [`Node::record_loaded`],
//! [`Node::record_gone`] or [`Node::page_loaded`]. A record may be asked for again before that, by
//! another queue that needs it.
//! A barrier, a commit and the end of a session are answered when the messages that were rejected
//! before are where they should be, too.
//!
//! Caveats: the volatile part of a transaction becomes visible when it is handed over, not when
//! its durable part is synced. A message that a transaction has sent on (to a dead-letter address
//! or by a forward) is settled and stored in a frame behind that of the transaction: a crash
//! between the two gives it back, as redelivered, though the commit was not answered then.

mod full;
mod handle;
mod live;
mod moves;
mod offline;
mod parts;
mod publish;
mod queues;
mod retention;
mod shard;
mod spill;
mod timers;
mod waits;
mod work;

pub use offline::{Holding, Holdings};
pub use retention::Retention;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bytes::{Reader, Undecodable, Writer};
use crate::dispatch::{Asked, Doomed};
use crate::event::{Effects, Event, PageSlot, Records};
use crate::id::{Durability, Index, MessageRef, Millis, Position, QueueId, ShardId};
use crate::ledger::{Decision, Fact, PageOwner, Reason, entries_from};
use crate::pass::Head;
use crate::topology::{AddressSpec, BirthRule, Limits, Topology, TopologyFact};
use moves::Moves;
use parts::Parts;
use retention::Retaining;
use shard::{Pending, Shard};
use timers::Timing;
use waits::Waits;

/// Pages of the page file that are kept in memory: 2 MB.
const PAGES_CACHED_MAX: usize = 256;
/// So many times more while they are loaded: who waits for a page and for a record needs both in
/// one step, and must not lose the one while he gets the other.
const LOADED_PAGES_FACTOR: usize = 4;
const STATE_VERSION: u8 = 1;

/// What a node is made with.
#[derive(Clone)]
pub struct Config {
    /// Addresses that exist from the start; their ids are fixed by their order.
    pub addresses: Vec<AddressSpec>,
    /// Which queues are born bound, and to what.
    pub birth: BirthRule,
    pub limits: Limits,
    /// What a reader of partitions compares of a key.
    pub tag_hash: fn(&str) -> u32,
}

pub struct Node {
    /// With everything that is decided.
    planned: Topology,
    /// With everything that is durable: what doors see.
    visible: Topology,
    tag_hash: fn(&str) -> u32,
    log: Shard,
    volatile: Shard,
    /// Wait for their record.
    doomed: VecDeque<Doomed>,
    timing: Timing,
    moves: Moves,
    /// Takes turns among partitions for messages that ask for none.
    turn: u64,
    /// Pages that could be forgotten, oldest first.
    cached: VecDeque<(PageOwner, Position)>,
    pages_cached_max: usize,
    /// When to see whether a queue has been idle for too long.
    idle: BTreeSet<(Millis, QueueId)>,
    idle_at: BTreeMap<QueueId, Millis>,
    retaining: Retaining,
    /// Barriers behind messages that are on their way elsewhere.
    waits: Waits,
    /// Records of messages that are to be sent on.
    asked: Asked,
    parts: Parts,
    /// When it was last advanced.
    advanced: Millis,
    /// New messages for the log are refused.
    disk_full: bool,
}

/// The state of a node, to be written as the root of everything.
pub struct Checkpoint {
    pub state: Vec<u8>,
    /// The last log frame that is in it.
    pub at: Index,
    /// Pages that it refers to.
    pub pages: Vec<PageSlot>,
    /// Pages that nothing refers to any more.
    pub freed: Vec<PageSlot>,
    /// The oldest frame of which a message still lives.
    pub low_water: Index,
}

impl Node {
    pub fn new(config: Config) -> Node {
        let topology = Topology::new(&config.addresses, config.birth, config.limits);
        Node {
            planned: topology.clone(),
            visible: topology,
            tag_hash: config.tag_hash,
            log: Shard::new(ShardId::LOG),
            volatile: Shard::new(ShardId::VOLATILE),
            doomed: VecDeque::new(),
            timing: Timing::default(),
            moves: Moves::default(),
            turn: 0,
            cached: VecDeque::new(),
            pages_cached_max: PAGES_CACHED_MAX,
            idle: BTreeSet::new(),
            idle_at: BTreeMap::new(),
            retaining: Retaining::default(),
            waits: Waits::default(),
            asked: Asked::default(),
            parts: Parts::default(),
            advanced: Millis(0),
            disk_full: false,
        }
    }

    /// Begins recovery from a checkpoint; `replay` and `recovered` follow.
    pub fn restore(config: Config, state: &[u8]) -> Result<Node, Undecodable> {
        let mut node = Node::new(config.clone());
        let mut reader = Reader::new(state);
        if reader.u8()? != STATE_VERSION {
            return Err(Undecodable("state version"));
        }
        let Config {
            addresses,
            birth,
            limits,
            tag_hash: _,
        } = &config;
        node.visible = Topology::decode_checkpoint(reader.bytes()?, addresses, *birth, *limits)?;
        node.log.restore(&mut reader)?;
        Ok(node)
    }

    /// Applies a frame of the log again. `metas` gives each message's record size and the bytes
    /// that [`Head::encode_meta`] wrote. A frame that the checkpoint holds is passed over.
    pub fn replay(
        &mut self,
        index: Index,
        time: Millis,
        metas: &mut dyn Iterator<Item = (u32, &[u8])>,
        facts: &[u8],
    ) -> Result<(), Undecodable> {
        if index <= self.log.ledger.applied() {
            return Ok(());
        }
        let heads = metas
            .map(|(size, meta)| Head::decode_meta(size, meta))
            .collect::<Result<Vec<_>, _>>()?;
        let facts = Fact::decode_all(facts)?;
        for fact in &facts {
            if let Fact::Topology(fact) = fact {
                self.visible.apply_read(fact)?;
            }
        }
        self.log.ledger.apply(index, time, &heads, &facts);
        Ok(())
    }

    /// Ends recovery: what no decision had reached is aborted, and queues with messages are
    /// looked at.
    pub fn recovered(&mut self, now: Millis) {
        self.planned = self.visible.clone();
        self.log.recovered();
        let undecided: Vec<_> = self.log.ledger.undecided().collect();
        for transaction in undecided {
            self.moves.fact(Fact::Decided {
                transaction,
                decision: Decision::Abort,
            });
            self.moves.fact(Fact::Finished { transaction });
        }
        // The only participant has each decision that it finds here.
        let unfinished: Vec<_> = self.log.ledger.unfinished().collect();
        for (transaction, _) in unfinished {
            self.moves.fact(Fact::Finished { transaction });
        }
        for id in self.log.ledger.queue_ids() {
            if self
                .log
                .ledger
                .queue(id)
                .is_some_and(|queue| queue.pages.live() > 0)
            {
                self.log.dispatch.mark_dirty(id, &self.log.ledger);
            }
            self.watch_idle(id, now);
        }
    }

    /// What doors route by.
    pub fn topology(&self) -> &Topology {
        &self.visible
    }

    /// Everything of the log up to this frame is durable.
    pub fn synced(&mut self, index: Index) {
        self.log.synced = self.log.synced.max(index);
    }

    /// A page that was asked for.
    pub fn page_loaded(&mut self, slot: PageSlot, bytes: &[u8]) -> Result<(), Undecodable> {
        let entries = entries_from(bytes)?;
        if slot.is_volatile() {
            self.asked.page_came(slot);
            return self.volatile.page_loaded(slot, entries);
        }
        if let Some(owner) = self.log.ledger.page_loaded(slot, entries)? {
            self.cached.push_back(owner);
        }
        self.asked.page_came(slot);
        self.log.dispatch.page_loaded(slot, &self.log.ledger);
        // It stays until the node had a step to use it, unless far too many come at once.
        self.forget_pages(self.pages_cached_max.saturating_mul(LOADED_PAGES_FACTOR));
        Ok(())
    }

    /// So many pages of the log's shard are kept in memory, at least one.
    pub fn keep_pages(&mut self, pages_max: usize) {
        self.pages_cached_max = pages_max.max(1);
    }

    /// Forgets the oldest pages that are too many to be kept in memory.
    fn forget_pages(&mut self, pages_max: usize) {
        while self.cached.len() > pages_max
            && let Some((owner, first)) = self.cached.pop_front()
        {
            self.log.ledger.evict(owner, first);
        }
    }

    /// A record that was asked for can be read in the next step. Without this it is asked for
    /// again only when a second has passed.
    pub fn record_loaded(&mut self, message: MessageRef) {
        self.asked.record_came(message);
        self.log.dispatch.record_came(message);
        self.volatile.dispatch.record_came(message);
    }

    /// A record that was asked for is in the log no more.
    pub fn record_gone(&mut self, message: MessageRef) {
        self.log.dispatch.record_gone(message);
        self.volatile.dispatch.record_gone(message);
        // What cannot be read cannot be sent on.
        self.due_gone(message);
        let (gone, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.doomed)
            .into_iter()
            .partition(|d| d.message == message);
        self.doomed = rest;
        for doomed in gone {
            self.decided(&doomed, doomed.fate.reason());
        }
    }

    /// A doomed message is done with in its queue.
    fn decided(&mut self, doomed: &Doomed, reason: Reason) {
        self.moves.settled(doomed, reason);
        self.shard(doomed.queue)
            .dispatch
            .doom_decided(doomed.serial);
    }

    /// Applies what may be applied, fires what is due, hands out what can be handed out. To be
    /// called after each of the others. While [`Node::has_work`], hand over another pass.
    pub fn advance(&mut self, now: Millis, records: &dyn Records, effects: &mut Effects) {
        while let Some(pending) = self.log.next_to_apply() {
            self.apply(pending, Durability::Durable, now, effects);
        }
        while let Some(pending) = self.volatile.next_to_apply() {
            self.apply(pending, Durability::Volatile, now, effects);
        }
        self.advanced = now;
        self.asked.advance(now);
        self.expire_idle(now);
        self.trim(now);
        for shard in [&mut self.log, &mut self.volatile] {
            shard.dispatch.advance(&shard.ledger, now, records, effects);
            let wanted = shard.dispatch.take_doomed();
            self.doomed.extend(wanted);
        }
        self.bury(now, records, effects);
        self.fire(now, records, effects);
        self.let_go(now, effects);
        self.forget_pages(self.pages_cached_max);
    }

    fn apply(
        &mut self,
        pending: Pending,
        durability: Durability,
        now: Millis,
        effects: &mut Effects,
    ) {
        for fact in &pending.facts {
            match fact {
                Fact::Topology(change) => {
                    self.visible.apply(change);
                    // The log shard's own ledger hears of it with the frame.
                    self.volatile.apply_topology(change, effects);
                    if pending.index.is_none() {
                        self.log.apply_topology(change, effects);
                    }
                    if let TopologyFact::QueueSet { id, .. } = change {
                        self.watch_idle(*id, now);
                    }
                    effects
                        .events
                        .push(Event::Changed(std::sync::Arc::new(change.clone())));
                }
                Fact::Trimmed {
                    partition,
                    below: _,
                } => self.retaining.trimmed(*partition),
                Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Cursor { .. }
                | Fact::Producer { .. }
                | Fact::Fired { .. }
                | Fact::Rescheduled { .. }
                | Fact::Prepared { .. }
                | Fact::Decided { .. }
                | Fact::Finished { .. }
                | Fact::Forwarded { .. } => {}
            }
        }
        let buckets = self.timing.applied(&pending.facts);
        self.shard_of(durability).apply(pending, effects);
        self.timing.forget_gone(&buckets, &self.log.ledger);
    }

    pub fn has_work(&self) -> bool {
        self.log.has_work()
            || self.volatile.has_work()
            || !self.moves.is_empty()
            || self.waits.is_ready(&self.log, &self.volatile)
    }

    /// When [`Node::advance`] wants to be called at the latest.
    pub fn deadline(&self) -> Option<Millis> {
        // What was due at the last step is on its way, or its record is asked for.
        let kept = self.timing.deadline(&self.log.ledger, self.advanced);
        let idle = self.idle.first().map(|(at, _)| *at);
        let shards = [
            self.log.dispatch.deadline(),
            self.volatile.dispatch.deadline(),
        ];
        let others = [
            kept,
            idle,
            self.retaining.deadline(),
            self.asked.deadline(),
            self.parts.deadline(),
        ];
        shards.into_iter().chain(others).flatten().min()
    }

    /// Whether pages were filled that only a checkpoint can take out of memory, faster than the log
    /// grows by.
    pub fn wants_checkpoint(&self) -> bool {
        self.timing.wants_checkpoint()
    }

    /// The whole durable state as of the last applied frame. Pages not yet in the page file are
    /// given to `write_page`.
    pub fn checkpoint(&mut self, write_page: &mut dyn FnMut(Vec<u8>) -> PageSlot) -> Checkpoint {
        self.log.ledger.close_long_tails();
        self.cached.extend(self.log.ledger.spill(write_page));
        self.forget_pages(self.pages_cached_max);
        self.timing.checkpointed();
        let ledger = &mut self.log.ledger;
        let freed = ledger.take_freed();
        let mut state = vec![STATE_VERSION];
        let mut topology = Vec::new();
        self.visible.encode_checkpoint(&mut topology);
        state.put_bytes(&topology);
        ledger.encode(&mut state);
        Checkpoint {
            state,
            at: ledger.applied(),
            pages: ledger.slots(),
            freed,
            low_water: ledger.index_min(),
        }
    }

    /// Full pages of the log's index that are in memory.
    pub fn resident_pages(&self) -> usize {
        self.log.ledger.resident_pages()
    }

    /// The shard that holds a queue.
    fn shard(&mut self, queue: QueueId) -> &mut Shard {
        self.shard_of(queue.durability())
    }

    fn shard_of(&mut self, durability: Durability) -> &mut Shard {
        match durability {
            Durability::Durable => &mut self.log,
            Durability::Volatile => &mut self.volatile,
        }
    }

    fn shards(&mut self) -> [&mut Shard; 2] {
        [&mut self.log, &mut self.volatile]
    }
}

//! The engine over a simulated disk: old segments shrink, and a full disk is drained.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::event::{Answer, Event};
use broker::id::{
    ConsumerId, Durability, GroupId, MessageRef, Millis, PartitionId, Position, QueueId, SessionId,
    Token,
};
use broker::pass::{
    Command, ConsumerOptions, Credit, Destination, Mode, Outcome, Pass, Positions, Publish, Sharing,
};
use broker::record::Envelope;
use broker::refusal::Refusal;
use broker::topology::{
    AddressSpec, Change, GroupSpec, Partitions, QueueOptions, QueueSpec, Router,
};
use gateway::language;
use store::{Completion, Loss, MessageId, NodeId, Options, SimDisk, Store};

use super::super::Engine;
use crate::config::Config;

const ME: SessionId = SessionId(1);
const NOW: Millis = Millis(1_800_000_000_000);
const SEGMENT_BYTES: u64 = 64 << 10;
/// Beside the records of a segment there are heads, facts, and its own header.
const RECORDS_IN_A_SEGMENT: u64 = 52;
const BODY_BYTES: usize = 1000;
/// A disk that does not come to rest is a fault.
const ROUNDS_MAX: usize = 10_000;

/// An engine whose disk works when it is told to.
struct Glass {
    disk: SimDisk,
    config: Config,
    engine: Engine,
    pass: Pass,
    next_token: u64,
    now: Millis,
    told: Vec<Event>,
}

impl Glass {
    fn open(disk: &SimDisk) -> Glass {
        let mut options = Options::new(NodeId(5), Arc::new(|| {}));
        options.segment_bytes = SEGMENT_BYTES;
        options.tail_bytes_max = 16 << 10;
        options.merge_slice_bytes = 8 << 10;
        let mut config = Config::default();
        config.limits.garbage_bytes = 4 * SEGMENT_BYTES;
        let opened = Store::open_manual(Arc::new(disk.clone()), options).unwrap();
        let engine = Engine::recover(&config, opened, |floor| floor.max(NOW)).unwrap();
        Glass {
            disk: disk.clone(),
            config,
            engine,
            pass: Pass::default(),
            next_token: 0,
            now: NOW,
            told: Vec::new(),
        }
    }

    /// The power fails, and everything that was not synced is gone.
    fn crash(self) -> Glass {
        let disk = self.disk.crash(Loss::Everything);
        drop(self.engine);
        Glass::open(&disk)
    }

    fn turn(&mut self) -> bool {
        let mut stirred = self.engine.complete().unwrap();
        let mut any = false;
        while stirred || !self.pass.is_empty() || self.engine.has_work() {
            (stirred, any) = (false, true);
            let pass = std::mem::take(&mut self.pass);
            self.engine.step(pass, self.now).unwrap();
            let mut events = self.engine.take_events();
            self.told.append(&mut events);
            self.engine.told(events);
        }
        any
    }

    fn rest(&mut self) {
        self.turn();
        for _ in 0..ROUNDS_MAX {
            self.engine.bodies.store.step();
            let merging = !self.engine.bodies.store.can_merge();
            if !self.turn() && !merging {
                return;
            }
        }
        panic!("the engine and its disk do not come to rest");
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn ask(&mut self, command: impl FnOnce(Token) -> Command) -> Result<Answer, Refusal> {
        let token = self.token();
        self.pass.push(ME, command(token));
        self.rest();
        let answer = self.told.iter().find_map(|event| match event {
            Event::Done {
                token: of, result, ..
            } if *of == token => Some(result.clone()),
            _ => None,
        });
        answer.expect("everything that is asked is answered")
    }

    fn declare(&mut self, name: &str) -> QueueId {
        let spec = QueueSpec {
            name: name.into(),
            durability: Durability::Durable,
            auto_delete: false,
            owner: None,
            implicit: false,
            options: QueueOptions {
                message_ttl_ms: None,
                idle_ms: None,
                dead_letter: None,
            },
            arguments: [].into(),
        };
        let change = Change::DeclareQueue(spec);
        self.ask(|token| Command::Change { token, change }).unwrap();
        self.engine.topology().queue(name).unwrap().id
    }

    fn publish(&mut self, token: Option<Token>, destinations: &[Destination], filling: u8) {
        let mut envelope = Envelope::new(language::AMQP, "", "", self.now);
        envelope.persistent = true;
        envelope.body = 2..2 + BODY_BYTES as u32;
        let publish = Publish {
            token,
            envelope: &envelope,
            destinations,
            tag_hash: 0,
            producer: None,
        };
        self.pass
            .publish(ME, publish, &[&[0, 0], &[filling; BODY_BYTES]]);
    }

    /// Publishes and waits for the answer.
    fn store(&mut self, to: Destination, filling: u8) -> Result<MessageRef, Refusal> {
        let token = self.token();
        self.publish(Some(token), &[to], filling);
        self.rest();
        let answer = self.told.iter().find_map(|event| match event {
            Event::Stored {
                token: of, message, ..
            } if *of == token => Some(Ok(*message)),
            Event::Done {
                token: of,
                result: Err(refusal),
                ..
            } if *of == token => Some(Err(refusal.clone())),
            _ => None,
        });
        answer.expect("a publish is answered")
    }

    fn checkpoint(&mut self) {
        self.engine.checkpoint(self.now);
        self.rest();
    }

    /// Lets time pass, as a reactor does who has nothing else to do.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus(1000);
            self.engine.checkpoint_if_due(self.now);
            self.rest();
            self.engine.bodies.store.idle();
            self.rest();
        }
    }

    /// Gives the disk little room and publishes until it is full; every so many messages go to
    /// the other queue. Tells what was stored there.
    fn fill(&mut self, queue: QueueId, other: QueueId, every: u64) -> Vec<MessageRef> {
        let capacity = self.disk.used_bytes() + 6 * SEGMENT_BYTES;
        self.disk.set_capacity(Some(capacity));
        let mut kept = Vec::new();
        for number in 1.. {
            assert!(number < 10_000, "the disk is never full");
            let is_other = number % every == 0;
            let to = Destination::Queue(if is_other { other } else { queue });
            match self.store(to, number as u8) {
                Ok(message) => kept.extend(is_other.then_some(message)),
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::DiskFull);
                    break;
                }
            }
        }
        assert!(self.engine.disk_full());
        // Others have taken what was left.
        self.disk.set_capacity(Some(self.disk.used_bytes()));
        kept
    }

    fn status(&mut self, queue: QueueId) -> (u64, u64) {
        match self.ask(|token| Command::Status { token, queue }) {
            Ok(Answer::Status(status)) => (status.ready, status.unsettled),
            other => panic!("{other:?}"),
        }
    }

    /// The records as the log has them.
    fn records(&mut self, messages: &[MessageRef]) -> BTreeMap<MessageRef, Vec<u8>> {
        let ids = messages
            .iter()
            .map(|m| MessageId::from_number(m.as_u64()).unwrap());
        let store = &mut self.engine.bodies.store;
        store.load(ids.collect(), u64::MAX);
        store.step();
        let mut found = BTreeMap::new();
        for completion in store.poll() {
            let Completion::Loaded { records, .. } = completion else {
                panic!("{completion:?}");
            };
            for (id, record) in records {
                let message = MessageRef::from_u64(id.number()).unwrap();
                found.insert(message, record.unwrap().to_vec());
            }
        }
        assert_eq!(found.len(), messages.len());
        found
    }

    fn segments(&self) -> usize {
        let names = self.disk.names();
        let is_segment = |name: &&String| name.ends_with(".log") || name.ends_with(".cold");
        names.iter().filter(is_segment).count()
    }

    fn attach(&mut self, queue: QueueId, credit: u32) -> ConsumerId {
        let consumer = ConsumerId(7);
        let options = ConsumerOptions {
            mode: Mode::Lease,
            sharing: Sharing::Shared,
            priority: 0,
            filter: None,
            credit: Credit::Set(credit),
        };
        let attach = |token| Command::Attach {
            token,
            consumer,
            queue,
            options,
        };
        self.ask(attach).unwrap();
        consumer
    }

    fn delivered(&self) -> Vec<Position> {
        let position = |event: &Event| match event {
            Event::Deliver(delivery) => Some(delivery.position),
            _ => None,
        };
        self.told.iter().filter_map(position).collect()
    }
}

#[test]
fn one_unsettled_message_in_each_of_a_hundred_segments_leaves_a_few_files() {
    let mut glass = Glass::open(&SimDisk::new());
    let (kept, flow) = (glass.declare("kept"), glass.declare("flow"));
    let mut wanted = Vec::new();
    for round in 0..100 {
        for _ in 1..RECORDS_IN_A_SEGMENT {
            glass.publish(None, &[Destination::Queue(flow)], 1);
        }
        wanted.push(glass.store(Destination::Queue(kept), round).unwrap());
    }
    assert!(glass.segments() >= 80, "{} segments", glass.segments());
    let before = glass.records(&wanted);
    glass
        .ask(|token| Command::Purge { token, queue: flow })
        .unwrap();
    // The first two make the segments old, the others let go of what became cold.
    for round in 0..6 {
        glass.store(Destination::Queue(kept), 100 + round).unwrap();
        glass.checkpoint();
    }
    let after = glass.segments();
    assert!(after <= 12, "{after} segments are left");
    assert_eq!(glass.records(&wanted), before);
    let mut again = glass.crash();
    assert!(again.segments() <= after + 1);
    assert_eq!(again.records(&wanted), before);
    assert_eq!(again.status(kept), (106, 0));
}

/// What drains a full disk, one by one; then it is drained, and publishes go on.
#[test]
fn a_full_disk_refuses_publishes_and_nothing_else_until_it_is_drained() {
    let mut glass = Glass::open(&SimDisk::new());
    let queue = glass.declare("work");
    let partitions = Partitions {
        read: 1,
        write: 1,
        permissions: 6,
        ordered: false,
        system: false,
        attributes: [].into(),
    };
    let topic = AddressSpec {
        name: "topic".into(),
        router: Router::Partitioned,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: false,
        alternate: None,
        partitions: Some(partitions),
        owner: None,
        arguments: [].into(),
    };
    let group = GroupSpec {
        name: "group".into(),
        config: [].into(),
    };
    for change in [Change::SetPartitions(topic), Change::SetGroup(group)] {
        glass
            .ask(|token| Command::Change { token, change })
            .unwrap();
    }
    let topology = glass.engine.topology();
    let group: GroupId = topology.group("group").unwrap().id;
    let address = topology.address("topic").unwrap().id;
    let partition = PartitionId { address, number: 0 };
    glass.store(Destination::Partition(partition), 1).unwrap();
    glass
        .disk
        .set_capacity(Some(glass.disk.used_bytes() + 4 * SEGMENT_BYTES));
    let mut stored = 0;
    let refused = loop {
        match glass.store(Destination::Queue(queue), 2) {
            Ok(_) => stored += 1,
            Err(refusal) => break refusal,
        }
        assert!(stored < 10_000, "the disk is never full");
    };
    assert_eq!(refused, Refusal::DiskFull);
    assert!(glass.engine.disk_full() && stored > 100);
    // A publish that nobody waits for is not dropped.
    glass.publish(None, &[Destination::Queue(queue)], 3);
    glass.rest();
    assert_eq!(glass.status(queue), (stored + 1, 0));
    // Cursors.
    let cursor = |offset| Command::SetCursor {
        group,
        partition,
        offset: Position(offset),
    };
    glass.pass.push(ME, cursor(1));
    glass.rest();
    // Offered marks, which go ahead of the deliveries, and settlements.
    glass.attach(queue, 40);
    let held = glass.delivered();
    assert_eq!(held.len(), 40);
    let settle = |positions: &[Position]| Command::Settle {
        queue,
        positions: Positions::Many(positions.to_vec()),
        outcome: Outcome::Accept,
    };
    glass.pass.push(ME, settle(&held[..10]));
    // A decision: a transaction that only settles.
    let token = glass.token();
    glass.pass.begin(ME);
    glass.pass.push(ME, settle(&held[10..20]));
    glass.pass.commit(ME, token);
    glass.rest();
    assert_eq!(glass.status(queue), (stored + 1 - 40, 20));
    // Checkpoints, and all of it outlives a power failure while the disk is still full.
    glass.checkpoint();
    glass.checkpoint();
    let capacity = glass.disk.used_bytes();
    assert!(glass.engine.disk_full(), "nothing was given back yet");
    let mut glass = glass.crash();
    glass.disk.set_capacity(Some(capacity));
    glass.rest();
    assert_eq!(glass.status(queue), (stored + 1 - 20, 0));
    match glass.ask(|token| Command::Cursor {
        token,
        group,
        partition,
    }) {
        Ok(Answer::Offset(Some(offset))) => assert_eq!(offset, Position(1)),
        other => panic!("{other:?}"),
    }
    // Drained: room comes back, and publishes go on.
    glass.ask(|token| Command::Purge { token, queue }).unwrap();
    for _ in 0..3 {
        glass.checkpoint();
        glass.pass.push(ME, cursor(1));
        glass.rest();
    }
    assert!(!glass.engine.disk_full());
    glass.store(Destination::Queue(queue), 4).unwrap();
    assert_eq!(glass.config.limits.garbage_bytes, 4 * SEGMENT_BYTES);
}

/// Nobody comes but time: what is live is merged, whatever the log's size, and room comes back.
#[test]
fn a_full_disk_with_a_few_live_messages_in_each_segment_gets_room() {
    let mut glass = Glass::open(&SimDisk::new());
    let (kept, flow) = (glass.declare("kept"), glass.declare("flow"));
    glass.engine.cold.garbage_bytes = u64::MAX;
    let wanted = glass.fill(flow, kept, 20);
    assert!(wanted.len() >= 10, "{} are kept", wanted.len());
    let before = glass.records(&wanted);
    glass
        .ask(|token| Command::Purge { token, queue: flow })
        .unwrap();
    assert!(glass.engine.disk_full());
    glass.wait(12);
    assert!(!glass.engine.disk_full(), "{} segments", glass.segments());
    assert!(glass.segments() <= 4, "{} segments", glass.segments());
    for _ in 0..RECORDS_IN_A_SEGMENT {
        glass.store(Destination::Queue(flow), 4).unwrap();
    }
    assert_eq!(glass.records(&wanted), before);
    let mut again = glass.crash();
    assert_eq!(again.records(&wanted), before);
    assert_eq!(again.status(kept), (wanted.len() as u64, 0));
    assert_eq!(again.status(flow), (RECORDS_IN_A_SEGMENT, 0));
}

/// The process dies and comes back twenty times while the disk is full, at first without doing
/// anything, then after settling something; then the disk is drained.
#[test]
fn twenty_starts_on_a_full_disk_leave_it_drainable() {
    let mut glass = Glass::open(&SimDisk::new());
    let (kept, work) = (glass.declare("kept"), glass.declare("work"));
    let mut left = glass.fill(work, kept, 20).len() as u64;
    let all = glass.status(work).0;
    for start in 0..20 {
        let disk = glass.disk.crash(Loss::Nothing);
        drop(glass.engine);
        glass = Glass::open(&disk);
        glass.rest();
        assert!(glass.engine.disk_full(), "start {start}");
        assert_eq!(glass.status(kept).0, left, "start {start}");
        if start < 8 {
            continue;
        }
        glass.attach(kept, 1);
        let positions = Positions::Many(glass.delivered());
        glass.pass.push(
            ME,
            Command::Settle {
                queue: kept,
                positions,
                outcome: Outcome::Accept,
            },
        );
        glass.rest();
        left -= 1;
        glass.wait(start % 3);
    }
    assert_eq!(glass.status(work), (all, 0));
    glass
        .ask(|token| Command::Purge { token, queue: work })
        .unwrap();
    glass.wait(12);
    assert!(!glass.engine.disk_full(), "{} segments", glass.segments());
    glass.store(Destination::Queue(work), 4).unwrap();
}

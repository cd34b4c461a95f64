//! Damaged pages are made anew, and a server finds every live message in them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use broker::event::{Answer, Event};
use broker::id::{ConsumerId, Durability, Millis, Position, QueueId, SessionId, Token};
use broker::pass::{
    Command, ConsumerOptions, Credit, Destination, Mode, Outcome, Pass, Positions, Publish, Sharing,
};
use broker::record::{Envelope, Language, Record};
use broker::topology::{Change, QueueOptions, QueueSpec};
use store::{FileDisk, NodeId, Options, Store};

use super::super::Engine;
use crate::config::Config;
use crate::fault::Fault;
use crate::offline::{Directory, repair};

const SESSION: SessionId = SessionId(1);
const NOW: Millis = Millis(1_800_000_000_000);
/// Three pages of the index, and some more.
const MESSAGES: u64 = 1_700;
/// Where the slots of the page file begin, and how long each is.
const SLOTS_AT: usize = 4096;
const SLOT_BYTES: usize = 8224;

/// An engine without threads: everything happens when it is asked.
struct Life {
    engine: Engine,
    pass: Pass,
    next_token: u64,
    events: Vec<Event>,
    records: Vec<Vec<u8>>,
}

impl Life {
    fn begin(data_dir: &Path) -> Result<Life, Fault> {
        let mut options = Options::new(NodeId(7), Arc::new(|| {}));
        options.segment_bytes = 64 << 10;
        let opened = Store::open_manual(Arc::new(FileDisk::new(data_dir)), options)?;
        let engine = Engine::recover(&Config::default(), opened, |floor| floor.max(NOW))?;
        let mut life = Life {
            engine,
            pass: Pass::default(),
            next_token: 0,
            events: Vec::new(),
            records: Vec::new(),
        };
        life.rest();
        Ok(life)
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn rest(&mut self) {
        loop {
            self.engine.bodies.store.step();
            let stirred = self.engine.complete().unwrap();
            if !stirred && self.pass.is_empty() && !self.engine.has_work() {
                return;
            }
            let pass = std::mem::take(&mut self.pass);
            self.engine.step(pass, NOW).unwrap();
            let mut events = self.engine.take_events();
            for event in events.drain(..) {
                if let Event::Deliver(delivery) = &event {
                    use broker::event::Records as _;
                    let record = self.engine.bodies.record(delivery.message);
                    self.records.push(record.expect("can be read").to_vec());
                }
                self.events.push(event);
            }
            self.engine.told(events);
        }
    }

    fn declare(&mut self) -> QueueId {
        let spec = QueueSpec {
            name: "q".into(),
            durability: Durability::Durable,
            auto_delete: false,
            owner: None,
            implicit: false,
            options: QueueOptions::default(),
            arguments: [].into(),
        };
        let (token, change) = (self.token(), Change::DeclareQueue(spec));
        self.pass.push(SESSION, Command::Change { token, change });
        self.rest();
        self.engine.topology().queue("q").expect("declared").id
    }

    fn publish(&mut self, queue: QueueId) {
        for number in 0..MESSAGES {
            let native = number.to_string();
            let mut envelope = Envelope::new(Language(1), "", "q", NOW);
            envelope.persistent = true;
            let publish = Publish {
                token: None,
                envelope: &envelope,
                destinations: &[Destination::Queue(queue)],
                tag_hash: 0,
                producer: None,
            };
            self.pass.publish(SESSION, publish, &[native.as_bytes()]);
            // Frames of some messages each, so that pages do not end where frames do.
            if number % 7 == 0 {
                self.rest();
            }
        }
        self.rest();
    }

    fn settle(&mut self, queue: QueueId, positions: impl Iterator<Item = u64>) {
        let positions = Positions::Many(positions.map(Position).collect());
        let outcome = Outcome::Accept;
        self.pass.push(
            SESSION,
            Command::Settle {
                queue,
                positions,
                outcome,
            },
        );
        self.rest();
    }

    /// What is handed out to somebody who takes everything.
    fn drain(&mut self) -> Vec<u64> {
        let queue = self.engine.topology().queue("q").expect("declared").id;
        let token = self.token();
        let options = ConsumerOptions {
            mode: Mode::Browse,
            sharing: Sharing::Shared,
            priority: 0,
            filter: None,
            credit: Credit::Unlimited,
        };
        self.pass.push(
            SESSION,
            Command::Attach {
                token,
                consumer: ConsumerId(1),
                queue,
                options,
            },
        );
        self.rest();
        let number = |record: &Vec<u8>| {
            let native = Record::decode(record).unwrap().native;
            std::str::from_utf8(native).unwrap().parse().unwrap()
        };
        self.records.iter().map(number).collect()
    }

    fn status(&mut self) -> u64 {
        let queue = self.engine.topology().queue("q").expect("declared").id;
        let token = self.token();
        self.pass.push(SESSION, Command::Status { token, queue });
        self.rest();
        let answer = self.events.iter().find_map(|event| match event {
            Event::Done {
                token: of,
                result: Ok(Answer::Status(status)),
                ..
            } if *of == token => Some(status.ready),
            _ => None,
        });
        answer.expect("it is told")
    }
}

/// Which messages live in the story: some of the first page, all of the second, none of the end.
fn lives(number: u64) -> bool {
    number % 3 != 1 && !(1_000..1_100).contains(&number)
}

/// A process that was killed, behind a checkpoint.
fn written(data_dir: &Path) {
    let mut life = Life::begin(data_dir).unwrap();
    let queue = life.declare();
    life.publish(queue);
    let settled = |number: &u64| number % 3 == 1;
    life.settle(queue, (0..MESSAGES).filter(settled));
    life.engine.checkpoint(NOW);
    life.rest();
    life.settle(queue, 1_000..1_100);
}

fn expected() -> Vec<u64> {
    (0..MESSAGES).filter(|number| lives(*number)).collect()
}

/// The same as was live, once each, in order.
fn finds_everything(data_dir: &Path) {
    let mut life = Life::begin(data_dir).unwrap();
    assert_eq!(life.status(), expected().len() as u64);
    assert_eq!(life.drain(), expected());
}

#[test]
fn damaged_pages_are_made_as_they_were() {
    for slots in [vec![0], vec![1], vec![0, 1], vec![2], vec![0, 1, 2]] {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path());
        let file = dir.path().join("pages");
        let mut bytes = fs::read(&file).unwrap();
        for slot in &slots {
            bytes[SLOTS_AT + slot * SLOT_BYTES + 100] ^= 4;
        }
        fs::write(&file, bytes).unwrap();
        let damaged_file = fs::read(&file).unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        assert_eq!(directory.damaged_pages().len(), slots.len());
        let contents = directory.contents(&Config::default()).unwrap();
        let named = [(Some("queue \"q\"".to_owned()), slots.len() as u64)];
        assert_eq!(contents.expect("it starts").damaged, named);
        drop(directory);
        let repaired = repair(dir.path(), &Config::default()).unwrap();
        let rebuilt = repaired.pages;
        assert_eq!(
            (rebuilt.pages, rebuilt.exact, rebuilt.lost),
            (slots.len() as u64, slots.len() as u64, 0),
            "{slots:?}"
        );
        let kept = dir
            .path()
            .join(repaired.kept.expect("what was damaged is kept"));
        assert_eq!(fs::read(kept).unwrap(), damaged_file);
        let damaged = Directory::open(dir.path()).unwrap().damaged_pages();
        assert!(damaged.is_empty(), "{damaged:?}");
        finds_everything(dir.path());
    }
}

#[test]
fn a_lost_page_file_is_made_anew() {
    for is_there in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path());
        let file = dir.path().join("pages");
        if is_there {
            let mut bytes = fs::read(&file).unwrap();
            bytes[3] ^= 1;
            fs::write(&file, bytes).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let started = Life::begin(dir.path()).map(|_| ());
        let refusal = started.unwrap_err().to_string();
        let directory = Directory::open(dir.path()).unwrap();
        let explained = directory.survey().refusal.as_ref().expect("refused");
        assert_eq!(explained.to_string(), refusal, "the words of the start");
        assert!(refusal.starts_with("\"pages\" "), "{refusal}");
        // What it holds is known all the same.
        let contents = directory.contents(&Config::default()).unwrap();
        let held = contents.expect("it is known").queues;
        assert_eq!(held[0].holding.messages, expected().len() as u64);
        drop(directory);
        let repaired = repair(dir.path(), &Config::default()).unwrap();
        let rebuilt = repaired.pages;
        assert_eq!((rebuilt.exact, rebuilt.lost), (rebuilt.pages, 0));
        assert!(rebuilt.pages >= 3);
        assert_eq!(repaired.kept.is_some(), is_there);
        finds_everything(dir.path());
    }
}

/// The usual queue: its first pages were settled long ago, and it is longer than its page file.
#[test]
fn pages_behind_settled_ones_are_made_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut life = Life::begin(dir.path()).unwrap();
    let queue = life.declare();
    life.publish(queue);
    life.settle(queue, 0..600);
    life.engine.checkpoint(NOW);
    life.rest();
    drop(life);
    fs::remove_file(dir.path().join("pages")).unwrap();
    let repaired = repair(dir.path(), &Config::default()).unwrap();
    let rebuilt = repaired.pages;
    assert_eq!((rebuilt.exact, rebuilt.again, rebuilt.lost), (2, 0, 0));
    let mut life = Life::begin(dir.path()).unwrap();
    assert_eq!(life.drain(), (600..MESSAGES).collect::<Vec<_>>());
}

/// A damaged frame that no start reads does not keep a page from being made.
#[test]
fn a_damaged_frame_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    // Messages of the first page.
    let segment = dir.path().join("log/0000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    for (slot, is_exact) in [(2, true), (0, false)] {
        let file = dir.path().join("pages");
        let mut bytes = fs::read(&file).unwrap();
        bytes[SLOTS_AT + slot * SLOT_BYTES + 100] ^= 4;
        fs::write(&file, bytes).unwrap();
        let repaired = repair(dir.path(), &Config::default()).unwrap();
        assert_eq!(repaired.passed_over, 1);
        let rebuilt = repaired.pages;
        assert_eq!((rebuilt.pages, rebuilt.exact == 1), (1, is_exact));
        // A frame of seven is missing, and whether that was settled nobody knows.
        let again = if is_exact { 0 } else { 512 - 7 };
        assert_eq!((rebuilt.again, rebuilt.lost), (again, 0));
    }
    let names = fs::read_dir(dir.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut kept: Vec<_> = names.filter(|name| name.starts_with("pages.")).collect();
    kept.sort();
    assert_eq!(kept, ["pages.damaged", "pages.damaged-2"]);
}

#[test]
fn what_is_sound_or_beyond_repair_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let rebuilt = repair(dir.path(), &Config::default()).unwrap();
    assert_eq!((rebuilt.pages, rebuilt.kept), (Default::default(), None));
    let running = Life::begin(dir.path()).unwrap();
    let locked = repair(dir.path(), &Config::default()).unwrap_err();
    assert!(locked.to_string().contains("is locked"), "{locked}");
    drop(running);
    // A start reads the first segment if no checkpoint is there.
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("checkpoint-") {
            fs::remove_file(path).unwrap();
        }
    }
    let segment = dir.path().join("log/0000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[4096 + 70] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let refusal = Life::begin(dir.path()).map(|_| ()).unwrap_err();
    let fault = repair(dir.path(), &Config::default()).unwrap_err();
    assert_eq!(fault.to_string(), refusal.to_string());
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

//! What is known of the partitions: which message lies at which offset for ever, and where the
//! groups stand.

use std::collections::BTreeMap;

use broker::event::{Answer, Event, ReadOutcome, ReadResult};
use broker::id::{AddressId, Durability, GroupId, PartitionId, Position};
use broker::pass::{Command, Read};
use broker::topology::{AddressSpec, Change, GroupSpec, Partitions as Spec, Router};

use super::deliveries::number_in;
use super::story::{OWN, Story};
use super::world::{Stop, Verdict, World, ensure};

pub(super) const PARTITIONS: usize = 2;
const GROUPS: [&str; 2] = ["readers", "others"];
const TOPIC: &str = "diary";
const TAGS: [&str; 2] = ["work", "home"];

/// What is read from a whole partition.
pub(super) type Listing = BTreeMap<u64, u64>;

pub(super) fn tag(number: u64) -> &'static str {
    TAGS[usize::from(number.is_multiple_of(3))]
}

#[derive(Debug)]
struct Kept {
    partition: usize,
    told: bool,
    /// The disk was full when it came.
    refused: bool,
}

/// Where a group stands.
#[derive(Default, Debug)]
struct Cursor {
    /// Durable.
    kept: Option<u64>,
    /// What was said since, each with its place among everything that was said.
    said: Vec<(usize, u64)>,
}

#[derive(Default)]
pub(super) struct Partitions {
    pub address: Option<AddressId>,
    pub groups: Vec<GroupId>,
    sent: BTreeMap<u64, Kept>,
    offsets: [Listing; PARTITIONS],
    /// Of each group and partition.
    cursors: BTreeMap<(usize, usize), Cursor>,
    /// How often anything was said.
    said: usize,
}

impl Partitions {
    pub fn id(&self, partition: usize) -> PartitionId {
        PartitionId {
            address: self.address.expect("it is declared first"),
            number: partition as u32,
        }
    }

    pub fn send(&mut self, number: u64, partition: usize) {
        let kept = Kept {
            partition,
            told: false,
            refused: false,
        };
        self.sent.insert(number, kept);
    }

    pub fn refused(&mut self, number: u64) {
        if let Some(kept) = self.sent.get_mut(&number) {
            kept.refused = true;
        }
    }

    pub fn stored(&mut self, partition: usize, offset: u64, number: u64) -> Verdict {
        self.sent.get_mut(&number).expect("sent").told = true;
        self.stands(partition, offset, number)
    }

    /// An offset belongs to one message for ever; the order is that of sending.
    fn stands(&mut self, partition: usize, offset: u64, number: u64) -> Verdict {
        let known = self.sent.get(&number);
        let right = known.is_some_and(|kept| kept.partition == partition && !kept.refused);
        ensure(right, || {
            format!("{number} of {known:?} is in partition {partition}")
        })?;
        let offsets = &mut self.offsets[partition];
        let before = offsets.range(..offset).next_back();
        let behind = offsets.range(offset + 1..).next();
        let sorted =
            before.is_none_or(|(_, n)| *n < number) && behind.is_none_or(|(_, n)| *n > number);
        ensure(sorted, || {
            format!("{number} lies at {offset} between {before:?} and {behind:?}")
        })?;
        let other = offsets.insert(offset, number);
        ensure(other.is_none_or(|other| other == number), || {
            format!("{other:?} and {number} lie at {offset}")
        })
    }

    /// Somebody has read.
    pub fn read(
        &mut self,
        partition: usize,
        offset: u64,
        wanted: Option<&str>,
        result: &ReadResult,
        records: &[Vec<u8>],
    ) -> Verdict {
        let known = self.offsets[partition].keys().next_back();
        let known = known.map_or(0, |last| last + 1);
        let words = || format!("partition {partition} from {offset}: {result:?}");
        let ends = result.bounds.next.0 >= known && result.bounds.first == Position(0);
        ensure(ends || result.outcome == ReadOutcome::Empty, words)?;
        let has_found = result.outcome == ReadOutcome::Found;
        ensure(has_found != result.messages.is_empty(), words)?;
        let expected = match result.outcome {
            ReadOutcome::Found | ReadOutcome::NoneWanted => offset < result.bounds.next.0,
            ReadOutcome::AtEnd => offset == result.bounds.next.0,
            ReadOutcome::PastEnd => offset > result.bounds.next.0,
            ReadOutcome::Empty => known == 0,
            ReadOutcome::BeforeFirst => false,
        };
        ensure(expected, words)?;
        let mut next = offset;
        for ((at, _), record) in result.messages.iter().zip(records) {
            let (number, _) = number_in(record)?;
            self.stands(partition, at.0, number)?;
            ensure(wanted.is_none_or(|wanted| wanted == tag(number)), words)?;
            // What lies between is not wanted.
            let skipped = (next..at.0).all(|between| {
                let number = self.offsets[partition].get(&between);
                wanted.is_some() && number.is_none_or(|n| Some(tag(*n)) != wanted)
            });
            ensure(at.0 >= next && skipped, words)?;
            next = at.0 + 1;
        }
        Ok(())
    }

    /// Which of those that nobody was promised have survived; by number.
    pub fn survived(&self, listings: &[Listing]) -> Vec<(u64, bool)> {
        let is_there = |number: &u64| listings.iter().any(|all| all.values().any(|n| n == number));
        self.sent
            .iter()
            .filter(|(_, kept)| !kept.refused)
            .map(|(number, _)| (*number, is_there(number)))
            .collect()
    }

    /// What is there is kept from now on; what is not, never comes.
    pub fn resolve(&mut self, listings: Vec<Listing>) -> Verdict {
        for (partition, listing) in listings.into_iter().enumerate() {
            let gapless = listing.keys().copied().eq(0..listing.len() as u64);
            ensure(gapless, || format!("partition {partition} has gaps"))?;
            for (number, kept) in &self.sent {
                let there = listing.values().any(|n| n == number);
                ensure(there || !kept.told || kept.partition != partition, || {
                    format!("{number} of partition {partition} is lost")
                })?;
            }
            for (offset, number) in &listing {
                self.stands(partition, *offset, *number)?;
            }
            self.offsets[partition] = listing;
        }
        let offsets = &self.offsets;
        self.sent.retain(|number, kept| {
            kept.told = true;
            offsets.iter().any(|all| all.values().any(|n| n == number))
        });
        Ok(())
    }

    pub fn end(&self, partition: usize) -> u64 {
        let last = self.offsets[partition].keys().next_back();
        last.map_or(0, |last| last + 1)
    }

    /// A group says where it stands.
    pub fn set_cursor(&mut self, group: usize, partition: usize, offset: u64) {
        self.said += 1;
        let cursor = self.cursors.entry((group, partition)).or_default();
        cursor.said.push((self.said, offset));
    }

    pub fn cursor(&self, group: usize, partition: usize) -> Option<u64> {
        let cursor = self.cursors.get(&(group, partition))?;
        let last = cursor.said.last().map(|(_, offset)| *offset);
        last.or(cursor.kept)
    }

    pub fn said(&self) -> usize {
        self.said
    }

    /// What was said up to then is durable.
    pub fn cursors_are_kept(&mut self, said: usize) {
        for cursor in self.cursors.values_mut() {
            let (old, new) = std::mem::take(&mut cursor.said)
                .into_iter()
                .partition(|(at, _)| *at <= said);
            let old: Vec<(usize, u64)> = old;
            cursor.kept = old.last().map(|(_, offset)| *offset).or(cursor.kept);
            cursor.said = new;
        }
    }

    /// Where a group stands after a crash, which is so from now on; tells whether it may.
    fn found_cursor(&mut self, group: usize, partition: usize, found: Option<u64>) -> bool {
        let cursor = self.cursors.entry((group, partition)).or_default();
        let said = std::mem::take(&mut cursor.said);
        let before = std::mem::replace(&mut cursor.kept, found);
        found == before || said.iter().any(|(_, offset)| Some(*offset) == found)
    }
}

impl Story {
    /// Declares the topic and the groups, unless they are there.
    pub fn found_partitions(&mut self) -> Verdict {
        let partitions = Spec {
            read: PARTITIONS as u32,
            write: PARTITIONS as u32,
            permissions: 6,
            ordered: false,
            system: false,
            attributes: [].into(),
        };
        let spec = AddressSpec {
            name: TOPIC.into(),
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
        let mut changes = vec![];
        let topology = self.world.engine().topology();
        if topology.address(TOPIC).is_none() {
            changes.push(Change::SetPartitions(spec));
        }
        for name in GROUPS {
            if topology.group(name).is_none() {
                changes.push(Change::SetGroup(GroupSpec {
                    name: name.into(),
                    config: [].into(),
                }));
            }
        }
        for change in changes {
            let answer = self.ask(|token| Command::Change { token, change })?;
            ensure(answer.is_ok(), || format!("{answer:?}"))?;
        }
        let topology = self.world.engine().topology();
        let address = topology.address(TOPIC).map(|address| address.id);
        let group = |name| topology.group(name).expect("just declared").id;
        let groups: Vec<_> = GROUPS.into_iter().map(group).collect();
        let known = self.partitions.address;
        ensure(known.is_none() || known == address, || {
            format!("{TOPIC} was {known:?} and is {address:?}")
        })?;
        self.partitions.address = address;
        self.partitions.groups = groups;
        Ok(())
    }

    /// Everything that the partitions hold.
    pub fn list_partitions(&mut self) -> Verdict<Vec<Listing>> {
        if self.partitions.address.is_none() {
            return Ok(vec![Listing::new(); PARTITIONS]);
        }
        let mut listings = Vec::new();
        for partition in 0..PARTITIONS {
            let id = self.partitions.id(partition);
            let mut listing = Listing::new();
            let mut offset = Position(0);
            loop {
                let (result, records) = read_all(&mut self.world, id, offset)?;
                for ((at, _), record) in result.messages.iter().zip(&records) {
                    let (number, _) = number_in(record)?;
                    listing.insert(at.0, number);
                }
                match result.outcome {
                    ReadOutcome::Found => offset = result.next,
                    ReadOutcome::Empty | ReadOutcome::AtEnd => break,
                    ReadOutcome::NoneWanted | ReadOutcome::PastEnd | ReadOutcome::BeforeFirst => {
                        return Err(Stop::Breach(format!("{partition} {offset}: {result:?}")));
                    }
                }
            }
            listings.push(listing);
        }
        Ok(listings)
    }

    /// At the end: everything that was kept is there.
    pub fn read_everything(&mut self) -> Verdict {
        let listings = self.list_partitions()?;
        self.partitions.resolve(listings)
    }

    /// Where the groups stand after a crash.
    pub fn judge_cursors(&mut self) -> Verdict {
        for group in 0..GROUPS.len() {
            for partition in 0..PARTITIONS {
                let (id, of) = (self.partitions.groups[group], self.partitions.id(partition));
                let answer = self.ask(|token| Command::Cursor {
                    token,
                    group: id,
                    partition: of,
                })?;
                let Ok(Answer::Offset(found)) = answer else {
                    return Err(Stop::Breach(format!("a cursor: {answer:?}")));
                };
                let found = found.map(|position| position.0);
                if found.is_some() {
                    self.counts.note("cursor kept");
                }
                let history = format!("{:?}", self.partitions.cursors.get(&(group, partition)));
                let right = self.partitions.found_cursor(group, partition, found);
                ensure(right, || {
                    format!("group {group} stands at {found:?} of {partition}: {history}")
                })?;
            }
        }
        Ok(())
    }
}

fn read_all(
    world: &mut World,
    partition: PartitionId,
    offset: Position,
) -> Verdict<(ReadResult, Vec<Vec<u8>>)> {
    let token = world.token();
    let read = Read {
        partition,
        offset,
        messages_max: 50,
        bytes_max: 1 << 20,
        tags: None,
        filter: None,
        wait_until: None,
    };
    world.pass.push(OWN, Command::Read { token, read });
    world.rest()?;
    let seen = std::mem::take(&mut world.seen);
    let answer = seen.into_iter().find_map(|seen| match seen.event {
        Event::Read {
            token: of, result, ..
        } if of == token => Some((result, seen.records)),
        _ => None,
    });
    answer.ok_or_else(|| Stop::Breach("a read has no answer".into()))
}

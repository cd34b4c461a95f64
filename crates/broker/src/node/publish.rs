//! Messages of a pass on their way into frames.

use super::Node;
use super::shard::must_sync;
use super::work::Work;
use crate::id::{Durability, SessionId, Token};
use crate::ledger::Fact;
use crate::pass::{Destination, Destinations, Placed};

impl Node {
    pub(super) fn publish(
        &mut self,
        session: SessionId,
        token: Option<Token>,
        durable: Option<Placed>,
        volatile: Option<Placed>,
        producer: Option<(Box<str>, u64)>,
        work: &mut Work<'_>,
    ) {
        let again = self.is_known(producer.as_ref());
        for (placed, durability) in [
            (durable, Durability::Durable),
            (volatile, Durability::Volatile),
        ] {
            let Some(placed) = placed else { continue };
            self.enter_batch(placed.batch, durability, work);
            let lane = work.lane(durability);
            let head = &mut lane.assembly.batch.heads[usize::from(placed.slot)];
            if again {
                head.destinations = Destinations::nowhere();
                continue;
            }
            // A partition is made by its first message: not by one that comes after the end.
            let gone = |destination: &Destination| match destination {
                Destination::Partition(id) => self.planned.address_by_id(id.address).is_none(),
                Destination::Queue(_) | Destination::Timer(_) => false,
            };
            let destinations = head.destinations.as_slice();
            if destinations.iter().any(gone) {
                let rest = destinations
                    .iter()
                    .copied()
                    .filter(|destination| !gone(destination));
                head.destinations = Destinations::Many(rest.collect());
            }
            lane.assembly.must_sync |= must_sync(head);
        }
        if let Some((name, sequence)) = producer.filter(|_| durable.is_some() && !again) {
            self.log.sent(&name, sequence);
            match &mut work.transaction {
                Some(transaction) => transaction.producers.insert(name, sequence),
                None => work.log.producers.insert(name, sequence),
            };
        }
        if durable.is_some()
            && let Some(transaction) = &mut work.transaction
        {
            transaction.in_batch = true;
        }
        if let Some(token) = token {
            // The durable copy, if there is one, is what the publisher is told of.
            let (placed, lane) = match (durable, volatile) {
                (Some(placed), _) => (placed, &mut work.log),
                (None, Some(placed)) => (placed, &mut work.volatile),
                (None, None) => unreachable!("a published message has a place"),
            };
            lane.assembly.stored.push((session, token, placed.slot));
        }
    }

    /// Whether the message with this number was stored, or is about to be.
    pub(super) fn is_known(&self, producer: Option<&(Box<str>, u64)>) -> bool {
        producer.is_some_and(|(name, sequence)| {
            let last = self.log.last_sequence(name);
            last.is_some_and(|last| *sequence <= last)
        })
    }

    /// Makes a batch the current one; what was decided with the one before it is a frame then.
    pub(super) fn enter_batch(&mut self, number: u32, durability: Durability, work: &mut Work<'_>) {
        let (lane, shard) = match durability {
            Durability::Durable => (&mut work.log, &mut self.log),
            Durability::Volatile => (&mut work.volatile, &mut self.volatile),
        };
        if lane.current == Some(number) {
            return;
        }
        if lane.current.is_some() {
            if durability == Durability::Durable
                && let Some(transaction) = &mut work.transaction
                && std::mem::take(&mut transaction.in_batch)
            {
                // Named by its first frame, so that no other one is ever called the same.
                let first = shard.upcoming().0;
                let number = *transaction.prepared.get_or_insert(first);
                lane.assembly.fact(Fact::Prepared {
                    transaction: number,
                });
            }
            lane.flush(shard, work.now, work.effects);
        }
        lane.current = Some(number);
        lane.assembly.batch = std::mem::take(&mut lane.batches[number as usize]);
    }
}

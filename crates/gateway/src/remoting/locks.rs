//! Locks on queues: an orderly consumer consumes only what it holds. They live in memory; a
//! client that finds one lost locks again.

use std::collections::BTreeMap;

use broker::id::Millis;

/// A lock that is not renewed for so long is free.
pub const LIFE_MS: u64 = 60_000;
/// The most locks that are kept.
pub const LOCKS_MAX: usize = 200_000;

#[derive(Debug, Default)]
pub struct Locks {
    held: BTreeMap<Key, Lock>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    group: Box<str>,
    topic: Box<str>,
    queue_id: i32,
}

#[derive(Debug)]
struct Lock {
    client: Box<str>,
    renewed: Millis,
}

impl Lock {
    fn is_free(&self, now: Millis) -> bool {
        now.since(self.renewed) > LIFE_MS
    }
}

fn key(group: &str, topic: &str, queue_id: i32) -> Key {
    Key {
        group: group.into(),
        topic: topic.into(),
        queue_id,
    }
}

impl Locks {
    /// Whether the client holds the queue now.
    pub fn lock(
        &mut self,
        group: &str,
        topic: &str,
        queue_id: i32,
        client: &str,
        now: Millis,
    ) -> bool {
        let key = key(group, topic, queue_id);
        match self.held.get_mut(&key) {
            Some(lock) if *lock.client == *client || lock.is_free(now) => {
                *lock = Lock {
                    client: client.into(),
                    renewed: now,
                };
                true
            }
            Some(_) => false,
            None => {
                // What has run out makes room with the next sweep; looking for it here would cost
                // a pass over all of them for each queue that is asked for.
                let room = self.held.len() < LOCKS_MAX;
                if room {
                    self.held.insert(
                        key,
                        Lock {
                            client: client.into(),
                            renewed: now,
                        },
                    );
                }
                room
            }
        }
    }

    /// Lets go of a queue that the client holds.
    pub fn unlock(&mut self, group: &str, topic: &str, queue_id: i32, client: &str) {
        let key = key(group, topic, queue_id);
        if self
            .held
            .get(&key)
            .is_some_and(|lock| *lock.client == *client)
        {
            self.held.remove(&key);
        }
    }

    pub fn expire(&mut self, now: Millis) {
        self.held.retain(|_, lock| !lock.is_free(now));
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_one_clients_until_it_lets_go_or_is_silent() {
        let mut locks = Locks::default();
        assert!(locks.lock("g", "t", 0, "one", Millis(0)));
        assert!(locks.lock("g", "t", 0, "one", Millis(10)));
        assert!(!locks.lock("g", "t", 0, "two", Millis(60_010)));
        assert!(locks.lock("h", "t", 0, "two", Millis(20)));
        locks.unlock("g", "t", 0, "two");
        assert!(!locks.lock("g", "t", 0, "two", Millis(30)));
        locks.unlock("g", "t", 0, "one");
        assert!(locks.lock("g", "t", 0, "two", Millis(30)));
        assert!(locks.lock("g", "t", 0, "one", Millis(60_031)));
        locks.expire(Millis(200_000));
        assert!(locks.is_empty());
    }

    #[test]
    fn locks_have_an_end_and_room_comes_with_the_sweep() {
        let mut locks = Locks::default();
        let max = LOCKS_MAX as i32;
        assert!((0..max).all(|queue| locks.lock("g", "t", queue, "one", Millis(0))));
        assert!(!locks.lock("g", "t", max, "two", Millis(0)));
        assert!(
            locks.lock("g", "t", 7, "one", Millis(0)),
            "it has it already"
        );
        assert!(!locks.lock("g", "t", max, "two", Millis(90_000)));
        locks.expire(Millis(90_000));
        assert!(locks.lock("g", "t", max, "two", Millis(90_000)));
    }
}

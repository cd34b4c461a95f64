//! What the load programs of the kill rounds wrote down, and the rules that it must obey.
//!
//! Each role appends lines to a file of its own; nothing is buffered in the program. Ids rise by one per
//! publisher and are never sent twice, so a doubled id was doubled by the server.
//!
//! | line | role | meaning |
//! |---|---|---|
//! | `c ID` | publisher | confirmed |
//! | `c ID PARTITION OFFSET` | RocketMQ producer | stored there, as the server answered |
//! | `t TX FIRST COUNT` | transacted sender | about to commit these ids |
//! | `C TX` | transacted sender | the commit was answered |
//! | `r TX FIRST COUNT` | transacted sender | about to roll these ids back |
//! | `s` | consumer | a new session starts |
//! | `d ID REDELIVERED` | consumer | delivered; 1 if marked redelivered |
//! | `a ID` | consumer | its settlement was answered |
//! | `d ID PARTITION OFFSET` | RocketMQ consumer | read there |
//! | `o PARTITION NEXT` | RocketMQ consumer | this offset was answered |
//!
//! Caveat: one publisher and one consumer a queue; more would need publishers' names in the ids.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The server may mark this many never-delivered messages as redelivered after a crash: the step of the
/// offered mark (design §6).
const OFFERED_STEP: usize = 4096;

/// Handed out into a client's window, but never seen by its program.
const WINDOW_MAX: usize = 1000;

/// Breaches shown of each account.
const SHOWN_MAX: usize = 10;

/// What was counted, or what was broken.
pub type Verdict = Result<String, Vec<String>>;

fn words(text: &str) -> impl Iterator<Item = (char, Vec<u64>)> + '_ {
    text.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        let kind = parts.next()?.chars().next()?;
        let numbers: Option<Vec<u64>> = parts.map(|part| part.parse().ok()).collect();
        // A program killed in the middle of a line leaves half a line; whole ones only count.
        Some((kind, numbers?))
    })
}

fn verdict(mut breaches: Vec<String>, summary: String) -> Verdict {
    if breaches.is_empty() {
        return Ok(summary);
    }
    let more = breaches.len().saturating_sub(SHOWN_MAX);
    breaches.truncate(SHOWN_MAX);
    if more > 0 {
        breaches.push(format!("and {more} more"));
    }
    Err(breaches)
}

/// A queue with one publisher and one consumer (and its drain, in the same file).
pub fn queue(name: &str, published: &str, consumed: &str) -> Verdict {
    let confirmed: BTreeSet<u64> = words(published)
        .filter(|(kind, numbers)| *kind == 'c' && !numbers.is_empty())
        .map(|(_, numbers)| numbers[0])
        .collect();
    let mut breaches = Vec::new();
    let deliveries = deliveries(name, consumed, &mut breaches);
    for id in confirmed.iter().filter(|id| !deliveries.seen.contains(id)) {
        breaches.push(format!("{name}: {id} was confirmed and is lost"));
    }
    if confirmed.is_empty() {
        breaches.push(format!(
            "{name}: nothing was confirmed, so nothing was proven"
        ));
    }
    let summary = format!(
        "{name}: {} confirmed, {} settled, {} redelivered",
        confirmed.len(),
        deliveries.settled.len(),
        deliveries.redelivered
    );
    verdict(breaches, summary)
}

struct Deliveries {
    seen: HashSet<u64>,
    settled: HashSet<u64>,
    redelivered: usize,
}

/// The rules of deliveries: order, no doubles without the mark, no mark out of nowhere, settled stays settled.
fn deliveries(name: &str, consumed: &str, breaches: &mut Vec<String>) -> Deliveries {
    let every: BTreeSet<u64> = words(consumed)
        .filter(|(kind, numbers)| *kind == 'd' && numbers.len() == 2)
        .map(|(_, numbers)| numbers[0])
        .collect();
    let rank: HashMap<u64, usize> = every.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut all = Deliveries {
        seen: HashSet::new(),
        settled: HashSet::new(),
        redelivered: 0,
    };
    let mut last_of_session = None;
    let mut farthest = 0;
    for (kind, numbers) in words(consumed) {
        match (kind, numbers.as_slice()) {
            ('s', []) => last_of_session = None,
            ('d', &[id, redelivered]) => {
                if last_of_session.is_some_and(|last| id <= last) {
                    breaches.push(format!("{name}: {id} came out of order"));
                }
                last_of_session = Some(id);
                if all.settled.contains(&id) {
                    breaches.push(format!(
                        "{name}: {id} came after its settlement was answered"
                    ));
                }
                let position = rank.get(&id).copied().unwrap_or(0);
                let again = !all.seen.insert(id);
                if again && redelivered == 0 {
                    breaches.push(format!(
                        "{name}: {id} came twice and was not marked redelivered"
                    ));
                }
                if !again && redelivered == 1 && position > farthest + OFFERED_STEP + WINDOW_MAX {
                    breaches.push(format!(
                        "{name}: {id} is marked redelivered, far beyond what was offered"
                    ));
                }
                all.redelivered += redelivered as usize;
                farthest = farthest.max(position);
            }
            ('a', &[id]) => {
                all.settled.insert(id);
            }
            other => breaches.push(format!("{name}: unreadable record {other:?}")),
        }
    }
    all
}

/// A queue fed by transactions: answered commits whole, unanswered ones whole or absent, no rolled-back one.
pub fn transactions(name: &str, sent: &str, consumed: &str) -> Verdict {
    let mut breaches = Vec::new();
    let deliveries = deliveries(name, consumed, &mut breaches);
    let mut begun: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut rolled_back = 0;
    let mut answered = BTreeSet::new();
    for (kind, numbers) in words(sent) {
        match (kind, numbers.as_slice()) {
            ('t', &[tx, first, count]) => {
                begun.insert(tx, (first, count));
            }
            ('C', &[tx]) => {
                answered.insert(tx);
            }
            ('r', &[tx, first, count]) => {
                rolled_back += 1;
                if (first..first + count).any(|id| deliveries.seen.contains(&id)) {
                    breaches.push(format!("{name}: rolled back transaction {tx} is visible"));
                }
            }
            other => breaches.push(format!("{name}: unreadable record {other:?}")),
        }
    }
    for (tx, (first, count)) in &begun {
        let found = (*first..first + count)
            .filter(|id| deliveries.seen.contains(id))
            .count() as u64;
        if answered.contains(tx) && found < *count {
            breaches.push(format!(
                "{name}: of committed transaction {tx} only {found} of {count} are there"
            ));
        } else if found != 0 && found < *count {
            breaches.push(format!(
                "{name}: unanswered transaction {tx} is torn, {found} of {count}"
            ));
        }
    }
    if answered.is_empty() {
        breaches.push(format!(
            "{name}: no commit was answered, so nothing was proven"
        ));
    }
    let summary = format!(
        "{name}: {} commits answered, {} not, {rolled_back} rolled back",
        answered.len(),
        begun.len() - answered.len()
    );
    verdict(breaches, summary)
}

/// A topic of partitions: `drained` is one reading of everything from offset 0.
pub fn partitions(name: &str, published: &str, consumed: &str, drained: &str) -> Verdict {
    let mut breaches = Vec::new();
    let mut stored: HashMap<(u64, u64), u64> = HashMap::new();
    let mut next: HashMap<u64, u64> = HashMap::new();
    let mut last_id: HashMap<u64, u64> = HashMap::new();
    for (kind, numbers) in words(drained) {
        let ('d', &[id, partition, offset]) = (kind, numbers.as_slice()) else {
            continue;
        };
        let expected = next.entry(partition).or_insert(0);
        if offset != *expected {
            breaches.push(format!(
                "{name}: partition {partition} has {offset} where {expected} is due"
            ));
        }
        *expected = offset + 1;
        if last_id.insert(partition, id).is_some_and(|last| last >= id) {
            breaches.push(format!(
                "{name}: {id} is out of order or doubled in partition {partition}"
            ));
        }
        stored.insert((partition, offset), id);
    }
    let mut confirmed = 0;
    for (kind, numbers) in words(published) {
        let ('c', &[id, partition, offset]) = (kind, numbers.as_slice()) else {
            continue;
        };
        confirmed += 1;
        match stored.get(&(partition, offset)) {
            Some(found) if *found == id => {}
            Some(found) => breaches.push(format!(
                "{name}: {id} was confirmed at {partition}:{offset}, where {found} lies"
            )),
            None => breaches.push(format!(
                "{name}: {id}, confirmed at {partition}:{offset}, is lost"
            )),
        }
    }
    let mut answered: HashMap<u64, u64> = HashMap::new();
    let mut read = 0;
    for (kind, numbers) in words(consumed) {
        match (kind, numbers.as_slice()) {
            ('s', []) => {}
            ('d', &[id, partition, offset]) => {
                read += 1;
                if answered.get(&partition).is_some_and(|next| offset < *next) {
                    breaches.push(format!(
                        "{name}: {partition}:{offset} came again below the answered offset"
                    ));
                }
                if stored
                    .get(&(partition, offset))
                    .is_some_and(|found| *found != id)
                {
                    breaches.push(format!("{name}: {partition}:{offset} changed its message"));
                }
            }
            ('o', &[partition, offset]) => {
                answered.insert(partition, offset);
            }
            other => breaches.push(format!("{name}: unreadable record {other:?}")),
        }
    }
    if confirmed == 0 || answered.is_empty() {
        breaches.push(format!(
            "{name}: nothing confirmed or no offset answered, so nothing was proven"
        ));
    }
    verdict(
        breaches,
        format!("{name}: {confirmed} confirmed, {read} read"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breach(verdict: Verdict) -> String {
        verdict.expect_err("a breach").join("; ")
    }

    #[test]
    fn a_queue_that_keeps_the_rules_passes() {
        let consumed = "s\nd 1 0\nd 2 0\na 1\ns\nd 2 1\nd 4 1\na 2\na 4";
        let summary = queue("q", "c 1\nc 2\nc 4\nc", consumed).expect("no breach");
        assert_eq!(summary, "q: 3 confirmed, 3 settled, 2 redelivered");
    }

    #[test]
    fn each_breach_of_a_queue_is_found() {
        for (published, consumed, expected) in [
            ("c 1\nc 2", "s\nd 1 0", "2 was confirmed and is lost"),
            ("c 1", "s\nd 2 0\nd 1 0", "1 came out of order"),
            (
                "c 1",
                "s\nd 1 0\na 1\ns\nd 1 1",
                "1 came after its settlement was answered",
            ),
            (
                "c 1",
                "s\nd 1 0\ns\nd 1 0",
                "1 came twice and was not marked",
            ),
            ("", "s", "nothing was proven"),
        ] {
            let found = breach(queue("q", published, consumed));
            assert!(found.contains(expected), "{found} lacks {expected}");
        }
        let far: String = (0..6000)
            .map(|id| format!("d {id} {}\n", u8::from(id == 5999)))
            .collect();
        let near = format!("s\nd 0 0\ns\n{far}");
        assert!(queue("q", "c 1", &far).is_ok(), "each was offered before");
        let beyond = near.replace("d 1 0\n", "").replacen(
            "s\nd 0 0\ns\nd 0 0\n",
            "s\nd 5999 1\ns\nd 0 0\n",
            1,
        );
        assert!(breach(queue("q", "c 2", &beyond)).contains("far beyond what was offered"));
    }

    #[test]
    fn each_breach_of_a_transaction_is_found() {
        let sent = "t 1 1 2\nC 1\nr 2 3 2\nt 3 5 2";
        assert!(transactions("q", sent, "s\nd 1 0\nd 2 0").is_ok());
        assert!(transactions("q", sent, "s\nd 1 0\nd 2 0\nd 5 0\nd 6 0").is_ok());
        for (consumed, expected) in [
            ("s\nd 1 0", "committed transaction 1 only 1 of 2"),
            (
                "s\nd 1 0\nd 2 0\nd 4 0",
                "rolled back transaction 2 is visible",
            ),
            ("s\nd 1 0\nd 2 0\nd 6 0", "unanswered transaction 3 is torn"),
        ] {
            let found = breach(transactions("q", sent, consumed));
            assert!(found.contains(expected), "{found} lacks {expected}");
        }
    }

    #[test]
    fn each_breach_of_a_partition_is_found() {
        let published = "c 1 0 0\nc 2 1 0\nc 3 0 1";
        let consumed = "s\nd 1 0 0\no 0 1\ns\nd 3 0 1";
        let drained = "d 1 0 0\nd 3 0 1\nd 2 1 0";
        assert!(partitions("t", published, consumed, drained).is_ok());
        for (consumed, drained, expected) in [
            (consumed, "d 1 0 0\nd 2 1 0", "3, confirmed at 0:1, is lost"),
            (
                consumed,
                "d 1 0 0\nd 3 0 2\nd 2 1 0",
                "partition 0 has 2 where 1 is due",
            ),
            (
                consumed,
                "d 9 0 0\nd 3 0 1\nd 2 1 0",
                "out of order or doubled",
            ),
            (
                "s\nd 1 0 0\no 0 1\ns\nd 1 0 0",
                drained,
                "came again below the answered offset",
            ),
            ("s\nd 7 0 0\no 0 1", drained, "changed its message"),
            ("s", drained, "nothing was proven"),
        ] {
            let found = breach(partitions("t", published, consumed, drained));
            assert!(found.contains(expected), "{found} lacks {expected}");
        }
    }
}

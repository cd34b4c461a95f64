//! The last sequence of each producer that numbers its messages: bounded, the ones that have
//! been silent longest are forgotten first.

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::{Reader, Undecodable, Writer};
use crate::id::Millis;

/// As many producers are remembered.
const PRODUCERS_MAX: usize = 8192;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Producers {
    last: BTreeMap<Box<str>, (u64, Millis)>,
    by_age: BTreeSet<(Millis, Box<str>)>,
}

impl Producers {
    pub fn last(&self, name: &str) -> Option<u64> {
        self.last.get(name).map(|(sequence, _)| *sequence)
    }

    pub fn stored(&mut self, name: &str, sequence: u64, time: Millis) {
        let before = self.last.insert(name.into(), (sequence, time));
        if let Some((_, then)) = before {
            self.by_age.remove(&(then, name.into()));
        }
        self.by_age.insert((time, name.into()));
        if self.last.len() > PRODUCERS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.last.remove(&oldest);
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_number(self.last.len() as u64);
        for (name, (sequence, time)) in &self.last {
            out.put_str(name);
            out.put_number(*sequence);
            out.put_number(time.0);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Producers, Undecodable> {
        let mut producers = Producers::default();
        for _ in 0..reader.count()? {
            let name = reader.str()?;
            let sequence = reader.number()?;
            producers.stored(name, sequence, Millis(reader.number()?));
        }
        Ok(producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silent_is_forgotten() {
        let mut producers = Producers::default();
        for number in 0..=PRODUCERS_MAX as u64 {
            producers.stored(&format!("p{number}"), number, Millis(number));
            producers.stored("p0", number, Millis(number));
        }
        assert_eq!(producers.last("p1"), None);
        assert_eq!(producers.last("p0"), Some(PRODUCERS_MAX as u64));
        assert_eq!(producers.last.len(), PRODUCERS_MAX);
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        assert_eq!(Producers::decode(&mut Reader::new(&bytes)), Ok(producers));
    }
}

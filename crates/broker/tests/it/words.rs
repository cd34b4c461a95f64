//! The words of a verb.

use std::sync::Arc;

use broker::filter::{Comparison, Literal, Operand, Predicate};
use broker::pass::Mode;
use broker::strand::{Strand, StrandKey, StrandStep};

/// A verb's words: plain ones in order, and those with a value.
pub struct Words<'a> {
    pub plain: Vec<&'a str>,
    pub named: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Words<'a> {
        let (mut plain, mut named) = (Vec::new(), Vec::new());
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some(pair) => named.push(pair),
                None => plain.push(word),
            }
        }
        Words { plain, named }
    }

    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.named
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.value(name)
            .map(|value| value.parse().expect("a number"))
    }

    pub fn time(&self, name: &str) -> Option<u64> {
        self.value(name).map(duration)
    }

    pub fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }
}

/// So many milliseconds.
pub fn duration(text: &str) -> u64 {
    for (unit, ms) in [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)] {
        if let Some(count) = text.strip_suffix(unit)
            && let Ok(count) = count.parse::<u64>()
        {
            return count * ms;
        }
    }
    panic!("no duration: {text}");
}

pub fn mode(words: &Words<'_>) -> Mode {
    match words.value("mode") {
        None | Some("lease") => Mode::Lease,
        Some("settled") => Mode::Settled,
        Some("browse") => Mode::Browse,
        Some(other) => panic!("no mode {other}"),
    }
}

/// `name:value`.
pub fn equals(filter: &str) -> Arc<Predicate> {
    let (name, value) = filter.split_once(':').expect("filter=name:value");
    Arc::new(Predicate::compare(
        Operand::property(name),
        Comparison::Equal,
        Operand::Literal(Literal::Text(value.into())),
    ))
}

/// `name`, `name:opens` or `name:closes`.
pub fn strand(text: &str) -> Strand {
    let (name, step) = match text.split_once(':') {
        None => (text, StrandStep::Continues),
        Some((name, "opens")) => (name, StrandStep::Opens),
        Some((name, "closes")) => (name, StrandStep::Closes),
        Some((_, other)) => panic!("no step {other}"),
    };
    Strand {
        key: StrandKey::of(name.as_bytes()),
        step,
    }
}

/// The number of a name, given to it when it is first used.
pub fn number(names: &mut Vec<String>, name: &str) -> u64 {
    let at = names
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        });
    at as u64 + 1
}

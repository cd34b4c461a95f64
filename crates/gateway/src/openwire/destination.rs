//! Names of destinations: what a client wrote, taken apart into where it leads.
//!
//! ```text
//! A,topic://B?consumer.exclusive=true   a composite of a queue and a topic, with options
//! orders.*.eu.>                         a pattern: `*` is one word, a final `>` any number
//! ```

use std::sync::Arc;

use openwire::{Destination, DestinationKind, ExceptionClass};

use super::failure::Failure;
use super::limits::COMPOSITE_MAX;

/// Topics of which the broker itself speaks; nothing is stored for them.
pub(super) const ADVISORY: &str = "ActiveMQ.Advisory.";

/// One destination, composites taken apart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub kind: DestinationKind,
    pub name: Arc<str>,
}

/// What follows a `?`. Java clients apply options themselves and strip them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Options(Vec<(Box<str>, Box<str>)>);

impl Options {
    /// An option for consumers, such as `prefetchSize`.
    pub fn consumer(&self, name: &str) -> Option<&str> {
        let named = |(key, _): &&(Box<str>, Box<str>)| key.strip_prefix("consumer.") == Some(name);
        self.0.iter().find(named).map(|(_, value)| &**value)
    }
}

impl Place {
    pub fn new(kind: DestinationKind, name: &str) -> Place {
        Place {
            kind,
            name: name.into(),
        }
    }

    /// As on the wire.
    pub fn destination(&self) -> Destination {
        Destination::new(self.kind, &*self.name)
    }

    pub fn is_advisory(&self) -> bool {
        self.kind == DestinationKind::Topic && self.name.starts_with(ADVISORY)
    }

    pub fn is_wildcard(&self) -> bool {
        !self.kind.is_temporary() && is_wildcard(&self.name)
    }

    /// `queue://orders`.
    pub fn qualified(&self) -> String {
        format!("{}{}", self.kind.prefix(), self.name)
    }
}

/// Whether a name needs nothing but to be taken as it is.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name
            .bytes()
            .any(|byte| matches!(byte, b',' | b'?' | b' ' | b'\t' | b'\r' | b'\n'))
        && !name.contains("://")
}

/// Takes a destination apart. At least one place comes out, each once.
pub(super) fn places(destination: &Destination) -> Result<(Vec<Place>, Options), Failure> {
    let text = destination.physical_name.to_str();
    let (names, options) = match text.split_once('?') {
        Some((names, options)) => (names, parse_options(options)),
        None => (&*text, Options::default()),
    };
    let mut places = Vec::new();
    for part in names.split(',') {
        let part = part.trim();
        let (kind, name) = qualifier(part).unwrap_or((destination.kind, part));
        // Nothing between two commas is nothing, as in the original.
        if name.is_empty() {
            continue;
        }
        let place = Place::new(kind, name);
        if !places.contains(&place) {
            places.push(place);
        }
        if places.len() > COMPOSITE_MAX {
            let message = format!("A composite destination has at most {COMPOSITE_MAX} parts");
            return Err(Failure::new(ExceptionClass::ResourceAllocation, message));
        }
    }
    if places.is_empty() {
        let message = format!("Invalid destination name: '{destination}'");
        return Err(Failure::new(ExceptionClass::InvalidDestination, message));
    }
    Ok((places, options))
}

/// A destination that is no composite.
pub(super) fn single(destination: &Destination) -> Result<Place, Failure> {
    let (mut places, _) = places(destination)?;
    match (places.pop(), places.is_empty()) {
        (Some(place), true) => Ok(place),
        _ => {
            let message = format!("A single destination is expected, not {destination}");
            Err(Failure::new(ExceptionClass::InvalidDestination, message))
        }
    }
}

fn qualifier(part: &str) -> Option<(DestinationKind, &str)> {
    [
        DestinationKind::TempQueue,
        DestinationKind::TempTopic,
        DestinationKind::Queue,
        DestinationKind::Topic,
    ]
    .into_iter()
    .find_map(|kind| {
        part.strip_prefix(kind.prefix())
            .map(|name| (kind, name.trim()))
    })
}

fn parse_options(text: &str) -> Options {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    Options(
        pairs
            .map(|(key, value)| (key.trim().into(), value.trim().into()))
            .collect(),
    )
}

pub(super) fn is_wildcard(name: &str) -> bool {
    name.split('.').any(|word| word == "*" || word == ">")
}

/// The pattern in the one spelling that the topology knows.
pub(super) fn pattern(name: &str) -> String {
    match name.strip_suffix('>') {
        Some("") => "#".to_owned(),
        Some(prefix) if prefix.ends_with('.') => format!("{prefix}#"),
        Some(_) | None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let (found, options) = places(&Destination::queue(
            "A, topic://B ,A?consumer.exclusive=true&x=y",
        ))
        .unwrap();
        assert_eq!(
            found,
            [
                Place::new(DestinationKind::Queue, "A"),
                Place::new(DestinationKind::Topic, "B")
            ]
        );
        assert_eq!(options.consumer("exclusive"), Some("true"));
        assert_eq!(options.consumer("x"), None);
        assert_eq!(places(&Destination::queue("A,,B,")).unwrap().0.len(), 2);
        assert!(places(&Destination::queue(",,")).is_err());
        assert!(places(&Destination::queue("")).is_err());
        assert!(single(&Destination::queue("A,B")).is_err());
        let many = (0..300)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",");
        assert!(places(&Destination::queue(many)).is_err());
    }

    #[test]
    fn wildcards_become_patterns() {
        for (name, wildcard, canonical) in [
            ("a.b", false, "a.b"),
            ("a.*", true, "a.*"),
            ("a.>", true, "a.#"),
            (">", true, "#"),
            ("a>", false, "a>"),
        ] {
            assert_eq!(
                (is_wildcard(name), &*pattern(name)),
                (wildcard, canonical),
                "{name}"
            );
        }
    }
}

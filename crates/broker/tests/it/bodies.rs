//! The records of a world, as far as they can be read.
//!
//! A message is its name, followed by its properties; so whatever comes out can be named again.

use std::collections::{BTreeMap, BTreeSet};

use broker::event::Records;
use broker::id::MessageRef;
use broker::properties::{Properties, Value};
use broker::record::Record;

/// The records, as far as they can be read.
#[derive(Default)]
pub struct Bodies {
    pub log: BTreeMap<MessageRef, Vec<u8>>,
    pub volatile: BTreeMap<MessageRef, Vec<u8>>,
    /// Those that were released, for what was told in the same step.
    pub departed: BTreeMap<MessageRef, Vec<u8>>,
    /// If given, only these are in memory.
    pub resident: Option<BTreeSet<MessageRef>>,
}

struct View<'a>(&'a str);

impl Properties for View<'_> {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        let mut pairs = self
            .0
            .split(' ')
            .skip(1)
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| Value::Text(value))
    }
}

impl Bodies {
    pub fn any(&self, message: MessageRef) -> Option<&[u8]> {
        let departed = || self.departed.get(&message);
        let found = self
            .log
            .get(&message)
            .or_else(|| self.volatile.get(&message));
        found.or_else(departed).map(Vec::as_slice)
    }
}

impl Records for Bodies {
    fn record(&self, message: MessageRef) -> Option<&[u8]> {
        if let Some(resident) = &self.resident
            && !resident.contains(&message)
        {
            return None;
        }
        self.log
            .get(&message)
            .or_else(|| self.volatile.get(&message))
            .map(Vec::as_slice)
    }

    fn with_properties(&self, record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
        look(&View(
            std::str::from_utf8(record.native).expect("names are text"),
        ));
    }
}

/// The name of a message.
pub fn name_of(native: &[u8]) -> String {
    let text = std::str::from_utf8(native).expect("names are text");
    text.split(' ').next().unwrap_or_default().into()
}

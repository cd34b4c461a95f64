//! Who watches which advisories, and what is counted for them.

use std::collections::{BTreeSet, HashMap};

use broker::id::SessionId;
use broker::topology::Pattern;

use super::advisory::{TEMP_QUEUE, TEMP_TOPIC};
use super::consumer::ConsumerKey;
use super::destination::{Place, is_wildcard, pattern};

/// Who watches which advisories.
#[derive(Default)]
pub(super) struct Watchers {
    exact: HashMap<Box<str>, BTreeSet<(SessionId, ConsumerKey)>>,
    patterns: Vec<(Pattern, SessionId, ConsumerKey)>,
}

impl Watchers {
    pub fn add(&mut self, name: &str, session: SessionId, key: ConsumerKey) {
        if is_wildcard(name) {
            self.patterns
                .push((Pattern::new(pattern(name)), session, key));
        } else {
            self.exact
                .entry(name.into())
                .or_default()
                .insert((session, key));
        }
    }

    pub fn remove(&mut self, session: SessionId, key: ConsumerKey) {
        self.patterns.retain(|(_, s, k)| (*s, *k) != (session, key));
        self.exact.retain(|_, watchers| {
            watchers.remove(&(session, key));
            !watchers.is_empty()
        });
    }

    pub fn of(&self, topic: &str) -> Vec<(SessionId, ConsumerKey)> {
        let exact = self.exact.get(topic).into_iter().flatten().copied();
        let patterns = self
            .patterns
            .iter()
            .filter(|(pattern, ..)| pattern.matches(topic));
        exact
            .chain(patterns.map(|(_, session, key)| (*session, *key)))
            .collect()
    }

    /// Whether anybody watches more than temporary destinations, which every Java client does.
    pub fn watch_others(&self) -> bool {
        let temporaries = [TEMP_QUEUE, TEMP_TOPIC];
        let known = temporaries
            .iter()
            .filter(|name| self.exact.contains_key(**name))
            .count();
        !self.patterns.is_empty() || self.exact.len() > known
    }
}

/// How many use each destination.
#[derive(Default)]
pub(super) struct Users(HashMap<Place, i32>);

impl Users {
    pub fn count(&mut self, place: &Place, change: i32) -> i32 {
        let users = self.0.entry(place.clone()).or_default();
        *users += change;
        let left = *users;
        if left <= 0 {
            self.0.remove(place);
        }
        left
    }
}

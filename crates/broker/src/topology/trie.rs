//! All pattern bindings of an address in one persistent tree of words.
//!
//! Matching walks only what the key can reach. Below one `#` the walk tries every rest of the
//! key; a `#` below another `#` is entered once, because rests are tried longest first and what a
//! shorter rest matches, a longer one at the same `#` has matched already. So a key of w words
//! costs at most w + 1 visits of each tree node, whatever the patterns are.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::bindings::{Binding, BindingSet};
use super::pattern::{Part, first_word, parts, words};
use super::seen::Seen;
use crate::id::BindingId;

#[derive(Clone, Default)]
pub(super) struct PatternTrie {
    root: Node,
}

/// The place after some parts of a pattern.
#[derive(Clone)]
struct Node {
    children: RedBlackTreeMapSync<Arc<str>, Arc<Node>>,
    one: Option<Arc<Node>>,
    /// Never has such a child itself: neighbouring `#` are one.
    many: Option<Arc<Node>>,
    /// Those whose pattern ends here.
    bindings: BindingSet,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            children: RedBlackTreeMapSync::new_sync(),
            one: None,
            many: None,
            bindings: BindingSet::Empty,
        }
    }
}

impl PatternTrie {
    pub(super) fn insert(&mut self, binding: Arc<Binding>) {
        let pattern = Arc::clone(&binding.spec.key);
        let node = parts(&pattern).fold(&mut self.root, Node::child_mut);
        node.bindings.insert(binding);
    }

    pub(super) fn remove(&mut self, pattern: &str, id: BindingId) {
        self.root.remove(&mut parts(pattern), id);
    }

    /// Visits the bindings whose pattern fits, each once. Answers how many places were looked at.
    pub(super) fn visit(
        &self,
        key: &str,
        entered: &mut Seen<usize>,
        found: &mut dyn FnMut(&BindingSet),
    ) -> u64 {
        entered.clear();
        let mut walk = Walk {
            entered,
            found,
            steps: 0,
        };
        walk.place(&self.root, words(key), Above::NoMany);
        walk.steps
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.bindings.is_empty()
            && self.children.is_empty()
            && self.one.is_none()
            && self.many.is_none()
    }

    fn child_mut<'a>(&'a mut self, part: Part<'_>) -> &'a mut Node {
        match part {
            Part::One => Arc::make_mut(self.one.get_or_insert_default()),
            Part::Many => Arc::make_mut(self.many.get_or_insert_default()),
            Part::Word(word) => {
                if !self.children.contains_key(word) {
                    self.children.insert_mut(Arc::from(word), Arc::default());
                }
                Arc::make_mut(self.children.get_mut(word).expect("inserted above"))
            }
        }
    }

    /// Removes a binding and every place that leads to nothing any more.
    fn remove<'p>(&mut self, rest: &mut dyn Iterator<Item = Part<'p>>, id: BindingId) {
        match rest.next() {
            None => self.bindings.remove(id),
            Some(Part::One) => remove_below(&mut self.one, rest, id),
            Some(Part::Many) => remove_below(&mut self.many, rest, id),
            Some(Part::Word(word)) => {
                if let Some(child) = self.children.get_mut(word) {
                    let child = Arc::make_mut(child);
                    child.remove(rest, id);
                    if child.is_empty() {
                        self.children.remove_mut(word);
                    }
                }
            }
        }
    }
}

fn remove_below<'p>(
    slot: &mut Option<Arc<Node>>,
    rest: &mut dyn Iterator<Item = Part<'p>>,
    id: BindingId,
) {
    if let Some(child) = slot {
        let child = Arc::make_mut(child);
        child.remove(rest, id);
        if child.is_empty() {
            *slot = None;
        }
    }
}

/// Whether a `#` was passed on the way to a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    NoMany,
    Many,
}

struct Walk<'a> {
    /// The places below a `#` below a `#`, by where they lie in memory: the tree does not move
    /// while it is walked.
    entered: &'a mut Seen<usize>,
    found: &'a mut dyn FnMut(&BindingSet),
    steps: u64,
}

impl Walk<'_> {
    fn place(&mut self, node: &Node, rest: Option<&str>, above: Above) {
        self.steps += 1;
        if let Some(many) = &node.many {
            self.many(many, rest, above);
        }
        match rest {
            None => (self.found)(&node.bindings),
            Some(text) => self.children(node, text, above),
        }
    }

    fn many(&mut self, node: &Node, mut rest: Option<&str>, above: Above) {
        self.steps += 1;
        if above == Above::Many && !self.entered.insert(std::ptr::from_ref(node).addr()) {
            return;
        }
        (self.found)(&node.bindings);
        if node.children.is_empty() && node.one.is_none() {
            return;
        }
        while let Some(text) = rest {
            self.children(node, text, Above::Many);
            rest = first_word(text).1;
        }
    }

    fn children(&mut self, node: &Node, text: &str, above: Above) {
        let (word, rest) = first_word(text);
        if let Some(child) = node.children.get(word) {
            self.place(child, rest, above);
        }
        if let Some(one) = &node.one {
            self.place(one, rest, above);
        }
    }
}

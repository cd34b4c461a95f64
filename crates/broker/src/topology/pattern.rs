//! Patterns of words, and the one spelling they have in here.
//!
//! Words are separated by `.`; the word `*` stands for exactly one word, `#` for any number of
//! words, none included, wherever it stands. The empty text has no words; a separator at an end
//! makes an empty word. Every door translates its own spelling into this one.

use std::sync::Arc;

/// A pattern in its canonical spelling. Every text is one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pattern(Arc<str>);

/// One part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part<'a> {
    Word(&'a str),
    One,
    Many,
}

impl Pattern {
    pub const SEPARATOR: char = '.';
    pub const ONE: &'static str = "*";
    pub const MANY: &'static str = "#";

    pub fn new(text: impl Into<Arc<str>>) -> Pattern {
        Pattern(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern stands for one key only.
    pub fn is_exact(&self) -> bool {
        parts(&self.0).all(|part| match part {
            Part::Word(_) => true,
            Part::One | Part::Many => false,
        })
    }

    /// Whether a key fits. For one pattern; an address matches all of its patterns at once.
    /// Allocates nothing and costs at most words of the pattern times words of the key.
    pub fn matches(&self, key: &str) -> bool {
        let (mut pattern, mut rest) = (words(&self.0), words(key));
        // Going back to the last `#` is enough: an earlier one can gain nothing.
        let mut retry: Option<(Option<&str>, Option<&str>)> = None;
        loop {
            let advanced = match pattern.map(first_word) {
                Some((Pattern::MANY, after)) => {
                    retry = Some((after, rest));
                    Some((after, rest))
                }
                Some((wanted, after)) => rest.map(first_word).and_then(|(word, others)| {
                    (wanted == Pattern::ONE || wanted == word).then_some((after, others))
                }),
                None if rest.is_none() => return true,
                None => None,
            };
            (pattern, rest) = match advanced {
                Some(next) => next,
                None => match retry {
                    Some((after, Some(from))) => {
                        let next = (after, first_word(from).1);
                        retry = Some(next);
                        next
                    }
                    Some((_, None)) | None => return false,
                },
            };
        }
    }
}

/// The words of a text: `None` when there are none.
pub(super) fn words(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The first of at least one word, and the words after it.
pub(super) fn first_word(text: &str) -> (&str, Option<&str>) {
    match text.split_once(Pattern::SEPARATOR) {
        Some((word, rest)) => (word, Some(rest)),
        None => (text, None),
    }
}

/// The parts of a pattern; neighbouring `#` are one, as they mean the same.
pub(super) fn parts(pattern: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = words(pattern);
    let mut after_many = false;
    std::iter::from_fn(move || {
        loop {
            let (word, after) = first_word(rest?);
            rest = after;
            let part = match word {
                Pattern::ONE => Part::One,
                Pattern::MANY => Part::Many,
                other => Part::Word(other),
            };
            let repeated = after_many && part == Part::Many;
            after_many = part == Part::Many;
            if !repeated {
                return Some(part);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_one_and_many() {
        for (pattern, key, truth) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "a.b", false),
            ("*", "", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("#", "", true),
            ("#", "a.b", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("a.#", "ab", false),
            ("#.c", "c", true),
            ("#.c", "a.b.c", true),
            ("#.c", "a.c.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a..c", true),
            ("a.*.c", "a.c", false),
            ("#.a.#.b", "x.a.y.a.b", true),
            ("#.a.#.b", "x.y.b", false),
            ("*.#", "", false),
            ("*.#", "a", true),
            ("#.*", "a", true),
            ("#.#", "", true),
            ("a.", "a.", true),
            ("a.*", "a.", true),
            ("a", "a.", false),
            ("a*", "ab", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(key),
                truth,
                "{pattern} on {key}"
            );
        }
    }

    #[test]
    fn neighbouring_manys_are_one() {
        use Part::*;
        let found: Vec<Part> = parts("#.#.a.#.*.#.#").collect();
        assert_eq!(found, [Many, Word("a"), Many, One, Many]);
        assert_eq!(parts("").count(), 0);
        assert!(Pattern::new("a.b").is_exact() && !Pattern::new("a.*").is_exact());
    }
}

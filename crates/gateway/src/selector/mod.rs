//! JMS selectors: the SQL92 subset that subscribers filter by, parsed into a [`Predicate`].
//!
//! The grammar is that of ActiveMQ's own parser, with its habits: `NOT` binds tightest, so that
//! `NOT a = 1` is `(NOT a) = 1`; keywords may be written in any case; a lone identifier is a
//! selector, true if it holds a boolean true. Java clients parse with the same grammar before they
//! send, so what is refused here is mostly what others have sent.
//!
//! Caveats: `XPATH`, `XQUERY` and the functions (`REGEX`, `REPLACE`, …) are refused, as is the
//! prefix `convert_string_expressions:`, which needs comparisons that [`Predicate`] has not.

mod lexer;
mod parser;

use std::fmt;

use broker::filter::Predicate;

/// Longest selector that is looked at.
pub const SELECTOR_BYTES_MAX: usize = 16 * 1024;

/// Why a text is no selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unparsable {
    /// Where in the text, in bytes.
    pub at: usize,
    pub reason: &'static str,
}

impl fmt::Display for Unparsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.at)
    }
}

/// Parses a selector. One of nothing but blanks selects everything, which is `None`.
pub fn parse(text: &str) -> Result<Option<Predicate>, Unparsable> {
    if text.len() > SELECTOR_BYTES_MAX {
        return Err(Unparsable {
            at: SELECTOR_BYTES_MAX,
            reason: "selector is too long",
        });
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let predicate = parser::parse(&lexer::tokens(text)?)?;
    let too_large = Unparsable {
        at: 0,
        reason: "selector is too large",
    };
    predicate
        .check(broker::filter::Limits::STORED)
        .map_err(|_| too_large)?;
    Ok(Some(predicate))
}

#[cfg(test)]
mod tests;

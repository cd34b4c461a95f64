//! The arguments of a binding to a headers exchange as a filter.

use std::sync::Arc;

use amqp::{TableRef, ValueRef};
use broker::filter::{Criterion, HeaderRule, Limits, Literal, Predicate};

use super::equivalence::erlang;
use super::fault::Fault;

const MATCH: &str = "x-match";

/// Reads `x-match` and the criteria. `all` and `any` pass over arguments that start with `x-`;
/// the `-with-x` forms only over `x-match` itself.
pub(super) fn predicate(table: TableRef<'_>) -> Result<Arc<Predicate>, Fault> {
    let (rule, with_x) = match table.find(MATCH) {
        None | Some(ValueRef::LongString(b"all")) => (HeaderRule::All, false),
        Some(ValueRef::LongString(b"any")) => (HeaderRule::Any, false),
        Some(ValueRef::LongString(b"all-with-x")) => (HeaderRule::All, true),
        Some(ValueRef::LongString(b"any-with-x")) => (HeaderRule::Any, true),
        Some(ValueRef::LongString(other)) => {
            return Err(Fault::precondition(format!(
                "Invalid x-match field value <<\"{}\">>; expected all, any, all-with-x, or \
                 any-with-x",
                String::from_utf8_lossy(other)
            )));
        }
        Some(other) => {
            return Err(Fault::precondition(format!(
                "Invalid x-match field type {} (value {}); expected longstr",
                other.type_name(),
                erlang(other)
            )));
        }
    };
    let mut criteria = Vec::new();
    // A value that equals nothing: it makes `all` false and adds nothing to `any`.
    let mut unmeetable = false;
    for (name, value) in table.entries() {
        if name == MATCH.as_bytes() || (!with_x && name.starts_with(b"x-")) {
            continue;
        }
        let name = String::from_utf8_lossy(name).into();
        match wanted(value) {
            Wanted::Present => criteria.push(Criterion { name, value: None }),
            Wanted::Equal(literal) => criteria.push(Criterion {
                name,
                value: Some(literal),
            }),
            Wanted::Nothing => unmeetable = true,
        }
    }
    let predicate = if unmeetable && rule == HeaderRule::All {
        Predicate::Constant(Some(false))
    } else {
        Predicate::Headers { rule, criteria }
    };
    predicate.check(Limits::STORED)?;
    Ok(Arc::new(predicate))
}

enum Wanted {
    Present,
    Equal(Literal),
    /// Tables, arrays, timestamps and decimals have no value that compares.
    Nothing,
}

fn wanted(value: ValueRef<'_>) -> Wanted {
    let literal = match value {
        ValueRef::Void => return Wanted::Present,
        ValueRef::Decimal { .. }
        | ValueRef::Timestamp(_)
        | ValueRef::Table(_)
        | ValueRef::Array(_) => return Wanted::Nothing,
        ValueRef::Bool(value) => Literal::Bool(value),
        ValueRef::I8(value) => Literal::Int(value.into()),
        ValueRef::U8(value) => Literal::Int(value.into()),
        ValueRef::I16(value) => Literal::Int(value.into()),
        ValueRef::U16(value) => Literal::Int(value.into()),
        ValueRef::I32(value) => Literal::Int(value),
        ValueRef::U32(value) => Literal::Long(value.into()),
        ValueRef::I64(value) => Literal::Long(value),
        ValueRef::F32(value) => Literal::Double(value.into()),
        ValueRef::F64(value) => Literal::Double(value),
        ValueRef::Bytes(octets) => Literal::Bytes(octets.into()),
        ValueRef::LongString(octets) => match str::from_utf8(octets) {
            Ok(text) => Literal::Text(text.into()),
            Err(_) => Literal::Bytes(octets.into()),
        },
    };
    Wanted::Equal(literal)
}

//! placeholder essay

pub mod access;
pub mod convert;
pub mod door;
pub mod language;

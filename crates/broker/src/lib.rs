//! placeholder essay

pub mod bytes;
pub mod dispatch;
pub mod entry;
pub mod event;
pub mod filter;
pub mod id;
pub mod ledger;
pub mod map;
pub mod node;
pub mod pass;
pub mod properties;
pub mod record;
pub mod refusal;
pub mod topology;

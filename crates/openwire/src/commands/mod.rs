//! The commands, by what they are about.

mod control;
mod legacy;
mod message;
mod network;
mod response;
mod session;

pub use control::*;
pub use legacy::*;
pub use message::*;
pub use network::*;
pub use response::*;
pub use session::*;

//! The languages in which records are written, and where the body of each lies.
//!
//! | language | native bytes | body range |
//! |---|---|---|
//! | AMQP | raw content properties (flags and fields) as on the wire, then the body | the body |
//! | OpenWire | the message command, version 12, loose, uncached, with its type byte | its content |
//! | RocketMQ | the stored message format | its body |

use broker::record::Language;

pub const AMQP: Language = Language(1);
pub const OPENWIRE: Language = Language(2);
pub const REMOTING: Language = Language(3);

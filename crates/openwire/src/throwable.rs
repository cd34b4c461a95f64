//! Exceptions on the wire, and the only ones a broker may send.
//!
//! The client instantiates the class by name in its own process, so names come from a fixed list
//! and never from another peer. `javax` names serve every client: 5.x needs them and 6.1 onwards
//! maps them to `jakarta` itself.

use crate::commands::{ConnectionError, ExceptionResponse};
use crate::ids::ConnectionId;
use crate::schema::BaseCommand;
use crate::text::{JavaString, to_modified};

/// Longest message of an exception, in bytes: well below what a tight string holds.
pub const EXCEPTION_MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// A Java exception. Frames and cause travel only where `StackTraceEnabled` was negotiated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throwable {
    pub class: Option<JavaString>,
    pub message: Option<JavaString>,
    pub frames: Vec<StackFrame>,
    pub cause: Option<Box<Throwable>>,
}

/// One line of a stack trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackFrame {
    pub class: Option<JavaString>,
    pub method: Option<JavaString>,
    pub file: Option<JavaString>,
    pub line: i32,
}

/// The classes a broker throws at its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionClass {
    InvalidClientId,
    InvalidDestination,
    InvalidSelector,
    Jms,
    ResourceAllocation,
    TransactionRolledBack,
    Security,
    Xa,
    DestinationDoesNotExist,
    IllegalState,
    Io,
}

impl ExceptionClass {
    /// The class name that every client version can instantiate.
    pub fn java_name(self) -> &'static str {
        match self {
            Self::InvalidClientId => "javax.jms.InvalidClientIDException",
            Self::InvalidDestination => "javax.jms.InvalidDestinationException",
            Self::InvalidSelector => "javax.jms.InvalidSelectorException",
            Self::Jms => "javax.jms.JMSException",
            Self::ResourceAllocation => "javax.jms.ResourceAllocationException",
            Self::TransactionRolledBack => "javax.jms.TransactionRolledBackException",
            Self::Security => "java.lang.SecurityException",
            Self::Xa => "javax.transaction.xa.XAException",
            Self::DestinationDoesNotExist => "org.apache.activemq.DestinationDoesNotExistException",
            Self::IllegalState => "java.lang.IllegalStateException",
            Self::Io => "java.io.IOException",
        }
    }
}

impl Throwable {
    /// Without frames and cause; a long message is cut.
    pub fn new(class: ExceptionClass, message: &str) -> Self {
        Self {
            class: Some(class.java_name().into()),
            message: Some(cut(message, EXCEPTION_MESSAGE_BYTES_MAX).into()),
            ..Self::default()
        }
    }

    /// An XAException. Clients find the code at the very end of the message.
    pub fn xa(message: &str, error_code: i32) -> Self {
        let suffix = format!(" xaErrorCode:{error_code}");
        let message = cut(message, EXCEPTION_MESSAGE_BYTES_MAX - suffix.len());
        Self::new(ExceptionClass::Xa, &format!("{message}{suffix}"))
    }
}

impl ExceptionResponse {
    /// The failed answer to the request with this command id.
    pub fn to(correlation_id: i32, exception: Throwable) -> Self {
        let base = BaseCommand::default();
        Self {
            base,
            correlation_id,
            exception: Some(Box::new(exception)),
        }
    }
}

impl ConnectionError {
    /// Reports the failure of a command that asked for no response.
    pub fn on(connection_id: ConnectionId, exception: Throwable) -> Self {
        let base = BaseCommand::default();
        let exception = Some(Box::new(exception));
        Self {
            base,
            exception,
            connection_id: Some(connection_id),
        }
    }
}

/// The longest prefix of whole characters whose modified UTF-8 fits.
fn cut(text: &str, bytes_max: usize) -> &str {
    if to_modified(text).len() <= bytes_max {
        return text;
    }
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += to_modified(character.encode_utf8(&mut [0; 4])).len();
        if bytes > bytes_max {
            return text.split_at(at).0;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character_and_keep_the_xa_code() {
        let throwable = Throwable::xa(&"😀é".repeat(5000), -4);
        let message = throwable.message.expect("always set");
        assert!(message.as_bytes().len() <= EXCEPTION_MESSAGE_BYTES_MAX);
        assert!(message.as_bytes().len() > EXCEPTION_MESSAGE_BYTES_MAX - 8);
        let message = message.to_str();
        assert!(message.ends_with(" xaErrorCode:-4"), "{message}");
        assert!(!message.contains(char::REPLACEMENT_CHARACTER));
    }
}

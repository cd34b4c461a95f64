//! Answers: exactly one per command that requires it.

use crate::command::AnyStructure;
use crate::schema::{BaseCommand, structure};

structure! {
    /// Type 30: done.
    pub struct Response = (30) {
        base: base,
        /// The command id of the request.
        correlation_id: int,
    }
}

structure! {
    /// Type 31: refused.
    pub struct ExceptionResponse = (31) {
        base: base,
        correlation_id: int,
        exception: throwable,
    }
}

structure! {
    /// Type 32.
    pub struct DataResponse<'a> = (32) {
        base: base,
        correlation_id: int,
        data: boxed(AnyStructure<'a>),
    }
}

structure! {
    /// Type 33: the prepared transactions, in answer to RECOVER. Clients fail on a null array.
    pub struct DataArrayResponse<'a> = (33) {
        base: base,
        correlation_id: int,
        data: array(AnyStructure<'a>),
    }
}

structure! {
    /// Type 34: the vote, in answer to PREPARE.
    pub struct IntegerResponse = (34) {
        base: base,
        correlation_id: int,
        result: int,
    }
}

impl Response {
    /// The answer to the request with this command id.
    pub fn to(correlation_id: i32) -> Self {
        Self {
            base: BaseCommand::default(),
            correlation_id,
        }
    }
}

impl IntegerResponse {
    /// PREPARE: wait for the second phase.
    pub const XA_OK: i32 = 0;
    /// PREPARE: nothing to commit, the transaction is over.
    pub const XA_RDONLY: i32 = 3;

    /// The answer to the request with this command id.
    pub fn to(correlation_id: i32, result: i32) -> Self {
        Self {
            base: BaseCommand::default(),
            correlation_id,
            result,
        }
    }
}

impl<'a> DataArrayResponse<'a> {
    /// The answer to the request with this command id.
    pub fn to(correlation_id: i32, data: Vec<AnyStructure<'a>>) -> Self {
        Self {
            base: BaseCommand::default(),
            correlation_id,
            data: Some(data),
        }
    }
}

//! One command, borrowed from the read buffer.
//!
//! ```text
//! binary header
//! +------+----------+---------+--------+------+-----------+--------+--------+---------------+
//! | code | language | version | opaque | flag | remarkLen | remark | extLen | ext fields    |
//! | i16  | u8       | i16     | i32    | i32  | i32       |        | i32    | repeated      |
//! +------+----------+---------+--------+------+-----------+--------+--------+---------------+
//! ext field: i16 keyLen, key, i32 valueLen, value
//!
//! JSON header: {"code":…,"extFields":{…},"flag":…,"language":"JAVA","opaque":…,"remark":"…",
//!               "serializeTypeCurrentRPC":"JSON","version":…}, in any order
//! ```

use std::borrow::Cow;

use crate::bytes::Cursor;
use crate::code::{Language, RequestCode, ResponseCode, Version};
use crate::ext::ExtFields;
use crate::frame::{FrameError, Limits};
use crate::json::{JsonError, Lexer};

/// The number that pairs an answer with its request. Each direction of a channel has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Opaque(pub i32);

/// Bit 0: this is a response. Bit 1: no response is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flag(pub i32);

impl Flag {
    pub const REQUEST: Self = Self(0);
    pub const RESPONSE: Self = Self(1);
    pub const ONEWAY: Self = Self(2);

    pub fn is_response(self) -> bool {
        self.0 & 1 != 0
    }

    pub fn is_oneway(self) -> bool {
        self.0 & 2 != 0
    }
}

/// How a header is written; every frame says it for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Serialization {
    /// Type 0.
    #[default]
    Json,
    /// Type 1, which its specification calls ROCKETMQ.
    Binary,
}

impl Serialization {
    pub fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Json),
            1 => Some(Self::Binary),
            _ => None,
        }
    }

    pub fn to_wire(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }

    /// The name that a JSON header carries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Binary => "ROCKETMQ",
        }
    }
}

/// A decoded command; nothing in it outlives the read buffer, and cloning it copies no text that
/// was not escaped.
#[derive(Clone, Debug)]
pub struct CommandRef<'a> {
    /// As on the wire; see [`CommandRef::request_code`] and [`CommandRef::response_code`].
    pub code: i32,
    pub language: Language,
    pub version: Version,
    pub opaque: Opaque,
    pub flag: Flag,
    pub remark: Option<Cow<'a, str>>,
    pub ext: ExtFields<'a>,
    pub serialization: Serialization,
    pub body: &'a [u8],
}

impl<'a> CommandRef<'a> {
    /// The request that the code names. A binary header cuts codes to 16 bits, so the large codes
    /// of POP also arrive as their low halves.
    pub fn request_code(&self) -> Option<RequestCode> {
        RequestCode::from_wire(self.code)
    }

    pub fn response_code(&self) -> Option<ResponseCode> {
        ResponseCode::from_wire(self.code)
    }

    pub fn is_response(&self) -> bool {
        self.flag.is_response()
    }

    pub fn is_oneway(&self) -> bool {
        self.flag.is_oneway()
    }

    /// Whether the peer wants route bodies in standard JSON (request version 401 and later, or by
    /// field).
    pub fn accepts_standard_json_only(&self) -> bool {
        self.version >= Version::V4_9_4
            || self
                .ext
                .get("acceptStandardJsonOnly")
                .is_some_and(|text| crate::java::parse_boolean(&text))
    }

    pub(crate) fn decode(
        serialization: Serialization,
        header: &'a [u8],
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<Self, FrameError> {
        match serialization {
            Serialization::Json => Self::decode_json(header, body, limits),
            Serialization::Binary => Self::decode_binary(header, body, limits),
        }
    }

    fn decode_binary(
        header: &'a [u8],
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(header);
        let mut prefix = || {
            let code = i32::from(cursor.i16()?);
            let language = Language::from_wire(cursor.u8()?);
            let version = Version(i32::from(cursor.i16()?));
            let opaque = Opaque(cursor.i32()?);
            let flag = Flag(cursor.i32()?);
            let remark = cursor.sized32()?;
            // Older writers may end after the remark when there are no fields.
            let fields = if cursor.is_empty() {
                &[][..]
            } else {
                cursor.sized32()?
            };
            Some((code, language, version, opaque, flag, remark, fields))
        };
        let (code, language, version, opaque, flag, remark, fields) =
            prefix().ok_or(FrameError::HeaderCut)?;
        if !cursor.is_empty() {
            return Err(FrameError::HeaderTrailing);
        }
        Ok(Self {
            code,
            language,
            version,
            opaque,
            flag,
            remark: (!remark.is_empty()).then(|| String::from_utf8_lossy(remark)),
            ext: ExtFields::from_binary(fields, limits.ext_fields_max)?,
            serialization: Serialization::Binary,
            body,
        })
    }

    fn decode_json(header: &'a [u8], body: &'a [u8], limits: &Limits) -> Result<Self, FrameError> {
        let text = std::str::from_utf8(header).map_err(|_| FrameError::HeaderText)?;
        let mut command = Self {
            code: 0,
            language: Language::Java,
            version: Version(0),
            opaque: Opaque(0),
            flag: Flag(0),
            remark: None,
            ext: ExtFields::EMPTY,
            serialization: Serialization::Json,
            body,
        };
        let mut lexer = Lexer::new(text);
        lexer.expect(b'{')?;
        while let Some(key) = lexer.next_key()? {
            match key.as_ref() {
                "code" => command.code = int(&mut lexer, "code")?,
                "opaque" => command.opaque = Opaque(int(&mut lexer, "opaque")?),
                "flag" => command.flag = Flag(int(&mut lexer, "flag")?),
                "version" => command.version = Version(int(&mut lexer, "version")?),
                "language" => {
                    if let Some(name) = lexer.scalar()? {
                        command.language = Language::from_json(&name);
                    }
                }
                "remark" => command.remark = lexer.scalar()?,
                "extFields" => {
                    command.ext = ExtFields::from_json(&mut lexer, limits.ext_fields_max)?;
                }
                _ => {
                    lexer.skip_value()?;
                }
            }
        }
        lexer.end()?;
        Ok(command)
    }
}

fn int(lexer: &mut Lexer<'_>, field: &'static str) -> Result<i32, FrameError> {
    match lexer.scalar()? {
        None => Ok(0),
        Some(text) => text
            .parse()
            .map_err(|_| FrameError::Json(JsonError::NotANumber(field))),
    }
}

//! Writing frames in place: header first, then whatever body the caller appends, lengths last.

use crate::code::{Language, RequestCode, ResponseCode, Version};
use crate::command::{CommandRef, Flag, Opaque, Serialization};
use crate::frame::{FRAME_BYTES_MAX, FrameError, HEADER_BYTES_MAX, LENGTHS_BYTES};
use crate::java::Decimal;
use crate::json;

/// Everything in a header but its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix<'a> {
    pub code: i32,
    pub language: Language,
    pub version: Version,
    pub opaque: Opaque,
    pub flag: Flag,
    pub remark: Option<&'a str>,
    pub serialization: Serialization,
}

impl<'a> Prefix<'a> {
    /// A request in JSON, in the name of JAVA, since old peers know no newer language.
    pub fn request(code: RequestCode, opaque: Opaque, version: Version) -> Self {
        Self {
            code: code.to_wire(),
            language: Language::Java,
            version,
            opaque,
            flag: Flag::REQUEST,
            remark: None,
            serialization: Serialization::Json,
        }
    }

    /// A request that wants no answer.
    pub fn oneway(code: RequestCode, opaque: Opaque, version: Version) -> Self {
        Self {
            flag: Flag::ONEWAY,
            ..Self::request(code, opaque, version)
        }
    }

    /// The answer to a request, in the request's serialization. `version` is the responder's own.
    pub fn response(code: ResponseCode, request: &CommandRef<'_>, version: Version) -> Self {
        Self::response_to(code, request.opaque, request.serialization, version)
    }

    /// The answer to a request whose frame is gone, as after a long poll.
    pub fn response_to(
        code: ResponseCode,
        opaque: Opaque,
        serialization: Serialization,
        version: Version,
    ) -> Self {
        Self {
            code: code.to_wire(),
            language: Language::Java,
            version,
            opaque,
            flag: Flag::RESPONSE,
            remark: None,
            serialization,
        }
    }

    pub fn remark(mut self, remark: &'a str) -> Self {
        self.remark = Some(remark);
        self
    }

    pub fn serialization(mut self, serialization: Serialization) -> Self {
        self.serialization = serialization;
        self
    }
}

/// Writes one frame at the end of a buffer: `begin`, any number of fields, then
/// [`FrameWriter::body`] or [`FrameWriter::finish`]. One that is dropped takes its bytes back.
#[derive(Debug)]
pub struct FrameWriter<'out, 'a> {
    out: Scope<'out>,
    prefix: Prefix<'a>,
    /// Binary: where the length of the fields stands. JSON: unused.
    fields_at: usize,
    fields: usize,
    too_long: bool,
}

impl<'out, 'a> FrameWriter<'out, 'a> {
    pub fn begin(out: &'out mut Vec<u8>, prefix: Prefix<'a>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTHS_BYTES]);
        let mut too_long = false;
        match prefix.serialization {
            Serialization::Json => {
                out.extend_from_slice(b"{\"code\":");
                append_int(out, prefix.code);
            }
            Serialization::Binary => {
                // Codes beyond 16 bits lose their upper half here, as with the original.
                out.extend_from_slice(&(prefix.code as i16).to_be_bytes());
                out.push(prefix.language.to_byte());
                out.extend_from_slice(&(prefix.version.0 as i16).to_be_bytes());
                out.extend_from_slice(&prefix.opaque.0.to_be_bytes());
                out.extend_from_slice(&prefix.flag.0.to_be_bytes());
                let remark = prefix.remark.unwrap_or_default();
                match i32::try_from(remark.len()) {
                    Ok(length) => out.extend_from_slice(&length.to_be_bytes()),
                    Err(_) => too_long = true,
                }
                out.extend_from_slice(remark.as_bytes());
                out.extend_from_slice(&[0; 4]);
            }
        }
        let fields_at = out.len().saturating_sub(4);
        Self {
            out: Scope {
                out,
                start,
                done: false,
            },
            prefix,
            fields_at,
            fields: 0,
            too_long,
        }
    }

    /// Appends one field.
    pub fn field(&mut self, key: &str, value: &str) {
        self.fields += 1;
        let out = &mut *self.out.out;
        match self.prefix.serialization {
            Serialization::Json => {
                let opening: &[u8] = if self.fields == 1 {
                    b",\"extFields\":{"
                } else {
                    b","
                };
                out.extend_from_slice(opening);
                json::append_quoted(key, out);
                out.push(b':');
                json::append_quoted(value, out);
            }
            Serialization::Binary => {
                let (Ok(key_length), Ok(value_length)) =
                    (i16::try_from(key.len()), i32::try_from(value.len()))
                else {
                    self.too_long = true;
                    return;
                };
                out.extend_from_slice(&key_length.to_be_bytes());
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&value_length.to_be_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        }
    }

    /// Appends a field whose value is a number.
    pub fn field_int(&mut self, key: &str, value: i64) {
        self.field(key, Decimal::new(value).as_str());
    }

    /// Appends all fields of a typed header.
    pub fn header<'h>(mut self, header: &impl crate::header::Header<'h>) -> Self {
        header.emit(&mut self);
        self
    }

    /// Ends the header; what follows in the buffer is body.
    pub fn body(self) -> Result<BodyWriter<'out>, FrameError> {
        let out = &mut *self.out.out;
        match self.prefix.serialization {
            Serialization::Json => {
                if self.fields > 0 {
                    out.push(b'}');
                }
                out.extend_from_slice(b",\"flag\":");
                append_int(out, self.prefix.flag.0);
                out.extend_from_slice(b",\"language\":\"");
                out.extend_from_slice(self.prefix.language.name().as_bytes());
                out.extend_from_slice(b"\",\"opaque\":");
                append_int(out, self.prefix.opaque.0);
                if let Some(remark) = self.prefix.remark {
                    out.extend_from_slice(b",\"remark\":");
                    json::append_quoted(remark, out);
                }
                out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
                append_int(out, self.prefix.version.0);
                out.push(b'}');
            }
            Serialization::Binary => {
                let bytes = out.len().saturating_sub(self.fields_at + 4);
                let length = i32::try_from(bytes).map_err(|_| FrameError::FieldTooLong)?;
                patch(out, self.fields_at, length.to_be_bytes());
            }
        }
        if self.too_long {
            return Err(FrameError::FieldTooLong);
        }
        // The length has 24 bits beside the type; a peer of ours refuses more than the limit.
        let bytes = out.len().saturating_sub(self.out.start + LENGTHS_BYTES);
        if bytes > HEADER_BYTES_MAX {
            return Err(FrameError::HeaderTooLarge {
                bytes,
                bytes_max: HEADER_BYTES_MAX,
            });
        }
        let [_, high, middle, low] = (bytes as u32).to_be_bytes();
        let word = [self.prefix.serialization.to_wire(), high, middle, low];
        patch(out, self.out.start + 4, word);
        Ok(BodyWriter { out: self.out })
    }

    /// Ends a frame without a body. Returns the frame's length.
    pub fn finish(self) -> Result<usize, FrameError> {
        self.body()?.finish()
    }

    /// Ends a frame with a body that lies elsewhere. Returns the frame's length.
    pub fn finish_with(self, body: &[u8]) -> Result<usize, FrameError> {
        let mut writer = self.body()?;
        writer.append(body);
        writer.finish()
    }
}

/// A frame whose header is complete. Its body is whatever is appended to the buffer.
#[derive(Debug)]
pub struct BodyWriter<'out> {
    out: Scope<'out>,
}

impl<'out> BodyWriter<'out> {
    pub fn append(&mut self, bytes: &[u8]) {
        self.out.out.extend_from_slice(bytes);
    }

    /// The buffer, for appending only.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out.out
    }

    /// Patches the frame's length; returns it. An oversize frame is taken back.
    pub fn finish(mut self) -> Result<usize, FrameError> {
        let start = self.out.start;
        self.out.done = true;
        OpenFrame { start }.finish(self.out.out)
    }

    /// Lets go of the buffer, for bodies that are appended by someone who owns it.
    pub fn detach(mut self) -> OpenFrame {
        self.out.done = true;
        OpenFrame {
            start: self.out.start,
        }
    }
}

/// A frame whose body is being appended by the buffer's owner. Nothing else may be written to the
/// buffer, and nothing before `start` removed, until it is finished or taken back.
#[derive(Debug)]
#[must_use = "the frame has no length until it is finished"]
pub struct OpenFrame {
    start: usize,
}

impl OpenFrame {
    /// Patches the frame's length; returns it. An oversize frame is taken back.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<usize, FrameError> {
        let bytes = out.len().saturating_sub(self.start);
        if bytes > FRAME_BYTES_MAX {
            out.truncate(self.start);
            return Err(FrameError::FrameTooLarge {
                bytes,
                bytes_max: FRAME_BYTES_MAX,
            });
        }
        patch(
            out,
            self.start,
            (bytes.saturating_sub(4) as u32).to_be_bytes(),
        );
        Ok(bytes)
    }

    /// Removes the frame from the buffer.
    pub fn take_back(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}

/// Removes a half-written frame when its writer is dropped.
#[derive(Debug)]
struct Scope<'out> {
    out: &'out mut Vec<u8>,
    start: usize,
    done: bool,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.out.truncate(self.start);
        }
    }
}

fn append_int(out: &mut Vec<u8>, number: i32) {
    out.extend_from_slice(Decimal::new(i64::from(number)).as_str().as_bytes());
}

/// Writes four bytes at a position that was reserved earlier.
fn patch(out: &mut [u8], at: usize, word: [u8; 4]) {
    if let Some(slot) = out
        .get_mut(at..)
        .and_then(|tail| tail.first_chunk_mut::<4>())
    {
        *slot = word;
    }
}

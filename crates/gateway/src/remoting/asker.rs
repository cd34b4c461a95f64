//! Who asked, and how it is answered. Answers may come in any order: they are matched by their
//! opaque number.

use broker::id::SessionId;
use remoting::header::Header;
use remoting::{
    CommandRef, FrameWriter, Language, Opaque, Prefix, ResponseCode, Serialization, Version,
};

use super::refusals::Refused;
use crate::door::Context;

/// What is left of a request while its answer is not there yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    pub session: SessionId,
    pub opaque: Opaque,
    pub serialization: Serialization,
    /// Nobody waits for an answer, not even for an error.
    pub oneway: bool,
    /// The peer's release; what is gated by it is gated per request.
    pub version: Version,
    pub language: Language,
    /// The release that we claim to be.
    pub persona: Version,
}

impl Asker {
    pub fn new(session: SessionId, command: &CommandRef<'_>, persona: Version) -> Asker {
        Asker {
            session,
            opaque: command.opaque,
            serialization: command.serialization,
            oneway: command.is_oneway(),
            version: command.version,
            language: command.language,
            persona,
        }
    }

    fn prefix(&self, code: ResponseCode) -> Prefix<'static> {
        Prefix::response_to(code, self.opaque, self.serialization, self.persona)
    }

    /// Success, and nothing to say.
    pub fn done(&self, cx: &mut Context<'_>) {
        if !self.oneway {
            let out = cx.links.out(self.session);
            // A header without fields always fits.
            let _ = FrameWriter::begin(out, self.prefix(ResponseCode::Success)).finish();
        }
    }

    pub fn refuse(&self, refused: &Refused, cx: &mut Context<'_>) {
        if !self.oneway {
            let out = cx.links.out(self.session);
            let prefix = self.prefix(refused.code);
            let written = FrameWriter::begin(out, prefix.remark(&refused.remark)).finish();
            if written.is_err() {
                let _ = FrameWriter::begin(out, prefix).finish();
            }
        }
    }

    /// Success with fields.
    pub fn fields<'h>(&self, header: &impl Header<'h>, cx: &mut Context<'_>) {
        self.fields_under(ResponseCode::Success, None, header, cx);
    }

    /// Fields under any code: some answers need them whatever the code is.
    pub fn fields_under<'h>(
        &self,
        code: ResponseCode,
        remark: Option<&str>,
        header: &impl Header<'h>,
        cx: &mut Context<'_>,
    ) {
        if self.oneway {
            return;
        }
        let prefix = Prefix {
            remark,
            ..self.prefix(code)
        };
        let written = FrameWriter::begin(cx.links.out(self.session), prefix)
            .header(header)
            .finish();
        if let Err(error) = written {
            self.refuse(
                &Refused::new(ResponseCode::SystemError, error.to_string()),
                cx,
            );
        }
    }

    /// Success with a body.
    pub fn body(&self, body: &[u8], cx: &mut Context<'_>) {
        if self.oneway {
            return;
        }
        let prefix = self.prefix(ResponseCode::Success);
        let written = FrameWriter::begin(cx.links.out(self.session), prefix).finish_with(body);
        if let Err(error) = written {
            self.refuse(
                &Refused::new(ResponseCode::SystemError, error.to_string()),
                cx,
            );
        }
    }

    /// Success with fields and a body that is appended in place. If it does not fit a frame the
    /// answer is an error instead.
    pub fn fields_and_body<'h>(
        &self,
        remark: Option<&str>,
        header: &impl Header<'h>,
        cx: &mut Context<'_>,
        append: impl FnOnce(&mut Vec<u8>, &dyn broker::event::Records),
    ) {
        if self.oneway {
            return;
        }
        let prefix = Prefix {
            remark,
            ..self.prefix(ResponseCode::Success)
        };
        let records = cx.records;
        let written = FrameWriter::begin(cx.links.out(self.session), prefix)
            .header(header)
            .body()
            .and_then(|mut body| {
                append(body.buffer(), records);
                body.finish()
            });
        if let Err(error) = written {
            self.refuse(
                &Refused::new(ResponseCode::SystemError, error.to_string()),
                cx,
            );
        }
    }
}

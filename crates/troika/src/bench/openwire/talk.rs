//! A connection during setup, and what producers and consumers have in common.

use std::net::SocketAddr;

use ::openwire::{
    BaseCommand, Command, ConnectionId, ConnectionInfo, Decoder, Destination, DestinationInfo,
    Encoder, Identity, KeepAliveInfo, Limits, RemoveInfo, SessionId, SessionInfo, ShutdownInfo,
    Throwable, WireFormatOptions, negotiate,
};

use super::SESSION;
use crate::bench::link::{Dialogue, Taken};
use crate::bench::options::Options;

const FRAME_BYTES_MAX: i64 = 100 << 20;
/// "Unknown", in the place of the last sequence that was delivered.
const NO_SEQUENCE: i64 = -2;

/// Both directions of a connection.
pub struct Wires {
    decoder: Decoder,
    encoder: Encoder,
}

impl Wires {
    pub fn say(&mut self, command: &Command<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        self.encoder.encode(command, out).map_err(|e| e.to_string())
    }

    pub fn encoder(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// Decodes all that has come; returns the bytes that are done with.
    pub fn hear_all(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        mut hear: impl FnMut(&mut Encoder, Command<'_>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<usize, String> {
        let mut done = 0;
        loop {
            let fed = self.decoder.feed(input.get(done..).unwrap_or_default());
            let Some(received) = fed.map_err(|e| e.to_string())? else {
                return Ok(done);
            };
            done += received.consumed;
            match received.command {
                None => {}
                Some(Command::KeepAliveInfo(alive)) if alive.base.response_required => {
                    let answer = Command::KeepAliveInfo(KeepAliveInfo {
                        base: BaseCommand::one_way(alive.base.command_id),
                    });
                    self.encoder
                        .encode(&answer, out)
                        .map_err(|e| e.to_string())?;
                }
                Some(command) => hear(&mut self.encoder, command, out)?,
            }
        }
    }

    pub fn beat(&mut self, out: &mut Vec<u8>) {
        let alive = Command::KeepAliveInfo(KeepAliveInfo {
            base: BaseCommand::one_way(0),
        });
        self.say(&alive, out).expect("a command without fields");
    }

    pub fn leave(&mut self, connection_id: &ConnectionId, out: &mut Vec<u8>) {
        let remove = Command::RemoveInfo(RemoveInfo {
            base: BaseCommand::one_way(0),
            object_id: Some(Identity::Connection(connection_id.clone())),
            last_delivered_sequence_id: NO_SEQUENCE,
        });
        let shutdown = Command::ShutdownInfo(ShutdownInfo {
            base: BaseCommand::one_way(0),
        });
        for command in [remove, shutdown] {
            self.say(&command, out).expect("commands that always fit");
        }
    }
}

/// What a throwable says.
pub fn said(exception: Option<&Throwable>) -> String {
    let message = exception.and_then(|e| e.message.as_ref());
    message.map_or_else(|| "no reason given".into(), |m| m.to_str().into_owned())
}

/// What does not concern messages: the broker's talk about itself, and the end.
pub fn other(command: &Command<'_>) -> Result<(), String> {
    if let Command::ConnectionError(error) = command {
        let said = said(error.exception.as_deref());
        return Err(format!("the broker reports: {said}"));
    }
    if let Command::ExceptionResponse(refused) = command {
        let said = said(refused.exception.as_deref());
        return Err(format!("the broker refused: {said}"));
    }
    if let Command::ShutdownInfo(_) = command {
        return Err("the broker shuts down".into());
    }
    Ok(())
}

/// A connection during setup.
pub struct Opened {
    pub dialogue: Dialogue,
    pub wires: Wires,
    pub connection_id: ConnectionId,
    /// The id that was used last.
    pub last_command: i32,
}

impl Opened {
    /// Connects, negotiates the wire format, logs in and opens a session.
    pub fn connect(options: &Options, target: SocketAddr, id: &str) -> Result<Opened, String> {
        let mut opened = Opened {
            dialogue: Dialogue::connect(target)?,
            wires: Wires {
                decoder: Decoder::new(Limits::default()),
                encoder: Encoder::new(),
            },
            connection_id: ConnectionId { value: id.into() },
            last_command: 0,
        };
        opened.negotiate()?;
        let connection_id = opened.connection_id.clone();
        opened.request(|base| {
            Command::ConnectionInfo(ConnectionInfo {
                base,
                connection_id: Some(connection_id),
                client_id: Some(id.into()),
                user_name: Some(options.user().into()),
                password: Some(options.password().into()),
                manageable: true,
                ..ConnectionInfo::default()
            })
        })?;
        let session_id = SessionId {
            connection_id: opened.connection_id.value.clone(),
            value: SESSION,
        };
        opened.request(|base| {
            Command::SessionInfo(SessionInfo {
                base,
                session_id: Some(session_id),
            })
        })?;
        Ok(opened)
    }

    fn negotiate(&mut self) -> Result<(), String> {
        let ours = WireFormatOptions {
            stack_trace_enabled: false,
            ..WireFormatOptions::broker(env!("CARGO_PKG_VERSION"), "Rust", FRAME_BYTES_MAX)
        };
        self.say(&Command::WireFormatInfo(ours.to_info()))?;
        let wires = &mut self.wires;
        self.dialogue.ask("WireFormatInfo", |input| {
            let fed = wires.decoder.feed(input).map_err(|e| e.to_string())?;
            let Some(received) = fed else {
                return Ok(Taken {
                    consumed: 0,
                    answer: None,
                });
            };
            let Some(Command::WireFormatInfo(info)) = received.command else {
                return Err("it did not come first".into());
            };
            let theirs = WireFormatOptions::parse(&info).map_err(|e| e.to_string())?;
            let negotiated = negotiate(&ours, &theirs);
            wires.decoder.switch(&negotiated);
            wires.decoder.allow_frames_of(negotiated.frame_bytes_max);
            wires.encoder.switch(&negotiated);
            Ok(Taken {
                consumed: received.consumed,
                answer: Some(()),
            })
        })
    }

    pub fn say(&mut self, command: &Command<'_>) -> Result<(), String> {
        self.wires.say(command, &mut self.dialogue.out)
    }

    pub fn next_base(&mut self) -> BaseCommand {
        self.last_command += 1;
        BaseCommand::request(self.last_command)
    }

    /// Sends a command and waits for the response to it.
    pub fn request<'a>(
        &mut self,
        make: impl FnOnce(BaseCommand) -> Command<'a>,
    ) -> Result<(), String> {
        let base = self.next_base();
        self.say(&make(base))?;
        let wires = &mut self.wires;
        self.dialogue.ask("setup", |input| {
            let fed = wires.decoder.feed(input).map_err(|e| e.to_string())?;
            let Some(received) = fed else {
                return Ok(Taken {
                    consumed: 0,
                    answer: None,
                });
            };
            let answer = match &received.command {
                Some(Command::Response(response)) => {
                    (response.correlation_id == base.command_id).then_some(())
                }
                Some(command) => {
                    other(command)?;
                    None
                }
                None => None,
            };
            Ok(Taken {
                consumed: received.consumed,
                answer,
            })
        })
    }

    pub fn change_destination(&mut self, queue: Destination, operation: i8) -> Result<(), String> {
        let connection_id = Some(self.connection_id.clone());
        self.request(|base| {
            Command::DestinationInfo(DestinationInfo {
                base,
                connection_id,
                destination: Some(queue),
                operation_type: operation,
                ..DestinationInfo::default()
            })
        })
    }

    pub fn close(mut self) {
        self.wires
            .leave(&self.connection_id, &mut self.dialogue.out);
        self.dialogue.close();
    }
}

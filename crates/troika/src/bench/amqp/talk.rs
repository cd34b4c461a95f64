//! A connection during setup, and what producers and consumers have in common.

use std::net::SocketAddr;

use ::amqp::tune::Tuning;
use ::amqp::value::Table;
use ::amqp::{
    ChannelNumber, Event, FrameMax, Limits, Machine, Method, ReplyCode, Step, TableRef, encode,
};

use super::CHANNEL;
use crate::bench::link::{Dialogue, Taken};
use crate::bench::options::Options;

const HEARTBEAT_S: u16 = 60;

/// A connection during setup.
pub struct Opened {
    pub dialogue: Dialogue,
    pub machine: Machine,
}

impl Opened {
    /// Connects, logs in and opens the virtual host.
    pub fn connect(options: &Options, target: SocketAddr) -> Result<Opened, String> {
        let mut opened = Opened {
            dialogue: Dialogue::connect(target)?,
            machine: Machine::client(Limits::default()),
        };
        encode::protocol_header(&mut opened.dialogue.out);
        opened.wait("connection.start", |method| {
            matches!(method, Method::ConnectionStart { .. }).then_some(())
        })?;
        let capabilities = Table::new()
            .with("basic.nack", true)
            .with("connection.blocked", true)
            .with("consumer_cancel_notify", true)
            .with("publisher_confirms", true);
        let properties = Table::new()
            .with("product", "troika bench")
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("capabilities", capabilities);
        let properties = properties.to_bytes();
        let response = format!("\0{}\0{}", options.user(), options.password());
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::parse(&properties).map_err(|e| e.to_string())?,
            mechanism: "PLAIN",
            response: response.as_bytes(),
            locale: "en_US",
        };
        encode::method(
            &mut opened.dialogue.out,
            ChannelNumber::CONNECTION,
            &start_ok,
        );
        let offered = opened.wait("connection.tune", |method| {
            let Method::ConnectionTune {
                channel_max,
                frame_max,
                heartbeat,
            } = method
            else {
                return None;
            };
            Some((*channel_max, *frame_max, *heartbeat))
        })?;
        let wanted = Tuning {
            channel_max: u16::MAX,
            frame_max: FrameMax::DEFAULT,
            heartbeat_s: HEARTBEAT_S,
        };
        let tuning = Tuning::answer(wanted, offered.0, offered.1, offered.2);
        let tuning = tuning.ok_or("the broker offers frames that are too small")?;
        opened.machine.tuned(&tuning);
        let open = Method::ConnectionOpen {
            vhost: &options.vhost,
        };
        for method in [tuning.tune_ok(), open] {
            encode::method(&mut opened.dialogue.out, ChannelNumber::CONNECTION, &method);
        }
        opened.wait("connection.open", |method| {
            matches!(method, Method::ConnectionOpenOk).then_some(())
        })?;
        opened.machine.opened();
        Ok(opened)
    }

    /// Sends a method on the channel and waits for its answer.
    pub fn call<T>(
        &mut self,
        method: &Method<'_>,
        pick: impl FnMut(&Method<'_>) -> Option<T>,
    ) -> Result<T, String> {
        encode::method(&mut self.dialogue.out, CHANNEL, method);
        self.wait(method.name(), pick)
    }

    /// Sends what is to be sent and waits for a method that `pick` takes.
    fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Method<'_>) -> Option<T>,
    ) -> Result<T, String> {
        let machine = &mut self.machine;
        self.dialogue.ask(what, |input| match machine.step(input) {
            Step::NeedMore { consumed, .. } => Ok(Taken {
                consumed,
                answer: None,
            }),
            Step::Event { consumed, event } => {
                let answer = match event {
                    Event::Method { method, .. } => {
                        refuse_close(&method)?;
                        pick(&method)
                    }
                    Event::Heartbeat | Event::Content(_) | Event::MessageTooLarge(_) => None,
                    Event::ProtocolHeader(_) => return Err("the broker speaks another AMQP".into()),
                    Event::Malformed(violation) => return Err(violation.to_string()),
                };
                Ok(Taken { consumed, answer })
            }
        })
    }

    pub fn declare_and_delete(&mut self, name: &str) -> Result<(), String> {
        let declare = Method::QueueDeclare {
            queue: name,
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: true,
            nowait: false,
            arguments: TableRef::default(),
        };
        self.call(&declare, |method| {
            matches!(method, Method::QueueDeclareOk { .. }).then_some(())
        })?;
        let delete = Method::QueueDelete {
            queue: name,
            if_unused: false,
            if_empty: false,
            nowait: false,
        };
        self.call(&delete, |method| {
            matches!(method, Method::QueueDeleteOk { .. }).then_some(())
        })
    }

    /// Closes in order, so that nothing that was sent is lost.
    pub fn close(mut self) {
        encode_close(&mut self.dialogue.out);
        // A broker that drops the connection instead has closed it, too.
        let _ = self.wait("connection.close", |method| {
            matches!(method, Method::ConnectionCloseOk).then_some(())
        });
    }
}

pub fn encode_close(out: &mut Vec<u8>) {
    let close = Method::ConnectionClose {
        reply_code: ReplyCode::ReplySuccess.code(),
        reply_text: "bench is done",
        class_id: 0,
        method_id: 0,
    };
    encode::method(out, ChannelNumber::CONNECTION, &close);
}

/// A broker that closes says why.
fn refuse_close(method: &Method<'_>) -> Result<(), String> {
    if let Method::ConnectionClose {
        reply_code,
        reply_text,
        ..
    }
    | Method::ChannelClose {
        reply_code,
        reply_text,
        ..
    } = method
    {
        return Err(format!("the broker closed: {reply_code} {reply_text}"));
    }
    if let Method::BasicCancel { consumer_tag, .. } = method {
        return Err(format!("the broker cancelled consumer \"{consumer_tag}\""));
    }
    Ok(())
}

/// Feeds the machine until it wants more; returns the octets that are done with.
pub fn hear_all(
    machine: &mut Machine,
    input: &[u8],
    mut hear: impl FnMut(Event<'_>) -> Result<(), String>,
) -> Result<usize, String> {
    let mut done = 0;
    loop {
        match machine.step(input.get(done..).unwrap_or_default()) {
            Step::NeedMore { consumed, .. } => return Ok(done + consumed),
            Step::Event { consumed, event } => {
                hear(event)?;
                done += consumed;
            }
        }
    }
}

/// What does not concern messages.
pub fn other(event: Event<'_>) -> Result<(), String> {
    match event {
        // connection.blocked needs no answer: the socket holds the producer up.
        Event::Method { method, .. } => refuse_close(&method),
        Event::Malformed(violation) => Err(violation.to_string()),
        Event::MessageTooLarge(large) => Err(large.explanation()),
        Event::Heartbeat | Event::ProtocolHeader(_) | Event::Content(_) => Ok(()),
    }
}

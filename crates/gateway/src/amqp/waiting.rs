//! Answers of the broker, and what was waiting for them.

use std::sync::Arc;

use amqp::{Method, encode};
use broker::event::{Answer, QueueStatus};
use broker::id::{ConsumerId, Durability, QueueId, Token};
use broker::pass::{Command, Mode};
use broker::refusal::Refusal;

use super::conversation::{At, Conversation, LIFE_MAX, Turn};
use super::exchange::ExchangeDeclaration;
use super::fault::Fault;
use super::queue::QueueDeclaration;

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ticket {
    /// A command that is counted or waited for.
    Command,
    Publish {
        channel: u16,
        life: u16,
        number: u32,
    },
    /// A get on behalf of a shared window.
    Window(ConsumerId),
}

const PUBLISH: u64 = 1 << 63;
const WINDOW: u64 = 1 << 62;

impl Ticket {
    pub fn of(token: Token) -> Ticket {
        let raw = token.0;
        if raw & PUBLISH != 0 {
            let (channel, life) = ((raw >> 47) as u16, (raw >> 32) as u16 & LIFE_MAX);
            Ticket::Publish {
                channel,
                life,
                number: raw as u32,
            }
        } else if raw & WINDOW != 0 {
            Ticket::Window(ConsumerId(raw & !WINDOW))
        } else {
            Ticket::Command
        }
    }

    /// `publish 1 | channel 16 | life 15 | number 32`; the number's high bits are known where it
    /// is read.
    pub fn publish(channel: u16, life: u16, number: u64) -> Token {
        let place = u64::from(channel) << 47 | u64::from(life & LIFE_MAX) << 32;
        Token(PUBLISH | place | number & u64::from(u32::MAX))
    }

    pub fn window(consumer: ConsumerId) -> Token {
        Token(WINDOW | consumer.0)
    }
}

/// Input rests until all these tokens are answered.
pub(super) struct Waiting {
    /// Later tokens are its own, too; earlier ones are of commands nobody waits for.
    pub first: Token,
    pub left: u32,
    pub at: At,
    pub what: What,
}

impl Waiting {
    /// Whether a queue is being deleted at the wish of this channel.
    pub fn is_deletion_on(&self, channel: u16) -> bool {
        self.at.channel == channel && matches!(self.what, What::DeleteQueue { .. })
    }
}

/// What is to be done with the answer.
pub(super) enum What {
    /// What was published is there; now the question itself.
    Behind {
        what: Box<What>,
        command: Box<dyn FnOnce(Token) -> Command + Send>,
    },
    DeclareExchange {
        declaration: ExchangeDeclaration,
        nowait: bool,
    },
    DeleteExchange {
        nowait: bool,
    },
    /// A binding made or removed; the answer has no fields.
    Bind {
        answer: Method<'static>,
        nowait: bool,
    },
    DeclareQueue {
        declaration: Box<QueueDeclaration>,
        nowait: bool,
    },
    /// The numbers for declare-ok.
    CountQueue {
        name: Arc<str>,
        nowait: bool,
    },
    DeleteQueue {
        nowait: bool,
    },
    Purge {
        name: Arc<str>,
        nowait: bool,
    },
    Consume {
        consumer: ConsumerId,
        nowait: bool,
    },
    Cancel {
        consumer: ConsumerId,
        tag: Box<str>,
        nowait: bool,
    },
    Get {
        mode: Mode,
    },
    /// A channel is gone; the client that closed it hears so.
    CloseChannel,
    /// A channel was closed by us.
    Rest,
    /// The client closes the connection.
    Farewell,
}

impl Conversation {
    /// A command was answered.
    pub fn answered(
        &mut self,
        token: Token,
        result: Result<Answer, Refusal>,
        turn: &mut Turn<'_, '_>,
    ) {
        match Ticket::of(token) {
            Ticket::Command => {}
            Ticket::Publish {
                channel,
                life,
                number,
            } => {
                return self.confirm(channel, life, number, result.is_ok());
            }
            Ticket::Window(consumer) => return self.window_refused(consumer),
        }
        let Some(waiting) = self
            .waiting
            .as_mut()
            .filter(|waiting| token >= waiting.first)
        else {
            return;
        };
        waiting.left = waiting.left.saturating_sub(1);
        if waiting.left > 0 {
            return;
        }
        let Some(Waiting { at, what, .. }) = self.waiting.take() else {
            return;
        };
        if let Err(fault) = self.conclude(at, what, result, turn) {
            self.fail(at.channel, at.ids, fault, turn);
        }
        if !self.cancelled_tags.is_empty() {
            self.tell_cancelled(at.channel, turn);
        }
        if self.waiting.is_none() {
            turn.cx.links.resume(self.session);
        }
    }

    /// A published message is where it should be.
    pub fn stored(&mut self, token: Token) {
        if let Ticket::Publish {
            channel,
            life,
            number,
        } = Ticket::of(token)
        {
            self.confirm(channel, life, number, true);
        }
    }

    fn conclude(
        &mut self,
        at: At,
        what: What,
        result: Result<Answer, Refusal>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let channel = at.channel;
        match what {
            What::Behind { what, command } => {
                self.published = false;
                self.ask(at, *what, turn, command);
            }
            What::DeclareExchange {
                declaration,
                nowait,
            } => {
                match result {
                    Ok(_) => {}
                    // Somebody was faster: compare with what is there now.
                    Err(refusal) => declaration
                        .compare(turn.cx.topology)
                        .unwrap_or(Err(refusal.into()))?,
                }
                self.send_unless(nowait, channel, &Method::ExchangeDeclareOk, turn);
            }
            What::DeleteExchange { nowait } => {
                result?;
                self.send_unless(nowait, channel, &Method::ExchangeDeleteOk, turn);
            }
            What::Bind { answer, nowait } => {
                result?;
                self.send_unless(nowait, channel, &answer, turn);
            }
            What::DeclareQueue {
                declaration,
                nowait,
            } => {
                self.queue_declared(at, *declaration, nowait, result, turn)?;
            }
            What::CountQueue { name, nowait } => {
                let status = match result.map_err(|refusal| about(&name, refusal))? {
                    Answer::Status(status) => status,
                    _ => QueueStatus::default(),
                };
                self.declare_ok(channel, name, status, nowait, turn);
            }
            What::DeleteQueue { nowait } => {
                let message_count = match result {
                    Ok(answer) => count(&answer),
                    Err(Refusal::NotFound { .. }) => 0,
                    Err(refusal) => return Err(refusal.into()),
                };
                self.send_unless(
                    nowait,
                    channel,
                    &Method::QueueDeleteOk { message_count },
                    turn,
                );
            }
            What::Purge { name, nowait } => {
                let answer = result.map_err(|refusal| about(&name, refusal))?;
                let message_count = count(&answer);
                self.send_unless(
                    nowait,
                    channel,
                    &Method::QueuePurgeOk { message_count },
                    turn,
                );
            }
            What::Consume { consumer, nowait } => {
                self.attached(channel, consumer, nowait, result, turn)?;
            }
            What::Cancel {
                consumer,
                tag,
                nowait,
            } => {
                self.forget_consumer(consumer);
                let answer = Method::BasicCancelOk { consumer_tag: &tag };
                self.send_unless(nowait, channel, &answer, turn);
            }
            What::Get { mode: _ } => {
                // A get that is refused: the queue went between question and answer.
                result?;
            }
            What::CloseChannel => self.send(channel, &Method::ChannelCloseOk, turn),
            What::Rest => {}
            What::Farewell => self.part(turn),
        }
        Ok(())
    }

    /// Takes a channel apart: its consumers are detached and what it held is released. Answers
    /// how many commands will be answered.
    fn detach_channel(&mut self, number: u16, turn: &mut Turn<'_, '_>) -> u32 {
        let Some(mut channel) = self.channels.remove(&number) else {
            return 0;
        };
        let mut asked = 0;
        for consumer in std::mem::take(&mut channel.tags).into_values() {
            self.consumers.remove(&consumer);
            let token = self.new_token();
            self.command(Command::Detach { token, consumer }, turn);
            asked += 1;
        }
        self.release_all(&mut channel, turn);
        asked
    }

    /// The client closes a channel.
    pub fn leave_channel(&mut self, at: At, turn: &mut Turn<'_, '_>) -> Result<(), Fault> {
        let first = self.new_token();
        let left = self.detach_channel(at.channel, turn) + 1;
        self.command(Command::Barrier { token: first }, turn);
        self.waiting = Some(Waiting {
            first,
            left,
            at,
            what: What::CloseChannel,
        });
        Ok(())
    }

    /// We close a channel.
    pub fn close_channel(
        &mut self,
        number: u16,
        (class_id, method_id): (u16, u16),
        fault: &Fault,
        turn: &mut Turn<'_, '_>,
    ) {
        // What was confirmed before the error is told before it.
        self.finish(turn);
        let text = fault.code.text(&fault.text);
        let (reply_code, reply_text) = (fault.code.code(), text.as_str());
        let close = Method::ChannelClose {
            reply_code,
            reply_text,
            class_id,
            method_id,
        };
        encode::method(
            turn.cx.links.out(self.session),
            amqp::ChannelNumber(number),
            &close,
        );
        self.sent = true;
        self.notices
            .push(super::conversation::Notice::ChannelClosed(
                amqp::ChannelNumber(number),
            ));
        let first = self.new_token();
        let left = self.detach_channel(number, turn);
        if left > 0 {
            let at = At {
                channel: number,
                ids: (class_id, method_id),
            };
            self.waiting = Some(Waiting {
                first,
                left,
                at,
                what: What::Rest,
            });
        }
    }
}

/// The refusal of a command that named its queue by its id.
fn about(queue: &str, refusal: Refusal) -> Fault {
    match refusal {
        Refusal::NotFound { .. } => Fault::no_queue(queue),
        other => other.into(),
    }
}

fn count(answer: &Answer) -> u32 {
    match answer {
        Answer::Deleted { messages } | Answer::Purged { messages } => {
            u32::try_from(*messages).unwrap_or(u32::MAX)
        }
        Answer::Done
        | Answer::Topology(_)
        | Answer::Status(_)
        | Answer::Bounds(_)
        | Answer::Offset(_)
        | Answer::Message(_) => 0,
    }
}

/// Whether the flag of a declaration asks for survival.
pub(super) fn durability(durable: bool) -> Durability {
    if durable {
        Durability::Durable
    } else {
        Durability::Volatile
    }
}

/// A queue that a method names, as far as it may be used.
pub(super) struct Usable {
    pub id: QueueId,
    pub name: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_come_back() {
        for (channel, life, number) in [
            (1, 1, 1),
            (u16::MAX, LIFE_MAX, u64::from(u32::MAX)),
            (7, 0, 1 << 40),
        ] {
            let token = Ticket::publish(channel, life, number);
            let expected = Ticket::Publish {
                channel,
                life,
                number: number as u32,
            };
            assert_eq!(Ticket::of(token), expected);
        }
        assert_eq!(
            Ticket::of(Ticket::window(ConsumerId(9))),
            Ticket::Window(ConsumerId(9))
        );
        assert_eq!(Ticket::of(Token(9)), Ticket::Command);
    }
}

//! Prefetch, consumers, and fetching one message.

use amqp::{Method, TableRef, encode};
use broker::event::Answer;
use broker::id::ConsumerId;
use broker::pass::{Command, ConsumerOptions, Credit, Mode, Sharing, TakeOver};
use broker::refusal::Refusal;

use super::arguments;
use super::channel::{Consumer, Settling};
use super::conversation::{At, Conversation, Turn};
use super::fault::Fault;
use super::names;
use super::settings::{
    CONSUMERS_MAX, CONSUMERS_PER_CHANNEL_MAX, UNSETTLED_PER_CHANNEL_MAX, UNSETTLED_PER_CONSUMER_MAX,
};
use super::waiting::{Ticket, What};
use super::window::Window;
use crate::access::{Action, Resource};

/// The name under which RabbitMQ hands replies over without a queue.
pub(super) const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A consumer as basic.consume asks for it.
struct Subscription<'a> {
    queue: &'a str,
    tag: &'a str,
    mode: Mode,
    exclusive: bool,
    nowait: bool,
    arguments: TableRef<'a>,
}

impl Conversation {
    pub fn consuming_method(
        &mut self,
        at: At,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        match *method {
            Method::BasicQos {
                prefetch_size,
                prefetch_count,
                global,
            } => {
                if prefetch_size != 0 {
                    let text = format!("prefetch_size!=0 ({prefetch_size})");
                    return Err(Fault::not_implemented(text));
                }
                if global {
                    self.set_window(at.channel, prefetch_count, turn)?;
                } else {
                    self.set_window(at.channel, 0, turn)?;
                    self.channel_mut(at.channel)?.prefetch = prefetch_count;
                }
                self.send(at.channel, &Method::BasicQosOk, turn);
                Ok(())
            }
            Method::BasicConsume {
                queue,
                consumer_tag: tag,
                no_local: _,
                no_ack,
                exclusive,
                nowait,
                arguments,
            } => {
                let mode = if no_ack { Mode::Settled } else { Mode::Lease };
                let asked = Subscription {
                    queue,
                    tag,
                    mode,
                    exclusive,
                    nowait,
                    arguments,
                };
                self.consume(at, &asked, turn)
            }
            Method::BasicCancel {
                consumer_tag: tag,
                nowait,
            } => {
                let Some(consumer) = self.channel_mut(at.channel)?.tags.get(tag).copied() else {
                    let answer = Method::BasicCancelOk { consumer_tag: tag };
                    self.send_unless(nowait, at.channel, &answer, turn);
                    return Ok(());
                };
                let what = What::Cancel {
                    consumer,
                    tag: tag.into(),
                    nowait,
                };
                self.ask(at, what, turn, |token| Command::Detach { token, consumer });
                Ok(())
            }
            Method::BasicGet { queue, no_ack } => {
                let name = self.expanded(at.channel, queue)?;
                self.authorize(Action::Read, Resource::Queue(&name), turn)?;
                let queue = self.usable(&name, turn)?.id;
                if self.channel_mut(at.channel)?.unsettled.len() >= UNSETTLED_PER_CHANNEL_MAX {
                    return Err(Fault::precondition(format!(
                        "the channel holds {UNSETTLED_PER_CHANNEL_MAX} unsettled deliveries"
                    )));
                }
                let holder = *self.getter.get_or_insert_with(|| turn.cx.new_consumer());
                let mode = if no_ack { Mode::Settled } else { Mode::Lease };
                let what = What::Get { mode };
                self.ask_behind(at, what, turn, move |token| Command::Get {
                    token,
                    queue,
                    holder,
                    mode,
                });
                Ok(())
            }
            _ => unreachable!("the caller gives methods of this kind only"),
        }
    }

    fn consume(
        &mut self,
        at: At,
        asked: &Subscription<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        if asked.queue == DIRECT_REPLY_TO {
            return Err(Fault::not_implemented(
                "direct reply-to is not supported yet",
            ));
        }
        let consumers = self.consumers.len();
        let channel = self.channel_mut(at.channel)?;
        if channel.tags.contains_key(asked.tag) {
            let text = format!("attempt to reuse consumer tag '{}'", asked.tag);
            return Err(Fault::not_allowed(text));
        }
        if channel.tags.len() >= CONSUMERS_PER_CHANNEL_MAX {
            return Err(Fault::not_allowed(format!(
                "reached maximum ({CONSUMERS_PER_CHANNEL_MAX}) of consumers per channel"
            )));
        }
        if consumers >= CONSUMERS_MAX {
            return Err(Fault::not_allowed(format!(
                "reached maximum ({CONSUMERS_MAX}) of consumers per connection"
            )));
        }
        let (prefetch, shared) = (channel.prefetch, channel.window.is_some());
        let name = self.expanded(at.channel, asked.queue)?;
        self.authorize(Action::Read, Resource::Queue(&name), turn)?;
        let priority = arguments::consumer_priority(&name, asked.arguments)?;
        let queue = self.usable(&name, turn)?.id;
        let single_active = is_single_active(turn, queue);
        let sharing = match (asked.exclusive, single_active) {
            (true, true) => return Err(Fault::exclusive_use(&name)),
            (true, false) => Sharing::Sole,
            (false, true) => Sharing::Active(TakeOver::FromNobody),
            (false, false) => Sharing::Shared,
        };
        let settling = match asked.mode {
            Mode::Settled | Mode::Browse => Settling::Automatic,
            Mode::Lease => Settling::Manual {
                prefetch,
                unsettled: 0,
                regrant: 0,
            },
        };
        let credit = credit_of(settling, shared);
        let tag: Box<str> = match asked.tag {
            "" => names::generated("amq.ctag-", &mut *turn.cx.entropy).into(),
            given => given.into(),
        };
        let consumer = turn.cx.new_consumer();
        self.channel_mut(at.channel)?
            .tags
            .insert(tag.clone(), consumer);
        let receiver = Consumer {
            channel: at.channel,
            tag,
            queue,
            settling,
        };
        self.consumers.insert(consumer, receiver);
        let options = ConsumerOptions {
            mode: asked.mode,
            sharing,
            priority,
            filter: None,
            credit,
        };
        let what = What::Consume {
            consumer,
            nowait: asked.nowait,
        };
        self.ask(at, what, turn, |token| Command::Attach {
            token,
            consumer,
            queue,
            options,
        });
        Ok(())
    }

    /// The attachment was answered; nothing has been delivered before.
    pub fn attached(
        &mut self,
        channel: u16,
        id: ConsumerId,
        nowait: bool,
        result: Result<Answer, Refusal>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        if let Err(refusal) = result {
            self.forget_consumer(id);
            return Err(refusal.into());
        }
        let Some(consumer) = self.consumers.get(&id) else {
            return Ok(());
        };
        if !nowait {
            let answer = Method::BasicConsumeOk {
                consumer_tag: &consumer.tag,
            };
            let out = turn.cx.links.out(self.session);
            encode::method(out, amqp::ChannelNumber(channel), &answer);
            self.sent = true;
        }
        Ok(())
    }

    /// A consumer is no more. What it holds stays on its channel.
    pub fn forget_consumer(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.remove(&id) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return;
        };
        channel.tags.remove(&consumer.tag);
        if let Some(window) = &mut channel.window {
            window.forget(id);
            self.has_collected = true;
            self.windows.push(consumer.channel);
        }
    }

    /// The queue of a consumer is gone.
    pub fn cancelled(&mut self, id: ConsumerId, turn: &mut Turn<'_, '_>) {
        let Some(consumer) = self.consumers.get(&id) else {
            return;
        };
        let (number, tag) = (consumer.channel, consumer.tag.clone());
        self.forget_consumer(id);
        if !self.capabilities.consumer_cancel_notify {
            return;
        }
        // Who deletes a queue under its own consumer hears delete-ok first, as from RabbitMQ:
        // py-amqp takes a cancel that comes before for the failure of its call.
        let is_deleting = self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.is_deletion_on(number));
        if is_deleting {
            self.cancelled_tags.push(tag);
            return;
        }
        self.notify_cancelled(number, &tag, turn);
    }

    fn notify_cancelled(&mut self, number: u16, tag: &str, turn: &mut Turn<'_, '_>) {
        let notice = Method::BasicCancel {
            consumer_tag: tag,
            nowait: true,
        };
        self.send(number, &notice, turn);
    }

    /// The deletion that held these notices back is answered.
    pub fn tell_cancelled(&mut self, number: u16, turn: &mut Turn<'_, '_>) {
        let tags = std::mem::take(&mut self.cancelled_tags);
        if self.channels.contains_key(&number) {
            tags.iter()
                .for_each(|tag| self.notify_cancelled(number, tag, turn));
        }
    }

    /// Sets or, with 0, ends the shared window; its consumers change over at once.
    fn set_window(
        &mut self,
        number: u16,
        limit: u16,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let channel = self.channel_mut(number)?;
        let had_window = channel.window.is_some();
        if limit == 0 && !had_window {
            return Ok(());
        }
        if let Some(window) = &mut channel.window
            && limit > 0
        {
            window.limit = limit;
            self.has_collected = true;
            self.windows.push(number);
            return Ok(());
        }
        let ids: Vec<_> = channel.tags.values().copied().collect();
        let unsettled = channel.unsettled.delivered();
        channel.window = (limit > 0).then(|| Window::new(limit, unsettled));
        for consumer in ids {
            let Some(known) = self.consumers.get_mut(&consumer) else {
                continue;
            };
            let Settling::Manual {
                unsettled, regrant, ..
            } = &mut known.settling
            else {
                continue;
            };
            *regrant = 0;
            let (outstanding, settling) = (*unsettled, known.settling);
            let credit = match credit_of(settling, limit > 0) {
                Credit::Set(most) => Credit::Set(most.saturating_sub(outstanding)),
                other => other,
            };
            self.command(Command::Credit { consumer, credit }, turn);
        }
        Ok(())
    }

    /// A queue has something for a consumer without credit.
    pub fn ready(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.get(&id) else {
            return;
        };
        let number = consumer.channel;
        if let Some(window) = self
            .channels
            .get_mut(&number)
            .and_then(|c| c.window.as_mut())
        {
            window.is_ready(id);
            self.windows.push(number);
            self.has_collected = true;
        }
    }

    /// Gets as many messages as the shared window has room for, in turn.
    pub fn fill_window(&mut self, number: u16, turn: &mut Turn<'_, '_>) {
        let Some(window) = self
            .channels
            .get_mut(&number)
            .and_then(|c| c.window.as_mut())
        else {
            return;
        };
        let mut full = 0;
        while window.has_room()
            && full < window.ready.len()
            && let Some(id) = window.ready.pop_front()
        {
            let Some(consumer) = self.consumers.get_mut(&id) else {
                continue;
            };
            window.ready.push_back(id);
            let Settling::Manual {
                prefetch,
                unsettled,
                ..
            } = &mut consumer.settling
            else {
                continue;
            };
            if *prefetch > 0 && *unsettled >= u32::from(*prefetch) {
                full += 1;
                continue;
            }
            // Counted as if it had come; taken back if there is nothing.
            *unsettled += 1;
            window.asked(id);
            full = 0;
            let (token, queue) = (Ticket::window(id), consumer.queue);
            let get = Command::Get {
                token,
                queue,
                holder: id,
                mode: Mode::Lease,
            };
            turn.cx.pass.push(self.session, get);
        }
    }

    /// A get for a shared window is answered; tells whether its message is wanted.
    pub fn window_answered(
        &mut self,
        id: ConsumerId,
        found: bool,
        turn: &mut Turn<'_, '_>,
    ) -> bool {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return false;
        };
        if let Settling::Manual { unsettled, .. } = &mut consumer.settling {
            // The delivery counts itself.
            *unsettled = unsettled.saturating_sub(1);
        }
        let number = consumer.channel;
        let Some(window) = self
            .channels
            .get_mut(&number)
            .and_then(|c| c.window.as_mut())
        else {
            return true;
        };
        window.answered(id);
        if !found {
            window.is_dry(id);
            // Asks to be told when there is something again.
            turn.cx.pass.push(
                self.session,
                Command::Fetch {
                    consumer: id,
                    count: 0,
                },
            );
        }
        self.windows.push(number);
        self.has_collected = true;
        true
    }

    /// The queue went while a get was under way.
    pub fn window_refused(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.get(&id) else {
            return;
        };
        if let Some(channel) = self.channels.get_mut(&consumer.channel)
            && let Some(window) = &mut channel.window
        {
            window.answered(id);
            window.is_dry(id);
        }
    }
}

/// What a consumer may be given at first.
fn credit_of(settling: Settling, shared: bool) -> Credit {
    match settling {
        Settling::Automatic => Credit::Unlimited,
        Settling::Manual { .. } if shared => Credit::None,
        Settling::Manual { prefetch: 0, .. } => Credit::Set(UNSETTLED_PER_CONSUMER_MAX),
        Settling::Manual { prefetch, .. } => Credit::Set(prefetch.into()),
    }
}

fn is_single_active(turn: &Turn<'_, '_>, queue: broker::id::QueueId) -> bool {
    let Some(queue) = turn.cx.topology.queue_by_id(queue) else {
        return false;
    };
    let table = TableRef::parse(&queue.spec.arguments).unwrap_or_default();
    table
        .find(arguments::SINGLE_ACTIVE)
        .and_then(|value| value.as_bool())
        == Some(true)
}

//! Consumers once they are there: what they are attached to, how they follow it, how they close.

use broker::id::{ConsumerId as Attached, Position, QueueId};
use broker::pass::{Command as Ask, ConsumerOptions, Credit, Mode};
use openwire::{BaseCommand, ConsumerControl};

use super::connection::{Awaited, Connection};
use super::consumer::{ConsumerKey, Part, Source};
use super::failure::Failure;
use super::limits::PARTS_MAX;
use super::returning::{Seen, give_back};
use super::{OpenwireDoor, Step};
use crate::door::Context;

impl OpenwireDoor {
    /// Attaches a consumer to one more queue.
    pub(super) fn attach(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        queue: QueueId,
        source: Source,
        mode: Mode,
        cx: &mut Context<'_>,
    ) {
        let attached = cx.new_consumer();
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return;
        };
        if consumer.parts.len() >= PARTS_MAX
            || consumer.parts.iter().any(|part| part.queue == queue)
        {
            return;
        }
        let direct = if consumer.shares { 0 } else { consumer.room() };
        let credit = if consumer.shares {
            Credit::None
        } else {
            Credit::Set(direct)
        };
        // The filter of a subscription is that of its binding.
        let filter = match source {
            Source::Queue(_) => consumer.filter.clone(),
            Source::Topic { .. } => None,
        };
        let options = ConsumerOptions {
            mode,
            sharing: consumer.sharing(),
            priority: i32::from(consumer.info.priority),
            filter,
            credit,
        };
        consumer.parts.push(Part {
            attached,
            queue,
            source,
            mode,
            credit: direct,
            is_ready: false,
            next: Position(0),
        });
        if let Some(opening) = &mut consumer.opening {
            opening.left += 1;
        }
        conn.attached.insert(attached, key);
        let token = Awaited::Attach.token(attached.0);
        cx.pass.push(
            conn.session,
            Ask::Attach {
                token,
                consumer: attached,
                queue,
                options,
            },
        );
    }

    /// A queue has come that a consumer may follow.
    pub(super) fn follow(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        queue: QueueId,
        name: &str,
        cx: &mut Context<'_>,
    ) {
        let Some(consumer) = conn.consumers.get(&key) else {
            return;
        };
        if !consumer
            .follows
            .iter()
            .any(|follow| follow.pattern.matches(name))
        {
            return;
        }
        let mode = consumer.queue_mode();
        let source = Source::Queue(openwire::Destination::queue(name));
        self.attach(conn, key, queue, source, mode, cx);
        self.touch(conn, key);
    }

    /// A queue has gone under a consumer. It comes back when the queue does.
    pub(super) fn cancelled(&mut self, conn: &mut Connection, attached: Attached) {
        let Some(key) = conn.attached.get(&attached).copied() else {
            return;
        };
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return;
        };
        // While it is opened the answer to the attachment is still awaited under this id.
        if consumer.opening.is_none() {
            conn.attached.remove(&attached);
        }
        let Some(at) = consumer
            .parts
            .iter()
            .position(|part| part.attached == attached)
        else {
            return;
        };
        let gone = consumer.parts.remove(at);
        consumer
            .dispatched
            .retain(|one| one.held.is_none_or(|(queue, _)| queue != gone.queue));
        if !consumer.follows.is_empty() {
            self.followers.insert((conn.session, key));
        }
        self.touch(conn, key);
    }

    /// Takes a consumer away; what it has not acknowledged goes back.
    pub(super) fn close_consumer(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        let Some(consumer) = conn.consumers.remove(&key) else {
            return;
        };
        for part in &consumer.parts {
            conn.attached.remove(&part.attached);
            let token = Awaited::Nothing.token(0);
            cx.pass.push(
                conn.session,
                Ask::Detach {
                    token,
                    consumer: part.attached,
                },
            );
        }
        let rest = give_back(conn, &consumer, seen, cx);
        conn.return_later(rest, cx);
        self.unwatch(conn.session, key, &consumer);
        self.followers.remove(&(conn.session, key));
        if consumer.opening.is_none() {
            self.advise_consumer_closed(conn, &consumer, cx);
        }
    }

    /// The client resizes a window; failover clients open theirs like this.
    pub(super) fn control_consumer(
        &mut self,
        conn: &mut Connection,
        control: &ConsumerControl,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        if let Some(id) = &control.consumer_id {
            let key = (id.session_id, id.value);
            if control.close {
                self.close_consumer(conn, key, Seen::Nothing, cx);
            } else if let Some(consumer) = conn.consumers.get_mut(&key) {
                consumer.window.resize(control.prefetch);
                self.touch(conn, key);
            }
        }
        conn.respond(control.base, cx);
        Ok(Step::Taken)
    }

    /// Waits until everything before it is carried out, and answers if the client asks for it.
    pub(super) fn settle_then_respond(
        &mut self,
        conn: &mut Connection,
        base: BaseCommand,
        cx: &mut Context<'_>,
    ) {
        if base.response_required {
            let token = Awaited::response(base);
            cx.pass.push(conn.session, Ask::Barrier { token });
        }
    }
}

//! The queue class.

use std::sync::Arc;

use amqp::{Method, TableRef};
use broker::event::{Answer, QueueStatus};
use broker::id::Durability;
use broker::pass::{Command, DeleteCondition};
use broker::refusal::Refusal;
use broker::topology::{Answer as TopologyAnswer, Change, Queue, QueueSpec, TargetName};

use super::arguments;
use super::conversation::{At, Conversation, Turn};
use super::equivalence;
use super::exchange::{Edge, stripped};
use super::fault::Fault;
use super::names;
use super::waiting::{Usable, What, durability};
use crate::access::{Action, Resource};

/// Stands among the stored arguments of a queue that was born implicit and durable, and adopted
/// by a declaration with durable=false: an application that declares it so at every start says
/// what it said before.
const GRANTED_DURABLE: &str = "x-granted-durable";

/// A declaration as it came.
pub(super) struct QueueDeclaration {
    pub name: Arc<str>,
    pub durable: bool,
    pub exclusive: bool,
    pub auto_delete: bool,
    pub arguments: Arc<[u8]>,
}

impl QueueDeclaration {
    fn table(&self) -> TableRef<'_> {
        TableRef::parse(&self.arguments).unwrap_or_default()
    }
}

/// The arguments of an adopting declaration that asked for less than it gets.
fn granted_durable(declaration: &QueueDeclaration) -> Arc<[u8]> {
    let table = declaration.table().to_table().with(GRANTED_DURABLE, true);
    table.to_bytes().into()
}

impl Conversation {
    pub fn queue_method(
        &mut self,
        at: At,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        match *method {
            Method::QueueDeclare {
                queue,
                passive: true,
                nowait,
                ..
            } => {
                let name = stripped(queue);
                self.authorize_any(Resource::Queue(&name), turn)?;
                let queue = self.usable(&name, turn)?;
                self.count_queue(at, queue, nowait, turn);
                Ok(())
            }
            Method::QueueDeclare {
                queue,
                passive: false,
                durable,
                exclusive,
                auto_delete,
                nowait,
                arguments,
            } => {
                let mut name = stripped(queue);
                let is_ours = name.is_empty();
                if is_ours {
                    name = names::generated("amq.gen-", turn.cx.entropy);
                }
                let arguments = arguments.as_bytes().into();
                let name = name.into();
                let declaration = QueueDeclaration {
                    name,
                    durable,
                    exclusive,
                    auto_delete,
                    arguments,
                };
                self.declare_queue(at, declaration, is_ours, nowait, turn)
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                nowait,
                arguments,
            } => {
                let (edge, key) = self.queue_edge(at, queue, exchange, routing_key, turn)?;
                let answer = Method::QueueBindOk;
                let what = What::Bind { answer, nowait };
                self.bind(at, edge, &key, arguments, what, turn)
            }
            Method::QueueUnbind {
                queue,
                exchange,
                routing_key,
                arguments,
            } => {
                let (edge, key) = self.queue_edge(at, queue, exchange, routing_key, turn)?;
                let what = What::Bind {
                    answer: Method::QueueUnbindOk,
                    nowait: false,
                };
                self.unbind(at, edge, &key, arguments, what, turn)
            }
            Method::QueuePurge { queue, nowait } => {
                let name = self.expanded(at.channel, &stripped(queue))?;
                self.authorize(Action::Read, Resource::Queue(&name), turn)?;
                let Usable { id: queue, name } = self.usable(&name, turn)?;
                let what = What::Purge { name, nowait };
                self.ask_behind(at, what, turn, move |token| Command::Purge { token, queue });
                Ok(())
            }
            Method::QueueDelete {
                queue,
                if_unused,
                if_empty,
                nowait,
            } => {
                let name = self.expanded(at.channel, &stripped(queue))?;
                self.authorize(Action::Configure, Resource::Queue(&name), turn)?;
                if turn.cx.topology.queue(&name).is_none() {
                    let answer = Method::QueueDeleteOk { message_count: 0 };
                    self.send_unless(nowait, at.channel, &answer, turn);
                    return Ok(());
                }
                let name = self.usable(&name, turn)?.name;
                let condition = DeleteCondition {
                    if_unused,
                    if_empty,
                };
                let what = What::DeleteQueue { nowait };
                self.ask_behind(at, what, turn, move |token| Command::DeleteQueue {
                    token,
                    name,
                    condition,
                });
                Ok(())
            }
            _ => unreachable!("the caller gives methods of this class only"),
        }
    }

    /// An empty name is the queue declared last on the channel.
    pub fn expanded(&mut self, channel: u16, name: &str) -> Result<Arc<str>, Fault> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        let last = self.channel_mut(channel)?.last_queue.clone();
        last.ok_or_else(Fault::no_previous_queue)
    }

    /// A queue that exists and is not exclusive to somebody else.
    pub fn usable(&self, name: &str, turn: &Turn<'_, '_>) -> Result<Usable, Fault> {
        let queue = turn
            .cx
            .topology
            .queue(name)
            .ok_or_else(|| Fault::no_queue(name))?;
        if queue.spec.owner.is_some_and(|owner| owner != self.session) {
            return Err(Fault::locked(name));
        }
        Ok(Usable {
            id: queue.id,
            name: queue.spec.name.clone(),
        })
    }

    fn queue_edge(
        &mut self,
        at: At,
        queue: &str,
        exchange: &str,
        key: &str,
        turn: &Turn<'_, '_>,
    ) -> Result<(Edge, Arc<str>), Fault> {
        let (queue, source) = (stripped(queue), stripped(exchange));
        let name = self.expanded(at.channel, &queue)?;
        let key = match (queue.is_empty(), key) {
            (true, "") => name.clone(),
            (_, key) => key.into(),
        };
        self.authorize(Action::Write, Resource::Queue(&name), turn)?;
        if source.is_empty() {
            return Err(Fault::default_exchange());
        }
        self.authorize(Action::Read, Resource::Address(&source), turn)?;
        if let Some(queue) = turn.cx.topology.queue(&name)
            && queue.spec.owner.is_some_and(|owner| owner != self.session)
        {
            return Err(Fault::locked(&name));
        }
        Ok((
            Edge {
                source,
                target: TargetName::Queue(name),
            },
            key,
        ))
    }

    fn declare_queue(
        &mut self,
        at: At,
        declaration: QueueDeclaration,
        is_ours: bool,
        nowait: bool,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let name = Arc::clone(&declaration.name);
        self.authorize(Action::Configure, Resource::Queue(&name), turn)?;
        let known = turn.cx.topology.queue(&name);
        if let Some(queue) = known
            && !queue.spec.implicit
        {
            self.compare(&declaration, queue)?;
            let queue = Usable { id: queue.id, name };
            self.count_queue(at, queue, nowait, turn);
            return Ok(());
        }
        if known.is_none() && !is_ours && name.starts_with("amq.") {
            return Err(Fault::reserved_prefix("queue", &name));
        }
        let options = arguments::queue_options(&name, declaration.table())?;
        if let Some(dead_letter) = &options.dead_letter {
            self.authorize(Action::Read, Resource::Queue(&name), turn)?;
            self.authorize(Action::Write, Resource::Address(&dead_letter.address), turn)?;
        }
        let durable = declaration.durable && !declaration.exclusive;
        let adopts = known.is_some();
        let arguments = match adopts && !durable {
            true => granted_durable(&declaration),
            false => declaration.arguments.clone(),
        };
        let change = Change::DeclareQueue(QueueSpec {
            name,
            durability: durability(durable),
            auto_delete: declaration.auto_delete,
            owner: declaration.exclusive.then_some(self.session),
            implicit: false,
            options,
            arguments,
        });
        let what = What::DeclareQueue {
            declaration: Box::new(declaration),
            nowait,
        };
        self.ask(at, what, turn, |token| Command::Change { token, change });
        Ok(())
    }

    /// RabbitMQ's order: the owner, durability, auto-delete, then the arguments.
    fn compare(&self, declaration: &QueueDeclaration, known: &Queue) -> Result<(), Fault> {
        let (name, spec) = (&*declaration.name, &known.spec);
        if spec.owner != declaration.exclusive.then_some(self.session) {
            return Err(Fault::locked(name));
        }
        let thing = super::fault::queue(name);
        let current = TableRef::parse(&spec.arguments).unwrap_or_default();
        let received = declaration.durable && !declaration.exclusive;
        let durable = match current.find(GRANTED_DURABLE) {
            Some(_) => received,
            None => spec.durability == Durability::Durable,
        };
        for (field, received, current) in [
            ("durable", received, durable),
            ("auto_delete", declaration.auto_delete, spec.auto_delete),
        ] {
            if received != current {
                let (received, current) = (format!("'{received}'"), format!("'{current}'"));
                return Err(Fault::inequivalent(field, &thing, &received, &current));
            }
        }
        equivalence::compare_queue(name, declaration.table(), current)
    }

    /// The change of a declaration was answered.
    pub fn queue_declared(
        &mut self,
        at: At,
        declaration: QueueDeclaration,
        nowait: bool,
        result: Result<Answer, Refusal>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let name = Arc::clone(&declaration.name);
        let created = match result {
            Ok(Answer::Topology(TopologyAnswer::QueueDeclared { created, .. })) => created,
            Ok(_) => false,
            Err(refusal) => {
                // Somebody was faster: compare with what is there now.
                let Some(known) = turn.cx.topology.queue(&name) else {
                    return Err(refusal.into());
                };
                self.compare(&declaration, known)?;
                false
            }
        };
        if created {
            self.declare_ok(at.channel, name, QueueStatus::default(), nowait, turn);
            return Ok(());
        }
        let queue = self.usable(&name, turn)?;
        self.count_queue(at, queue, nowait, turn);
        Ok(())
    }

    /// Asks for the numbers of declare-ok, which renews the queue's lease, too.
    fn count_queue(&mut self, at: At, queue: Usable, nowait: bool, turn: &mut Turn<'_, '_>) {
        let Usable { id: queue, name } = queue;
        let what = What::CountQueue { name, nowait };
        self.ask_behind(at, what, turn, move |token| Command::Status {
            token,
            queue,
        });
    }

    pub fn declare_ok(
        &mut self,
        channel: u16,
        name: Arc<str>,
        status: QueueStatus,
        nowait: bool,
        turn: &mut Turn<'_, '_>,
    ) {
        let answer = Method::QueueDeclareOk {
            queue: &name,
            message_count: u32::try_from(status.ready).unwrap_or(u32::MAX),
            consumer_count: status.consumers,
        };
        self.send_unless(nowait, channel, &answer, turn);
        if let Some(channel) = self.channels.get_mut(&channel) {
            channel.last_queue = Some(name);
        }
    }
}

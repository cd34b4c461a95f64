//! The exchange class.

use amqp::{Method, TableRef};
use broker::id::Durability;
use broker::pass::Command;
use broker::topology::{Address, AddressSpec, Change, Router, TargetName, Topology, Unused};

use super::arguments::{self, ALTERNATE};
use super::conversation::{At, Conversation, Turn};
use super::equivalence;
use super::fault::{self, Fault};
use super::header_match;
use super::waiting::{What, durability};
use crate::access::{Action, Resource};

/// The type under which a RocketMQ topic shows.
const PARTITIONED_TYPE: &str = "x-rocketmq-topic";

/// A declaration as it came.
pub(super) struct ExchangeDeclaration {
    pub name: String,
    pub kind: Router,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub arguments: Vec<u8>,
}

/// Names lose their line ends on the way in, as in RabbitMQ.
pub(super) fn stripped(name: &str) -> String {
    name.replace(['\r', '\n'], "")
}

/// An exchange that this door shows. System topics are none.
pub(super) fn visible<'t>(topology: &'t Topology, name: &str) -> Option<&'t Address> {
    let address = topology.address(name)?;
    let hidden = address
        .spec
        .partitions
        .as_ref()
        .is_some_and(|partitions| partitions.system);
    (!hidden).then_some(address)
}

fn kind_of(word: &str) -> Result<Router, Fault> {
    match word {
        "direct" => Ok(Router::Direct),
        "fanout" => Ok(Router::Fanout),
        "topic" => Ok(Router::Pattern),
        "headers" => Ok(Router::Headers),
        PARTITIONED_TYPE => Ok(Router::Partitioned),
        other => Err(Fault::precondition(format!(
            "unknown exchange type '{other}'"
        ))),
    }
}

fn word_of(kind: Router) -> &'static str {
    match kind {
        Router::Direct => "direct",
        Router::Fanout => "fanout",
        Router::Pattern => "topic",
        Router::Headers => "headers",
        Router::Partitioned => PARTITIONED_TYPE,
    }
}

impl ExchangeDeclaration {
    /// Compares with the exchange of that name; `None` if there is none.
    pub fn compare(&self, topology: &Topology) -> Option<Result<(), Fault>> {
        topology
            .address(&self.name)
            .map(|known| self.compare_with(known))
    }

    fn compare_with(&self, known: &Address) -> Result<(), Fault> {
        let (thing, spec) = (fault::exchange(&self.name), &known.spec);
        let quoted = |word: &str| format!("'{word}'");
        if self.kind != spec.router {
            let (received, current) = (quoted(word_of(self.kind)), quoted(word_of(spec.router)));
            return Err(Fault::inequivalent("type", &thing, &received, &current));
        }
        // The flags of a topic are not the declarer's to choose.
        if self.kind == Router::Partitioned {
            return Ok(());
        }
        for (field, received, current) in [
            (
                "durable",
                self.durable,
                spec.durability == Durability::Durable,
            ),
            ("auto_delete", self.auto_delete, spec.auto_delete),
            ("internal", self.internal, spec.internal),
        ] {
            if received != current {
                let (received, current) =
                    (quoted(&received.to_string()), quoted(&current.to_string()));
                return Err(Fault::inequivalent(field, &thing, &received, &current));
            }
        }
        let table = |bytes| TableRef::parse(bytes).unwrap_or_default();
        equivalence::compare_one(
            ALTERNATE,
            &thing,
            table(&self.arguments),
            table(&spec.arguments),
        )
    }
}

impl Conversation {
    pub fn exchange_method(
        &mut self,
        at: At,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        match *method {
            Method::ExchangeDeclare {
                exchange,
                passive: true,
                nowait,
                ..
            } => {
                let name = stripped(exchange);
                if name.is_empty() {
                    return Err(Fault::default_exchange());
                }
                self.authorize_any(Resource::Address(&name), turn)?;
                visible(turn.cx.topology, &name).ok_or_else(|| Fault::no_exchange(&name))?;
                self.send_unless(nowait, at.channel, &Method::ExchangeDeclareOk, turn);
                Ok(())
            }
            Method::ExchangeDeclare {
                exchange,
                kind,
                passive: false,
                durable,
                auto_delete,
                internal,
                nowait,
                arguments,
            } => {
                let declaration = ExchangeDeclaration {
                    kind: kind_of(kind)?,
                    name: stripped(exchange),
                    durable,
                    auto_delete,
                    internal,
                    arguments: arguments.as_bytes().to_vec(),
                };
                self.declare_exchange(at, declaration, nowait, turn)
            }
            Method::ExchangeDelete {
                exchange,
                if_unused,
                nowait,
            } => self.delete_exchange(at, stripped(exchange), if_unused, nowait, turn),
            Method::ExchangeBind {
                destination,
                source,
                routing_key,
                nowait,
                arguments,
            } => {
                let edge = self.edge(destination, source, turn)?;
                let answer = Method::ExchangeBindOk;
                let what = What::Bind { answer, nowait };
                self.bind(at, edge, routing_key, arguments, what, turn)
            }
            Method::ExchangeUnbind {
                destination,
                source,
                routing_key,
                nowait,
                arguments,
            } => {
                let edge = self.edge(destination, source, turn)?;
                let answer = Method::ExchangeUnbindOk;
                let what = What::Bind { answer, nowait };
                self.unbind(at, edge, routing_key, arguments, what, turn)
            }
            _ => unreachable!("the caller gives methods of this class only"),
        }
    }

    fn declare_exchange(
        &mut self,
        at: At,
        declaration: ExchangeDeclaration,
        nowait: bool,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let name = declaration.name.as_str();
        if name.is_empty() {
            return Err(Fault::default_exchange());
        }
        self.authorize(Action::Configure, Resource::Address(name), turn)?;
        if let Some(equivalent) = declaration.compare(turn.cx.topology) {
            equivalent?;
            self.send_unless(nowait, at.channel, &Method::ExchangeDeclareOk, turn);
            return Ok(());
        }
        if name.starts_with("amq.") {
            return Err(Fault::reserved_prefix("exchange", name));
        }
        if declaration.kind == Router::Partitioned {
            return Err(Fault::precondition(format!(
                "{} of type '{PARTITIONED_TYPE}' is created by a RocketMQ client only",
                fault::exchange(name)
            )));
        }
        let table = TableRef::parse(&declaration.arguments).unwrap_or_default();
        let alternate = arguments::alternate(name, table)?;
        if let Some(alternate) = &alternate {
            self.authorize(Action::Read, Resource::Address(name), turn)?;
            self.authorize(Action::Write, Resource::Address(alternate), turn)?;
        }
        let change = Change::DeclareAddress(AddressSpec {
            name: name.into(),
            router: declaration.kind,
            durability: durability(declaration.durable),
            auto_delete: declaration.auto_delete,
            internal: declaration.internal,
            reserved: false,
            alternate,
            partitions: None,
            owner: None,
            arguments: declaration.arguments.as_slice().into(),
        });
        let what = What::DeclareExchange {
            declaration,
            nowait,
        };
        self.ask(at, what, turn, |token| Command::Change { token, change });
        Ok(())
    }

    fn delete_exchange(
        &mut self,
        at: At,
        name: String,
        if_unused: bool,
        nowait: bool,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        if name.is_empty() {
            return Err(Fault::default_exchange());
        }
        if name.starts_with("amq.") {
            let thing = fault::exchange(&name);
            return Err(Fault::refused(format!(
                "deletion of system {thing} not allowed"
            )));
        }
        self.authorize(Action::Configure, Resource::Address(&name), turn)?;
        match visible(turn.cx.topology, &name) {
            None => {
                self.send_unless(nowait, at.channel, &Method::ExchangeDeleteOk, turn);
                return Ok(());
            }
            Some(address) if address.spec.router == Router::Partitioned => {
                let thing = fault::exchange(&name);
                return Err(Fault::refused(format!(
                    "{thing} is a RocketMQ topic and deleted there only"
                )));
            }
            Some(_) => {}
        }
        let condition = if if_unused {
            Unused::Required
        } else {
            Unused::NotRequired
        };
        let change = Change::DeleteAddress {
            name: name.into(),
            condition,
        };
        let what = What::DeleteExchange { nowait };
        self.ask(at, what, turn, |token| Command::Change { token, change });
        Ok(())
    }

    /// Checks both ends of a binding between exchanges.
    fn edge(&self, destination: &str, source: &str, turn: &Turn<'_, '_>) -> Result<Edge, Fault> {
        let (destination, source) = (stripped(destination), stripped(source));
        self.authorize(Action::Write, Resource::Address(&destination), turn)?;
        if destination.is_empty() || source.is_empty() {
            return Err(Fault::default_exchange());
        }
        self.authorize(Action::Read, Resource::Address(&source), turn)?;
        Ok(Edge {
            source,
            target: TargetName::Address(destination.into()),
        })
    }

    /// Makes a binding whose ends have been checked for permission.
    pub fn bind(
        &mut self,
        at: At,
        edge: Edge,
        key: &str,
        table: TableRef<'_>,
        what: What,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let topology = turn.cx.topology;
        let Some(source) = visible(topology, &edge.source) else {
            return Err(Fault::no_exchange(&edge.source));
        };
        match &edge.target {
            TargetName::Queue(name) => {
                topology.queue(name).ok_or_else(|| Fault::no_queue(name))?;
            }
            TargetName::Address(name) => {
                visible(topology, name).ok_or_else(|| Fault::no_exchange(name))?;
            }
        }
        let filter = match source.spec.router {
            Router::Headers => Some(header_match::predicate(table)?),
            Router::Direct | Router::Fanout | Router::Pattern | Router::Partitioned => None,
        };
        let change = Change::Bind {
            source: edge.source.into(),
            target: edge.target,
            key: key.into(),
            filter,
            arguments: arguments::sorted(table),
        };
        self.ask(at, what, turn, |token| Command::Change { token, change });
        Ok(())
    }

    /// Removes one; what is not there is removed already.
    pub fn unbind(
        &mut self,
        at: At,
        edge: Edge,
        key: &str,
        table: TableRef<'_>,
        what: What,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let change = Change::Unbind {
            source: edge.source.into(),
            target: edge.target,
            key: key.into(),
            arguments: arguments::sorted(table),
        };
        self.ask(at, what, turn, |token| Command::Change { token, change });
        Ok(())
    }

    /// A passive declaration needs any of the three rights.
    pub fn authorize_any(&self, resource: Resource<'_>, turn: &Turn<'_, '_>) -> Result<(), Fault> {
        let rights = [Action::Write, Action::Read];
        if rights
            .into_iter()
            .any(|action| self.authorize(action, resource, turn).is_ok())
        {
            return Ok(());
        }
        self.authorize(Action::Configure, resource, turn)
    }
}

/// The ends of a binding.
pub(super) struct Edge {
    pub source: String,
    pub target: TargetName,
}

//! Facts as bytes: `version 1 | kind | parts`. What was written once is read for ever: a new
//! field comes with a new version, an old version keeps its reader.

use std::sync::Arc;

use super::spec::*;
use crate::bytes::{Reader, Undecodable, Writer};
use crate::filter::{Limits, Predicate};
use crate::id::{AddressId, BindingId, Durability, GroupId, QueueId, SessionId};

const VERSION: u8 = 1;

impl TopologyFact {
    /// Whether the fact is logged: facts about volatile things are not.
    pub fn durability(&self) -> Durability {
        match self {
            TopologyFact::AddressSet { spec, .. } => spec.durability,
            TopologyFact::QueueSet { id, .. } | TopologyFact::QueueRemoved { id } => {
                id.durability()
            }
            TopologyFact::AddressRemoved { durability, .. }
            | TopologyFact::Bound { durability, .. }
            | TopologyFact::Unbound { durability, .. } => *durability,
            TopologyFact::GroupSet { .. }
            | TopologyFact::GroupRemoved { .. }
            | TopologyFact::UserSet(_)
            | TopologyFact::UserRemoved { .. } => Durability::Durable,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        match self {
            TopologyFact::AddressSet { id, spec } => {
                out.put_u8(1);
                out.put_number(id.0);
                put_address(out, spec);
            }
            TopologyFact::AddressRemoved { id, durability } => {
                out.put_u8(2);
                out.put_number(id.0);
                put_durability(out, *durability);
            }
            TopologyFact::QueueSet { id, spec } => {
                out.put_u8(3);
                out.put_number(id.0);
                put_queue(out, spec);
            }
            TopologyFact::QueueRemoved { id } => {
                out.put_u8(4);
                out.put_number(id.0);
            }
            TopologyFact::Bound {
                id,
                binding,
                durability,
            } => {
                out.put_u8(5);
                out.put_number(id.0);
                put_binding(out, binding);
                put_durability(out, *durability);
            }
            TopologyFact::Unbound { id, durability } => {
                out.put_u8(6);
                out.put_number(id.0);
                put_durability(out, *durability);
            }
            TopologyFact::GroupSet { id, spec } => {
                out.put_u8(7);
                out.put_number(id.0);
                out.put_str(&spec.name);
                out.put_bytes(&spec.config);
            }
            TopologyFact::GroupRemoved { id } => {
                out.put_u8(8);
                out.put_number(id.0);
            }
            TopologyFact::UserSet(spec) => {
                out.put_u8(9);
                put_user(out, spec);
            }
            TopologyFact::UserRemoved { name } => {
                out.put_u8(10);
                out.put_str(name);
            }
        }
    }

    /// Reads exactly one fact.
    pub fn decode(bytes: &[u8]) -> Result<TopologyFact, Undecodable> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Undecodable("topology fact version"));
        }
        let fact = fact(&mut reader)?;
        if reader.is_empty() {
            Ok(fact)
        } else {
            Err(Undecodable("topology fact end"))
        }
    }
}

fn fact(reader: &mut Reader<'_>) -> Result<TopologyFact, Undecodable> {
    Ok(match reader.u8()? {
        1 => TopologyFact::AddressSet {
            id: AddressId(reader.number()?),
            spec: address(reader)?,
        },
        2 => TopologyFact::AddressRemoved {
            id: AddressId(reader.number()?),
            durability: durability(reader)?,
        },
        3 => TopologyFact::QueueSet {
            id: QueueId(reader.number()?),
            spec: queue(reader)?,
        },
        4 => TopologyFact::QueueRemoved {
            id: QueueId(reader.number()?),
        },
        5 => TopologyFact::Bound {
            id: BindingId(reader.number()?),
            binding: binding(reader)?,
            durability: durability(reader)?,
        },
        6 => TopologyFact::Unbound {
            id: BindingId(reader.number()?),
            durability: durability(reader)?,
        },
        7 => TopologyFact::GroupSet {
            id: GroupId(reader.number()?),
            spec: GroupSpec {
                name: text(reader)?,
                config: opaque(reader)?,
            },
        },
        8 => TopologyFact::GroupRemoved {
            id: GroupId(reader.number()?),
        },
        9 => TopologyFact::UserSet(user(reader)?),
        10 => TopologyFact::UserRemoved {
            name: text(reader)?,
        },
        _ => return Err(Undecodable("topology fact")),
    })
}

fn text(reader: &mut Reader<'_>) -> Result<Arc<str>, Undecodable> {
    Ok(reader.str()?.into())
}

fn opaque(reader: &mut Reader<'_>) -> Result<Arc<[u8]>, Undecodable> {
    Ok(reader.bytes()?.into())
}

fn put_durability(out: &mut Vec<u8>, durability: Durability) {
    out.put_u8(match durability {
        Durability::Durable => 1,
        Durability::Volatile => 2,
    });
}

fn durability(reader: &mut Reader<'_>) -> Result<Durability, Undecodable> {
    match reader.u8()? {
        1 => Ok(Durability::Durable),
        2 => Ok(Durability::Volatile),
        _ => Err(Undecodable("durability")),
    }
}

fn put_address(out: &mut Vec<u8>, spec: &AddressSpec) {
    out.put_str(&spec.name);
    out.put_u8(match spec.router {
        Router::Direct => 1,
        Router::Fanout => 2,
        Router::Pattern => 3,
        Router::Headers => 4,
        Router::Partitioned => 5,
    });
    put_durability(out, spec.durability);
    out.put_flag(spec.auto_delete);
    out.put_flag(spec.internal);
    out.put_flag(spec.reserved);
    out.put_option(spec.alternate.as_deref(), |out, name| out.put_str(name));
    out.put_option(spec.partitions.as_ref(), |out, partitions| {
        out.put_number(u64::from(partitions.read));
        out.put_number(u64::from(partitions.write));
        out.put_number(u64::from(partitions.permissions));
        out.put_flag(partitions.ordered);
        out.put_flag(partitions.system);
        out.put_bytes(&partitions.attributes);
    });
    out.put_option(spec.owner, |out, session| out.put_number(session.0));
    out.put_bytes(&spec.arguments);
}

fn address(reader: &mut Reader<'_>) -> Result<AddressSpec, Undecodable> {
    Ok(AddressSpec {
        name: text(reader)?,
        router: match reader.u8()? {
            1 => Router::Direct,
            2 => Router::Fanout,
            3 => Router::Pattern,
            4 => Router::Headers,
            5 => Router::Partitioned,
            _ => return Err(Undecodable("router")),
        },
        durability: durability(reader)?,
        auto_delete: reader.flag()?,
        internal: reader.flag()?,
        reserved: reader.flag()?,
        alternate: reader.option(text)?,
        partitions: reader.option(|reader| {
            Ok(Partitions {
                read: reader.u32()?,
                write: reader.u32()?,
                permissions: reader.u32()?,
                ordered: reader.flag()?,
                system: reader.flag()?,
                attributes: opaque(reader)?,
            })
        })?,
        owner: reader.option(|reader| Ok(SessionId(reader.number()?)))?,
        arguments: opaque(reader)?,
    })
}

fn put_queue(out: &mut Vec<u8>, spec: &QueueSpec) {
    out.put_str(&spec.name);
    put_durability(out, spec.durability);
    out.put_flag(spec.auto_delete);
    out.put_option(spec.owner, |out, session| out.put_number(session.0));
    out.put_flag(spec.implicit);
    out.put_option(spec.options.message_ttl_ms, |out, value| {
        out.put_number(value)
    });
    out.put_option(spec.options.idle_ms, |out, value| out.put_number(value));
    out.put_option(spec.options.dead_letter.as_ref(), |out, dead_letter| {
        out.put_str(&dead_letter.address);
        out.put_option(dead_letter.key.as_deref(), |out, key| out.put_str(key));
        out.put_flag(dead_letter.persistent_only);
        out.put_flag(dead_letter.create_queue);
    });
    out.put_bytes(&spec.arguments);
}

fn queue(reader: &mut Reader<'_>) -> Result<QueueSpec, Undecodable> {
    Ok(QueueSpec {
        name: text(reader)?,
        durability: durability(reader)?,
        auto_delete: reader.flag()?,
        owner: reader.option(|reader| Ok(SessionId(reader.number()?)))?,
        implicit: reader.flag()?,
        options: QueueOptions {
            message_ttl_ms: reader.option(|reader| reader.number())?,
            idle_ms: reader.option(|reader| reader.number())?,
            dead_letter: reader.option(|reader| {
                Ok(DeadLetter {
                    address: text(reader)?,
                    key: reader.option(text)?,
                    persistent_only: reader.flag()?,
                    create_queue: reader.flag()?,
                })
            })?,
        },
        arguments: opaque(reader)?,
    })
}

fn put_binding(out: &mut Vec<u8>, binding: &BindingSpec) {
    out.put_number(binding.source.0);
    match binding.target {
        Target::Queue(id) => {
            out.put_u8(1);
            out.put_number(id.0);
        }
        Target::Address(id) => {
            out.put_u8(2);
            out.put_number(id.0);
        }
    }
    out.put_str(&binding.key);
    out.put_option(binding.filter.as_ref(), |out, filter| {
        let mut bytes = Vec::new();
        filter.encode(&mut bytes);
        out.put_bytes(&bytes);
    });
    out.put_bytes(&binding.arguments);
}

fn binding(reader: &mut Reader<'_>) -> Result<BindingSpec, Undecodable> {
    Ok(BindingSpec {
        source: AddressId(reader.number()?),
        target: match reader.u8()? {
            1 => Target::Queue(QueueId(reader.number()?)),
            2 => Target::Address(AddressId(reader.number()?)),
            _ => return Err(Undecodable("target")),
        },
        key: text(reader)?,
        filter: reader
            .option(|reader| Predicate::decode(reader.bytes()?, Limits::STORED).map(Arc::new))?,
        arguments: opaque(reader)?,
    })
}

fn put_user(out: &mut Vec<u8>, spec: &UserSpec) {
    out.put_str(&spec.name);
    out.put_str(&spec.password_hash);
    out.put_number(spec.tags.len() as u64);
    spec.tags.iter().for_each(|tag| out.put_str(tag));
    out.put_flag(spec.loopback_only);
}

fn user(reader: &mut Reader<'_>) -> Result<UserSpec, Undecodable> {
    Ok(UserSpec {
        name: text(reader)?,
        password_hash: text(reader)?,
        tags: (0..reader.count()?)
            .map(|_| text(reader))
            .collect::<Result<_, _>>()?,
        loopback_only: reader.flag()?,
    })
}

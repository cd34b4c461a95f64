//! Planning a change: what is refused, what it means in facts, what is answered.

use std::sync::Arc;

use super::Topology;
use super::bindings::Identity;
use super::draft::{Draft, removal_of};
use super::equivalence::{compare_addresses, redeclare_queue};
use super::spec::*;
use crate::filter;
use crate::id::{AddressId, BindingId, Durability, GroupId, QueueId, SessionId};
use crate::refusal::{Kind, Refusal};

/// A change that is allowed.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// To be applied in this order; none if all is as asked already.
    pub facts: Vec<TopologyFact>,
    pub answer: Answer,
}

/// What the asker is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    AddressDeclared {
        id: AddressId,
        created: bool,
    },
    /// A queue that was adopted is not created.
    QueueDeclared {
        id: QueueId,
        created: bool,
    },
    Deleted {
        existed: bool,
    },
    /// A binding that got another filter is not created.
    Bound {
        id: BindingId,
        created: bool,
    },
    Unbound {
        existed: bool,
    },
    GroupSet {
        id: GroupId,
        created: bool,
    },
    UserSet {
        created: bool,
    },
    Ended,
}

impl Plan {
    pub(super) fn nothing(answer: Answer) -> Plan {
        Plan {
            facts: Vec::new(),
            answer,
        }
    }

    fn one(fact: TopologyFact, answer: Answer) -> Plan {
        Plan {
            facts: vec![fact],
            answer,
        }
    }
}

impl Topology {
    /// Validates a change without making it. The facts hold for this version of the topology.
    pub fn plan(&self, change: &Change) -> Result<Plan, Refusal> {
        match change {
            Change::DeclareAddress(spec) => self.plan_declare_address(spec),
            Change::SetPartitions(spec) => self.plan_set_partitions(spec),
            Change::DeleteAddress { name, condition } => self.plan_delete_address(name, *condition),
            Change::DeclareQueue(spec) => self.plan_declare_queue(spec),
            Change::DeleteQueue { name } => Ok(self.plan_delete_queue(name)),
            Change::Bind {
                source,
                target,
                key,
                filter,
                arguments,
            } => self.plan_bind(source, target, key, filter.as_ref(), arguments),
            Change::Unbind {
                source,
                target,
                key,
                arguments,
            } => self.plan_unbind(source, target, key, arguments),
            Change::SetGroup(spec) => self.plan_set_group(spec),
            Change::DeleteGroup { name } => Ok(self.plan_delete_group(name)),
            Change::SetUser(spec) => self.plan_set_user(spec),
            Change::DeleteUser { name } => Ok(self.plan_delete_user(name)),
            Change::EndSession { session, at_most } => {
                Ok(self.plan_end_session(*session, *at_most))
            }
        }
    }

    fn plan_declare_address(&self, spec: &AddressSpec) -> Result<Plan, Refusal> {
        assert_eq!(
            spec.router == Router::Partitioned,
            spec.partitions.is_some()
        );
        refuse_default(&spec.name)?;
        let spec = AddressSpec {
            durability: granted(spec.durability, spec.owner),
            reserved: false,
            ..spec.clone()
        };
        match self.address(&spec.name) {
            Some(known) => {
                compare_addresses(known, &spec)?;
                Ok(Plan::nothing(Answer::AddressDeclared {
                    id: known.id,
                    created: false,
                }))
            }
            None => self.create_address(spec),
        }
    }

    fn plan_set_partitions(&self, spec: &AddressSpec) -> Result<Plan, Refusal> {
        assert!(spec.router == Router::Partitioned && spec.partitions.is_some());
        refuse_default(&spec.name)?;
        // Nothing in a partition is lost but by retention, so its address cannot be volatile.
        let spec = AddressSpec {
            durability: Durability::Durable,
            auto_delete: false,
            reserved: false,
            owner: None,
            ..spec.clone()
        };
        let Some(known) = self.address(&spec.name) else {
            return self.create_address(spec);
        };
        if known.spec.reserved {
            return Err(Refusal::Reserved {
                kind: Kind::Address,
                name: (*spec.name).into(),
            });
        }
        if known.spec.router != Router::Partitioned {
            return Err(Refusal::AddressTaken {
                name: (*spec.name).into(),
            });
        }
        let answer = Answer::AddressDeclared {
            id: known.id,
            created: false,
        };
        if *known.spec == spec {
            return Ok(Plan::nothing(answer));
        }
        Ok(Plan::one(
            TopologyFact::AddressSet { id: known.id, spec },
            answer,
        ))
    }

    fn create_address(&self, spec: AddressSpec) -> Result<Plan, Refusal> {
        self.check_name(&spec.name)?;
        check_room("addresses", self.address_count(), self.limits().addresses)?;
        let id = AddressId(self.counters.address);
        let answer = Answer::AddressDeclared { id, created: true };
        Ok(Plan::one(TopologyFact::AddressSet { id, spec }, answer))
    }

    fn plan_delete_address(&self, name: &str, condition: Unused) -> Result<Plan, Refusal> {
        refuse_default(name)?;
        let Some(address) = self.address(name) else {
            return Ok(Plan::nothing(Answer::Deleted { existed: false }));
        };
        if address.spec.reserved {
            return Err(Refusal::Reserved {
                kind: Kind::Address,
                name: name.into(),
            });
        }
        match condition {
            Unused::Required if address.is_bound() => {
                return Err(Refusal::InUse {
                    kind: Kind::Address,
                    name: name.into(),
                });
            }
            Unused::Required | Unused::NotRequired => {}
        }
        let mut draft = Draft::new(self);
        draft.remove(removal_of(address));
        Ok(draft.finish(Answer::Deleted { existed: true }))
    }

    fn plan_declare_queue(&self, spec: &QueueSpec) -> Result<Plan, Refusal> {
        let durability = granted(spec.durability, spec.owner);
        let spec = QueueSpec {
            durability,
            ..spec.clone()
        };
        match self.queue(&spec.name) {
            Some(known) => redeclare_queue(known, spec),
            None => self.create_queue(spec),
        }
    }

    fn create_queue(&self, spec: QueueSpec) -> Result<Plan, Refusal> {
        self.check_name(&spec.name)?;
        check_room("queues", self.queue_count(), self.limits().queues)?;
        let id = QueueId::new(self.counters.queue, spec.durability);
        let birth = (self.birth)(&spec.name)
            .and_then(|birth| Some((self.address(&birth.source)?, birth.key)))
            .filter(|(source, _)| !source.is_default());
        let mut facts = Vec::with_capacity(2);
        if let Some((source, key)) = birth {
            check_room("bindings", self.binding_count(), self.limits().bindings)?;
            self.check_name(&key)?;
            let durability = match source.spec.durability {
                Durability::Durable => spec.durability,
                Durability::Volatile => Durability::Volatile,
            };
            let binding = BindingSpec {
                source: source.id,
                target: Target::Queue(id),
                key: key.into(),
                filter: None,
                arguments: [].into(),
            };
            facts.push(TopologyFact::QueueSet { id, spec });
            let binding_id = BindingId(self.counters.binding);
            facts.push(TopologyFact::Bound {
                id: binding_id,
                binding,
                durability,
            });
        } else {
            facts.push(TopologyFact::QueueSet { id, spec });
        }
        Ok(Plan {
            facts,
            answer: Answer::QueueDeclared { id, created: true },
        })
    }

    fn plan_delete_queue(&self, name: &str) -> Plan {
        let Some(queue) = self.queue(name) else {
            return Plan::nothing(Answer::Deleted { existed: false });
        };
        let mut draft = Draft::new(self);
        draft.remove(TopologyFact::QueueRemoved { id: queue.id });
        draft.finish(Answer::Deleted { existed: true })
    }

    fn plan_bind(
        &self,
        source: &str,
        target: &TargetName,
        key: &Arc<str>,
        filter: Option<&Arc<filter::Predicate>>,
        arguments: &Arc<[u8]>,
    ) -> Result<Plan, Refusal> {
        refuse_default_edge(source, target)?;
        let source = self
            .address(source)
            .ok_or_else(|| missing(Kind::Address, source))?;
        let target = self.target(target).ok_or_else(|| match target {
            TargetName::Queue(name) => missing(Kind::Queue, name),
            TargetName::Address(name) => missing(Kind::Address, name),
        })?;
        self.check_name(key)?;
        if let Some(filter) = filter {
            filter.check(filter::Limits::STORED)?;
        }
        let binding = BindingSpec {
            source: source.id,
            target,
            key: Arc::clone(key),
            filter: filter.cloned(),
            arguments: Arc::clone(arguments),
        };
        let durability = self.edge_durability(source.id, target);
        let (id, created) = match source.find(&Identity::of(&binding)) {
            Some(known) if known.spec.filter == binding.filter => {
                let (id, created) = (known.id, false);
                return Ok(Plan::nothing(Answer::Bound { id, created }));
            }
            // The new filter replaces the one before.
            Some(known) => (known.id, false),
            None => {
                check_room("bindings", self.binding_count(), self.limits().bindings)?;
                (BindingId(self.counters.binding), true)
            }
        };
        let bound = TopologyFact::Bound {
            id,
            binding,
            durability,
        };
        Ok(Plan::one(bound, Answer::Bound { id, created }))
    }

    fn plan_unbind(
        &self,
        source: &str,
        target: &TargetName,
        key: &Arc<str>,
        arguments: &Arc<[u8]>,
    ) -> Result<Plan, Refusal> {
        refuse_default_edge(source, target)?;
        let known = self
            .address(source)
            .zip(self.target(target))
            .and_then(|(source, target)| {
                let (key, arguments) = (Arc::clone(key), Arc::clone(arguments));
                source.find(&Identity {
                    key,
                    target,
                    arguments,
                })
            });
        let Some(known) = known else {
            return Ok(Plan::nothing(Answer::Unbound { existed: false }));
        };
        let mut draft = Draft::new(self);
        draft.remove(TopologyFact::Unbound {
            id: known.id,
            durability: known.durability,
        });
        Ok(draft.finish(Answer::Unbound { existed: true }))
    }

    fn plan_set_group(&self, spec: &GroupSpec) -> Result<Plan, Refusal> {
        let known = self.group(&spec.name);
        if known.is_none() {
            self.check_name(&spec.name)?;
            check_room("groups", self.group_count(), self.limits().groups)?;
        }
        let id = known.map_or(GroupId(self.counters.group), |group| group.id);
        let answer = Answer::GroupSet {
            id,
            created: known.is_none(),
        };
        if known.is_some_and(|group| group.spec == *spec) {
            return Ok(Plan::nothing(answer));
        }
        Ok(Plan::one(
            TopologyFact::GroupSet {
                id,
                spec: spec.clone(),
            },
            answer,
        ))
    }

    fn plan_delete_group(&self, name: &str) -> Plan {
        match self.group(name) {
            Some(group) => Plan::one(
                TopologyFact::GroupRemoved { id: group.id },
                Answer::Deleted { existed: true },
            ),
            None => Plan::nothing(Answer::Deleted { existed: false }),
        }
    }

    fn plan_set_user(&self, spec: &UserSpec) -> Result<Plan, Refusal> {
        let known = self.user(&spec.name);
        if known.is_none() {
            self.check_name(&spec.name)?;
            check_room("users", self.user_count(), self.limits().users)?;
        }
        let answer = Answer::UserSet {
            created: known.is_none(),
        };
        if known.is_some_and(|user| **user == *spec) {
            return Ok(Plan::nothing(answer));
        }
        Ok(Plan::one(TopologyFact::UserSet(spec.clone()), answer))
    }

    fn plan_delete_user(&self, name: &Arc<str>) -> Plan {
        match self.user(name) {
            Some(_) => Plan::one(
                TopologyFact::UserRemoved {
                    name: Arc::clone(name),
                },
                Answer::Deleted { existed: true },
            ),
            None => Plan::nothing(Answer::Deleted { existed: false }),
        }
    }

    fn plan_end_session(&self, session: SessionId, at_most: usize) -> Plan {
        let mut draft = Draft::new(self);
        for target in self.owned_by(session).take(at_most) {
            match target {
                Target::Queue(id) => draft.remove(TopologyFact::QueueRemoved { id }),
                // One may be gone already, with its last binding.
                Target::Address(id) => {
                    if let Some(address) = draft.topology.address_by_id(id) {
                        let fact = removal_of(address);
                        draft.remove(fact);
                    }
                }
            }
        }
        draft.finish(Answer::Ended)
    }

    fn target(&self, name: &TargetName) -> Option<Target> {
        match name {
            TargetName::Queue(name) => self.queue(name).map(|queue| Target::Queue(queue.id)),
            TargetName::Address(name) => self
                .address(name)
                .map(|address| Target::Address(address.id)),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let max = self.limits().name_bytes;
        if name.len() > max {
            return Err(Refusal::LimitReached {
                limit: "name-bytes",
                max: max as u64,
            });
        }
        Ok(())
    }
}

/// What a session owns goes with it and is never logged.
fn granted(asked: Durability, owner: Option<SessionId>) -> Durability {
    match owner {
        Some(_) => Durability::Volatile,
        None => asked,
    }
}

fn missing(kind: Kind, name: &str) -> Refusal {
    Refusal::NotFound {
        kind,
        name: name.into(),
    }
}

fn check_room(limit: &'static str, count: usize, max: usize) -> Result<(), Refusal> {
    if count >= max {
        Err(Refusal::LimitReached {
            limit,
            max: max as u64,
        })
    } else {
        Ok(())
    }
}

/// The default address cannot be declared, deleted or bound.
fn refuse_default(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::Reserved {
            kind: Kind::Address,
            name: name.into(),
        });
    }
    Ok(())
}

fn refuse_default_edge(source: &str, target: &TargetName) -> Result<(), Refusal> {
    refuse_default(source)?;
    match target {
        TargetName::Address(name) => refuse_default(name),
        TargetName::Queue(_) => Ok(()),
    }
}

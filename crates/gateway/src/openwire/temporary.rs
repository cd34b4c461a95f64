//! Destinations that clients create and remove by name.

use std::sync::Arc;

use broker::id::{Durability, SessionId};
use broker::refusal::Refusal;
use broker::topology::{AddressSpec, Change, QueueOptions, QueueSpec, Router, Unused};
use openwire::{DestinationInfo, DestinationKind, ExceptionClass};

use super::connection::Connection;
use super::destination::{Place, places, single};
use super::failure::{During, Failure};
use super::limits::TEMPORARIES_MAX;
use super::produce::authorize;
use super::{OpenwireDoor, Step};
use crate::access::Action;
use crate::door::Context;

/// What names a temporary destination in the register of them all.
pub(super) type TemporaryKey = (SessionId, Place);

impl OpenwireDoor {
    pub(super) fn manage_destination(
        &mut self,
        conn: &mut Connection,
        info: &DestinationInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let destination = info.destination.as_ref().ok_or_else(|| {
            Failure::new(
                ExceptionClass::InvalidDestination,
                "No destination specified.",
            )
        })?;
        match info.operation_type {
            DestinationInfo::ADD => {
                let place = single(destination)?;
                self.add_destination(conn, info, place, cx)
            }
            DestinationInfo::REMOVE => {
                for place in places(destination)?.0 {
                    if self.remove_destination(conn, info, &place, cx)? == Step::Again {
                        return Ok(Step::Again);
                    }
                }
                conn.respond(info.base, cx);
                Ok(Step::Taken)
            }
            other => Err(Failure::jms(format!("Unknown operation type: {other}"))),
        }
    }

    fn add_destination(
        &mut self,
        conn: &mut Connection,
        info: &DestinationInfo,
        place: Place,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let session = conn.session;
        match place.kind {
            DestinationKind::Queue => {
                authorize(conn, Action::Configure, &place, "create", cx)?;
                if let Some(name) = place.missing_queue(cx.topology) {
                    self.create_queue(conn, &name, cx);
                    return Ok(Step::Again);
                }
            }
            // A topic is a key and needs no creation.
            DestinationKind::Topic => {
                authorize(conn, Action::Configure, &place, "create", cx)?;
                self.meet(conn, &place, cx);
            }
            DestinationKind::TempQueue | DestinationKind::TempTopic => {
                if conn.temporaries >= TEMPORARIES_MAX {
                    return Err(Failure::limit("openwire-temporaries", TEMPORARIES_MAX));
                }
                match owner(&place, cx) {
                    None => {
                        self.change(conn, creation(&place, session), cx);
                        return Ok(Step::Again);
                    }
                    Some(owner) if owner != Some(session) => {
                        let message =
                            format!("{} belongs to another connection", place.qualified());
                        return Err(Failure::new(ExceptionClass::InvalidDestination, message));
                    }
                    Some(_) => {}
                }
                // Everybody who watches hears of it before its creator, who may tell others.
                if self
                    .temporaries
                    .insert((session, place), info.clone())
                    .is_none()
                {
                    conn.temporaries += 1;
                    self.advise_temporary(conn, info, cx);
                }
            }
        }
        conn.respond(info.base, cx);
        Ok(Step::Taken)
    }

    fn remove_destination(
        &mut self,
        conn: &mut Connection,
        info: &DestinationInfo,
        place: &Place,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        authorize(conn, Action::Configure, place, "remove", cx)?;
        match place.kind {
            DestinationKind::Queue | DestinationKind::TempQueue => {
                if cx.topology.queue(&place.name).is_some() {
                    conn.delete_queue(Arc::from(&*place.name), cx);
                    return Ok(Step::Again);
                }
            }
            DestinationKind::TempTopic => {
                if cx.topology.address(&place.name).is_some() {
                    let name = Arc::from(&*place.name);
                    let change = Change::DeleteAddress {
                        name,
                        condition: Unused::Required,
                    };
                    self.change(conn, change, cx);
                    return Ok(Step::Again);
                }
            }
            // A topic without subscribers is nothing, and one with some cannot go.
            DestinationKind::Topic => {
                if self.is_subscribed(conn, place) {
                    return Err(Failure::of(
                        &Refusal::InUse {
                            kind: broker::refusal::Kind::Address,
                            name: (&*place.name).into(),
                        },
                        During::Removing {
                            destination: &place.qualified(),
                        },
                    ));
                }
                self.forget(conn, place, cx);
            }
        }
        if self
            .temporaries
            .remove(&(conn.session, place.clone()))
            .is_some()
        {
            conn.temporaries = conn.temporaries.saturating_sub(1);
            self.advise_temporary(conn, info, cx);
        }
        Ok(Step::Taken)
    }

    /// Whether anybody consumes this very topic.
    fn is_subscribed(&self, conn: &Connection, place: &Place) -> bool {
        let destination = place.destination();
        let uses = |conn: &Connection| {
            let of = |consumer: &super::consumer::Consumer| {
                consumer.info.destination.as_ref() == Some(&destination)
            };
            conn.consumers.values().any(of)
        };
        uses(conn) || self.connections.values().any(|other| uses(other))
    }

    /// The connection goes, and its temporary destinations with it: watchers hear of it.
    pub(super) fn drop_temporaries(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        let first = (conn.session, Place::new(DestinationKind::Queue, ""));
        let mine: Vec<TemporaryKey> = self
            .temporaries
            .range(first..)
            .take_while(|((session, _), _)| *session == conn.session)
            .map(|(key, _)| key.clone())
            .collect();
        for key in mine {
            if let Some(info) = self.temporaries.remove(&key) {
                let gone = DestinationInfo {
                    operation_type: DestinationInfo::REMOVE,
                    ..info
                };
                self.advise_temporary(conn, &gone, cx);
            }
        }
        conn.temporaries = 0;
    }
}

/// Whose a temporary destination is; none if there is no such thing.
fn owner(place: &Place, cx: &Context<'_>) -> Option<Option<SessionId>> {
    if place.kind == DestinationKind::TempTopic {
        cx.topology
            .address(&place.name)
            .map(|address| address.spec.owner)
    } else {
        cx.topology.queue(&place.name).map(|queue| queue.spec.owner)
    }
}

fn creation(place: &Place, session: SessionId) -> Change {
    if place.kind == DestinationKind::TempTopic {
        return Change::DeclareAddress(AddressSpec {
            name: (&*place.name).into(),
            router: Router::Fanout,
            durability: Durability::Volatile,
            auto_delete: false,
            internal: false,
            reserved: false,
            alternate: None,
            partitions: None,
            owner: Some(session),
            arguments: [].into(),
        });
    }
    Change::DeclareQueue(QueueSpec {
        name: (&*place.name).into(),
        durability: Durability::Volatile,
        auto_delete: false,
        owner: Some(session),
        implicit: false,
        options: QueueOptions::default(),
        arguments: [].into(),
    })
}

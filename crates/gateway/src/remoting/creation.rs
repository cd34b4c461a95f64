//! Topics and groups that come into being while somebody waits for them. A change of the topology
//! is a barrier in its session, so all of them go through one session of the door's own, one after
//! the other, and no connection stops for them: the request that needs one is kept aside and done
//! again when the answer is there.

use std::collections::VecDeque;

use broker::event::Answer;
use broker::id::{SessionId, Token};
use broker::pass::Command;
use broker::refusal::Refusal;
use broker::topology::{Change, GroupSpec};
use remoting::body::{SubscriptionGroupConfig, to_vec};
use remoting::header::HeaderError;

use super::asker::Asker;
use super::refusals::Refused;
use super::retry::SendBack;
use super::{RemotingDoor, topic};
use crate::door::Context;

/// The session of all changes.
pub const SETUP: SessionId = super::own_session(1);

/// The most changes that wait.
const JOBS_MAX: usize = 4096;
/// What one connection may have kept aside.
const ASIDE_MAX: usize = 1024;
const ASIDE_BYTES_MAX: usize = 32 << 20;

/// Something that must exist before a request can go on.
#[derive(Clone, PartialEq, Debug)]
pub struct Need {
    /// Tells topics from groups, and equal needs from others.
    pub key: Box<str>,
    pub change: Change,
}

impl Need {
    pub fn topic(name: &str, queues: u32, permissions: u32) -> Need {
        let spec = topic::spec(name, topic::plain(queues, permissions));
        // Not `SetPartitions`: whoever made it in the meantime is right about its size.
        Need {
            key: format!("topic {name}").into(),
            change: Change::DeclareAddress(spec),
        }
    }

    pub fn group(name: &str) -> Need {
        let config = SubscriptionGroupConfig {
            group_name: name.to_owned(),
            ..SubscriptionGroupConfig::default()
        };
        let spec = GroupSpec {
            name: name.into(),
            config: to_vec(&config).into(),
        };
        Need {
            key: format!("group {name}").into(),
            change: Change::SetGroup(spec),
        }
    }
}

/// Why a request goes no further for now.
#[derive(Debug)]
pub enum Stop {
    Refused(Refused),
    Needs(Box<Need>),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Stop {
        Stop::Refused(refused)
    }
}

impl From<HeaderError> for Stop {
    fn from(error: HeaderError) -> Stop {
        Stop::Refused(error.into())
    }
}

/// A request kept aside.
#[derive(Debug)]
pub struct Aside {
    pub asker: Asker,
    pub what: What,
    /// What it needed and did not get: it does not ask for it again.
    pub refused: Vec<(Box<str>, Refused)>,
}

#[derive(Debug)]
pub enum What {
    /// The frame as it came.
    Frame(Vec<u8>),
    SendBack(Box<SendBack>),
    /// The door's own start of the transactions.
    Transactions,
}

impl What {
    fn bytes(&self) -> usize {
        match self {
            What::Frame(bytes) => bytes.len(),
            What::SendBack(_) | What::Transactions => 0,
        }
    }
}

#[derive(Debug)]
pub enum Waiter {
    /// Goes on with its request.
    Again(Aside),
    /// Asked for the change itself.
    Asked(Asker),
}

#[derive(Debug)]
struct Job {
    key: Box<str>,
    change: Change,
    waiters: Vec<Waiter>,
}

/// The changes that wait, the first of them asked for.
#[derive(Debug, Default)]
pub struct Creation {
    jobs: VecDeque<Job>,
    is_asked: bool,
}

impl RemotingDoor {
    /// Keeps a request aside until what it needs is there.
    pub(super) fn set_aside(&mut self, need: Need, aside: Aside, cx: &mut Context<'_>) {
        if let Some((_, refused)) = aside.refused.iter().find(|(key, _)| *key == need.key) {
            aside.asker.refuse(refused, cx);
            return;
        }
        let bytes = aside.what.bytes();
        if let Some(connection) = self.connections.get_mut(&aside.asker.session) {
            if connection.asides >= ASIDE_MAX || connection.aside_bytes + bytes > ASIDE_BYTES_MAX {
                aside
                    .asker
                    .refuse(&Refused::busy("requests that wait for a topic"), cx);
                return;
            }
            connection.asides += 1;
            connection.aside_bytes += bytes;
        }
        self.change(need, Waiter::Again(aside), cx);
    }

    /// Asks for a change, together with whoever asked for the same one.
    pub(super) fn change(&mut self, need: Need, waiter: Waiter, cx: &mut Context<'_>) {
        let jobs = &mut self.creation.jobs;
        let room = jobs.len() < JOBS_MAX;
        let known = match &waiter {
            Waiter::Again(_) => jobs.iter_mut().find(|job| job.key == need.key),
            Waiter::Asked(_) => None,
        };
        if let Some(job) = known {
            job.waiters.push(waiter);
        } else if room {
            let Need { key, change } = need;
            jobs.push_back(Job {
                key,
                change,
                waiters: vec![waiter],
            });
            self.ask_next(cx);
        } else {
            self.resolve(
                waiter,
                &need.key,
                Some(Refused::busy("changes of topics")),
                cx,
            );
        }
    }

    fn ask_next(&mut self, cx: &mut Context<'_>) {
        if self.creation.is_asked {
            return;
        }
        if let Some(job) = self.creation.jobs.front() {
            self.creation.is_asked = true;
            let change = job.change.clone();
            cx.pass.push(
                SETUP,
                Command::Change {
                    token: Token(0),
                    change,
                },
            );
        }
    }

    /// The first change is answered.
    pub(super) fn changed_as_asked(
        &mut self,
        result: Result<Answer, Refusal>,
        cx: &mut Context<'_>,
    ) {
        self.creation.is_asked = false;
        let Some(job) = self.creation.jobs.pop_front() else {
            return;
        };
        self.ask_next(cx);
        let refused = result.err().map(|refusal| self.refused_change(&refusal));
        for waiter in job.waiters {
            self.resolve(waiter, &job.key, refused.clone(), cx);
        }
    }

    fn refused_change(&mut self, refusal: &Refusal) -> Refused {
        match refusal {
            Refusal::AddressTaken { name } | Refusal::Inequivalent { name, .. } => {
                self.note(format!(
                    "topic \"{name}\" is refused: an exchange has its name"
                ));
                Refused::no_topic(name)
            }
            other => other.into(),
        }
    }

    fn resolve(
        &mut self,
        waiter: Waiter,
        key: &str,
        refused: Option<Refused>,
        cx: &mut Context<'_>,
    ) {
        match waiter {
            Waiter::Asked(asker) => match refused {
                None => asker.done(cx),
                Some(refused) => asker.refuse(&refused, cx),
            },
            Waiter::Again(mut aside) => {
                let session = aside.asker.session;
                match self.connections.get_mut(&session) {
                    Some(connection) => {
                        connection.asides = connection.asides.saturating_sub(1);
                        let bytes = aside.what.bytes();
                        connection.aside_bytes = connection.aside_bytes.saturating_sub(bytes);
                    }
                    // The peer has gone; what it sent without being answered goes with it.
                    None if session != super::transaction::CARETAKER => return,
                    None => {}
                }
                aside
                    .refused
                    .extend(refused.map(|refused| (key.into(), refused)));
                self.again(aside, cx);
            }
        }
    }
}

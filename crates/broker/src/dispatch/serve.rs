//! Handing out: whose turn it is, and what they are told.

use super::choose::{Found, Next};
use super::consumers::{Consumer, Session};
use super::line::Place;
use super::pump::Step;
use super::strands::Asker;
use super::{Out, QueueDispatch};
use crate::event::{Delivery, Event};
use crate::id::{ConsumerId, Position, SessionId};
use crate::ledger::Reason;
use crate::map::IdMap;
use crate::pass::{Mode, Sharing};
use crate::strand::InStrand;

/// Who gets a message, and how.
#[derive(Clone, Copy)]
struct Receiver {
    session: SessionId,
    consumer: ConsumerId,
    mode: Mode,
    /// Whether strands can be its own.
    stays: bool,
}

impl Step<'_> {
    pub fn serve_gets(
        &mut self,
        queue: &mut QueueDispatch,
        sessions: &mut IdMap<SessionId, Session>,
    ) {
        while let Some(mut get) = queue.gets.front().copied() {
            let delivery = match self.next_plain(queue, Asker::Passer, &mut get.scan) {
                Next::Stalled => {
                    // It goes on where it stopped.
                    queue.gets[0] = get;
                    return;
                }
                Next::Nothing => None,
                Next::Found(found) => {
                    let to = Receiver {
                        session: get.session,
                        consumer: get.holder,
                        mode: get.mode,
                        stays: false,
                    };
                    Some(self.hand_out(queue, found, to, sessions))
                }
            };
            queue.gets.pop_front();
            self.effects.events.push(Event::Got {
                session: get.session,
                token: get.token,
                delivery,
                ready: queue.ready(self.known),
            });
        }
    }

    pub fn serve_consumers(
        &mut self,
        queue: &mut QueueDispatch,
        consumers: &mut IdMap<ConsumerId, Consumer>,
        sessions: &mut IdMap<SessionId, Session>,
    ) {
        let mut at = Place::FIRST;
        // Who only takes what is there need not be asked when there is nothing.
        let mut is_bare = false;
        while self.looks > 0
            && let Some(id) = match is_bare {
                false => queue.line.open_from(at),
                true => queue.line.asking_from(at),
            }
        {
            let consumer = consumers.get_mut(&id).expect("attached to this queue");
            if !is_served(queue, id, consumer, sessions) {
                queue.line.unlist(id, consumer);
                continue;
            }
            // Those before it can take nothing in this step.
            at = consumer.place;
            match self.next_for(queue, id, consumer) {
                Next::Found(found) => {
                    let to = Receiver {
                        session: consumer.session,
                        consumer: id,
                        mode: consumer.options.mode,
                        stays: true,
                    };
                    let delivery = self.hand_out(queue, found, to, sessions);
                    self.effects.events.push(Event::Deliver(delivery));
                    if !found.is_foremost {
                        consumer.scan = found.position.next();
                    }
                    if consumer.fetching > 0 {
                        consumer.fetching -= 1;
                    } else if consumer.credit != u64::MAX {
                        consumer.credit -= 1;
                    }
                    consumer.told = false;
                    queue.line.served(id, consumer);
                    if queue.rewind() {
                        // Those before it may take what has become free.
                        at = Place::FIRST;
                    }
                }
                Next::Nothing if consumer.browses() => {
                    consumer.fetching = 0;
                    self.end_browse(id, consumer);
                    queue.line.list(id, consumer);
                    at = at.after();
                }
                Next::Nothing => {
                    // What is not there now is not owed.
                    if consumer.fetching > 0 {
                        consumer.fetching = 0;
                        consumer.told = false;
                        queue.line.list(id, consumer);
                    }
                    at = at.after();
                    is_bare = queue.next_free(self.known, Position(0)).is_none();
                }
                // The others would wait for the same.
                Next::Stalled if queue.line.all_take_all() && queue.strands.is_none() => return,
                Next::Stalled => at = at.after(),
            }
        }
    }

    /// Tells a browser once that it has seen everything.
    fn end_browse(&mut self, id: ConsumerId, consumer: &mut Consumer) {
        if !consumer.told {
            consumer.told = true;
            consumer.credit = 0;
            let session = consumer.session;
            self.effects.events.push(Event::BrowseEnded {
                session,
                consumer: id,
            });
        }
    }

    /// Tells consumers that fetch when a fetch would find something.
    pub fn tell_ready(
        &mut self,
        queue: &mut QueueDispatch,
        consumers: &mut IdMap<ConsumerId, Consumer>,
        sessions: &IdMap<SessionId, Session>,
    ) {
        let mut at = Place::FIRST;
        while let Some(id) = queue.line.watching_from(at)
            && queue.next_free(self.known, Position(0)).is_some()
        {
            let consumer = consumers.get_mut(&id).expect("attached to this queue");
            at = consumer.place.after();
            if !is_served(queue, id, consumer, sessions) {
                queue.line.unlist(id, consumer);
            } else if let Next::Found(_) = self.next_for(queue, id, consumer) {
                consumer.told = true;
                queue.line.list(id, consumer);
                let session = consumer.session;
                self.effects.events.push(Event::Ready {
                    session,
                    consumer: id,
                });
            }
        }
    }

    /// Takes a free position out and says how it goes.
    fn hand_out(
        &mut self,
        queue: &mut QueueDispatch,
        found: Found,
        to: Receiver,
        sessions: &mut IdMap<SessionId, Session>,
    ) -> Delivery {
        let Found {
            position,
            entry,
            strand,
            is_foremost,
        } = found;
        let Receiver {
            session,
            consumer,
            mode,
            stays,
        } = to;
        let mut in_strand = InStrand::No;
        if let Some(strand) = strand {
            let strands = queue.strands.get_or_insert_default();
            in_strand = match stays {
                true => strands.hand_out(consumer, strand),
                false => InStrand::Later,
            };
            if mode == Mode::Lease {
                strands.leased(position, strand);
            }
        }
        let again = queue.returned.get(&position).copied();
        let redelivered = again.unwrap_or(position < queue.redelivered_below);
        match mode {
            Mode::Browse => {}
            Mode::Lease => {
                let lease = Out::Leased {
                    session,
                    redelivered,
                };
                queue.take_out(position, lease);
                if let Some(session) = sessions.get_mut(&session) {
                    session.holds.insert(self.id);
                }
            }
            Mode::Settled => {
                queue.take_out(position, Out::Settling);
                let range = position..position.next();
                self.wanted.settle(self.id, range, Reason::Accepted);
            }
        }
        if is_foremost && position >= queue.cursor {
            queue.cursor = position.next();
        }
        Delivery {
            session,
            consumer,
            queue: self.id,
            position,
            message: self.ledger.message(entry),
            redelivered,
            attempts: self.known.attempts(position),
            in_strand,
        }
    }
}

/// Whether a consumer may be given anything now, credit aside.
fn is_served(
    queue: &QueueDispatch,
    id: ConsumerId,
    consumer: &Consumer,
    sessions: &IdMap<SessionId, Session>,
) -> bool {
    let takes = sessions.get(&consumer.session).is_none_or(Session::takes);
    let has_turn = match (queue.line.active(), consumer.options.sharing) {
        _ if consumer.browses() => true,
        (None, _) => true,
        (Some(active), Sharing::Active(_)) => active == id,
        (Some(_), Sharing::Shared | Sharing::Sole) => false,
    };
    has_turn && takes
}

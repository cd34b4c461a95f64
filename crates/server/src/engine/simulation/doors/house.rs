//! The world with its doors: what a reactor does, over pipes instead of sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use broker::event::Event;
use broker::id::{SessionId, Token};
use broker::pass::Command;
use broker::topology::{Change, UserSpec};
use gateway::door::{Alarms, Context, Peer, Wire};
use store::Dice;

use super::super::story::OWN;
use super::super::world::{ROUNDS_MAX, Verdict, Weakness, World};
use super::pipes::{Pipe, Pipes};
use crate::access::Gate;
use crate::config::Config;
use crate::doors::{Doors, doors};
use crate::fault::Fault;
use crate::throttle::Throttle;

pub(super) struct House {
    pub world: World,
    /// The server is short of memory; nobody but the story decides that.
    pub short_of_memory: bool,
    /// The doors hear that the disk is full before anybody is refused.
    pub watches_disk: bool,
    doors: Doors,
    pipes: Pipes,
    alarms: Alarms,
    entropy: Dice,
    next_consumer: u64,
    sessions: u64,
}

impl House {
    pub fn new(seed: u64, weakness: Weakness) -> Verdict<House> {
        let mut world = World::new(seed, weakness)?;
        let doors = new_doors(&mut world);
        let mut house = House {
            world,
            short_of_memory: false,
            watches_disk: seed.is_multiple_of(2),
            doors,
            pipes: Pipes::default(),
            alarms: Alarms::NONE,
            entropy: Dice(!seed),
            next_consumer: 0,
            sessions: 0,
        };
        house.let_in("guest")?;
        // A door wakes up with the clock.
        house.world.now = house.world.now.plus(1);
        house.turn()?;
        Ok(house)
    }

    /// A user whose password is his name.
    fn let_in(&mut self, name: &str) -> Verdict {
        let hash = crate::password::hash(name.as_bytes()).map_err(Fault::from)?;
        let change = Change::SetUser(UserSpec {
            name: name.into(),
            password_hash: hash.into(),
            tags: Vec::new(),
            loopback_only: true,
        });
        let token = Token(0);
        self.world.pass.push(OWN, Command::Change { token, change });
        Ok(self.rest()?)
    }

    pub fn connect(&mut self, wire: Wire) -> SessionId {
        self.sessions += 1;
        let session = wire.session(self.sessions);
        self.pipes.open(session);
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peer = Peer {
            remote: end(50_000),
            local: end(5_672),
        };
        self.with(|doors, cx| doors.of(session).opened(session, peer, cx));
        session
    }

    /// The link of a session that is connected.
    pub fn pipe(&mut self, session: SessionId) -> Option<&mut Pipe> {
        self.pipes.of(session)
    }

    pub fn hang_up(&mut self, session: SessionId) {
        self.pipes.remove(session);
        self.with(|doors, cx| doors.of(session).closed(session, cx));
    }

    /// What is said arrives, in pieces.
    pub fn carry(&mut self, dice: &mut Dice) {
        self.pipes.each().for_each(|pipe| pipe.carry(dice));
    }

    /// What a reactor does in a turn.
    pub fn turn(&mut self) -> Result<(), Fault> {
        let now = self.world.now;
        let due = self.world.engine().deadline().is_some_and(|at| at <= now);
        self.rounds(due).map(drop)
    }

    /// Until everything is durable and nothing happens any more, save that clients have something
    /// to read; time stands still, but for what goes in parts.
    pub fn rest(&mut self) -> Result<(), Fault> {
        self.turn()?;
        for _ in 0..ROUNDS_MAX {
            self.pipes.each().for_each(Pipe::carry_all);
            self.world.disk_works();
            if self.world.engine().node.is_in_parts() {
                self.world.now = self.world.now.plus(1);
                self.rounds(true)?;
            } else if !self.rounds(false)? {
                self.world.disk_idles();
                if !self.rounds(false)? {
                    return Ok(());
                }
            }
        }
        panic!("the node and its disk never come to rest");
    }

    /// Whether nobody has anything to read or to say.
    pub fn is_quiet(&self) -> bool {
        self.pipes.is_quiet()
    }

    /// Hands over what is asked and everything that comes of it; tells whether there was anything.
    fn rounds(&mut self, due: bool) -> Result<bool, Fault> {
        let now = self.world.now;
        let hasty = self.world.is_hasty();
        let mut stirred = self.world.engine().complete()? | due | hasty;
        self.look_around();
        self.with(|doors, cx| {
            for door in doors.each() {
                if door.deadline().is_some_and(|at| at <= now) {
                    door.tick(cx);
                }
            }
        });
        for round in 0..ROUNDS_MAX {
            self.offer();
            self.with(|doors, cx| doors.each().for_each(|door| door.finish(cx)));
            self.world.hasten();
            let is_asked = !self.world.pass.is_empty() || self.pipes.is_stirred();
            if !is_asked && !self.world.engine().has_work() && !stirred {
                return Ok(round > 0 && !hasty);
            }
            stirred = false;
            let pass = std::mem::take(&mut self.world.pass);
            self.world.engine().step(pass, now)?;
            let mut events = self.world.engine().take_events();
            events.drain(..).for_each(|event| self.tell(event));
            self.world.engine().told(events);
        }
        panic!("the node never comes to rest");
    }

    /// Tells the doors when something runs short, and when it does no more.
    fn look_around(&mut self) {
        let alarms = Alarms {
            memory: self.short_of_memory,
            disk: self.watches_disk && self.world.engine().disk_full(),
        };
        if std::mem::replace(&mut self.alarms, alarms) != alarms {
            self.with(|doors, cx| doors.each().for_each(|door| door.alarmed(alarms, cx)));
        }
    }

    fn offer(&mut self) {
        for (session, bytes) in self.pipes.take_stirred() {
            let mut consumed = 0;
            self.with(|doors, cx| consumed = doors.of(session).received(session, &bytes, cx));
            self.pipes.give_back(session, &bytes[consumed..]);
        }
    }

    fn tell(&mut self, event: Event) {
        let session = match &event {
            Event::Changed(fact) => {
                return self.with(|doors, cx| doors.each().for_each(|door| door.changed(fact, cx)));
            }
            Event::Deliver(delivery) => delivery.session,
            Event::Done { session, .. }
            | Event::Stored { session, .. }
            | Event::Got { session, .. }
            | Event::Ready { session, .. }
            | Event::BrowseEnded { session, .. }
            | Event::Cancelled { session, .. }
            | Event::Read { session, .. } => *session,
        };
        if Wire::of(session).is_some() {
            self.with(|doors, cx| doors.of(session).event(event, cx));
        }
    }

    /// Everybody's link is cut; what of the last words was still read is random.
    pub fn last_words(&mut self, dice: &mut Dice) -> BTreeMap<SessionId, Vec<u8>> {
        self.pipes.last_words(dice)
    }

    /// The process or the machine dies, and starts again.
    pub fn crash(&mut self) -> Verdict {
        self.pipes = Pipes::default();
        self.world.crash()?;
        Ok(self.open_again()?)
    }

    /// The doors say that the server stops.
    pub fn say_goodbye(&mut self) -> Verdict {
        self.world.engine().hurry();
        self.with(|doors, cx| doors.each().for_each(|door| door.stopping(cx)));
        Ok(self.turn()?)
    }

    /// An orderly stop when everybody has gone, and a power failure after it. Tells whether it
    /// came to its end, too.
    pub fn close(&mut self, sessions: Vec<SessionId>) -> Verdict<bool> {
        sessions
            .into_iter()
            .for_each(|session| self.hang_up(session));
        self.turn()?;
        self.world.finish_checkpoint()?;
        let closed = self.world.close()?;
        self.open_again()?;
        Ok(closed)
    }

    /// Nobody is connected to a process that has just started.
    fn open_again(&mut self) -> Result<(), Fault> {
        self.doors = new_doors(&mut self.world);
        self.pipes = Pipes::default();
        self.alarms = Alarms::NONE;
        self.next_consumer = 0;
        self.turn()
    }

    fn with(&mut self, act: impl FnOnce(&mut Doors, &mut Context<'_>)) {
        let now = self.world.now;
        let refused = Throttle::default();
        let entropy = &mut self.entropy;
        let mut pass = std::mem::take(&mut self.world.pass);
        let engine = self.world.engine();
        let topology = engine.topology();
        let mut cx = Context {
            now,
            topology,
            pass: &mut pass,
            records: engine.bodies(),
            links: &mut self.pipes,
            access: &Gate::new(topology, now, &refused),
            entropy: &mut || entropy.roll(),
            next_consumer: &mut self.next_consumer,
        };
        act(&mut self.doors, &mut cx);
        self.world.pass = pass;
    }
}

fn new_doors(world: &mut World) -> Doors {
    let config = Config::default();
    Doors::new(doors(&config, world.engine().identity()))
}

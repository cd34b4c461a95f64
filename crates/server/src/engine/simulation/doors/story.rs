//! A story: the house, its clients, and what happens to both.

use std::collections::BTreeMap;

use broker::id::SessionId;
use store::Dice;

use super::super::counts::Counts;
use super::super::world::{Stop, Verdict, Weakness, ensure};
use super::amqp::Amqp;
use super::client::{Client, Scene};
use super::house::House;
use super::judge::Judge;
use super::message::Queue;
use super::openwire::Openwire;
use super::partitions::Partitions;
use super::remoting::Remoting;

const STEPS: u64 = 250;
/// A story survives no more faults in a row.
const FALLS_MAX: usize = 12;
/// Whatever everybody says, some time they have said everything.
const ROUNDS_MAX: usize = 3_000;
/// Longer than any pull waits.
const PATIENCE_MS: u64 = 4_000;

/// A client, and the connection that it has.
struct Guest {
    client: Box<dyn Client>,
    session: Option<SessionId>,
}

pub(super) struct Story {
    pub counts: Counts,
    house: House,
    guests: Vec<Guest>,
    judge: Judge,
    partitions: Partitions,
    /// What clients do is decided apart from what happens to them.
    dice: Dice,
    /// How often in a hundred the disk works in a step.
    pace: u64,
}

impl Story {
    pub fn tell(seed: u64, weakness: Weakness) -> Verdict<Story> {
        let house = House::new(seed, weakness)?;
        let mut dice = Dice(seed.rotate_left(32) ^ 0x5eed);
        let pace = [15, 50, 90][dice.below(3) as usize];
        let mut story = Story {
            counts: Counts::default(),
            house,
            guests: Vec::new(),
            judge: Judge::default(),
            partitions: Partitions::default(),
            dice,
            pace,
        };
        story.found()?;
        for _ in 0..STEPS {
            if let Err(stop) = story.step() {
                story.fall(stop)?;
            }
        }
        story.end()?;
        Ok(story)
    }

    /// Lets a client do something, and hands over what it says.
    fn with<R>(&mut self, at: usize, act: impl FnOnce(&mut dyn Client, &mut Scene<'_>) -> R) -> R {
        let guest = &mut self.guests[at];
        let mut out = Vec::new();
        let mut scene = Scene {
            dice: &mut self.dice,
            judge: &mut self.judge,
            partitions: &mut self.partitions,
            counts: &mut self.counts,
            out: &mut out,
        };
        let result = act(&mut *guest.client, &mut scene);
        if let Some(pipe) = guest.session.and_then(|session| self.house.pipe(session)) {
            pipe.say(&out);
        }
        result
    }

    fn welcome(&mut self, client: impl Client + 'static) -> usize {
        self.guests.push(Guest {
            client: Box::new(client),
            session: None,
        });
        self.guests.len() - 1
    }

    fn connect(&mut self, at: usize) {
        let wire = self.guests[at].client.wire();
        self.guests[at].session = Some(self.house.connect(wire));
        self.with(at, |client, scene| client.connected(scene));
    }

    fn hang_up(&mut self, at: usize) {
        if let Some(session) = self.guests[at].session.take() {
            self.house.hang_up(session);
            self.with(at, |client, scene| client.lost(scene));
        }
    }

    /// Makes the topic, the queues and the bindings, each over the wire that is its home.
    fn found(&mut self) -> Verdict {
        let mut remoting = Remoting::new(0);
        let mut openwire = Openwire::new(0, false);
        let mut subscriber = Openwire::new(1, true);
        let mut amqp = Amqp::new();
        self.play(&mut remoting, |client, scene| client.found(scene))?;
        self.play(&mut openwire, |client, scene| {
            client.talk.create(Queue::Parcels, scene);
            client.talk.create(Queue::DeadLetters, scene);
        })?;
        self.play(&mut subscriber, |client, scene| {
            client.talk.subscribe(scene)
        })?;
        self.play(&mut amqp, |client, scene| client.talk.found(scene))?;
        self.welcome(Amqp::new());
        self.welcome(Amqp::new());
        self.welcome(Openwire::new(1, true));
        self.welcome(Openwire::new(2, false));
        self.welcome(Remoting::new(1));
        self.welcome(Remoting::new(2));
        Ok(())
    }

    /// A client comes, does one thing until that is answered, and goes.
    fn play<C: Client + 'static>(
        &mut self,
        client: &mut C,
        act: impl FnOnce(&mut C, &mut Scene<'_>),
    ) -> Verdict {
        let session = self.house.connect(client.wire());
        let mut act = Some(act);
        let mut is_welcome = false;
        for _ in 0..ROUNDS_MAX {
            let heard = self.house.pipe(session).map(|pipe| pipe.hear_all());
            let mut out = Vec::new();
            let mut scene = Scene {
                dice: &mut self.dice,
                judge: &mut self.judge,
                partitions: &mut self.partitions,
                counts: &mut self.counts,
                out: &mut out,
            };
            if !std::mem::replace(&mut is_welcome, true) {
                client.connected(&mut scene);
            }
            client.hear(&heard.unwrap_or_default(), &mut scene)?;
            if client.is_open() && client.unanswered().is_none() {
                match act.take() {
                    Some(act) => act(client, &mut scene),
                    None => {
                        client.lost(&mut scene);
                        self.house.hang_up(session);
                        return Ok(self.house.rest()?);
                    }
                }
            }
            if let Some(pipe) = self.house.pipe(session) {
                pipe.say(&out);
            }
            self.house.rest()?;
        }
        Err(Stop::Breach(
            "what was asked for at first is not answered".into(),
        ))
    }

    fn step(&mut self) -> Verdict {
        let (asked, answered) = (self.judge.asked, self.judge.answered);
        for at in 0..self.guests.len() {
            self.move_guest(at);
        }
        self.house.carry(&mut self.dice);
        self.house.turn()?;
        self.hear()?;
        // There are no worse moments.
        if self.judge.answered > answered && self.dice.below(20) == 0 {
            return self.die();
        }
        if self.judge.asked > asked && self.dice.below(4) == 0 {
            match self.dice.below(5) {
                0 => return self.die(),
                1 => {
                    let at = self.dice.below(self.guests.len() as u64) as usize;
                    self.hang_up(at);
                }
                steps => self.house.world.cut_power_in(steps - 1),
            }
        }
        if self.dice.below(100) < self.pace {
            self.house.world.disk_works();
        }
        if self.dice.below(20) == 0 {
            self.house.world.disk_idles();
        }
        self.house.turn()?;
        self.hear()?;
        self.house.world.checkpoint_if_due();
        self.have_an_event()
    }

    /// Comes, does something, or goes.
    fn move_guest(&mut self, at: usize) {
        if self.guests[at].session.is_none() {
            if self.dice.below(3) == 0 {
                self.connect(at);
            }
        } else if self.dice.below(120) == 0 {
            self.counts.note("hang-up");
            self.hang_up(at);
        } else if self.guests[at].client.is_open() && self.dice.below(3) > 0 {
            self.with(at, |client, scene| client.act(scene));
        }
    }

    /// Everybody reads a piece of what was written.
    fn hear(&mut self) -> Verdict {
        for at in 0..self.guests.len() {
            let Some(session) = self.guests[at].session else {
                continue;
            };
            let pipe = self.house.pipe(session).expect("it is connected");
            let bytes = pipe.hear(&mut self.dice);
            self.hear_so(at, &bytes)?;
        }
        Ok(())
    }

    fn hear_so(&mut self, at: usize, bytes: &[u8]) -> Verdict {
        self.with(at, |client, scene| client.hear(bytes, scene))?;
        let Some(session) = self.guests[at].session else {
            return Ok(());
        };
        let is_over = self.house.pipe(session).is_some_and(|pipe| pipe.is_over());
        if self.guests[at].client.is_done() {
            self.hang_up(at);
        } else {
            ensure(!is_over, || format!("{session:?} is thrown out"))?;
        }
        Ok(())
    }

    /// What happens to the house.
    fn have_an_event(&mut self) -> Verdict {
        match self.dice.below(400) {
            0..120 => {
                let ms = self.dice.below(100);
                self.house.world.now = self.house.world.now.plus(ms);
            }
            120..126 => self.house.world.now = self.house.world.now.plus(1_500),
            // So long that the broker asks for half messages; a handshake would take too long.
            126 if self.nobody_shakes_hands() => {
                self.house.world.now = self.house.world.now.plus(31_000);
            }
            127 | 128 => return self.take_a_break(),
            129..134 => self.house.world.checkpoint(),
            134..136 => return self.die(),
            139 | 140 => return self.stop(),
            141..144 => self.house.world.cut_power_soon(),
            146 => self.house.world.fail_sync_soon(),
            147..155 => self.house.world.fill_disk(),
            155..162 => self.house.world.free_disk(),
            162..166 => {
                self.counts.note("alarm");
                self.house.short_of_memory = true;
            }
            166..186 => self.house.short_of_memory = false,
            _ => {}
        }
        Ok(())
    }

    fn nobody_shakes_hands(&self) -> bool {
        let mut guests = self.guests.iter();
        guests.all(|guest| guest.session.is_none() || guest.client.is_open())
    }

    /// Everybody hears the last words, and loses the connection.
    fn part(&mut self) -> Verdict<Vec<SessionId>> {
        let mut words: BTreeMap<SessionId, Vec<u8>> = self.house.last_words(&mut self.dice);
        let mut sessions = Vec::new();
        for at in 0..self.guests.len() {
            let Some(session) = self.guests[at].session.take() else {
                continue;
            };
            let bytes = words.remove(&session).unwrap_or_default();
            self.with(at, |client, scene| client.hear(&bytes, scene))?;
            self.with(at, |client, scene| client.lost(scene));
            sessions.push(session);
        }
        Ok(sessions)
    }

    fn die(&mut self) -> Verdict {
        self.counts.note("crash");
        self.part()?;
        self.judge.crashed();
        self.partitions.crashed();
        self.house.short_of_memory = false;
        self.house.crash()
    }

    fn stop(&mut self) -> Verdict {
        self.house.say_goodbye()?;
        let sessions = self.part()?;
        let closed = self.house.close(sessions)?;
        if closed {
            self.counts.note("orderly stop");
            self.judge.stopped()?;
        } else {
            self.judge.crashed();
        }
        self.partitions.crashed();
        Ok(())
    }

    /// The process had to die, or a promise was broken.
    fn fall(&mut self, mut stop: Stop) -> Verdict {
        for fall in 1..=FALLS_MAX {
            let Stop::Fault(fault) = stop else {
                return Err(stop);
            };
            ensure(self.house.world.is_in_trouble(), || {
                format!("a fault without a reason: {fault}")
            })?;
            self.counts.note("fault");
            // Each start takes a segment, so that on a full disk no start succeeds in the end.
            if self.dice.below(3) == 0 || fall > FALLS_MAX / 2 {
                self.house.world.free_disk();
            }
            match self.die() {
                Ok(()) => return Ok(()),
                Err(next) => stop = next,
            }
        }
        Err(Stop::Breach("it never starts again".into()))
    }

    /// Everything is answered; then everybody goes, everything is handed out and settled, and
    /// nothing is left, not even behind a crash.
    fn end(&mut self) -> Verdict {
        let trouble = self.house.world.is_in_trouble();
        self.house.world.calm_down();
        self.house.short_of_memory = false;
        let rested = self.settle_down();
        if trouble || rested.is_err() {
            match rested {
                Err(stop @ Stop::Breach(_)) => return Err(stop),
                Err(Stop::Fault(fault)) if !trouble => {
                    return Err(Stop::Breach(format!("a fault without a reason: {fault}")));
                }
                Err(Stop::Fault(_)) | Ok(()) => self.die()?,
            }
        }
        self.take_a_break()?;
        for at in 0..self.guests.len() {
            self.hang_up(at);
        }
        self.guests.clear();
        self.collect()?;
        self.die()?;
        self.collect()?;
        let held = self.house.world.engine().held_bytes();
        ensure(held == 0, || format!("{held} bytes are held for nobody"))
    }

    /// When nobody asks for anything more, everything is answered, and whoever takes has all that
    /// he may have.
    fn take_a_break(&mut self) -> Verdict {
        self.house.short_of_memory = false;
        self.settle_down()?;
        self.house.world.now = self.house.world.now.plus(PATIENCE_MS);
        self.settle_down()?;
        // Publishers rest when the disk has become full over it.
        if self.house.world.engine().disk_full() {
            return Ok(());
        }
        let guests = self.guests.iter().filter(|guest| guest.session.is_some());
        let mut wanted = Vec::new();
        for guest in guests {
            let waits = guest.client.unanswered();
            ensure(waits.is_none(), || format!("unanswered: {waits:?}"))?;
            wanted.extend(guest.client.takes_from());
        }
        self.counts.note("break");
        self.judge.judge_rest(&wanted)
    }

    /// Until nobody has anything to say or to read.
    fn settle_down(&mut self) -> Verdict {
        for _ in 0..ROUNDS_MAX {
            self.house.rest()?;
            if self.house.is_quiet() {
                return Ok(());
            }
            for at in 0..self.guests.len() {
                let session = self.guests[at].session;
                let pipe = session.and_then(|session| self.house.pipe(session));
                let bytes = pipe.map(|pipe| pipe.hear_all()).unwrap_or_default();
                self.hear_so(at, &bytes)?;
            }
        }
        Err(Stop::Breach("they never stop talking".into()))
    }

    /// New clients take everything there is.
    fn collect(&mut self) -> Verdict {
        let taker = match self.dice.below(2) {
            0 => self.welcome(Amqp::new()),
            _ => self.welcome(Openwire::new(9, false)),
        };
        let subscriber = self.welcome(Openwire::new(1, false));
        let reader = self.welcome(Remoting::new(9));
        for at in [taker, subscriber, reader] {
            self.connect(at);
            self.settle_down()?;
            self.with(at, |client, scene| client.collect(scene));
        }
        // What dies meanwhile would come again elsewhere; nobody rejects any more.
        for at in [taker, subscriber] {
            for _ in 0..ROUNDS_MAX {
                self.settle_down()?;
                if !self.with(at, |client, scene| client.settle_all(scene)) {
                    break;
                }
            }
            self.with(at, |client, scene| client.leave(scene));
        }
        self.settle_down()?;
        for at in [taker, subscriber, reader] {
            self.hang_up(at);
        }
        self.guests.clear();
        self.house.rest()?;
        self.judge.judge_end()?;
        self.partitions.judge_end()
    }
}

//! The links between clients and doors: bytes that arrive in pieces, and connections that end.

use std::collections::BTreeMap;

use broker::id::SessionId;
use gateway::door::{Closing, Links};
use store::Dice;

/// One connection.
#[derive(Default)]
pub(super) struct Pipe {
    /// Said by the client and not arrived.
    under_way: Vec<u8>,
    /// Arrived, and not worked off by the door.
    inbox: Vec<u8>,
    /// Written by the door, and not read by the client.
    out: Vec<u8>,
    /// Something has arrived, or the door asked to be offered the rest again.
    stirred: bool,
    /// The door has stopped reading.
    rests: bool,
    closing: Option<Closing>,
}

impl Pipe {
    pub fn say(&mut self, bytes: &[u8]) {
        self.under_way.extend_from_slice(bytes);
    }

    /// A piece of what is under way arrives.
    pub fn carry(&mut self, dice: &mut Dice) {
        let piece = piece(self.under_way.len(), dice);
        self.arrive(piece);
    }

    /// All of it arrives.
    pub fn carry_all(&mut self) {
        self.arrive(self.under_way.len());
    }

    fn arrive(&mut self, count: usize) {
        if self.rests || count == 0 {
            return;
        }
        self.inbox.extend(self.under_way.drain(..count));
        self.stirred = true;
    }

    /// A piece of what the door has written.
    pub fn hear(&mut self, dice: &mut Dice) -> Vec<u8> {
        let piece = piece(self.out.len(), dice);
        self.out.drain(..piece).collect()
    }

    pub fn hear_all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The door has ended it, and everything was read.
    pub fn is_over(&self) -> bool {
        match self.closing {
            None => false,
            Some(Closing::Now) => true,
            Some(Closing::Sent | Closing::Grace { .. }) => self.out.is_empty(),
        }
    }

    /// Whether nothing is under way that somebody would take.
    pub fn is_quiet(&self) -> bool {
        self.out.is_empty() && (self.under_way.is_empty() || self.rests)
    }
}

/// How many of so many bytes come at once: mostly all, often a few, sometimes none.
fn piece(bytes: usize, dice: &mut Dice) -> usize {
    if bytes == 0 {
        return 0;
    }
    let most = match dice.below(12) {
        0 => 0,
        1 => 1 + dice.below(7),
        2 | 3 => 1 + dice.below(100),
        4 => 1 + dice.below(2_000),
        _ => bytes as u64,
    };
    bytes.min(most as usize)
}

/// All connections.
#[derive(Default)]
pub(super) struct Pipes(BTreeMap<SessionId, Pipe>, Vec<u8>);

impl Pipes {
    pub fn open(&mut self, session: SessionId) {
        self.0.insert(session, Pipe::default());
    }

    pub fn of(&mut self, session: SessionId) -> Option<&mut Pipe> {
        self.0.get_mut(&session)
    }

    pub fn remove(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    pub fn each(&mut self) -> impl Iterator<Item = &mut Pipe> {
        self.0.values_mut()
    }

    pub fn is_stirred(&self) -> bool {
        self.0.values().any(|pipe| pipe.stirred)
    }

    pub fn is_quiet(&self) -> bool {
        self.0.values().all(Pipe::is_quiet)
    }

    /// What the doors have not worked off, for those that have something to look at.
    pub fn take_stirred(&mut self) -> Vec<(SessionId, Vec<u8>)> {
        let stirred = self.0.iter_mut().filter(|(_, pipe)| pipe.stirred);
        stirred
            .map(|(session, pipe)| {
                pipe.stirred = false;
                (*session, std::mem::take(&mut pipe.inbox))
            })
            .collect()
    }

    pub fn give_back(&mut self, session: SessionId, left: &[u8]) {
        if let Some(pipe) = self.0.get_mut(&session) {
            pipe.inbox.splice(0..0, left.iter().copied());
        }
    }

    /// The last words of everybody: what of it was still read is random.
    pub fn last_words(&mut self, dice: &mut Dice) -> BTreeMap<SessionId, Vec<u8>> {
        let pipes = std::mem::take(&mut self.0);
        pipes
            .into_iter()
            .map(|(session, mut pipe)| (session, pipe.hear(dice)))
            .collect()
    }
}

impl Links for Pipes {
    fn out(&mut self, session: SessionId) -> &mut Vec<u8> {
        match self.0.get_mut(&session) {
            Some(pipe) => &mut pipe.out,
            None => {
                self.1.clear();
                &mut self.1
            }
        }
    }

    fn unsent(&self, session: SessionId) -> usize {
        self.0.get(&session).map_or(0, |pipe| pipe.out.len())
    }

    fn close(&mut self, session: SessionId, closing: Closing) {
        if let Some(pipe) = self.0.get_mut(&session) {
            pipe.closing.get_or_insert(closing);
        }
    }

    fn resume(&mut self, session: SessionId) {
        if let Some(pipe) = self.0.get_mut(&session) {
            pipe.stirred = true;
        }
    }

    fn stop_reading(&mut self, session: SessionId) {
        if let Some(pipe) = self.0.get_mut(&session) {
            pipe.rests = true;
        }
    }

    fn read_again(&mut self, session: SessionId) {
        if let Some(pipe) = self.0.get_mut(&session) {
            pipe.rests = false;
            pipe.stirred = true;
        }
    }
}

//! What waits for an event of the broker. A token is `generation 24 | place 20 | part 20`: a
//! request that asks many things of the broker has one place and numbers its parts.

use broker::id::Token;

const PART_BITS: u32 = 20;
const PLACE_BITS: u32 = 20;
const GENERATION_BITS: u32 = 24;

/// The most requests that wait at one time, over all connections.
pub const PLACES_MAX: usize = 1 << PLACE_BITS;
/// The most parts of one request.
pub const PARTS_MAX: usize = 1 << PART_BITS;

/// Values under tokens that are never mistaken for one another's.
#[derive(Debug)]
pub struct Pending<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Pending<T> {
    fn default() -> Pending<T> {
        Pending {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

fn place(token: Token) -> usize {
    (token.0 >> PART_BITS) as usize & (PLACES_MAX - 1)
}

fn generation(token: Token) -> u32 {
    (token.0 >> (PART_BITS + PLACE_BITS)) as u32
}

/// Which part of a request a token names.
pub fn part(token: Token) -> usize {
    token.0 as usize & (PARTS_MAX - 1)
}

/// The token of a part.
pub fn with_part(token: Token, part: usize) -> Token {
    assert!(
        part < PARTS_MAX,
        "the parts of a request are limited before they are asked for"
    );
    Token(token.0 & !(PARTS_MAX as u64 - 1) | part as u64)
}

impl<T> Pending<T> {
    /// `None` if all places are taken.
    pub fn insert(&mut self, value: T) -> Option<Token> {
        let at = match self.free.pop() {
            Some(at) => at as usize,
            None if self.slots.len() < PLACES_MAX => {
                self.slots.push(Slot {
                    generation: 0,
                    value: None,
                });
                self.slots.len() - 1
            }
            None => return None,
        };
        let slot = &mut self.slots[at];
        slot.value = Some(value);
        let generation = u64::from(slot.generation) << (PART_BITS + PLACE_BITS);
        Some(Token(generation | (at as u64) << PART_BITS))
    }

    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.slots.get_mut(place(token))?;
        if slot.generation == generation(token) {
            slot.value.as_mut()
        } else {
            None
        }
    }

    pub fn take(&mut self, token: Token) -> Option<T> {
        self.get_mut(token)?;
        self.take_at(place(token))
    }

    fn take_at(&mut self, at: usize) -> Option<T> {
        let slot = self.slots.get_mut(at)?;
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & ((1 << GENERATION_BITS) - 1);
        self.free.push(at as u32);
        Some(value)
    }

    /// Forgets what is not wanted any more.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for at in 0..self.slots.len() {
            if self.slots[at]
                .value
                .as_ref()
                .is_some_and(|value| !keep(value))
            {
                self.take_at(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_outlives_its_place_and_finds_nothing() {
        let mut pending = Pending::default();
        let first = pending.insert('a').unwrap();
        let second = pending.insert('b').unwrap();
        assert_eq!(pending.get_mut(with_part(first, 77)), Some(&mut 'a'));
        assert_eq!(part(with_part(first, 77)), 77);
        assert_eq!(pending.take(first), Some('a'));
        assert_eq!(pending.take(first), None);
        let third = pending.insert('c').unwrap();
        assert_ne!(first, third);
        assert_eq!(pending.take(first), None);
        pending.retain(|value| *value == 'c');
        assert_eq!(
            (pending.take(second), pending.take(third)),
            (None, Some('c'))
        );
    }
}

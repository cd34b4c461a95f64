//! What a queue or partition keeps of a message: 16 bytes that find it in the log and decide
//! about it without reading it.

use crate::id::{Index, MessageRef, Millis, ShardId};

/// `index 44 | slot 12 | flags 8 | size 32 | aux 32`, little endian on disk.
///
/// `aux` is the expiry in a queue and the tag hash in a partition. An expiry is kept in units of
/// 8 ms modulo 2³², rounded up: right within 198 days of now, so that a longer life than
/// [`Entry::LIFE_MS_MAX`] is cut to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry(u128);

/// The eight flags of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryFlags(pub u8);

impl EntryFlags {
    /// The publisher asked for the message to survive.
    pub const PERSISTENT: EntryFlags = EntryFlags(1);
    /// `aux` is an expiry.
    pub const EXPIRES: EntryFlags = EntryFlags(2);
    /// The envelope carries attempts counted before this entry was made.
    pub const ATTEMPTED: EntryFlags = EntryFlags(4);
    /// The envelope names a strand.
    pub const STRAND: EntryFlags = EntryFlags(8);
    /// It expires as it arrives, unless somebody takes it at once.
    pub const AT_ONCE: EntryFlags = EntryFlags(16);

    pub fn with(self, other: EntryFlags) -> EntryFlags {
        EntryFlags(self.0 | other.0)
    }

    pub fn has(self, other: EntryFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Entry {
    pub const BYTES: usize = 16;
    /// 180 days.
    pub const LIFE_MS_MAX: u64 = 180 * 24 * 3600 * 1000;
    const EXPIRY_UNIT_MS: u64 = 8;
    /// Between the moment a door takes a message and that of its frame.
    const ARRIVAL_MS_MAX: u64 = 64;

    pub fn new(index: Index, slot: u16, flags: EntryFlags, size: u32, aux: u32) -> Entry {
        assert!(index.0 <= MessageRef::INDEX_MAX && slot <= MessageRef::SLOT_MAX);
        Entry(
            u128::from(index.0)
                | u128::from(slot) << 44
                | u128::from(flags.0) << 56
                | u128::from(size) << 64
                | u128::from(aux) << 96,
        )
    }

    pub fn index(self) -> Index {
        Index(self.0 as u64 & MessageRef::INDEX_MAX)
    }

    pub fn slot(self) -> u16 {
        (self.0 >> 44) as u16 & MessageRef::SLOT_MAX
    }

    pub fn flags(self) -> EntryFlags {
        EntryFlags((self.0 >> 56) as u8)
    }

    /// The size of the whole record in bytes.
    pub fn size(self) -> u32 {
        (self.0 >> 64) as u32
    }

    pub fn aux(self) -> u32 {
        (self.0 >> 96) as u32
    }

    pub fn message(self, shard: ShardId) -> MessageRef {
        MessageRef::new(shard, self.index(), self.slot())
    }

    /// The `aux` of an expiry, cut to the longest life that can be told apart.
    pub fn expiry_aux(expires: Millis, now: Millis) -> u32 {
        let cut = expires.0.min(now.0 + Self::LIFE_MS_MAX);
        cut.div_ceil(Self::EXPIRY_UNIT_MS) as u32
    }

    /// The flags and the `aux` of a message that expires, as it is stored. One that has no time left
    /// is marked, and has expired already; one that had none left long before is only that.
    pub fn expiring(flags: EntryFlags, expires: Millis, now: Millis) -> (EntryFlags, u32) {
        let flags = flags.with(EntryFlags::EXPIRES);
        if expires > now {
            return (flags, Self::expiry_aux(expires, now));
        }
        let flags = if now.since(expires) <= Self::ARRIVAL_MS_MAX {
            flags.with(EntryFlags::AT_ONCE)
        } else {
            flags
        };
        (flags, (expires.0 / Self::EXPIRY_UNIT_MS) as u32)
    }

    /// When the entry expires, in the 397 days around `now`.
    pub fn expires(self, now: Millis) -> Option<Millis> {
        if !self.flags().has(EntryFlags::EXPIRES) {
            return None;
        }
        let now_units = now.0 / Self::EXPIRY_UNIT_MS;
        let distance = self.aux().wrapping_sub(now_units as u32) as i32;
        Some(Millis(
            (now_units as i64 + i64::from(distance)).max(0) as u64 * Self::EXPIRY_UNIT_MS,
        ))
    }

    pub fn has_expired(self, now: Millis) -> bool {
        self.expires(now).is_some_and(|at| at <= now)
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Entry {
        Entry(u128::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch() {
        let entry = Entry::new(Index(MessageRef::INDEX_MAX), 0, EntryFlags(0), u32::MAX, 0);
        assert_eq!((entry.index().0, entry.slot()), (MessageRef::INDEX_MAX, 0));
        assert_eq!(
            (entry.flags().0, entry.size(), entry.aux()),
            (0, u32::MAX, 0)
        );
        let entry = Entry::new(Index(0), MessageRef::SLOT_MAX, EntryFlags(255), 0, u32::MAX);
        assert_eq!((entry.index().0, entry.slot()), (0, MessageRef::SLOT_MAX));
        assert_eq!(
            (entry.flags().0, entry.size(), entry.aux()),
            (255, 0, u32::MAX)
        );
        assert_eq!(Entry::from_bytes(entry.to_bytes()), entry);
    }

    #[test]
    fn what_has_no_time_left_has_expired() {
        let now = Millis(1_800_000_000_123);
        for (ago, at_once) in [(0, true), (64, true), (65, false), (1_000_000, false)] {
            let expires = Millis(now.0 - ago);
            let (flags, aux) = Entry::expiring(EntryFlags::PERSISTENT, expires, now);
            let entry = Entry::new(Index(1), 0, flags, 1, aux);
            assert!(entry.has_expired(now) && flags.has(EntryFlags::PERSISTENT));
            assert_eq!(flags.has(EntryFlags::AT_ONCE), at_once, "{ago} ms ago");
        }
        let (flags, _) = Entry::expiring(EntryFlags::default(), now.plus(1), now);
        assert_eq!(flags, EntryFlags::EXPIRES);
    }

    #[test]
    fn an_expiry_is_never_early_and_at_most_a_unit_late() {
        let now = Millis(1_800_000_000_123);
        for life in [0, 1, 7, 8, 1000, Entry::LIFE_MS_MAX] {
            let aux = Entry::expiry_aux(now.plus(life), now);
            let entry = Entry::new(Index(1), 0, EntryFlags::EXPIRES, 1, aux);
            let at = entry.expires(now).unwrap();
            assert!(
                at >= now.plus(life) && at.since(now.plus(life)) < 8,
                "life {life}"
            );
            assert!(entry.has_expired(now.plus(life + 8)));
        }
    }
}

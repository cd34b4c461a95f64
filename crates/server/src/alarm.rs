//! When publishers have to rest: too little room on the disk, or too much in memory.
//!
//! | alarm | is raised | ends |
//! |---|---|---|
//! | disk | fewer than `limits.disk_free_bytes` are free, or the store finds the disk full | a quarter more than that is free, and the store has room |
//! | memory | what we hold is more than `limits.memory_bytes`; or the process is larger than that, and a quarter of it is what we hold | we hold three quarters of it or less, and the process is no larger than it or we hold next to nothing (an eighth) |
//!
//! *What we hold* are the bytes that grow by publishing and shrink by consuming: bodies of volatile
//! queues that are in memory (what was spilled to the disk is not), and frames that the disk has not
//! caught up with. It is known exactly and looked at in
//! every turn. The size of the process, and the room on the disk, are asked of the system at most
//! once a second. The gaps between raising and ending are there so that a level that sways does
//! not tell every publisher about it.
//!
//! Caveats: the size of the process never keeps an alarm up alone, as an allocator may keep what
//! was freed, and publishers would rest for ever although nothing is left to consume. Caches,
//! connections and the index of the log are bounded elsewhere. Where the system does not tell (no
//! `/proc`), only what we hold counts, and without a limit of one's own there is none. Within a
//! second a publisher can write more than the difference: `limits.disk_free_bytes` is a distance to
//! keep, not a promise.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gateway::door::{Alarms, Disk};

use crate::config::Config;

/// How often the system is asked, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is asked of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Measured {
    /// Of the whole process.
    resident_bytes: Option<u64>,
    disk: Option<Disk>,
}

impl Measured {
    fn disk_free_bytes(self) -> Option<u64> {
        self.disk.map(|disk| disk.free_bytes)
    }
}

/// Where the alarms begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limits {
    memory_bytes: u64,
    disk_free_bytes: u64,
}

/// Looks at what there is, and remembers what was told.
pub(crate) struct Watch {
    limits: Limits,
    data_dir: PathBuf,
    measured: Measured,
    /// Nobody has been told of the measure yet.
    is_news: bool,
    next_look: Option<Instant>,
    store_is_full: bool,
    alarms: Alarms,
}

impl Watch {
    pub fn new(config: &Config) -> Watch {
        let memory_bytes = config.limits.memory_bytes.or_else(default_memory_bytes);
        let limits = Limits {
            memory_bytes: memory_bytes.unwrap_or(u64::MAX),
            disk_free_bytes: config.limits.disk_free_bytes,
        };
        tracing::info!(
            limits.memory_bytes,
            limits.disk_free_bytes,
            "publishers rest beyond these"
        );
        Watch {
            limits,
            data_dir: config.data_dir.0.clone(),
            measured: Measured::default(),
            is_news: false,
            next_look: None,
            store_is_full: false,
            alarms: Alarms::NONE,
        }
    }

    /// What the store says about its disk.
    pub fn store_is_full(&mut self, is_full: bool) {
        self.store_is_full = is_full;
    }

    /// The alarms, if they are others than before.
    pub fn look(&mut self, now: Instant, held_bytes: u64) -> Option<Alarms> {
        if self.next_look.is_none_or(|at| at <= now) {
            self.next_look = Some(now + LOOK_EVERY);
            self.measured = Measured {
                resident_bytes: resident_bytes(),
                disk: self.disk(),
            };
            self.is_news = true;
        }
        let alarms = self
            .limits
            .judge(self.alarms, self.measured, held_bytes, self.store_is_full);
        if alarms == self.alarms {
            return None;
        }
        let resident_bytes = self.measured.resident_bytes;
        let disk_free_bytes = self.measured.disk_free_bytes();
        tracing::warn!(
            memory = alarms.memory,
            disk = alarms.disk,
            held_bytes,
            resident_bytes,
            disk_free_bytes,
            store_is_full = self.store_is_full,
            "{}",
            if alarms.any() {
                "publishers rest"
            } else {
                "publishers go on"
            }
        );
        self.alarms = alarms;
        Some(alarms)
    }

    /// While an alarm holds, its end may come from outside.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_look.filter(|_| self.alarms.any())
    }

    /// How full the disk is, if it was measured since this was asked.
    pub fn take_disk(&mut self) -> Option<Disk> {
        let disk = self.measured.disk;
        disk.filter(|_| std::mem::take(&mut self.is_news))
    }

    fn disk(&self) -> Option<Disk> {
        let room = rustix::fs::statvfs(&self.data_dir).ok()?;
        Some(Disk {
            total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        })
    }
}

impl Limits {
    /// What holds next, by what held before.
    fn judge(
        self,
        before: Alarms,
        measured: Measured,
        held_bytes: u64,
        store_is_full: bool,
    ) -> Alarms {
        let Limits {
            memory_bytes: memory,
            disk_free_bytes: disk,
        } = self;
        let is_large = measured.resident_bytes.is_some_and(|bytes| bytes > memory);
        let memory = if before.memory {
            let held_is_low = held_bytes <= memory / 4 * 3;
            !(held_is_low && (!is_large || held_bytes <= memory / 8))
        } else {
            held_bytes > memory || is_large && held_bytes > memory / 4
        };
        let enough = if before.disk {
            disk.saturating_add(disk / 4)
        } else {
            disk
        };
        let is_short = measured.disk_free_bytes().is_some_and(|free| free < enough);
        Alarms {
            memory,
            disk: store_is_full || is_short,
        }
    }
}

/// Six tenths of what this process may use: the machine's memory, or its container's.
fn default_memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total_of_meminfo);
    // A container without a limit says `max`.
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    let bytes = machine.into_iter().chain(container).min()?;
    Some(bytes / 10 * 6)
}

/// From `MemTotal:       16303412 kB`.
fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// The second number of `/proc/self/statm`, in pages.
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory_bytes: 800,
        disk_free_bytes: 1000,
    };
    const fn disk(free_bytes: u64) -> Disk {
        Disk {
            total_bytes: u64::MAX,
            free_bytes,
        }
    }

    const PLENTY: Measured = Measured {
        resident_bytes: Some(10),
        disk: Some(disk(u64::MAX)),
    };

    #[test]
    fn memory_is_short_by_what_we_hold_and_ends_lower() {
        // What is held, how large the process is, and whether the alarm holds then.
        let mut alarms = Alarms::NONE;
        for (held, resident, holds) in [
            (800, Some(10), false),
            (801, Some(10), true),
            (601, Some(10), true),
            (600, Some(10), false),
            (800, Some(10), false),
            // A large process alone is no reason, and nothing that consumers could mend.
            (200, Some(801), false),
            (201, Some(801), true),
            (201, Some(800), false),
            (201, Some(801), true),
            (101, Some(801), true),
            (100, Some(801), false),
            (0, Some(u64::MAX), false),
            (801, None, true),
            (600, None, false),
        ] {
            let measured = Measured {
                resident_bytes: resident,
                ..PLENTY
            };
            alarms = LIMITS.judge(alarms, measured, held, false);
            assert_eq!(
                (alarms.memory, alarms.disk),
                (holds, false),
                "{held} {resident:?}"
            );
        }
    }

    #[test]
    fn the_disk_is_short_by_what_is_free_or_as_the_store_says() {
        let mut alarms = Alarms::NONE;
        for (free, store_is_full, holds) in [
            (Some(1000), false, false),
            (Some(999), false, true),
            (Some(1249), false, true),
            (Some(1250), false, false),
            (Some(1000), false, false),
            (Some(u64::MAX), true, true),
            (Some(1249), false, true),
            (Some(1250), false, false),
            (None, true, true),
            (None, false, false),
        ] {
            let measured = Measured {
                disk: free.map(disk),
                ..PLENTY
            };
            alarms = LIMITS.judge(alarms, measured, 0, store_is_full);
            assert_eq!(
                (alarms.memory, alarms.disk),
                (false, holds),
                "{free:?} {store_is_full}"
            );
        }
    }

    #[test]
    fn no_limit_is_never_reached() {
        let none = Limits {
            memory_bytes: u64::MAX,
            disk_free_bytes: 0,
        };
        let worst = Measured {
            resident_bytes: Some(u64::MAX),
            disk: Some(disk(0)),
        };
        assert_eq!(
            none.judge(Alarms::NONE, worst, u64::MAX, false),
            Alarms::NONE
        );
    }

    #[test]
    fn a_change_is_told_once_and_watched_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data_dir.0 = dir.path().into();
        config.limits.memory_bytes = Some(u64::MAX / 2);
        config.limits.disk_free_bytes = u64::MAX;
        let mut watch = Watch::new(&config);
        let mut now = Instant::now();
        let disk = Alarms {
            disk: true,
            memory: false,
        };
        assert_eq!(watch.look(now, 0), Some(disk));
        assert_eq!(
            (watch.look(now, 0), watch.deadline()),
            (None, watch.next_look)
        );
        watch.limits.disk_free_bytes = 0;
        now += LOOK_EVERY;
        assert_eq!(watch.look(now, 0), Some(Alarms::NONE));
        assert_eq!(watch.deadline(), None);
        watch.store_is_full(true);
        assert_eq!(watch.look(now, 0), Some(disk));
        assert_eq!(
            watch.look(now, u64::MAX),
            Some(Alarms {
                memory: true,
                disk: true
            })
        );
    }

    #[test]
    fn the_machine_says_how_much_it_has() {
        let text = "MemFree:  1 kB\nMemTotal:       16303412 kB\n";
        assert_eq!(total_of_meminfo(text), Some(16_303_412 * 1024));
        assert_eq!(total_of_meminfo("MemTotal: many"), None);
        if cfg!(target_os = "linux") {
            assert!(default_memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
            assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}

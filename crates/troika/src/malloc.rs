//! What the C library's allocator is told, so that a process that was busy becomes small again.
//!
//! glibc gives back only what lies at the end of the heap, and raises the size from which a piece is the kernel's own
//! each time such a piece is freed, up to 32 MB. What a burst, a checkpoint or the start took stays resident for ever,
//! as holes between what lives longer. Here that size is fixed, and a thread looks whether the process has grown and
//! gives the holes back, wherever they are. It does so rarely, and the heap's end is left to it, too: with thresholds
//! of 512 KB and 1 MB instead a message cost a tenth more CPU time.
//!
//! Caveats: while holes are given back, some milliseconds at most, other threads may have to wait for memory. With
//! other C libraries nothing is done.

#[cfg(target_env = "gnu")]
pub use gnu::stay_small;

#[cfg(not(target_env = "gnu"))]
pub fn stay_small() {}

#[cfg(target_env = "gnu")]
mod gnu {
    // Nobody offers a safe way to these but the environment, which is the operator's.
    #![allow(unsafe_code)]

    use std::thread;
    use std::time::Duration;

    use libc::c_int;

    /// Pieces of this size are taken from the kernel and given back to it one by one; larger than the batches of a
    /// busy server.
    const LARGE_BYTES: c_int = 4 << 20;
    /// So much may lie unused at the end of the heap until holes are looked for.
    const UNUSED_BYTES_MAX: c_int = 64 << 20;
    /// How often the process is looked at.
    const LOOK_EVERY: Duration = Duration::from_secs(2);
    /// Holes are looked for when it has grown by this: a tenth of what an idle process has.
    const GROWN_BYTES: u64 = 1 << 20;
    /// Each has holes of its own; a single one cost some 6 % of CPU time per message with eight connections.
    const ARENAS_MAX: c_int = 2;

    /// To be called before there are other threads.
    pub fn stay_small() {
        for (setting, value) in [
            (libc::M_MMAP_THRESHOLD, LARGE_BYTES),
            (libc::M_TRIM_THRESHOLD, UNUSED_BYTES_MAX),
            (libc::M_ARENA_MAX, ARENAS_MAX),
        ] {
            // SAFETY: two numbers are taken and one of the allocator's own is set.
            let known = unsafe { libc::mallopt(setting, value) };
            debug_assert_eq!(known, 1, "setting {setting}");
        }
        let thread = thread::Builder::new().name("memory".into());
        // Without it the process is only larger than it needs to be.
        let _ = thread.spawn(give_back_holes);
    }

    fn give_back_holes() {
        let mut least = 0;
        while let Some(resident) = resident_bytes() {
            if resident >= least + GROWN_BYTES {
                // SAFETY: what is given back are pages of the heap that nobody was given.
                unsafe { libc::malloc_trim(0) };
                least = resident_bytes().unwrap_or(resident);
            }
            least = least.min(resident);
            thread::sleep(LOOK_EVERY);
        }
    }

    /// `None` where the system does not tell.
    fn resident_bytes() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        pages.checked_mul(rustix::param::page_size() as u64)
    }
}

//! The store as its owner uses it, over the simulated disk and once over the real one.
//!
//! Two lives are lived again and again: one with pages and checkpoints, and one in which cold segments
//! are made, and made again.
//!
//! Faults are tried one by one, or all that there are; what is drawn at random is drawn from a seed.
//! After each one everything that was confirmed is there, or the start (or the read) is refused with
//! an error that names file, offset and remedy.
//!
//! | fault | tried at | where |
//! |---|---|---|
//! | crash; nothing unsynced lost, all, or some of it, torn | every I/O step of two lives | `faults` |
//! | crash, full disk, failing sync while it recovers | every step, after crashes all over them | `faults` |
//! | unsynced pages of 4 KB lost | every subset of those of a group | `faults` |
//! | torn write | every byte of a frame, the rest zero or old | `faults` |
//! | failing sync | every sync of both lives, and what the kernel then wrongly calls clean | `faults` |
//! | disk full | from every step of both lives on; at every 2 KB of capacity | `full` |
//! | crash, failing sync while a full disk is merged | every step and sync of it | `full` |
//! | start after start | twenty on a full disk | `full` |
//! | flipped bit | every bit of segment header, frame header, heads, facts, records, mark | `flips` |
//! | flipped bit | every bit of a checkpoint, and both checkpoints damaged | `flips` |
//! | flipped bit | every bit of a page | `flips` |
//! | flipped bit | every bit of a cold segment | `cold` |
//! | files missing, foreign | segment, cold segment, node, pages | `flips`, `cold` |
//! | canary: a disk that lies about syncs | must be caught | `faults` |
//! | canary: a cold segment that leaves a message out | must be caught | `faults` |

mod cold;
mod faults;
mod fixture;
mod flips;
mod full;
mod real;
mod script;
mod survey;

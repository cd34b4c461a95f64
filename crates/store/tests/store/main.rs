//! The store as its owner uses it, over the simulated disk and once over the real one.

mod faults;
mod fixture;
mod flips;
mod full;
mod real;
mod script;

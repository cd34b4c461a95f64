//! The broker's machines in a simulated world: golden scripts, and random commands against a
//! naive model.

mod chance;
mod model;
mod script;
mod stage;
mod strange;
mod telling;
mod volatile;
mod world;

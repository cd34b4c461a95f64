//! The broker's machines in a simulated world: golden scripts, and random commands against a
//! naive model.

mod bodies;
mod chance;
mod golden;
mod messages;
mod model;
mod parts;
mod script;
mod stage;
mod strange;
mod sweep;
mod telling;
mod timers;
mod volatile;
mod words;
mod world;

//! The broker's machines in a simulated world: golden scripts, and random commands against a
//! naive model.

mod model;
mod script;
mod world;

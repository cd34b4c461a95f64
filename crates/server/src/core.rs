//! What a door's context is made of, in one place, so that a door can be called while it is held.

use broker::id::Millis;
use broker::pass::Pass;
use gateway::door::Context;

use crate::access::Gate;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::entropy::Entropy;
use crate::links::Connections;
use crate::throttle::Throttle;

pub(crate) struct Core {
    pub engine: Engine,
    /// What the doors ask until it is handed over.
    pub pass: Pass,
    pub links: Connections,
    clock: Clock,
    now: Millis,
    entropy: Entropy,
    next_consumer: u64,
    /// Lines about logins that were refused.
    refused: Throttle,
}

impl Core {
    pub fn new(engine: Engine, mut clock: Clock, entropy: Entropy) -> Core {
        let now = clock.now();
        Core {
            engine,
            pass: Pass::default(),
            links: Connections::default(),
            clock,
            now,
            entropy,
            next_consumer: 0,
            refused: Throttle::default(),
        }
    }

    /// The time of this turn.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// A turn begins: within it time stands still.
    pub fn look_at_the_clock(&mut self) {
        self.now = self.clock.now();
    }

    pub fn with<R>(&mut self, act: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let topology = self.engine.topology();
        let entropy = &mut self.entropy;
        act(&mut Context {
            now: self.now,
            topology,
            pass: &mut self.pass,
            records: self.engine.bodies(),
            links: &mut self.links,
            access: &Gate::new(topology, self.now, &self.refused),
            entropy: &mut || entropy.draw(),
            next_consumer: &mut self.next_consumer,
        })
    }
}

//! The end of a session that has very much: it goes in parts, so that nobody is held up.

use broker::event::{Answer, Effects};
use broker::id::{ConsumerId, Durability, SessionId};
use broker::pass::{Command, ConsumerOptions, Credit, Mode, Sharing};
use broker::topology::{Change, QueueSpec};

use super::world::{World, queue};

const S: SessionId = SessionId(7);
const OWNED: usize = 100;
/// What one pass may take away at most.
const PART_MAX: usize = 32;

fn own(world: &mut World, number: usize) {
    let name = format!("own{number}");
    let change = Change::DeclareQueue(QueueSpec {
        durability: Durability::Volatile,
        owner: Some(S),
        ..queue(&name)
    });
    let made = world.done(S, |token| Command::Change { token, change });
    assert!(matches!(made, Some(Ok(_))), "{made:?}");
    let queue = world.queue(&name);
    let attached = world.done(S, |token| Command::Attach {
        token,
        consumer: ConsumerId(number as u64),
        queue,
        options: ConsumerOptions {
            mode: Mode::Lease,
            sharing: Sharing::Shared,
            priority: 0,
            filter: None,
            credit: Credit::Unlimited,
        },
    });
    assert_eq!(attached, Some(Ok(Answer::Done)));
}

#[test]
fn a_session_that_owns_much_ends_in_parts() {
    let mut world = World::new();
    (0..OWNED).for_each(|number| own(&mut world, number));
    let mut left = world.node.topology().queue_count();
    let others = left - OWNED;
    world.pass.push(S, Command::End);
    let mut steps = 0;
    loop {
        let pass = std::mem::take(&mut world.pass);
        let mut effects = Effects::default();
        world.node.handle(pass, world.now, &mut effects);
        world.node.advance(world.now, &world.bodies, &mut effects);
        assert!(effects.frames.is_empty(), "nothing of it is logged");
        let before = std::mem::replace(&mut left, world.node.topology().queue_count());
        assert!(before - left <= PART_MAX);
        steps += 1;
        if !world.node.has_work() {
            break;
        }
    }
    assert_eq!(left, others);
    // Consumers first, then queues.
    assert!(steps >= 2 * OWNED / PART_MAX, "{steps} steps");
    world.compare_with_replay();
}

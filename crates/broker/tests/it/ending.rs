//! The end of a session that has very much: it goes in parts, so that nobody is held up.

use broker::event::{Answer, Effects, Event};
use broker::id::{ConsumerId, Durability, SessionId, Token};
use broker::pass::{Command, ConsumerOptions, Credit, Mode, Sharing};
use broker::topology::{Change, QueueSpec};

use super::world::{World, queue};

const S: SessionId = SessionId(7);
const OWNED: usize = 200;
/// What a millisecond may take away at most, and a turn that had begun before.
const PART_MAX: usize = 40;

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

/// Takes steps as the clock goes on, until only so many queues are left; tells how many each of them
/// took away.
fn steps(world: &mut World, left: usize) -> Vec<usize> {
    let mut steps = Vec::new();
    while world.node.topology().queue_count() > left {
        let before = world.node.topology().queue_count();
        let pass = std::mem::take(&mut world.pass);
        let mut effects = Effects::default();
        world.node.handle(pass, world.now, &mut effects);
        world.node.advance(world.now, &world.bodies, &mut effects);
        assert!(effects.frames.is_empty(), "nothing of it is logged");
        steps.push(before - world.node.topology().queue_count());
        if let Some(deadline) = world.node.deadline() {
            world.now = world.now.max(deadline);
        }
    }
    steps
}

#[test]
fn a_session_that_owns_much_ends_in_parts() {
    let mut world = World::new();
    (0..OWNED).for_each(|number| own(&mut world, number));
    let others = world.node.topology().queue_count() - OWNED;
    let begin = world.now;
    world.pass.push(S, Command::End { token: None });
    let steps = steps(&mut world, others);
    assert!(steps.iter().all(|gone| *gone <= PART_MAX), "{steps:?}");
    assert!(world.now.since(begin) >= (OWNED / PART_MAX) as u64);
    world.compare_with_replay();
}

/// Somebody who has little does not wait for somebody who has much.
#[test]
fn sessions_end_by_turns() {
    let mut world = World::new();
    (0..OWNED).for_each(|number| own(&mut world, number));
    world.pass.push(S, Command::End { token: None });
    let token = Token(77);
    let end = Command::End { token: Some(token) };
    world.pass.push(SessionId(8), end);
    let others = world.node.topology().queue_count() - OWNED;
    let is_answer = |event: &Event| matches!(event, Event::Done { token: of, .. } if *of == token);
    while !world.events.iter().any(is_answer) {
        world.run();
        assert!(world.node.topology().queue_count() > others + OWNED / 2);
        world.now = world.now.plus(1);
    }
}

//! What goes in parts, so that nobody is held up: the end of a session that has very much, and what is
//! settled by the thousands.

use broker::event::{Answer, Effects, Event};
use broker::id::{ConsumerId, Durability, Position, QueueId, SessionId, Token};
use broker::pass::{
    Command, ConsumerOptions, Credit, Destination, Mode, Outcome, Positions, Sharing,
};
use broker::record::{Envelope, Language};
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
    attach(world, S, ConsumerId(number as u64), queue);
}

fn attach(world: &mut World, session: SessionId, consumer: ConsumerId, queue: QueueId) {
    let attached = world.done(session, |token| Command::Attach {
        token,
        consumer,
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

/// More than are settled at once.
const MANY: usize = 10_000;
const OTHER: SessionId = SessionId(8);

/// A queue of which a session holds very many messages. Another one waits for the next.
fn hold_many() -> (World, QueueId, Vec<Position>) {
    let mut world = World::new();
    let change = Change::DeclareQueue(queue("jobs"));
    world.done(S, |token| Command::Change { token, change });
    let jobs = world.queue("jobs");
    (0..MANY).for_each(|_| publish(&mut world, jobs, None));
    attach(&mut world, S, ConsumerId(1), jobs);
    let held = delivered(&mut world, S);
    assert_eq!(held.len(), MANY);
    attach(&mut world, OTHER, ConsumerId(2), jobs);
    (world, jobs, held)
}

fn publish(world: &mut World, queue: QueueId, token: Option<Token>) {
    let mut envelope = Envelope::new(Language(1), "", "jobs", world.now);
    envelope.persistent = true;
    world.publish(S, token, &envelope, &[Destination::Queue(queue)], "m");
}

/// What a session was given since it was asked last.
fn delivered(world: &mut World, session: SessionId) -> Vec<Position> {
    let mut given = Vec::new();
    world.events.retain(|event| match event {
        Event::Deliver(delivery) if delivery.session == session => {
            given.push(delivery.position);
            false
        }
        _ => true,
    });
    given
}

fn is_answered(world: &World, token: Token) -> bool {
    world.events.iter().any(
        |event| matches!(event, Event::Done { token: of, .. } | Event::Stored { token: of, .. } if *of == token),
    )
}

fn unsettled(world: &mut World, queue: QueueId) -> u64 {
    match world.done(OTHER, |token| Command::Status { token, queue }) {
        Some(Ok(Answer::Status(status))) => status.unsettled,
        other => panic!("{other:?}"),
    }
}

/// Takes steps, a millisecond each, until a token is answered. Tells how many, and what the other
/// session was given: all of it in one step, or it would be overtaken.
fn wait_for(world: &mut World, token: Token) -> (u64, Vec<Position>) {
    let begin = world.now;
    let mut all = Vec::new();
    loop {
        world.run();
        let given = delivered(world, OTHER);
        assert!(given.is_empty() || all.is_empty(), "one part after another");
        all.extend(given);
        if is_answered(world, token) {
            return (world.now.since(begin), all);
        }
        world.now = world.now.plus(1);
    }
}

fn settle(queue: QueueId, positions: &[Position], outcome: Outcome) -> Command {
    Command::Settle {
        queue,
        positions: Positions::Many(positions.to_vec()),
        outcome,
    }
}

#[test]
fn what_comes_back_in_parts_is_not_overtaken() {
    let (mut world, jobs, held) = hold_many();
    world.ask(S, |token| Command::Detach {
        token,
        consumer: ConsumerId(1),
    });
    world.pass.push(S, settle(jobs, &held, Outcome::Release));
    publish(&mut world, jobs, None);
    let back = world.ask(S, |token| Command::Barrier { token });
    let (steps, given) = wait_for(&mut world, back);
    assert!(steps > 0, "they came back at once");
    assert_eq!(given.len(), MANY + 1);
    assert!(given.is_sorted());
    world.compare_with_replay();
}

#[test]
fn what_is_asked_behind_a_large_settlement_waits_but_for_publishes() {
    let (mut world, jobs, held) = hold_many();
    world.pass.push(S, settle(jobs, &held, Outcome::Accept));
    let (published, barrier) = (world.token(), world.token());
    world.pass.push(S, Command::Barrier { token: barrier });
    publish(&mut world, jobs, Some(published));
    world.run();
    assert!(is_answered(&world, published) && !is_answered(&world, barrier));
    let left = unsettled(&mut world, jobs);
    assert!(left > 0 && left < MANY as u64, "{left} left");
    assert_eq!(
        delivered(&mut world, OTHER).len() + delivered(&mut world, S).len(),
        1
    );
    wait_for(&mut world, barrier);
    assert_eq!(unsettled(&mut world, jobs), 1, "what was published");
    world.compare_with_replay();
}

#[test]
fn a_transaction_begins_behind_a_large_settlement() {
    let (mut world, jobs, held) = hold_many();
    world.pass.push(S, settle(jobs, &held, Outcome::Accept));
    world.pass.push(S, Command::Begin);
    let token = world.ask(S, |token| Command::Commit { token });
    assert_eq!(wait_for(&mut world, token).0, 0);
    assert_eq!(unsettled(&mut world, jobs), 0);
    world.compare_with_replay();
}

#[test]
fn what_a_session_held_comes_back_before_its_end_is_told() {
    let (mut world, jobs, held) = hold_many();
    let change = Change::DeclareQueue(queue("more"));
    world.done(S, |token| Command::Change { token, change });
    let more = world.queue("more");
    attach(&mut world, S, ConsumerId(3), more);
    let token = world.token();
    // The acknowledgement of the second half is still under way.
    let (first, second) = held.split_at(MANY / 2);
    world.pass.push(S, settle(jobs, second, Outcome::Accept));
    world.pass.push(S, Command::End { token: Some(token) });
    world.pass.push(S, Command::Resume);
    publish(&mut world, more, None);
    let (steps, given) = wait_for(&mut world, token);
    assert!(steps > 0, "all of it went at once");
    assert!(given == first, "{} of {}", given.len(), first.len());
    assert_eq!(delivered(&mut world, S), [], "nothing for who has gone");
    world.compare_with_replay();
}

//! The slow sweep looks for what has expired where it may be, and nowhere else.

use broker::event::Answer;
use broker::id::SessionId;
use broker::pass::{Command, Destination};
use broker::record::{Envelope, Language};
use broker::topology::Change;

use super::world::{World, queue};

const SESSION: SessionId = SessionId(1);

#[test]
fn only_pages_that_may_hold_what_has_expired_are_read() {
    let mut world = World::new();
    let change = Change::DeclareQueue(queue("jobs"));
    world.done(SESSION, |token| Command::Change { token, change });
    let jobs = world.queue("jobs");
    // The first one lives for ever; pages 0 to 2 hold what expires, pages 3 to 11 do not.
    for number in 0..12 * 512 {
        let mut envelope = Envelope::new(Language(1), "", "jobs", world.now);
        envelope.persistent = true;
        envelope.expires = (1..1100).contains(&number).then(|| world.now.plus(10_000));
        let destination = [Destination::Queue(jobs)];
        world.publish(SESSION, None, &envelope, &destination, "m");
    }
    world.run();
    world.checkpoint();
    world.crash();
    world.tick(60_000);
    let status = world.done(SESSION, |token| Command::Status { token, queue: jobs });
    let Some(Ok(Answer::Status(status))) = status else {
        panic!("{status:?}")
    };
    assert_eq!(status.ready, 12 * 512 - 1099);
    // Nothing but the page on which they both are is read again in the next sweep.
    assert!((3..=5).contains(&world.loads), "{} loads", world.loads);
    world.compare_with_replay();
}

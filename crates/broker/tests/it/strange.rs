//! What no door should ask: unknown ids, numbers at the ends of their kinds, things that went
//! meanwhile. Every question is answered, and nothing panics.

use broker::event::{Answer, Event};
use broker::id::{
    AddressId, ConsumerId, GroupId, MessageRef, Millis, PartitionId, Position, QueueId, SessionId,
};
use broker::pass::{
    Command, ConsumerOptions, Credit, DeleteCondition, Destination, Forward, Mode, Outcome,
    Positions, Publish, Read, Sharing, Side,
};
use broker::record::{Envelope, Language};
use broker::topology::Change;

use super::world::{World, queue};

const S: SessionId = SessionId(7);

fn options(mode: Mode) -> ConsumerOptions {
    let (sharing, priority, credit) = (Sharing::Shared, 0, Credit::Unlimited);
    ConsumerOptions {
        mode,
        sharing,
        priority,
        filter: None,
        credit,
    }
}

fn outcomes() -> Vec<Outcome> {
    let forward = Forward {
        address: "nowhere".into(),
        key: "".into(),
        partition: Some(u32::MAX),
        due: None,
        token: None,
        attempts: u32::MAX,
    };
    vec![
        Outcome::Accept,
        Outcome::Release,
        Outcome::ReleaseCounted,
        Outcome::ReleaseUntouched,
        Outcome::Reject {
            fallback: None,
            cause: None,
        },
        Outcome::Expired,
        Outcome::Forward(forward),
    ]
}

fn publish(world: &mut World, destination: Destination) {
    let mut envelope = Envelope::new(Language(1), "", "jobs", world.now);
    envelope.expires = Some(Millis(u64::MAX));
    let publish = Publish {
        token: Some(world.token()),
        envelope: &envelope,
        destinations: &[destination],
        tag_hash: u32::MAX,
        producer: None,
    };
    world.pass.publish(S, publish, &[b"m"]);
}

#[test]
fn strange_questions_are_answered() {
    let mut world = World::new();
    let mut spec = queue("jobs");
    spec.options.message_ttl_ms = Some(u64::MAX);
    world.done(S, |token| Command::Change {
        token,
        change: Change::DeclareQueue(spec),
    });
    let jobs = world.queue("jobs");
    let nowhere = PartitionId {
        address: AddressId(u64::MAX),
        number: u32::MAX,
    };
    let mut asked = 0;
    for queue in [QueueId(u64::MAX), QueueId(u64::MAX - 1), jobs] {
        publish(&mut world, Destination::Queue(queue));
        publish(&mut world, Destination::Partition(nowhere));
        publish(&mut world, Destination::Timer(Millis(u64::MAX)));
        world.run();
        for outcome in outcomes() {
            for position in [Position(0), Position(1), Position(u64::MAX)] {
                let (positions, outcome) = (Positions::One(position), outcome.clone());
                world.pass.push(
                    S,
                    Command::Settle {
                        queue,
                        positions,
                        outcome,
                    },
                );
            }
            world.run();
        }
        world.ask(S, |token| Command::Purge { token, queue });
        world.ask(S, |token| Command::Status { token, queue });
        let consumer = ConsumerId(queue.0);
        for mode in [Mode::Lease, Mode::Browse] {
            let options = options(mode);
            world.ask(S, |token| Command::Attach {
                token,
                consumer,
                queue,
                options,
            });
        }
        let holder = consumer;
        world.ask(S, |token| Command::Get {
            token,
            queue,
            holder,
            mode: Mode::Lease,
        });
        asked += 5 + 3;
    }
    let consumer = ConsumerId(jobs.0);
    for _ in 0..2 {
        world.pass.push(
            S,
            Command::Credit {
                consumer,
                credit: Credit::Add(u32::MAX),
            },
        );
        world.pass.push(
            S,
            Command::Fetch {
                consumer,
                count: u32::MAX,
            },
        );
        world.pass.push(S, Command::Resume);
        world.ask(S, |token| Command::Detach { token, consumer });
        world.pass.push(S, Command::Hold);
        asked += 1;
    }
    world.run();
    for offset in [0, 1, u64::MAX] {
        let read = Read {
            partition: nowhere,
            offset: Position(offset),
            messages_max: u32::MAX,
            bytes_max: u32::MAX,
            tags: None,
            filter: None,
            wait_until: None,
        };
        world.ask(S, |token| Command::Read { token, read });
        let time = Millis(offset);
        for side in [Side::Lower, Side::Upper] {
            let partition = nowhere;
            world.ask(S, |token| Command::OffsetAt {
                token,
                partition,
                time,
                side,
            });
        }
        asked += 3;
    }
    let (group, partition) = (GroupId(u64::MAX), nowhere);
    world.ask(S, |token| Command::Bounds { token, partition });
    world.ask(S, |token| Command::Cursor {
        token,
        group,
        partition,
    });
    world.pass.push(
        S,
        Command::SetCursor {
            group,
            partition,
            offset: Position(u64::MAX),
        },
    );
    let message = MessageRef::from_u64(i64::MAX as u64).expect("a name");
    world.ask(S, |token| Command::Find { token, message });
    let (name, condition) = ("nothing".into(), DeleteCondition::default());
    world.ask(S, |token| Command::DeleteQueue {
        token,
        name,
        condition,
    });
    // The queue goes in the pass in which somebody comes to it.
    let (name, consumer) = ("jobs".into(), ConsumerId(99));
    world.ask(S, |token| Command::DeleteQueue {
        token,
        name,
        condition,
    });
    let (queue, options) = (jobs, options(Mode::Lease));
    world.ask(S, |token| Command::Attach {
        token,
        consumer,
        queue,
        options,
    });
    world.ask(S, |token| Command::Get {
        token,
        queue,
        holder: consumer,
        mode: Mode::Settled,
    });
    publish(&mut world, Destination::Queue(jobs));
    world.ask(S, |token| Command::Barrier { token });
    asked += 9;
    world.run();
    for session in [S, SessionId(u64::MAX)] {
        world.pass.push(session, Command::End { token: None });
        world.pass.push(session, Command::Resume);
        world.pass.push(session, Command::End { token: None });
    }
    world.run();
    let answers = world.events.iter().filter(|event| match event {
        Event::Done { .. } | Event::Stored { .. } | Event::Got { .. } | Event::Read { .. } => true,
        Event::Deliver(_)
        | Event::Ready { .. }
        | Event::BrowseEnded { .. }
        | Event::Cancelled { .. }
        | Event::Changed(_) => false,
    });
    assert_eq!(answers.count(), asked);
    world.compare_with_replay();
}

/// On a full disk a pass brings a message that is refused and one that nobody would hear of.
#[test]
fn what_is_refused_is_not_stored_beside_what_is_not() {
    let mut world = World::new();
    world.done(S, |token| Command::Change {
        token,
        change: Change::DeclareQueue(queue("jobs")),
    });
    let queue = world.queue("jobs");
    world.node.disk_full(true);
    let envelope = Envelope::new(Language(1), "", "jobs", world.now);
    for answered in [true, false, true] {
        let token = answered.then(|| world.token());
        world.publish(S, token, &envelope, &[Destination::Queue(queue)], "m");
    }
    world.run();
    match world.done(S, |token| Command::Status { token, queue }) {
        Some(Ok(Answer::Status(status))) => assert_eq!(status.ready, 1),
        other => panic!("{other:?}"),
    }
}

//! RocketMQ and AMQP through one topic: a queue bound to it by tag, an exchange published to.

use gateway::door::{Door, Wire};
use remoting::RequestCode as Code;

use crate::amqp_client::{Client as Amqp, PLAIN, bind, declare, doors, exchange, get};
use crate::remoting_client::{Client, door};
use crate::world::World;

fn world() -> World {
    let both: Vec<(Wire, Box<dyn Door>)> = doors().into_iter().chain(door()).collect();
    let mut world = World::new(both);
    world.pass_time(1);
    world
}

#[test]
fn a_queue_gets_what_a_topic_is_sent_by_tag() {
    let mut world = world();
    let mut rocket = Client::new(&mut world);
    let mut rabbit = Amqp::open(&mut world);
    rocket.send(&mut world, "T", 0, "", "before");
    let lines = rabbit.say(
        &mut world,
        1,
        &[
            declare("all"),
            declare("tagged"),
            bind("all", "T", "#"),
            bind("tagged", "T", "TagA"),
        ],
    );
    assert!(lines.iter().all(|line| line.contains("-ok")), "{lines:?}");
    rocket.send(&mut world, "T", 0, "TAGS\u{1}TagA\u{2}", "a");
    rocket.send(&mut world, "T", 1, "TAGS\u{1}TagB\u{2}", "b");
    // One copy for each, at the moment when it becomes visible.
    rocket.send(
        &mut world,
        "T",
        1,
        "DELAY\u{1}1\u{2}TAGS\u{1}TagA\u{2}",
        "later",
    );
    let mut all = |world: &mut World, queue: &str| {
        let mut bodies = Vec::new();
        loop {
            let lines = rabbit.say(world, 1, &[get(queue)]);
            let line = lines.concat();
            if line.contains("get-empty") {
                return bodies;
            }
            bodies.push(line.rsplit(' ').next().unwrap_or_default().to_owned());
        }
    };
    assert_eq!(all(&mut world, "all"), ["a", "b"]);
    assert_eq!(all(&mut world, "tagged"), ["a"]);
    world.pass_time(1_001);
    assert_eq!(all(&mut world, "all"), ["later"]);
    assert_eq!(all(&mut world, "tagged"), ["later"]);
}

#[test]
fn a_topic_gets_what_an_exchange_is_published() {
    let mut world = world();
    let mut rocket = Client::new(&mut world);
    let mut rabbit = Amqp::open(&mut world);
    rocket.send(&mut world, "T", 0, "", "before");
    for n in 0..4 {
        rabbit.publish(&mut world, "T", "TagA", &PLAIN, format!("r{n}").as_bytes());
    }
    let mut bodies = Vec::new();
    for queue in 0..4 {
        let queue = queue.to_string();
        let fields = crate::remoting_client::pull_fields("T", "0", "TagA", "4", "0");
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(key, value)| {
                (
                    key,
                    if key == "queueId" {
                        queue.as_str()
                    } else {
                        value
                    },
                )
            })
            .collect();
        let found = rocket.ask(&mut world, Code::PullMessage, &fields, &[]);
        assert_eq!(found.code, 0, "queues take turns: {}", found.remark);
        let record = found.records()[0];
        assert_eq!(record.properties().tags(), Some("TagA"));
        assert_eq!(record.properties().get("UNIQ_KEY").map(str::len), Some(32));
        assert_eq!(record.topic, "T");
        let again = rocket.ask(&mut world, Code::PullMessage, &fields, &[]);
        assert_eq!(found.body, again.body, "the same at every delivery");
        bodies.extend(found.bodies().into_iter().map(str::to_owned));
    }
    bodies.sort();
    assert_eq!(bodies, ["r0", "r1", "r2", "r3"]);
}

#[test]
fn the_first_comer_keeps_a_name() {
    let mut world = world();
    let mut rocket = Client::new(&mut world);
    let mut rabbit = Amqp::open(&mut world);
    rabbit.say(&mut world, 1, &[exchange("mine", "direct")]);
    let refused = rocket.send(&mut world, "mine", 0, "", "x");
    assert_eq!(refused.code, 17, "{}", refused.remark);
    let route = [("topic", "mine")];
    assert_eq!(
        rocket
            .ask(&mut world, Code::GetRouteInfoByTopic, &route, &[])
            .code,
        17
    );
}

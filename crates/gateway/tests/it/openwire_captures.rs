//! What an unmodified Java client said to the original broker, said to ours: the answers are the
//! same up to ids, times, numbers and the order of independent frames.

use std::collections::BTreeMap;

use broker::id::SessionId;
use gateway::door::Wire;
use openwire::*;

use crate::openwire_client::{line, world};

const CAPTURES: [(&str, &str); 5] = [
    (
        "loose",
        include_str!("../../../openwire/tests/vectors/cap_loose.txt"),
    ),
    (
        "tight",
        include_str!("../../../openwire/tests/vectors/cap_tight.txt"),
    ),
    (
        "bodies",
        include_str!("../../../openwire/tests/vectors/cap_bodies.txt"),
    ),
    (
        "bodies_gz",
        include_str!("../../../openwire/tests/vectors/cap_bodies_gz.txt"),
    ),
    (
        "failover",
        include_str!("../../../openwire/tests/vectors/cap_failover.txt"),
    ),
];

/// One end of a connection of the capture, and the same connection here.
struct Side {
    from_client: Decoder,
    from_broker: Decoder,
    to_us: Encoder,
    from_us: Decoder,
    theirs: Option<WireFormatOptions>,
    ours: Option<WireFormatOptions>,
    session: SessionId,
    unread: Vec<u8>,
    expected: Vec<String>,
    heard: Vec<String>,
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.allow_frames_of(1 << 24);
    decoder
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// What matters of an answer.
fn essence(command: &Command<'_>) -> String {
    match command {
        // Where we listen is ours to say.
        Command::ExceptionResponse(response) => {
            let exception = response.exception.as_ref().expect("set");
            let class = exception.class.as_ref().expect("set");
            format!("ExceptionResponse {} {class}", response.correlation_id)
        }
        Command::MessageDispatch(dispatch) => {
            let mut shown = line(command);
            if let Some(message) = &dispatch.message {
                let is_advisory = message.data_structure.is_some();
                let mut message = message.clone();
                message.broker_in_time = 0;
                message.broker_out_time = 0;
                message.data_structure = None;
                // Groups are not served yet.
                message.jms_x_group_first_for_consumer = false;
                // Without the number of the broker, and for advisories its ids.
                if let Some(id) = &mut message.message_id {
                    id.broker_sequence_id = 0;
                }
                if is_advisory {
                    message.message_id = None;
                    message.producer_id = None;
                    message.marshalled_properties = None;
                }
                shown.push_str(&format!(" {message:?}"));
            }
            shown
        }
        other => line(other),
    }
}

impl Side {
    fn hear(&mut self, world: &mut crate::world::World) {
        self.unread.extend(world.take(self.session));
        let mut at = 0;
        while let Some(received) = self.from_us.feed(&self.unread[at..]).expect("well-formed") {
            at += received.consumed;
            if let Some(command) = received.command {
                self.heard.push(essence(&command));
            }
        }
        self.unread.drain(..at);
    }

    fn switch(&mut self) {
        if let (Some(ours), Some(theirs)) = (&self.ours, &self.theirs) {
            let agreed = negotiate(ours, theirs);
            for decoder in [
                &mut self.from_client,
                &mut self.from_broker,
                &mut self.from_us,
            ] {
                decoder.switch(&agreed);
            }
            self.to_us.switch(&agreed);
        }
    }
}

/// The first connections of a capture, said again. Returns what was expected and what was heard
/// beyond what both have.
fn replay(name: &str, capture: &str) -> Vec<String> {
    let mut world = world();
    let mut sides: BTreeMap<String, Side> = BTreeMap::new();
    let mut differences = Vec::new();
    // XA is not served yet: the third connection of that capture is about nothing else.
    let lines = capture
        .lines()
        .filter(|line| !(name == "bodies" && line.get(1..2) == Some("3")));
    for text in lines {
        let Some((head, hex)) = text.split_once(' ') else {
            continue;
        };
        let number = head.trim_matches(['B', 'C', '<', '>']).to_owned();
        // The second life of a failover client begins when its first socket is cut.
        if name == "failover" && number == "2" && sides.len() == 1 {
            let session = sides["1"].session;
            sides.get_mut("1").expect("there").hear(&mut world);
            world.hang_up(session);
        }
        let side = sides.entry(number).or_insert_with(|| Side {
            from_client: decoder(),
            from_broker: decoder(),
            to_us: Encoder::new(),
            from_us: decoder(),
            theirs: None,
            ours: None,
            session: world.connect(Wire::Openwire),
            unread: Vec::new(),
            expected: Vec::new(),
            heard: Vec::new(),
        });
        let bytes = unhex(hex);
        let is_client = head.starts_with('C');
        let decoder = if is_client {
            &mut side.from_client
        } else {
            &mut side.from_broker
        };
        let received = decoder
            .feed(&bytes)
            .expect("well-formed")
            .expect("complete");
        let mut command = received.command.expect("no null frames");
        if let Command::WireFormatInfo(info) = &command {
            let options = WireFormatOptions::parse(info).expect("well-formed");
            if is_client {
                side.theirs = Some(options);
                let mut out = Vec::new();
                side.to_us.encode(&command, &mut out).expect("fits");
                world.send(side.session, &out);
                // The answers behind our own WireFormatInfo are encoded as agreed.
                side.unread.extend(world.take(side.session));
                let first = side
                    .from_us
                    .feed(&side.unread)
                    .expect("well-formed")
                    .expect("complete");
                let consumed = first.consumed;
                side.unread.drain(..consumed);
            } else {
                side.ours = Some(options);
            }
            side.switch();
            continue;
        }
        if is_client {
            if let Command::ConnectionInfo(info) = &mut command {
                info.user_name = None;
                info.password = None;
            }
            // Our numbers of dispatches are others.
            if let Command::RemoveInfo(info) = &mut command {
                info.last_delivered_sequence_id = info.last_delivered_sequence_id.min(-1);
            }
            let mut out = Vec::new();
            side.to_us.encode(&command, &mut out).expect("fits");
            world.send(side.session, &out);
        } else {
            side.expected.push(essence(&command));
        }
        world.pass_time(1);
        for side in sides.values_mut() {
            side.hear(&mut world);
        }
        // A pull that finds nothing waits for its time to pass; a peer that keeps the connection
        // alive has had nothing to say for a while.
        match command {
            Command::MessagePull(_) => world.pass_time(400),
            Command::KeepAliveInfo(_) if is_client => world.pass_time(10_000),
            _ => {}
        }
    }
    for (number, side) in &mut sides {
        side.hear(&mut world);
        side.heard.sort();
        side.expected.sort();
        let (mut heard, mut expected) = (side.heard.clone(), side.expected.clone());
        expected.retain(|line| match heard.iter().position(|other| other == line) {
            Some(at) => {
                heard.remove(at);
                false
            }
            None => true,
        });
        differences.extend(
            expected
                .into_iter()
                .map(|line| format!("{number} missing: {line}")),
        );
        differences.extend(
            heard
                .into_iter()
                .map(|line| format!("{number} surplus: {line}")),
        );
    }
    differences
}

#[test]
fn captured_conversations_are_answered_alike() {
    for (name, capture) in CAPTURES {
        let differences = replay(name, capture);
        assert!(
            differences.is_empty(),
            "{name}:\n{}",
            differences.join("\n")
        );
    }
}

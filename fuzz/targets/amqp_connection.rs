//! A peer's octets through the connection machine, all at once and in pieces: no panic, and the same events whatever
//! the pieces are.

use amqp::tune::Offer;
use amqp::{Event, FrameMax, Limits, Machine, Step};

/// Largest body that is collected here; far above what an input can hold.
const MESSAGE_OCTETS_MAX: u64 = 64 << 10;

pub fn run(data: &[u8]) {
    let Some(([plan, pieces], octets)) = data.split_first_chunk::<2>() else {
        return;
    };
    let whole = converse(*plan, octets, octets.len().max(1));
    let cut = converse(*plan, octets, octets.len() / 32 + usize::from(*pieces) + 1);
    assert_eq!(whole, cut, "what is read must not depend on how it was cut");
}

fn machine(plan: u8) -> Machine {
    let limits = Limits {
        message_size_max: MESSAGE_OCTETS_MAX >> (plan & 8),
        lookahead_max: if plan & 4 == 0 { 64 } else { 1 << 20 },
    };
    let mut machine = if plan & 1 == 0 {
        Machine::server(limits)
    } else {
        Machine::client(limits)
    };
    if plan & 2 != 0 {
        let offer = Offer {
            channel_max: 2047,
            frame_max: FrameMax::DEFAULT,
            frame_max_floor: 4096,
            heartbeat_s: 60,
        };
        machine.tuned(
            &offer
                .settle(8, 4096, 0)
                .expect("what is offered may be chosen"),
        );
        machine.opened();
    }
    machine
}

/// The events in words, and how many octets were used.
fn converse(plan: u8, octets: &[u8], piece: usize) -> Vec<String> {
    let mut machine = machine(plan);
    let mut events = Vec::new();
    let mut unread = Vec::new();
    for piece in octets.chunks(piece) {
        unread.extend_from_slice(piece);
        loop {
            let consumed = match machine.step(&unread) {
                Step::Event { consumed, event } => {
                    look(&event);
                    events.push(words(&event));
                    consumed
                }
                Step::NeedMore { consumed, wanted } => {
                    assert!(
                        wanted > unread.len() - consumed,
                        "more is wanted than there is"
                    );
                    unread.drain(..consumed);
                    break;
                }
            };
            assert!(consumed <= unread.len());
            unread.drain(..consumed);
        }
    }
    events
}

/// What is shown of a frame in an error follows from how much of it was there.
fn words(event: &Event<'_>) -> String {
    match event {
        Event::Malformed(violation) => {
            format!("malformed {:?} {:?}", violation.channel, violation.code())
        }
        event => format!("{event:?}"),
    }
}

/// Looks at everything that lies in an event.
fn look(event: &Event<'_>) {
    if let Event::Content(content) = event {
        let properties = content.properties.to_properties();
        if let Some(table) = properties.headers {
            let _ = table.to_table();
        }
    }
    if let Event::Malformed(violation) = event {
        let mut out = Vec::new();
        amqp::encode::close_for(&mut out, violation);
    }
}

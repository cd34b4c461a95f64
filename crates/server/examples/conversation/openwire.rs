//! OpenWire: sends that want a response, a consumer with prefetch, standard acknowledgements of ranges.

use gateway::door::Wire;
use gateway::openwire::{OpenwireDoor, Settings};
use openwire::{
    AckType, BaseCommand, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo,
    Destination, Encoder, Message, MessageAck, MessageId, MessageKind, ProducerId, ProducerInfo,
    SessionId, SessionInfo, WireFormatOptions, negotiate,
};

use crate::world::World;
use crate::{BATCH, BODY, patch, places};

/// Stand in templates where the numbers of messages will.
const FIRST: u64 = 0x7a7b_7c7d_7e7f_0102;
const LAST: u64 = 0x7a7b_7c7d_7e7f_0304;
const CONNECTION: &str = "ID:conversation-1";

pub fn exchange_messages(count: u64) {
    let settings = Settings {
        broker_name: "localhost".into(),
        broker_id: "ID:troika-1".into(),
        broker_url: "tcp://localhost:61616".into(),
        frame_bytes_max: Settings::FRAME_BYTES_MAX,
        provider_version: "5.18.3".into(),
    };
    let mut world = World::new(Wire::Openwire, Box::new(OpenwireDoor::new(settings)));
    let ours = WireFormatOptions::broker("5.18.3", "conversation", 104_857_600);
    // Loose and uncached, so that every frame is the same but for its numbers.
    let options = WireFormatOptions {
        tight_encoding_enabled: false,
        cache_enabled: false,
        stack_trace_enabled: false,
        ..ours.clone()
    };
    let mut encoder = Encoder::new();
    let mut say = |world: &mut World, command: Command<'_>| {
        let mut bytes = Vec::new();
        encoder
            .encode(&command, &mut bytes)
            .expect("a small command");
        if let Command::WireFormatInfo(_) = command {
            encoder.switch(&negotiate(&ours, &options));
        }
        world.send(&bytes);
        bytes
    };
    let answered = |id| BaseCommand {
        command_id: id,
        response_required: true,
    };
    let queue = Destination::queue("q");
    let connection_id = ConnectionId {
        value: CONNECTION.into(),
    };
    let session_id = SessionId {
        connection_id: CONNECTION.into(),
        value: 1,
    };
    let consumer_id = ConsumerId {
        connection_id: CONNECTION.into(),
        session_id: 1,
        value: 1,
    };
    let producer_id = ProducerId {
        connection_id: CONNECTION.into(),
        session_id: 1,
        value: 1,
    };
    say(&mut world, Command::WireFormatInfo(options.to_info()));
    say(
        &mut world,
        Command::ConnectionInfo(ConnectionInfo {
            base: answered(1),
            connection_id: Some(connection_id),
            client_id: Some(CONNECTION.into()),
            ..ConnectionInfo::default()
        }),
    );
    say(
        &mut world,
        Command::SessionInfo(SessionInfo {
            base: answered(2),
            session_id: Some(session_id),
        }),
    );
    say(
        &mut world,
        Command::ProducerInfo(ProducerInfo {
            base: answered(3),
            producer_id: Some(producer_id.clone()),
            destination: Some(queue.clone()),
            ..ProducerInfo::default()
        }),
    );
    say(
        &mut world,
        Command::ConsumerInfo(ConsumerInfo {
            base: answered(4),
            consumer_id: Some(consumer_id.clone()),
            destination: Some(queue.clone()),
            prefetch_size: 1000,
            ..ConsumerInfo::default()
        }),
    );
    let message_id = |number: u64| {
        Some(MessageId {
            producer_id: Some(producer_id.clone()),
            producer_sequence_id: number as i64,
            ..MessageId::default()
        })
    };
    let ack = MessageAck {
        destination: Some(queue.clone()),
        consumer_id: Some(consumer_id),
        ack_type: AckType::Standard.to_wire(),
        first_message_id: message_id(FIRST),
        last_message_id: message_id(LAST),
        message_count: BATCH as i32,
        ..MessageAck::default()
    };
    let message = Message {
        base: answered(5),
        kind: MessageKind::Bytes,
        producer_id: Some(producer_id.clone()),
        destination: Some(queue.clone()),
        message_id: message_id(FIRST),
        persistent: true,
        priority: 4,
        timestamp: 1,
        content: Some(vec![b'x'; BODY].into()),
        ..Message::default()
    };
    let mut batch = Vec::new();
    let mut templates = Encoder::new();
    templates.switch(&negotiate(
        &WireFormatOptions::broker("5.18.3", "conversation", 104_857_600),
        &options,
    ));
    templates
        .encode(&Command::MessageAck(ack), &mut batch)
        .expect("a small command");
    let (ack_first, ack_last) = (places(&batch, FIRST), places(&batch, LAST));
    let acks_end = batch.len();
    for _ in 0..BATCH {
        let command = Command::Message(message.clone());
        templates
            .encode(&command, &mut batch)
            .expect("a small command");
    }
    let numbers: Vec<usize> = places(&batch, FIRST)
        .into_iter()
        .filter(|at| *at >= acks_end)
        .collect();
    assert_eq!(
        (ack_first.len(), ack_last.len(), numbers.len() as u64),
        (1, 1, BATCH)
    );
    let mut heard = 0;
    for turn in 0..count / BATCH {
        let next = turn * BATCH + 1;
        patch(&mut batch, &ack_first, next.saturating_sub(BATCH));
        patch(&mut batch, &ack_last, next - 1);
        for (number, at) in (next..).zip(&numbers) {
            patch(&mut batch, &[*at], number);
        }
        // The first time there is nothing to acknowledge.
        let from = if turn == 0 { acks_end } else { 0 };
        world.forget();
        world.send(&batch[from..]);
        heard += world.heard().len();
    }
    let least = (count / BATCH * BATCH) as usize * BODY;
    assert!(heard > least, "{heard} bytes came of {least}");
}

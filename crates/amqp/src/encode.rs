//! What a peer writes: frames appended to an output buffer.
//!
//! Nothing here fails. Names longer than 255 octets are cut; a method or a content header is one
//! frame, whatever its size.

use crate::error::Violation;
use crate::field::{patch_u32, write_short};
use crate::frame::{ChannelNumber, FRAME_END, FRAME_OVERHEAD, FrameKind, FrameMax, ProtocolHeader};
use crate::method::{CLASS_BASIC, DeliveryTag, Method};
use crate::properties::flags_sent;

/// Octets of the basic.ack frame.
const ACK_OCTETS: usize = 21;

/// Appends the protocol header that a client opens with.
pub fn protocol_header(out: &mut Vec<u8>) {
    out.extend_from_slice(&ProtocolHeader::AMQP_0_9_1);
}

/// Appends a heartbeat frame.
pub fn heartbeat(out: &mut Vec<u8>) {
    frame(out, FrameKind::Heartbeat, ChannelNumber::CONNECTION, |_| {});
}

/// Appends a method frame. Content, if the method carries it, is the caller's to add; see
/// [`content`].
pub fn method(out: &mut Vec<u8>, channel: ChannelNumber, method: &Method<'_>) {
    frame(out, FrameKind::Method, channel, |out| method.encode(out));
}

/// Appends a method with its content. `properties` is the flag word and what follows it, or empty
/// for none.
pub fn content(
    out: &mut Vec<u8>,
    channel: ChannelNumber,
    method: &Method<'_>,
    properties: &[u8],
    body: &[u8],
    frame_max: FrameMax,
) {
    frame(out, FrameKind::Method, channel, |out| method.encode(out));
    header_and_body(out, channel, properties, body, frame_max);
}

/// Appends a delivery: [`content`] for basic.deliver, from names as they are stored.
///
/// `properties` is as in [`content`]; `consumer_tag`, `exchange` and `routing_key` are UTF-8 of at
/// most 255 octets.
pub fn encode_deliver(
    out: &mut Vec<u8>,
    channel: ChannelNumber,
    consumer_tag: &[u8],
    delivery_tag: DeliveryTag,
    redelivered: bool,
    exchange: &[u8],
    routing_key: &[u8],
    properties: &[u8],
    body: &[u8],
    frame_max: FrameMax,
) {
    const FIXED: usize = 16;
    let names = consumer_tag.len() + exchange.len() + routing_key.len();
    // Three frames around the fixed fields of method and header; further body frames may grow the
    // buffer once more.
    out.reserve(FIXED * 2 + 3 * FRAME_OVERHEAD + names + properties.len() + body.len());
    frame(out, FrameKind::Method, channel, |out| {
        out.extend_from_slice(&[0, CLASS_BASIC as u8, 0, 60]);
        write_short(out, consumer_tag);
        out.extend_from_slice(&delivery_tag.0.to_be_bytes());
        out.push(u8::from(redelivered));
        write_short(out, exchange);
        write_short(out, routing_key);
    });
    header_and_body(out, channel, properties, body, frame_max);
}

/// Appends basic.ack of one delivery or publish.
pub fn ack_one(out: &mut Vec<u8>, channel: ChannelNumber, tag: DeliveryTag) {
    out.extend_from_slice(&ack_frame(channel, tag, 0));
}

/// Appends basic.ack of everything up to and including `tag`.
pub fn ack_up_to(out: &mut Vec<u8>, channel: ChannelNumber, tag: DeliveryTag) {
    out.extend_from_slice(&ack_frame(channel, tag, 1));
}

/// Appends the connection.close that answers a broken wire.
pub fn close_for(out: &mut Vec<u8>, violation: &Violation) {
    let close = Method::ConnectionClose {
        reply_code: violation.code().code(),
        reply_text: &violation.text(),
        class_id: violation.class_id,
        method_id: violation.method_id,
    };
    method(out, ChannelNumber::CONNECTION, &close);
}

fn ack_frame(channel: ChannelNumber, tag: DeliveryTag, multiple: u8) -> [u8; ACK_OCTETS] {
    let [c0, c1] = channel.0.to_be_bytes();
    let [t0, t1, t2, t3, t4, t5, t6, t7] = tag.0.to_be_bytes();
    [
        1, c0, c1, 0, 0, 0, 13, 0, 60, 0, 80, t0, t1, t2, t3, t4, t5, t6, t7, multiple, FRAME_END,
    ]
}

/// Appends the content header and the body in as few frames as the limit allows; none for an empty
/// body.
fn header_and_body(
    out: &mut Vec<u8>,
    channel: ChannelNumber,
    properties: &[u8],
    body: &[u8],
    frame_max: FrameMax,
) {
    frame(out, FrameKind::Header, channel, |out| {
        out.extend_from_slice(&[0, CLASS_BASIC as u8, 0, 0]);
        out.extend_from_slice(&(body.len() as u64).to_be_bytes());
        out.extend_from_slice(&flags_sent(properties));
        out.extend_from_slice(properties.get(2..).unwrap_or_default());
    });
    for piece in body.chunks(frame_max.payload_max() as usize) {
        frame(out, FrameKind::Body, channel, |out| {
            out.extend_from_slice(piece)
        });
    }
}

fn frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    channel: ChannelNumber,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let [c0, c1] = channel.0.to_be_bytes();
    out.extend_from_slice(&[kind.octet(), c0, c1, 0, 0, 0, 0]);
    let start = out.len();
    payload(out);
    let size = out.len() - start;
    patch_u32(out, start - 4, size);
    out.push(FRAME_END);
}

//! Sends of RocketMQ that are to be delivered later.

use std::io::{Read, Write};
use std::net::TcpStream;

use remoting::{Decoder, FrameWriter, Opaque, Prefix, RequestCode, Version};

/// Sends that are written before their answers are waited for.
const BATCH: u64 = 128;

/// Sends messages that are due in two hours; each is answered with success.
pub fn delay(port: u16, messages: u64, body_bytes: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let fields = [
        ("a", "PG"),
        ("b", "Delayed"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1600000000000"),
        ("h", "0"),
        // The 18th level is two hours.
        ("i", "DELAY\u{1}18\u{2}WAIT\u{1}true"),
    ];
    let mut frame = Vec::new();
    let prefix = Prefix::request(RequestCode::SendMessageV2, Opaque(1), Version::V5_3_3);
    let mut writer = FrameWriter::begin(&mut frame, prefix);
    fields
        .iter()
        .for_each(|(key, value)| writer.field(key, value));
    writer.finish_with(&vec![b'x'; body_bytes]).unwrap();
    let mut unread = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut left = messages;
    while left > 0 {
        let count = BATCH.min(left);
        stream.write_all(&frame.repeat(count as usize)).unwrap();
        left -= count;
        let mut open = count;
        while open > 0 {
            let bytes = stream.read(&mut buffer).unwrap();
            assert!(bytes > 0, "the server has closed the connection");
            unread.extend_from_slice(&buffer[..bytes]);
            let mut at = 0;
            while let Some((size, command)) = Decoder::default().feed(&unread[at..]).unwrap() {
                at += size;
                if command.is_response() {
                    assert_eq!(command.code, 0, "{:?}", command.remark);
                    open -= 1;
                }
            }
            unread.drain(..at);
        }
    }
}

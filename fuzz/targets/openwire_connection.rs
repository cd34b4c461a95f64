//! A peer's bytes from its first frame on: negotiation, then commands in what was agreed on; whole and in pieces.

use openwire::{Command, Decoder, Limits, WireFormatOptions, negotiate};

/// What the gateway lets a peer send once it is in; small here.
const FRAME_BYTES_MAX: usize = 1 << 20;

pub fn run(data: &[u8]) {
    let Some((pieces, bytes)) = data.split_first() else {
        return;
    };
    let whole = converse(bytes, bytes.len().max(1));
    let cut = converse(bytes, bytes.len() / 32 + usize::from(*pieces) + 1);
    assert_eq!(whole, cut, "what is read must not depend on how it was cut");
}

fn converse(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut decoder = Decoder::new(Limits::default());
    let mut heard = Vec::new();
    let mut unread = Vec::new();
    for piece in bytes.chunks(piece) {
        unread.extend_from_slice(piece);
        loop {
            let received = match decoder.feed(&unread) {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(malformed) => {
                    heard.push(malformed.to_string());
                    return heard;
                }
            };
            heard.push(format!("{:?}", received.command));
            let consumed = received.consumed;
            if let Some(Command::WireFormatInfo(info)) = &received.command {
                match WireFormatOptions::parse(info) {
                    Ok(theirs) => {
                        let ours =
                            WireFormatOptions::broker("5.18.3", "fuzz", FRAME_BYTES_MAX as i64);
                        let agreed = negotiate(&ours, &theirs);
                        assert_eq!(agreed, negotiate(&theirs, &ours));
                        decoder.switch(&agreed);
                        decoder.allow_frames_of(agreed.frame_bytes_max);
                    }
                    Err(malformed) => {
                        heard.push(malformed.to_string());
                        return heard;
                    }
                }
            }
            unread.drain(..consumed);
        }
    }
    heard
}

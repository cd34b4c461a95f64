//! Stored records and bodies: the quick look and the whole decoding agree on what a record is.

use openwire::primitive::{Items, PrimitiveLimits, Properties, decode_map, encode_map};
use openwire::{MessageRef, body, decode_canonical};

pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => record(bytes),
        1 => map(bytes),
        2 => {
            let _ = Items::stream(bytes, PrimitiveLimits::default()).to_values();
        }
        _ => {
            if let Ok(text) = body::decode_text(bytes) {
                assert_eq!(text.utf16_length(), text.to_str().encode_utf16().count());
            }
        }
    }
}

fn record(bytes: &[u8]) {
    let whole = decode_canonical(bytes);
    let Ok(found) = MessageRef::parse(bytes) else {
        assert!(
            whole.is_err(),
            "a record that can be decoded can be looked into"
        );
        return;
    };
    let range = found.content_range();
    assert!(range.start <= range.end && range.end <= bytes.len());
    let _ = found.window_bytes();
    if let Ok(whole) = whole {
        assert_eq!(whole.window_bytes(), found.window_bytes());
        assert_eq!(whole.content.as_deref(), found.content);
    }
}

fn map(bytes: &[u8]) {
    let limits = PrimitiveLimits::default();
    if let Ok(properties) = Properties::parse(bytes, limits) {
        let _ = properties.lookup("JMSXGroupID");
    }
    let Ok(entries) = decode_map(bytes, limits) else {
        return;
    };
    let mut again = Vec::new();
    encode_map(&entries, &mut again);
    let decoded = decode_map(&again, limits).expect("what was encoded can be decoded");
    assert_eq!(format!("{decoded:?}"), format!("{entries:?}"));
}

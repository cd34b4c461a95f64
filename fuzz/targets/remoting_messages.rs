//! Stored records, batches, properties and message ids.

use remoting::message::properties::Properties;
use remoting::message::{
    BatchItems, OffsetMessageId, Patch, Record, Records, UniqueKey, copy_patched,
};

pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => records(bytes),
        1 => batch(bytes),
        2 => properties(bytes),
        _ => ids(bytes),
    }
}

fn records(bytes: &[u8]) {
    for record in Records::new(bytes) {
        let Ok(record) = record else {
            return;
        };
        let _ = record.check_body();
        look(record.properties());
        let mut out = Vec::new();
        let Ok(size) = record.encode(&mut out) else {
            continue;
        };
        assert_eq!(
            (size, out.len()),
            (record.encoded_bytes(), record.encoded_bytes())
        );
        let (again, _) = Record::decode(&out).expect("what was encoded can be decoded");
        assert_eq!(again.body, record.body);
        let patch = Patch {
            queue_offset: Some(77),
            store_timestamp: Some(1),
            ..Patch::default()
        };
        let mut copy = Vec::new();
        copy_patched(&out, &patch, &mut copy).expect("a sound record can be patched");
        let (patched, _) = Record::decode(&copy).expect("a patched record can be decoded");
        assert_eq!((patched.queue_offset, patched.body), (77, record.body));
    }
}

fn batch(bytes: &[u8]) {
    let mut out = Vec::new();
    let mut sound = true;
    for item in BatchItems::new(bytes) {
        match item {
            Ok(item) => {
                look(item.properties());
                item.encode(&mut out).expect("what was read can be written");
            }
            Err(_) => sound = false,
        }
    }
    assert!(!sound || out.len() == bytes.len());
}

fn properties(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        look(Properties::new(text));
    }
}

fn look(properties: Properties<'_>) {
    for (key, _) in properties.iter() {
        assert!(properties.get(key).is_some(), "what is listed can be found");
    }
    let _ = (properties.tags(), properties.keys().count());
    let _ = properties.without("TAGS");
}

fn ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(id) = text.parse::<OffsetMessageId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(key) = text.parse::<UniqueKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}

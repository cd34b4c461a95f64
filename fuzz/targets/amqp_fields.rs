//! Methods, properties and tables by themselves: what decodes, encodes to what decodes to the same.

use amqp::{BasicProperties, Method, PropertiesRef, TableRef};

pub fn run(data: &[u8]) {
    let Some((kind, octets)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => method(octets),
        1 => properties(octets),
        _ => table(octets),
    }
}

fn method(octets: &[u8]) {
    let Ok(method) = Method::decode(octets) else {
        return;
    };
    let mut again = Vec::new();
    method.encode(&mut again);
    let decoded = Method::decode(&again).expect("what was encoded can be decoded");
    assert_eq!(format!("{decoded:?}"), format!("{method:?}"));
}

fn properties(octets: &[u8]) {
    let Ok(found) = PropertiesRef::parse(octets) else {
        assert!(BasicProperties::decode(octets).is_err());
        return;
    };
    let all = found.to_properties();
    assert_eq!(found.expiration(), all.expiration);
    assert_eq!(found.user_id(), all.user_id);
    assert_eq!(found.timestamp(), all.timestamp);
    let again = all.to_bytes().expect("what was read is short enough");
    let decoded = BasicProperties::decode(&again).expect("what was encoded can be decoded");
    assert_eq!(format!("{decoded:?}"), format!("{all:?}"));
}

fn table(octets: &[u8]) {
    let Ok(found) = TableRef::parse(octets) else {
        return;
    };
    for (key, value) in found.entries() {
        let _ = (
            found.find(key),
            value.as_int(),
            value.as_table(),
            value.as_array(),
            value.type_name(),
        );
    }
    let owned = found.to_table();
    let again = owned.to_bytes();
    let decoded = TableRef::parse(&again)
        .expect("what was encoded can be decoded")
        .to_table();
    assert_eq!(format!("{decoded:?}"), format!("{owned:?}"));
}

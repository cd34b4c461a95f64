//! Field tables and property lists.

use amqp::error::{FieldFault, TooLong};
use amqp::properties::Property;
use amqp::table::TABLE_DEPTH_MAX;
use amqp::{BasicProperties, PropertiesRef, ShortString, Table, TableRef, Value, ValueRef};

use crate::samples::{every_value, octets};

#[test]
fn every_type_survives_the_wire() {
    let table = every_value();
    let octets = table.to_bytes();
    let walked = TableRef::parse(&octets).unwrap();
    assert_eq!(walked.to_table(), table);
    assert_eq!(walked.to_table().to_bytes(), octets);
    let tags: Vec<_> = walked.entries().map(|(key, _)| key[0]).collect();
    assert_eq!(tags, b"tbBsuIilfdDSATFVx", "the order is the sender's");
    for (key, value) in walked.entries() {
        let mut encoded = Vec::new();
        value.to_value().encode(&mut encoded);
        assert_eq!(encoded[0], key[0], "samples are named by their tag");
    }
}

#[test]
fn tags_are_rabbitmqs() {
    let check = |text: &str, expected: ValueRef<'_>| {
        let body = [octets("01'k'"), octets(text)].concat();
        let table = TableRef::parse(&body).unwrap();
        assert_eq!(table.find("k"), Some(expected), "{text}");
    };
    check("'s' fffe", ValueRef::I16(-2));
    check("'l' ffffffffffffffff", ValueRef::I64(-1));
    check("'L' ffffffffffffffff", ValueRef::I64(-1));
    check("'t' 02", ValueRef::Bool(true));
    check(
        "'D' 02 0000013a",
        ValueRef::Decimal {
            scale: 2,
            value: 314,
        },
    );
    check("'x' 00000002 00ff", ValueRef::Bytes(&[0, 255]));
    check("'T' 0000000065535ef0", ValueRef::Timestamp(0x6553_5ef0));
    check("'V'", ValueRef::Void);
    let refused = TableRef::parse(b"\x01kU\x00\x01");
    assert_eq!(refused, Err(FieldFault::UnknownTag(b'U')));
}

#[test]
fn both_spellings_of_a_long_are_written_one_way() {
    let body = octets("01'k' 'L' 0000000000000005");
    let rewritten = TableRef::parse(&body).unwrap().to_table().to_bytes();
    assert_eq!(rewritten, octets("01'k' 'l' 0000000000000005"));
}

#[test]
fn not_a_number_keeps_its_bits() {
    let body = octets("01'd' 'd' 7ff8000000000123");
    assert_eq!(TableRef::parse(&body).unwrap().to_table().to_bytes(), body);
}

#[test]
fn the_first_of_equal_keys_counts() {
    let body = Table::new().with("k", 1).with("k", 2).to_bytes();
    let table = TableRef::parse(&body).unwrap();
    assert_eq!(table.find("k").and_then(|value| value.as_int()), Some(1));
    assert_eq!(table.entries().count(), 2);
    let mut owned = table.to_table();
    owned.set(ShortString::literal("k"), Value::I32(3));
    assert_eq!(owned.find("k"), Some(&Value::I32(3)));
    assert!(owned.remove("k") && owned.find("k").is_none());
    assert_eq!(table.find("other"), None);
}

/// The body of a table that nests `depth` deep, tables and arrays in turn. Written by hand, since
/// our own encoder refuses what is too deep.
fn nested(depth: usize) -> Vec<u8> {
    let wrap = |tag: u8, inner: &[u8]| {
        let length = (inner.len() as u32).to_be_bytes();
        [&[tag][..], &length, inner].concat()
    };
    let mut value = vec![b'V'];
    for level in 1..depth {
        value = if level % 2 == 0 {
            wrap(b'A', &value)
        } else {
            wrap(b'F', &[&[1, b'n'][..], &value].concat())
        };
    }
    [&[1, b'n'][..], &value].concat()
}

#[test]
fn nesting_is_limited() {
    let deepest = nested(TABLE_DEPTH_MAX);
    let table = TableRef::parse(&deepest).unwrap().to_table();
    assert_eq!(table.depth(), TABLE_DEPTH_MAX);
    assert_eq!(table.to_bytes(), deepest);
    assert_eq!(
        TableRef::parse(&nested(TABLE_DEPTH_MAX + 1)),
        Err(FieldFault::TooDeep)
    );
    assert_eq!(TableRef::parse(&nested(20_000)), Err(FieldFault::TooDeep));
    let headers = nested(TABLE_DEPTH_MAX + 1);
    let raw = [
        &[0x20, 0][..],
        &(headers.len() as u32).to_be_bytes(),
        &headers,
    ]
    .concat();
    assert_eq!(PropertiesRef::parse(&raw), Err(FieldFault::TooDeep));
}

#[test]
fn short_strings_are_short() {
    assert!(ShortString::new([b'k'; 255]).is_ok());
    let refused = ShortString::new([b'k'; 256]);
    assert_eq!(
        refused,
        Err(TooLong {
            what: "short string",
            octets: 256
        })
    );
}

fn all_properties(headers: TableRef<'_>) -> BasicProperties<'_> {
    BasicProperties {
        content_type: Some(b"text/plain"),
        content_encoding: Some(b"gzip"),
        headers: Some(headers),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some(b"c-1"),
        reply_to: Some(b"amq.rabbitmq.reply-to"),
        expiration: Some(b"60000"),
        message_id: Some(b"\xff\xfe"),
        timestamp: Some(1_700_000_000),
        kind: Some(b"order"),
        user_id: Some(b"guest"),
        app_id: Some(b"shop"),
        cluster_id: Some(b""),
    }
}

#[test]
fn properties_are_as_written_by_hand() {
    let raw = octets(
        "fffc 0a'text/plain' 04'gzip' 00000004 01'a'7401 02 09 03'c-1'
         15'amq.rabbitmq.reply-to' 05'60000' 02 fffe 000000006553f100 05'order' 05'guest'
         04'shop' 00",
    );
    let headers = octets("01'a'7401");
    let properties = all_properties(TableRef::parse(&headers).unwrap());
    assert_eq!(properties.to_bytes().as_ref(), Ok(&raw));
    assert_eq!(BasicProperties::decode(&raw), Ok(properties));
}

/// What pika 1.4.4 writes for nearly all properties and nested headers.
#[test]
fn properties_of_a_real_client_are_read_and_written_back() {
    let raw = octets(
        "bd7c 0a746578742f706c61696e 00000031 01614900000001 016e4600000016 01787401
         016c410000000b 4900000001 530000000173 03626967 6c0000010000000000 02 03 0163 0135
         0000000000000007 0174 0175 0161 016b",
    );
    let headers = Table::new()
        .with("a", 1)
        .with(
            "n",
            Table::new()
                .with("x", true)
                .with("l", vec![Value::I32(1), "s".into()]),
        )
        .with("big", 1_i64 << 40);
    let headers = headers.to_bytes();
    let expected = BasicProperties {
        content_type: Some(b"text/plain"),
        headers: TableRef::parse(&headers).ok(),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: Some(b"c"),
        expiration: Some(b"5"),
        timestamp: Some(7),
        kind: Some(b"t"),
        user_id: Some(b"u"),
        app_id: Some(b"a"),
        cluster_id: Some(b"k"),
        ..Default::default()
    };
    assert_eq!(BasicProperties::decode(&raw), Ok(expected));
    assert_eq!(expected.to_bytes(), Ok(raw));
}

#[test]
fn single_properties_are_read_in_place_for_every_set_of_flags() {
    let headers = every_value().to_bytes();
    let whole = all_properties(TableRef::parse(&headers).unwrap())
        .to_bytes()
        .unwrap();
    let whole = PropertiesRef::parse(&whole).unwrap();
    for set in 0..1_u16 << 14 {
        let flags = set << 2;
        let mut chosen = BasicProperties::default();
        let all = whole.to_properties();
        let has = |property: Property| flags & property.flag() != 0;
        chosen.content_type = all.content_type.filter(|_| has(Property::ContentType));
        chosen.content_encoding = all
            .content_encoding
            .filter(|_| has(Property::ContentEncoding));
        chosen.headers = all.headers.filter(|_| has(Property::Headers));
        chosen.delivery_mode = all.delivery_mode.filter(|_| has(Property::DeliveryMode));
        chosen.priority = all.priority.filter(|_| has(Property::Priority));
        chosen.correlation_id = all.correlation_id.filter(|_| has(Property::CorrelationId));
        chosen.reply_to = all.reply_to.filter(|_| has(Property::ReplyTo));
        chosen.expiration = all.expiration.filter(|_| has(Property::Expiration));
        chosen.message_id = all.message_id.filter(|_| has(Property::MessageId));
        chosen.timestamp = all.timestamp.filter(|_| has(Property::Timestamp));
        chosen.kind = all.kind.filter(|_| has(Property::Type));
        chosen.user_id = all.user_id.filter(|_| has(Property::UserId));
        chosen.app_id = all.app_id.filter(|_| has(Property::AppId));
        chosen.cluster_id = all.cluster_id.filter(|_| has(Property::ClusterId));
        let raw = chosen.to_bytes().unwrap();
        assert_eq!(raw[..2], flags.to_be_bytes());
        let view = PropertiesRef::parse(&raw).unwrap();
        for property in Property::ALL {
            let expected = whole.find(property).filter(|_| has(property));
            assert_eq!(view.find(property), expected, "{property:?} of {flags:04x}");
        }
        assert_eq!(view.to_properties(), chosen);
    }
    assert_eq!(whole.delivery_mode(), Some(2));
    assert_eq!(whole.priority(), Some(9));
    assert_eq!(whole.timestamp(), Some(1_700_000_000));
    assert_eq!(whole.expiration(), Some(&b"60000"[..]));
    assert_eq!(whole.reply_to(), Some(&b"amq.rabbitmq.reply-to"[..]));
    assert_eq!(whole.correlation_id(), Some(&b"c-1"[..]));
    assert_eq!(whole.message_id(), Some(&b"\xff\xfe"[..]));
    assert_eq!(whole.user_id(), Some(&b"guest"[..]));
    assert_eq!(
        whole.headers().map(|table| table.to_table()),
        Some(every_value())
    );
    assert_eq!(PropertiesRef::EMPTY.headers(), None);
}

#[test]
fn a_property_that_does_not_fit_is_named() {
    let long = [b'x'; 256];
    let properties = BasicProperties {
        correlation_id: Some(&long),
        ..Default::default()
    };
    let mut out = vec![1];
    let refused = properties.encode(&mut out);
    assert_eq!(
        refused,
        Err(TooLong {
            what: "correlation-id",
            octets: 256
        })
    );
    assert_eq!(out, [1]);
}

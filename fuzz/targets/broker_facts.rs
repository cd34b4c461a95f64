//! What the log keeps for the broker: facts, heads, records, predicates; what decodes, encodes to the same.

use broker::bytes::Reader;
use broker::filter::{Limits, Predicate};
use broker::ledger::{Fact, entries_from};
use broker::pass::Head;
use broker::record::Record;
use broker::topology::TopologyFact;

pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => facts(bytes),
        1 => head(bytes),
        2 => record(bytes),
        3 => {
            if let Ok(predicate) = Predicate::decode(bytes, Limits::STORED) {
                let mut out = Vec::new();
                predicate.encode(&mut out);
                let again = Predicate::decode(&out, Limits::STORED)
                    .expect("what was encoded can be decoded");
                assert_eq!(format!("{again:?}"), format!("{predicate:?}"));
                assert_eq!(predicate.matches(&()), again.matches(&()));
            }
        }
        4 => {
            if let Ok(fact) = TopologyFact::decode(bytes) {
                let mut out = Vec::new();
                fact.encode(&mut out);
                let again = TopologyFact::decode(&out).expect("what was encoded can be decoded");
                assert_eq!(format!("{again:?}"), format!("{fact:?}"));
            }
        }
        _ => {
            let _ = entries_from(bytes);
        }
    }
}

fn facts(bytes: &[u8]) {
    let Ok(facts) = Fact::decode_all(bytes) else {
        return;
    };
    let mut out = Vec::new();
    facts.iter().for_each(|fact| fact.encode(&mut out));
    let mut reader = Reader::new(&out);
    for fact in &facts {
        let again = Fact::decode(&mut reader).expect("what was encoded can be decoded");
        assert_eq!(format!("{again:?}"), format!("{fact:?}"));
    }
    assert!(reader.is_empty());
}

fn head(bytes: &[u8]) {
    let Ok(head) = Head::decode_meta(7, bytes) else {
        return;
    };
    let mut out = Vec::new();
    head.encode_meta(&mut out);
    let again = Head::decode_meta(7, &out).expect("what was encoded can be decoded");
    assert_eq!(format!("{again:?}"), format!("{head:?}"));
}

fn record(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else {
        return;
    };
    assert!(record.body().len() <= record.native.len());
    let mut out = Vec::new();
    record.envelope.encode(&mut out);
    out.extend_from_slice(record.native);
    assert_eq!(
        Record::decode(&out).expect("what was encoded can be decoded"),
        record
    );
}

//! A stored record as a RocketMQ client gets it: copied, with the fields that belong to the broker
//! filled in; or translated, if another language wrote it.

use broker::record::Record;
use remoting::message::{Patch, Record as Stored, copy_patched};

use crate::convert::portable;
use crate::convert::to_remoting::{self, Place};
use crate::language;

/// Appends the record.
pub fn append(bytes: &[u8], place: &Place<'_>, out: &mut Vec<u8>) {
    // The log has checked it; a record of a newer version is passed over.
    let Ok(record) = Record::decode(bytes) else {
        return;
    };
    if record.envelope.language == language::REMOTING && append_own(&record, place, out) {
        return;
    }
    to_remoting::write(&portable(&record), &record.envelope, place, out);
}

/// What a RocketMQ client wrote goes out as it came in, save the broker's own fields.
fn append_own(record: &Record<'_>, place: &Place<'_>, out: &mut Vec<u8>) -> bool {
    let physical_offset = place.message.as_u64() as i64;
    let store_timestamp = record.envelope.received.0 as i64;
    // A record that was routed here from another topic names that one, and has to be written anew.
    if *record.envelope.address == *place.topic {
        let patch = Patch {
            queue_id: Some(place.queue_id),
            queue_offset: Some(place.queue_offset),
            physical_offset: Some(physical_offset),
            store_timestamp: Some(store_timestamp),
            ..Patch::default()
        };
        return copy_patched(record.native, &patch, out).is_ok();
    }
    let Ok((stored, _)) = Stored::decode(record.native) else {
        return false;
    };
    let moved = Stored {
        topic: place.topic,
        queue_id: place.queue_id,
        queue_offset: place.queue_offset,
        physical_offset,
        store_timestamp,
        ..stored
    };
    moved.encode(out).is_ok()
}

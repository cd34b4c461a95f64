//! Stored records as named values, whatever their language: what filters look at.

use broker::properties::Properties;
use broker::record::Record;

use crate::language;

/// Shows a record through the view of its own language; one of an unknown language, which only a
/// newer version could have stored, has no properties.
pub fn with_properties(record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
    match record.envelope.language {
        language::AMQP => crate::amqp::view::with_properties(record, look),
        language::OPENWIRE => crate::openwire::view::with_properties(record, look),
        language::REMOTING => crate::remoting::view::with_properties(record, look),
        _ => look(&()),
    }
}

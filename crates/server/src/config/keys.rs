//! The keys that exist, and what is said about one that does not.

use toml::{Table, Value};

use super::{ConfigError, Origin};

/// All keys, dotted, save those of `users`.
pub(super) const KEYS: [&str; 23] = [
    "data_dir",
    "listeners.bind",
    "listeners.amqp",
    "listeners.openwire",
    "listeners.nameserver",
    "listeners.remoting",
    "listeners.remoting_vip",
    "broker.name",
    "broker.cluster",
    "broker.advertised_host",
    "limits.connections",
    "limits.strangers",
    "limits.outbox_bytes",
    "limits.unread_bytes",
    "limits.unsynced_bytes",
    "limits.memory_bytes",
    "limits.volatile_bytes",
    "limits.disk_free_bytes",
    "limits.garbage_bytes",
    "limits.merge_bytes_per_second",
    "retention.hours",
    "retention.partition_bytes",
    "log.level",
];
const USER_KEYS: [&str; 5] = ["name", "password", "password_hash", "tags", "loopback_only"];

/// Refuses a table with a key that nobody reads.
pub(super) fn check_keys(table: &Table, origin: &Origin) -> Result<(), ConfigError> {
    for (section, value) in table {
        match value {
            Value::Array(users) if section == "users" => {
                for key in users
                    .iter()
                    .filter_map(Value::as_table)
                    .flat_map(Table::keys)
                {
                    if !USER_KEYS.contains(&key.as_str()) {
                        let known = USER_KEYS.into_iter().map(String::from);
                        return Err(unknown(key, known, origin));
                    }
                }
            }
            Value::Table(section_table) if section != "users" => {
                let known_section = KEYS
                    .iter()
                    .any(|key| key.split('.').next() == Some(section));
                if !known_section {
                    return Err(unknown_key(section, origin));
                }
                for key in section_table.keys() {
                    check_key(&format!("{section}.{key}"), origin)?;
                }
            }
            Value::Array(_)
            | Value::Table(_)
            | Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => check_key(section, origin)?,
        }
    }
    Ok(())
}

fn check_key(key: &str, origin: &Origin) -> Result<(), ConfigError> {
    if KEYS.contains(&key) {
        Ok(())
    } else {
        Err(unknown_key(key, origin))
    }
}

fn unknown_key(key: &str, origin: &Origin) -> ConfigError {
    // A key without its section is the likeliest slip of all.
    let in_section = format!(".{key}");
    if let Some(whole) = KEYS.into_iter().find(|known| known.ends_with(&in_section)) {
        let suggestion = Some(whole.into());
        return ConfigError::UnknownKey {
            key: key.into(),
            origin: origin.clone(),
            suggestion,
        };
    }
    let sections = KEYS
        .iter()
        .filter_map(|key| key.split_once('.'))
        .map(|(section, _)| section);
    let known = KEYS
        .into_iter()
        .chain(sections)
        .chain(["users"])
        .map(String::from);
    unknown(key, known, origin)
}

/// A suggestion must share most of its letters with what was written.
const SIMILARITY_MIN: f64 = 0.6;

fn unknown(key: &str, known: impl IntoIterator<Item = String>, origin: &Origin) -> ConfigError {
    let best = known
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(key, &candidate),
                candidate,
            )
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let suggestion = best
        .filter(|(likeness, _)| *likeness >= SIMILARITY_MIN)
        .map(|(_, candidate)| candidate);
    ConfigError::UnknownKey {
        key: key.into(),
        origin: origin.clone(),
        suggestion,
    }
}

/// A variable's text as the value it looks like; names and paths stay text whatever they look
/// like.
pub(super) fn plain_value(key: &str, text: &str) -> Value {
    let is_number = key.starts_with("limits.")
        || key.starts_with("retention.")
        || (key.starts_with("listeners.") && key != "listeners.bind");
    match text.parse::<i64>() {
        Ok(number) if is_number => Value::Integer(number),
        Ok(_) | Err(_) => Value::String(text.into()),
    }
}

pub(super) fn set(
    table: &mut Table,
    key: &str,
    value: Value,
    origin: &Origin,
) -> Result<(), ConfigError> {
    check_key(key, origin)?;
    match key.split_once('.') {
        None => table.insert(key.into(), value),
        Some((section, name)) => {
            let entry = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(section) = entry else {
                return Err(ConfigError::Value(format!(
                    "\"{section}\" must be a section"
                )));
            };
            section.insert(name.into(), value)
        }
    };
    Ok(())
}

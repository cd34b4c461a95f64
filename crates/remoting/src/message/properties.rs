//! The properties text: `key \x01 value \x02`, repeated.
//!
//! Senders of 4.9 leave out the last `\x02`, others write it; whoever appends must put one in if it
//! is missing. A pair with an empty key or value, or without `\x01`, does not exist.

const PAIR_END: u8 = 2;
const NAME_END: char = '\u{1}';

/// Names with a meaning on this wire.
pub mod name {
    pub const KEYS: &str = "KEYS";
    pub const TAGS: &str = "TAGS";
    pub const WAIT: &str = "WAIT";
    pub const DELAY: &str = "DELAY";
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    pub const CLUSTER: &str = "CLUSTER";
    pub const MSG_REGION: &str = "MSG_REGION";
    pub const TRACE_ON: &str = "TRACE_ON";
    pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
    pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
    pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
    pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
    pub const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
    pub const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
    pub const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
    pub const TIMER_DELAY_LEVEL: &str = "TIMER_DELAY_LEVEL";
    pub const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
    pub const REAL_TOPIC: &str = "REAL_TOPIC";
    pub const REAL_QUEUE_ID: &str = "REAL_QID";
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
    pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
    pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
    pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
    pub const TRAN_MSG: &str = "TRAN_MSG";
    pub const PRODUCER_GROUP: &str = "PGROUP";
    pub const TRANSACTION_ID: &str = "__transactionId__";
    pub const CHECK_IMMUNITY_TIME: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
    pub const TRAN_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
    pub const CORRELATION_ID: &str = "CORRELATION_ID";
    pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
    pub const TTL: &str = "TTL";
    pub const MSG_TYPE: &str = "MSG_TYPE";
    pub const ARRIVE_TIME: &str = "ARRIVE_TIME";
    pub const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";
    pub const POP_CK: &str = "POP_CK";
    pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    pub const MIN_OFFSET: &str = "MIN_OFFSET";
    pub const MAX_OFFSET: &str = "MAX_OFFSET";
    pub const CONSUME_START_TIME: &str = "CONSUME_START_TIME";
    pub const INNER_NUM: &str = "INNER_NUM";
    pub const INNER_BASE: &str = "INNER_BASE";
    pub const INNER_MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
    pub const INNER_MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
    pub const INSTANCE_ID: &str = "INSTANCE_ID";
}

/// The pairs of a properties text, without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'a> {
    text: &'a str,
}

impl<'a> Properties<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The pairs in order; when a key comes twice the later one counts, see [`Properties::get`].
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        self.text
            .split(char::from(PAIR_END))
            .filter_map(|pair| pair.split_once(NAME_END))
            .filter(|(key, value)| !key.is_empty() && !value.is_empty())
    }

    /// The last value under a key, as a Java map would have it.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.iter()
            .filter(|(name, _)| *name == key)
            .last()
            .map(|(_, value)| value)
    }

    pub fn tags(&self) -> Option<&'a str> {
        self.get(name::TAGS)
    }

    /// The index keys, which are separated by spaces.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let keys = self.get(name::KEYS).unwrap_or_default();
        keys.split(' ').filter(|key| !key.is_empty())
    }

    /// The text without a key's pairs; for POP_CK, which a broker takes out of what is sent.
    pub fn without(&self, key: &str) -> String {
        let mut text = String::with_capacity(self.text.len());
        for (name, value) in self.iter().filter(|(name, _)| *name != key) {
            append(&mut text, name, value);
        }
        text
    }
}

/// Appends a pair, after a separator when the text lacks one. A pair with an empty part, or with a
/// separator inside, would not be read back and is not written.
pub fn append(text: &mut String, key: &str, value: &str) {
    if !is_writable(key, value) {
        return;
    }
    if needs_separator(text) {
        text.push(char::from(PAIR_END));
    }
    text.push_str(key);
    text.push(NAME_END);
    text.push_str(value);
    text.push(char::from(PAIR_END));
}

fn is_writable(key: &str, value: &str) -> bool {
    let is_separator = |byte: u8| byte == 1 || byte == PAIR_END;
    !key.is_empty()
        && !value.is_empty()
        && !key.bytes().any(is_separator)
        && !value.bytes().any(is_separator)
}

fn needs_separator(text: &str) -> bool {
    !text.is_empty() && !text.ends_with(char::from(PAIR_END))
}

/// The size of a text with pairs behind it.
pub(super) fn appended_bytes(text: &str, pairs: &[(&str, &str)]) -> usize {
    let mut writable = pairs
        .iter()
        .filter(|(key, value)| is_writable(key, value))
        .peekable();
    let separator = usize::from(writable.peek().is_some() && needs_separator(text));
    text.len()
        + separator
        + writable
            .map(|(key, value)| key.len() + value.len() + 2)
            .sum::<usize>()
}

/// Appends a text and pairs behind it; as many bytes as [`appended_bytes`] says.
pub(super) fn append_all(text: &str, pairs: &[(&str, &str)], out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    let mut separator_due = needs_separator(text);
    for (key, value) in pairs.iter().filter(|(key, value)| is_writable(key, value)) {
        if separator_due {
            out.push(PAIR_END);
            separator_due = false;
        }
        out.extend_from_slice(key.as_bytes());
        out.push(NAME_END as u8);
        out.extend_from_slice(value.as_bytes());
        out.push(PAIR_END);
    }
}

//! What a broker registers at a NameServer, plain and deflated.
//!
//! ```text
//! deflated: zlib of
//!   i32 length, DataVersion JSON
//!   i32 topics, each: i32 length, "name readQueues writeQueues perm SINGLE_TAG {attributes JSON}"
//!   i32 length, filter servers JSON
//!   i32 mappings, each: i32 length, JSON                         only from version 413 (5.0) on
//! ```

use std::fmt;

use super::topic::{TopicConfig, TopicConfigAndMapping, TopicFilterType};
use crate::bytes::Cursor;
use crate::code::Version;
use crate::json::{JsonError, body, from_slice, to_vec};
use crate::message::{self, CompressionError};

/// The most topics in one registration.
pub const TOPICS_MAX: usize = 500_000;

/// The most bytes that a registration may inflate to.
pub const REGISTER_BYTES_MAX: usize = 64 * 1024 * 1024;

body! {
    /// 103 REGISTER_BROKER.
    pub struct RegisterBody {
        "filterServerList" filter_server_list: Vec<String>,
        "topicConfigSerializeWrapper" topic_config_serialize_wrapper: TopicConfigAndMapping,
    }
}

/// Why a deflated registration cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    Compression(CompressionError),
    Cut,
    TopicText,
    TooManyTopics { topics_max: usize },
    Json(JsonError),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compression(error) => write!(f, "registration: {error}"),
            Self::Cut => f.write_str("registration ends too early"),
            Self::TopicText => f.write_str("registration has a topic that is not a topic's text"),
            Self::TooManyTopics { topics_max } => {
                write!(f, "registration has more than {topics_max} topics")
            }
            Self::Json(error) => write!(f, "registration: {error}"),
        }
    }
}

impl std::error::Error for RegisterError {}

impl From<JsonError> for RegisterError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// Reads the deflated form; `version` is the sender's.
pub fn inflate_register(bytes: &[u8], version: Version) -> Result<RegisterBody, RegisterError> {
    let plain = message::inflate(bytes, REGISTER_BYTES_MAX).map_err(RegisterError::Compression)?;
    let mut cursor = Cursor::new(&plain);
    let mut body = RegisterBody::default();
    let wrapper = &mut body.topic_config_serialize_wrapper;
    wrapper.data_version = from_slice(cursor.sized32().ok_or(RegisterError::Cut)?)?;
    let topics = cursor.i32().and_then(|topics| usize::try_from(topics).ok());
    let topics = topics.ok_or(RegisterError::Cut)?;
    if topics > TOPICS_MAX {
        return Err(RegisterError::TooManyTopics {
            topics_max: TOPICS_MAX,
        });
    }
    for _ in 0..topics {
        let text = cursor.sized32().ok_or(RegisterError::Cut)?;
        let config = read_topic(text).ok_or(RegisterError::TopicText)?;
        wrapper
            .topic_config_table
            .insert(config.topic_name.clone(), config);
    }
    body.filter_server_list = from_slice(cursor.sized32().ok_or(RegisterError::Cut)?)?;
    if version >= Version::V5_0_0 {
        wrapper.mapping_data_version = Some(Default::default());
    }
    Ok(body)
}

fn read_topic(text: &[u8]) -> Option<TopicConfig> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.splitn(6, ' ');
    let mut config = TopicConfig {
        topic_name: words.next()?.to_owned(),
        read_queue_nums: words.next()?.parse().ok()?,
        write_queue_nums: words.next()?.parse().ok()?,
        perm: words.next()?.parse().ok()?,
        topic_filter_type: TopicFilterType::from_name(words.next()?),
        ..TopicConfig::default()
    };
    // Brokers before 5.0 send no attributes.
    if let Some(attributes) = words.next()
        && !attributes.is_empty()
    {
        config.attributes = from_slice(attributes.as_bytes()).ok()?;
    }
    Some(config)
}

/// Writes the deflated form for a sender of the given version.
pub fn deflate_register(body: &RegisterBody, version: Version) -> Vec<u8> {
    let wrapper = &body.topic_config_serialize_wrapper;
    let mut plain = Vec::new();
    append_sized(&to_vec(&wrapper.data_version), &mut plain);
    plain.extend_from_slice(&(wrapper.topic_config_table.len() as i32).to_be_bytes());
    for config in wrapper.topic_config_table.values() {
        let filter = config
            .topic_filter_type
            .unwrap_or(TopicFilterType::SingleTag)
            .name();
        let mut text = format!(
            "{} {} {} {} {filter}",
            config.topic_name, config.read_queue_nums, config.write_queue_nums, config.perm,
        )
        .into_bytes();
        // A 4.x reader takes exactly five words.
        if version >= Version::V5_0_0 {
            text.push(b' ');
            text.extend_from_slice(&to_vec(&config.attributes));
        }
        append_sized(&text, &mut plain);
    }
    append_sized(&to_vec(&body.filter_server_list), &mut plain);
    if version >= Version::V5_0_0 {
        plain.extend_from_slice(&[0; 4]);
    }
    message::deflate(&plain)
}

fn append_sized(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as i32).to_be_bytes());
    out.extend_from_slice(text);
}

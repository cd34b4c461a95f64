//! What two peers agree on.

use std::sync::Arc;

use crate::cache::CACHE_SLOTS_DEFAULT;
use crate::commands::WireFormatInfo;
use crate::primitive::{PrimitiveLimits, Properties, Value, ValueRef, encode_map};
use crate::schema::Magic;
use crate::{JavaString, Malformed};

/// The newest version this crate speaks.
pub const VERSION_MAX: i32 = 12;

/// The cache size that Java clients and brokers ask for.
const CACHE_SIZE_DEFAULT: i32 = 1024;

/// A peer has not authenticated when it sends this map: keep it small and flat.
const WIRE_FORMAT_LIMITS: PrimitiveLimits = PrimitiveLimits {
    entries_max: 64,
    nesting_max: 0,
    value_bytes_max: 512,
};

/// The contents of a [`WireFormatInfo`]. A key that is missing reads as false, 0 or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireFormatOptions {
    pub version: i32,
    pub stack_trace_enabled: bool,
    pub tight_encoding_enabled: bool,
    pub cache_enabled: bool,
    pub tcp_no_delay_enabled: bool,
    pub size_prefix_disabled: bool,
    /// Slots; 0 for the default of 16383.
    pub cache_size: i32,
    /// Bytes; 0 and less for none. Always send a positive one: clients derive their cap on
    /// inflated bodies from it.
    pub max_frame_size: i64,
    pub max_frame_size_enabled: bool,
    /// Milliseconds; 0 for none.
    pub max_inactivity_duration: i64,
    /// Milliseconds.
    pub max_inactivity_duration_initial_delay: i64,
    pub provider_name: Option<JavaString>,
    pub provider_version: Option<JavaString>,
    pub platform_details: Option<JavaString>,
    /// The virtual host a client has asked for.
    pub host: Option<JavaString>,
}

impl WireFormatOptions {
    /// What a Java broker offers, with `max_frame_size` in bytes.
    pub fn broker(provider_version: &str, platform_details: &str, max_frame_size: i64) -> Self {
        Self {
            version: VERSION_MAX,
            stack_trace_enabled: true,
            tight_encoding_enabled: true,
            cache_enabled: true,
            tcp_no_delay_enabled: true,
            size_prefix_disabled: false,
            cache_size: CACHE_SIZE_DEFAULT,
            max_frame_size,
            max_frame_size_enabled: true,
            max_inactivity_duration: 30_000,
            max_inactivity_duration_initial_delay: 10_000,
            provider_name: Some("ActiveMQ".into()),
            provider_version: Some(provider_version.into()),
            platform_details: Some(platform_details.into()),
            host: None,
        }
    }

    /// Reads a received WireFormatInfo, as hostile input.
    pub fn parse(info: &WireFormatInfo) -> Result<Self, Malformed> {
        let mut options = Self {
            version: info.version,
            ..Self::default()
        };
        let Some(bytes) = &info.marshalled_properties else {
            return Ok(options);
        };
        for entry in Properties::parse(bytes, WIRE_FORMAT_LIMITS)? {
            let (key, value) = entry?;
            match (key.as_bytes(), value) {
                (b"StackTraceEnabled", ValueRef::Bool(on)) => options.stack_trace_enabled = on,
                (b"TightEncodingEnabled", ValueRef::Bool(on)) => {
                    options.tight_encoding_enabled = on;
                }
                (b"CacheEnabled", ValueRef::Bool(on)) => options.cache_enabled = on,
                (b"TcpNoDelayEnabled", ValueRef::Bool(on)) => options.tcp_no_delay_enabled = on,
                (b"SizePrefixDisabled", ValueRef::Bool(on)) => options.size_prefix_disabled = on,
                (b"MaxFrameSizeEnabled", ValueRef::Bool(on)) => {
                    options.max_frame_size_enabled = on;
                }
                (b"CacheSize", ValueRef::Int(size)) => options.cache_size = size,
                (b"MaxFrameSize", ValueRef::Long(size)) => options.max_frame_size = size,
                (b"MaxInactivityDuration", ValueRef::Long(millis)) => {
                    options.max_inactivity_duration = millis;
                }
                // The key is misspelt in the original.
                (b"MaxInactivityDurationInitalDelay", ValueRef::Long(millis)) => {
                    options.max_inactivity_duration_initial_delay = millis;
                }
                (b"ProviderName", ValueRef::String(text)) => {
                    options.provider_name = Some(text.to_owned());
                }
                (b"ProviderVersion", ValueRef::String(text)) => {
                    options.provider_version = Some(text.to_owned());
                }
                (b"PlatformDetails", ValueRef::String(text)) => {
                    options.platform_details = Some(text.to_owned());
                }
                (b"Host", ValueRef::String(text)) => options.host = Some(text.to_owned()),
                // Peers may say more about themselves than we know.
                (_, _) => {}
            }
        }
        Ok(options)
    }

    /// The frame to send.
    pub fn to_info(&self) -> WireFormatInfo {
        let mut entries: Vec<(JavaString, Value)> = vec![
            (
                "StackTraceEnabled".into(),
                Value::Bool(self.stack_trace_enabled),
            ),
            (
                "TightEncodingEnabled".into(),
                Value::Bool(self.tight_encoding_enabled),
            ),
            ("CacheEnabled".into(), Value::Bool(self.cache_enabled)),
            (
                "TcpNoDelayEnabled".into(),
                Value::Bool(self.tcp_no_delay_enabled),
            ),
            (
                "SizePrefixDisabled".into(),
                Value::Bool(self.size_prefix_disabled),
            ),
            ("CacheSize".into(), Value::Int(self.cache_size)),
            ("MaxFrameSize".into(), Value::Long(self.max_frame_size)),
            (
                "MaxFrameSizeEnabled".into(),
                Value::Bool(self.max_frame_size_enabled),
            ),
            (
                "MaxInactivityDuration".into(),
                Value::Long(self.max_inactivity_duration),
            ),
            (
                "MaxInactivityDurationInitalDelay".into(),
                Value::Long(self.max_inactivity_duration_initial_delay),
            ),
        ];
        for (key, text) in [
            ("ProviderName", &self.provider_name),
            ("ProviderVersion", &self.provider_version),
            ("PlatformDetails", &self.platform_details),
            ("Host", &self.host),
        ] {
            if let Some(text) = text {
                entries.push((key.into(), Value::String(text.clone())));
            }
        }
        let mut properties = Vec::new();
        encode_map(&entries, &mut properties);
        WireFormatInfo {
            magic: Magic,
            version: self.version,
            marshalled_properties: Some(Arc::from(properties)),
        }
    }
}

/// What holds for both directions once both WireFormatInfos have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// 1 to 12. The caller drops peers below its own minimum.
    pub version: i32,
    pub tight_encoding: bool,
    /// Slots of the marshalling cache; none if there is no cache.
    pub cache_slots: Option<usize>,
    pub stack_traces: bool,
    pub tcp_no_delay: bool,
    /// Bytes of a frame without its size prefix; `usize::MAX` if neither side has named any.
    pub frame_bytes_max: usize,
    /// Milliseconds without one byte after which the peer is dead; 0 for never.
    pub inactivity_millis_max: i64,
    /// Milliseconds before the first inactivity check.
    pub inactivity_initial_delay_millis: i64,
}

impl Negotiated {
    /// The encoding of stored records: version 12, loose, uncached.
    pub const CANONICAL: Self = Self {
        version: VERSION_MAX,
        tight_encoding: false,
        cache_slots: None,
        stack_traces: false,
        tcp_no_delay: false,
        frame_bytes_max: usize::MAX,
        inactivity_millis_max: 0,
        inactivity_initial_delay_millis: 0,
    };
}

/// Combines both sides' options; symmetric in its arguments.
///
/// `size_prefix_disabled` is not supported: never offer it, and the conjunction is false.
pub fn negotiate(ours: &WireFormatOptions, theirs: &WireFormatOptions) -> Negotiated {
    let cache_size = ours.cache_size.min(theirs.cache_size);
    let cache_slots = usize::try_from(cache_size)
        .ok()
        .filter(|&slots| slots > 0)
        .unwrap_or(CACHE_SLOTS_DEFAULT);
    let cache_enabled = ours.cache_enabled && theirs.cache_enabled;
    let frame_size = min_positive(ours.max_frame_size, theirs.max_frame_size);
    Negotiated {
        version: min_positive(ours.version.into(), theirs.version.into())
            .and_then(|version| i32::try_from(version).ok())
            .map_or(VERSION_MAX, |version| version.min(VERSION_MAX)),
        tight_encoding: ours.tight_encoding_enabled && theirs.tight_encoding_enabled,
        cache_slots: cache_enabled.then(|| cache_slots.min(CACHE_SLOTS_DEFAULT)),
        stack_traces: ours.stack_trace_enabled && theirs.stack_trace_enabled,
        tcp_no_delay: ours.tcp_no_delay_enabled && theirs.tcp_no_delay_enabled,
        frame_bytes_max: frame_size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(usize::MAX),
        inactivity_millis_max: ours
            .max_inactivity_duration
            .min(theirs.max_inactivity_duration)
            .max(0),
        inactivity_initial_delay_millis: ours
            .max_inactivity_duration_initial_delay
            .min(theirs.max_inactivity_duration_initial_delay)
            .max(0),
    }
}

/// The smaller of those that are above zero.
fn min_positive(ours: i64, theirs: i64) -> Option<i64> {
    [ours, theirs].into_iter().filter(|&value| value > 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_the_wire() {
        let options = WireFormatOptions::broker("5.18.3", "Java", 100 * 1024 * 1024);
        assert_eq!(WireFormatOptions::parse(&options.to_info()), Ok(options));
    }

    #[test]
    fn missing_keys_are_off_and_values_that_make_no_sense_are_ignored() {
        let info = WireFormatInfo {
            version: 3,
            ..WireFormatInfo::default()
        };
        let theirs = WireFormatOptions::parse(&info).expect("no properties is fine");
        let ours = WireFormatOptions::broker("5.18.3", "Java", 1000);
        let agreed = negotiate(&ours, &theirs);
        assert_eq!(negotiate(&theirs, &ours), agreed);
        assert_eq!((agreed.version, agreed.frame_bytes_max), (3, 1000));
        assert_eq!((agreed.tight_encoding, agreed.cache_slots), (false, None));
        assert_eq!(agreed.inactivity_millis_max, 0);

        let theirs = WireFormatOptions {
            version: 99,
            cache_size: 0,
            ..ours.clone()
        };
        let agreed = negotiate(&ours, &theirs);
        assert_eq!((agreed.version, agreed.cache_slots), (12, Some(16_383)));
        let theirs = WireFormatOptions {
            version: -1,
            cache_size: 50,
            ..ours.clone()
        };
        let agreed = negotiate(&ours, &theirs);
        assert_eq!((agreed.version, agreed.cache_slots), (12, Some(50)));
    }

    #[test]
    fn a_hostile_map_is_refused() {
        let refused = |entries: &[(JavaString, Value)]| {
            let mut properties = Vec::new();
            encode_map(entries, &mut properties);
            let marshalled_properties = Some(Arc::from(properties));
            let info = WireFormatInfo {
                magic: Magic,
                version: 12,
                marshalled_properties,
            };
            WireFormatOptions::parse(&info).expect_err("beyond a limit")
        };
        let many: Vec<_> = (0..65)
            .map(|n| (n.to_string().into(), Value::Null))
            .collect();
        assert!(matches!(
            refused(&many),
            Malformed::LimitExceeded { size: 65, .. }
        ));
        let long = [("Host".into(), Value::String("h".repeat(513).into()))];
        assert!(matches!(
            refused(&long),
            Malformed::LimitExceeded { size: 513, .. }
        ));
        let nested = [("Host".into(), Value::Map(vec![]))];
        assert_eq!(refused(&nested), Malformed::PrimitiveNotAllowed);
    }
}

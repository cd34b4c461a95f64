//! What the operator chooses: one file, then the environment, then the flags; the later wins.
//!
//! A key that nobody reads is an error, wherever it stands: a misspelt limit that is silently
//! ignored is found on the day it is needed.

mod keys;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use keys::{check_keys, plain_value, set};

/// Every environment variable with this prefix is a key: `TROIKA__LISTENERS__AMQP=5673`.
pub const ENV_PREFIX: &str = "TROIKA__";

/// Everything that can be chosen.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub data_dir: DataDir,
    pub listeners: Listeners,
    pub broker: Broker,
    pub limits: Limits,
    pub retention: Retention,
    pub log: Log,
    pub users: Vec<User>,
}

/// Where the log lies, relative to the working directory.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(transparent)]
pub struct DataDir(pub PathBuf);

impl Default for DataDir {
    fn default() -> DataDir {
        DataDir("troika-data".into())
    }
}

/// Where each language is spoken. Port 0 lets the system choose.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listeners {
    pub bind: IpAddr,
    pub amqp: u16,
    pub openwire: u16,
    pub nameserver: u16,
    pub remoting: u16,
    /// The port that RocketMQ clients call the VIP channel: the broker's, two below.
    pub remoting_vip: u16,
}

impl Default for Listeners {
    fn default() -> Listeners {
        Listeners {
            bind: Ipv4Addr::LOCALHOST.into(),
            amqp: 5672,
            openwire: 61616,
            nameserver: 9876,
            remoting: 10911,
            remoting_vip: 10909,
        }
    }
}

/// How the broker calls itself towards RocketMQ clients, who are told where to connect.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    pub name: String,
    pub cluster: String,
    /// The IP address in routes and in offset message ids; `listeners.bind` if none is given.
    pub advertised_host: Option<IpAddr>,
}

impl Default for Broker {
    fn default() -> Broker {
        Broker {
            name: "broker-a".into(),
            cluster: "DefaultCluster".into(),
            advertised_host: None,
        }
    }
}

/// What peers may make grow inside the server; what they may send is limited by each door.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Over all listeners; a connection above it is closed as it is accepted.
    pub connections: usize,
    /// Of these, how many may not have logged in; above it the one that has waited longest is
    /// closed.
    pub strangers: usize,
    /// Deliveries to a connection stop while more than this waits to be sent; reading from it
    /// stops at twice as much.
    pub outbox_bytes: usize,
    /// Reading from a connection stops while its door leaves as much unread. Not below the
    /// largest frame of any wire, 100 MB on OpenWire: a frame is offered whole.
    pub unread_bytes: usize,
    /// Nobody is read from while more than this waits for the disk.
    pub unsynced_bytes: usize,
    /// Publishers rest while more than this is held in memory; without it, six tenths of the
    /// machine's.
    pub memory_bytes: Option<u64>,
    /// Messages of volatile queues beyond this go from memory to the disk, and come back when they
    /// are wanted.
    pub volatile_bytes: usize,
    /// Publishers rest while fewer than this are free where the log lies.
    pub disk_free_bytes: u64,
    /// Old segments are merged while the log is larger than twice what is live and this.
    pub garbage_bytes: u64,
    /// No faster than this, reading and writing counted.
    pub merge_bytes_per_second: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            strangers: 1_000,
            outbox_bytes: 1 << 20,
            unread_bytes: 101 << 20,
            unsynced_bytes: 64 << 20,
            memory_bytes: None,
            volatile_bytes: 32 << 20,
            disk_free_bytes: 50_000_000,
            garbage_bytes: 1 << 30,
            merge_bytes_per_second: 32 << 20,
        }
    }
}

/// How long partitions keep what was stored. Zero hours, or zero bytes, is no limit.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    pub hours: u64,
    /// Of the records of one partition.
    pub partition_bytes: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            hours: 72,
            partition_bytes: 0,
        }
    }
}

impl Retention {
    pub(crate) fn as_broker(&self) -> broker::node::Retention {
        let limited = |limit: u64| (limit > 0).then_some(limit);
        broker::node::Retention {
            age_ms: limited(self.hours).map(|hours| hours.saturating_mul(3_600_000)),
            bytes_max: limited(self.partition_bytes),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            level: "info".into(),
        }
    }
}

/// Someone who may come in, at every door.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "WrittenUser")]
pub struct User {
    pub name: String,
    pub secret: Secret,
    pub tags: Vec<String>,
    pub loopback_only: bool,
}

/// A user as the file spells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: String,
    password: Option<String>,
    password_hash: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    loopback_only: bool,
}

impl TryFrom<WrittenUser> for User {
    type Error = String;

    fn try_from(written: WrittenUser) -> Result<User, String> {
        let WrittenUser {
            name,
            password,
            password_hash,
            tags,
            loopback_only,
        } = written;
        let secret = match (password, password_hash) {
            (Some(password), None) => Secret::Password(password),
            (None, Some(hash)) => Secret::PasswordHash(hash),
            (None, None) | (Some(_), Some(_)) => {
                return Err(format!(
                    "user \"{name}\" needs one of password and password_hash"
                ));
            }
        };
        Ok(User {
            name,
            secret,
            tags,
            loopback_only,
        })
    }
}

/// One of the two proofs of a user.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Password(String),
    /// `sha256$<base64 salt>$<base64 hash>`.
    PasswordHash(String),
}

/// Says which proof it is, and not the proof: configurations are logged.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password(…)",
            Secret::PasswordHash(_) => "PasswordHash(…)",
        })
    }
}

/// A configuration that cannot be used, in words for who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {source}", path = path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {message}", path = path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("unknown key \"{key}\"{origin}{hint}", origin = origin.suffix(), hint = hint(suggestion))]
    UnknownKey {
        key: String,
        origin: Origin,
        suggestion: Option<String>,
    },
    #[error("{0}")]
    Value(String),
}

/// Where a key was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    File(PathBuf),
    Environment(String),
    Flag,
}

impl Origin {
    fn suffix(&self) -> String {
        match self {
            Origin::File(path) => format!(" in {}", path.display()),
            Origin::Environment(name) => format!(" in the environment variable {name}"),
            Origin::Flag => " in a flag".into(),
        }
    }
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|key| format!("; did you mean \"{key}\"?"))
        .unwrap_or_default()
}

/// A key that a flag sets.
#[derive(Clone, PartialEq, Debug)]
pub struct Override {
    /// Dotted, as `listeners.amqp`.
    pub key: &'static str,
    pub value: Value,
}

impl Config {
    /// Reads a file (the one named, else `troika.toml` if it is there), the environment and the
    /// flags.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = Override>,
    ) -> Result<Config, ConfigError> {
        let path = file.unwrap_or(Path::new("troika.toml"));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
            Err(source) => {
                return Err(ConfigError::Unreadable {
                    path: path.into(),
                    source,
                });
            }
        };
        Config::parse(path, &text, environment, flags)
    }

    /// The same, from a text.
    pub fn parse(
        path: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = Override>,
    ) -> Result<Config, ConfigError> {
        let mut table: Table = toml::from_str(text).map_err(|e| ConfigError::Syntax {
            path: path.into(),
            message: e.to_string().trim_end().into(),
        })?;
        check_keys(&table, &Origin::File(path.into()))?;
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter_map(|(name, value)| {
                let key = name
                    .strip_prefix(ENV_PREFIX)?
                    .to_lowercase()
                    .replace("__", ".");
                Some((key, name, value))
            })
            .collect();
        variables.sort();
        for (key, name, value) in variables {
            let origin = Origin::Environment(name);
            let value = plain_value(&key, &value);
            set(&mut table, &key, value, &origin)?;
        }
        for Override { key, value } in flags {
            set(&mut table, key, value, &Origin::Flag)?;
        }
        let config: Config = Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| ConfigError::Value(e.to_string().trim_end().into()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError::Value(text));
        for user in &self.users {
            if user.name.is_empty() {
                return wrong("a user needs a name".into());
            }
            match &user.secret {
                Secret::Password(password) if password.is_empty() => {
                    return wrong(format!("user \"{}\" has a blank password", user.name));
                }
                Secret::PasswordHash(hash) if !crate::password::is_hash(hash) => {
                    return wrong(format!(
                        "the password_hash of user \"{}\" is not of the form \
                         sha256$<base64 salt>$<base64 hash>",
                        user.name
                    ));
                }
                Secret::Password(_) | Secret::PasswordHash(_) => {}
            }
        }
        for (key, value) in [
            ("connections", self.limits.connections),
            ("strangers", self.limits.strangers),
            ("outbox_bytes", self.limits.outbox_bytes),
            ("volatile_bytes", self.limits.volatile_bytes),
        ] {
            if value == 0 {
                return wrong(format!("limits.{key} must not be 0"));
            }
        }
        if self.limits.memory_bytes == Some(0) {
            return wrong("limits.memory_bytes must not be 0".into());
        }
        Ok(())
    }
}

impl Listeners {
    /// Whether anything but this machine can reach them.
    pub fn are_open(&self) -> bool {
        !self.bind.to_canonical().is_loopback()
    }

    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.bind, port)
    }
}

#[cfg(test)]
mod tests {
    use super::keys::KEYS;
    use super::*;

    fn parse(text: &str, env: &[(&str, &str)], flags: &[Override]) -> Result<Config, String> {
        let env = env.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        Config::parse(Path::new("troika.toml"), text, env, flags.iter().cloned())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_is_needed() {
        assert_eq!(parse("", &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn retention_without_a_number_is_without_a_limit() {
        let kept = |text: &str| parse(text, &[], &[]).unwrap().retention.as_broker();
        assert_eq!(kept(""), broker::node::Retention::default());
        let chosen = kept("[retention]\nhours = 0\npartition_bytes = 5\n");
        assert_eq!((chosen.age_ms, chosen.bytes_max), (None, Some(5)));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let text = "data_dir = \"a\"\n[listeners]\namqp = 1\nopenwire = 1\nremoting = 1\n\
                    [broker]\nname = \"x\"\n[[users]]\nname = \"u\"\npassword = \"p\"\n";
        let env = [
            ("TROIKA__LISTENERS__AMQP", "2"),
            ("TROIKA__LISTENERS__OPENWIRE", "2"),
            ("TROIKA__BROKER__NAME", "7"),
            ("TROIKA__DATA_DIR", "b"),
            ("PATH", "/"),
        ];
        let flags = [Override {
            key: "listeners.amqp",
            value: Value::Integer(3),
        }];
        let config = parse(text, &env, &flags).unwrap();
        let ports = [
            config.listeners.amqp,
            config.listeners.openwire,
            config.listeners.remoting,
        ];
        assert_eq!(ports, [3, 2, 1]);
        assert_eq!(
            (config.broker.name.as_str(), config.data_dir.0.to_str()),
            ("7", Some("b"))
        );
        assert_eq!(config.users[0].secret, Secret::Password("p".into()));
    }

    #[test]
    fn every_listed_key_is_read() {
        for key in KEYS {
            let value = match key {
                "listeners.bind" | "broker.advertised_host" => Value::String("::1".into()),
                _ if plain_value(key, "1").is_integer() => Value::Integer(1),
                _ => Value::String("1".into()),
            };
            let config = parse("", &[], &[Override { key, value }]).unwrap();
            assert_ne!(config, Config::default(), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, env, message) in [
            (
                "[listeners]\namqpp = 1",
                ("X", ""),
                "unknown key \"listeners.amqpp\" in troika.toml; did you mean \"listeners.amqp\"?",
            ),
            (
                "[listener]\namqp = 1",
                ("X", ""),
                "unknown key \"listener\" in troika.toml; did you mean \"listeners\"?",
            ),
            (
                "amqp = 1",
                ("X", ""),
                "unknown key \"amqp\" in troika.toml; did you mean \"listeners.amqp\"?",
            ),
            (
                "[[users]]\nname = \"a\"\npasword = \"b\"",
                ("X", ""),
                "unknown key \"pasword\" in troika.toml; did you mean \"password\"?",
            ),
            (
                "",
                ("TROIKA__LIMITS__CONECTIONS", "1"),
                "unknown key \"limits.conections\" in the environment variable \
                 TROIKA__LIMITS__CONECTIONS; did you mean \"limits.connections\"?",
            ),
            ("zzz = 1", ("X", ""), "unknown key \"zzz\" in troika.toml"),
            (
                "[[users]]\nname = \"a\"\npassword = \"\"",
                ("X", ""),
                "user \"a\" has a blank password",
            ),
            (
                "[limits]\nconnections = 0",
                ("X", ""),
                "limits.connections must not be 0",
            ),
        ] {
            assert_eq!(parse(text, &[env], &[]).unwrap_err(), message);
        }
        for text in [
            "[listeners]\namqp = 70000",
            "[listeners]\nbind = \"everywhere\"",
            "[[users]]\nname = \"a\"",
            "[[users]]\nname = \"a\"\npassword_hash = \"x\"",
            "users = 1",
            "data_dir",
        ] {
            assert!(parse(text, &[], &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let text = "[[users]]\nname = \"u\"\npassword = \"open sesame\"\n";
        let config = parse(text, &[], &[]).unwrap();
        assert!(!format!("{config:?}").contains("sesame"));
    }
}

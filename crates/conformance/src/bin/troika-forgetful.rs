//! `troika serve` on a [`ForgetfulDisk`]: what a kill leaves behind is what a power failure would.
//!
//! It takes the flags that the harness gives a server. `FORGETFUL_BYTES` makes the disk small, `FORGETFUL_LIES` lets
//! it pretend to sync.

use std::process::ExitCode;
use std::sync::Arc;

use conformance::forgetful::{ForgetfulDisk, Limits};
use server::{Config, Override, Value};

/// The flags, and the keys of the configuration that they set.
const FLAGS: [(&str, &str); 6] = [
    ("--data-dir", "data_dir"),
    ("--amqp-port", "listeners.amqp"),
    ("--openwire-port", "listeners.openwire"),
    ("--nameserver-port", "listeners.nameserver"),
    ("--remoting-port", "listeners.remoting"),
    ("--remoting-vip-port", "listeners.remoting_vip"),
];

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("troika-forgetful: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some("serve") {
        return Err("usage: troika-forgetful serve --data-dir DIR [--amqp-port PORT] …".into());
    }
    let mut overrides = Vec::new();
    while let Some(flag) = words.next() {
        let (_, key) = FLAGS
            .iter()
            .find(|(name, _)| *name == flag)
            .ok_or_else(|| format!("unknown argument \"{flag}\""))?;
        let text = words
            .next()
            .ok_or_else(|| format!("{flag} needs a value"))?;
        let value = match text.parse() {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::String(text),
        };
        overrides.push(Override { key, value });
    }
    let variables = std::env::vars();
    let config = Config::load(None, variables, overrides).map_err(|error| error.to_string())?;
    let bytes = match std::env::var("FORGETFUL_BYTES") {
        Ok(text) => {
            let wrong = |_| format!("FORGETFUL_BYTES: \"{text}\" is not a number");
            Some(text.parse().map_err(wrong)?)
        }
        Err(_) => None,
    };
    let limits = Limits {
        bytes,
        lies: std::env::var_os("FORGETFUL_LIES").is_some(),
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let disk = Arc::new(ForgetfulDisk::new(config.data_dir.0.as_path(), limits));
    server::serve_on(disk, &config).map_err(|error| error.to_string())
}

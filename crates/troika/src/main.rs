//! The binary: reads flags, configuration and environment, and serves.

mod bench;
mod inspect;
mod malloc;

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use server::{Config, Override, Value};
use tracing_subscriber::filter::LevelFilter;

/// A message broker that speaks AMQP 0-9-1, OpenWire and RocketMQ over one log.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the broker; what happens without a verb
    Serve(Serve),
    /// Read a password from the standard input and print its hash for `password_hash`
    HashPassword,
    Bench(Box<bench::Options>),
    Inspect(inspect::Options),
}

/// Each flag wins over the environment (TROIKA__SECTION__KEY), and that over the file.
#[derive(Args)]
struct Serve {
    /// The configuration file [default: troika.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the messages lie [default: troika-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address to listen at [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// AMQP 0-9-1 [default: 5672]
    #[arg(long, value_name = "PORT")]
    amqp_port: Option<u16>,
    /// OpenWire [default: 61616]
    #[arg(long, value_name = "PORT")]
    openwire_port: Option<u16>,
    /// RocketMQ name server [default: 9876]
    #[arg(long, value_name = "PORT")]
    nameserver_port: Option<u16>,
    /// RocketMQ broker [default: 10911]
    #[arg(long, value_name = "PORT")]
    remoting_port: Option<u16>,
    /// RocketMQ broker, VIP channel [default: 10909]
    #[arg(long, value_name = "PORT")]
    remoting_vip_port: Option<u16>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Serve {
    fn overrides(&self) -> Result<Vec<Override>, String> {
        let ports = [
            ("listeners.amqp", self.amqp_port),
            ("listeners.openwire", self.openwire_port),
            ("listeners.nameserver", self.nameserver_port),
            ("listeners.remoting", self.remoting_port),
            ("listeners.remoting_vip", self.remoting_vip_port),
        ];
        let data_dir = match &self.data_dir {
            None => None,
            Some(path) => match path.to_str() {
                Some(path) => Some(path.to_owned()),
                None => return Err("--data-dir is not valid UTF-8".into()),
            },
        };
        let texts = [
            ("data_dir", data_dir),
            ("listeners.bind", self.bind.map(|bind| bind.to_string())),
            ("log.level", self.log_level.clone()),
        ];
        let ports = ports.into_iter().filter_map(|(key, port)| {
            Some(Override {
                key,
                value: Value::Integer(port?.into()),
            })
        });
        let texts = texts.into_iter().filter_map(|(key, text)| {
            Some(Override {
                key,
                value: Value::String(text?),
            })
        });
        Ok(ports.chain(texts).collect())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.verb {
        None => serve(&cli.serve),
        Some(Verb::Serve(flags)) => serve(&flags),
        Some(Verb::HashPassword) => hash_password(),
        Some(Verb::Bench(options)) => bench::bench(*options),
        Some(Verb::Inspect(options)) => inspect::inspect(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("troika: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(flags: &Serve) -> Result<(), String> {
    malloc::stay_small();
    // A variable that is not text cannot be meant for us.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(flags.config.as_deref(), environment, flags.overrides()?)
        .map_err(|e| e.to_string())?;
    let level: LevelFilter = config
        .log
        .level
        .parse()
        .map_err(|_| format!("log.level \"{}\" is no level", config.log.level))?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    server::serve(&config).map_err(|e| e.to_string())
}

fn hash_password() -> Result<(), String> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|e| format!("cannot read the password: {e}"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("a blank password admits nobody".into());
    }
    let hash = server::hash_password(password.as_bytes()).map_err(|e| e.to_string())?;
    println!("{hash}");
    Ok(())
}

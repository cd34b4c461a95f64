//! From a configuration to a running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Poll, Waker};

use broker::topology::{Change, Topology, UserSpec};
use gateway::door::Door;
use store::{Disk, FileDisk};

use crate::alarm::Watch;
use crate::clock::Clock;
use crate::config::{Config, Secret, User};
use crate::core::Core;
use crate::doors::{Doors, Entrance, entrances};
use crate::engine::Engine;
use crate::entropy::Entropy;
use crate::fault::Fault;
use crate::password;
use crate::reactor::{Reactor, waker};
use crate::signals::Signals;

/// The users that exist from the start, each with its name as its password, and only for who
/// sits at this machine: what the guides of RabbitMQ and of ActiveMQ type.
const DEFAULT_USERS: [&str; 2] = ["guest", "admin"];
const ADMINISTRATOR: &str = "administrator";

/// A server that listens; it works while [`Server::run`] runs.
pub struct Server {
    reactor: Reactor,
    entrances: Vec<Entrance>,
    stopper: Stopper,
    registry: mio::Registry,
    /// Held for as long as they are taken.
    signals: Option<Signals>,
}

/// Ends a running server in order, from another thread.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // A waker fails only when its reactor is gone, which is what was asked for.
        let _ = self.waker.wake();
    }
}

impl Server {
    /// Recovers what the data directory holds, sets up the users, and listens. `doors` makes the
    /// doors, in the order of [`Wire`](gateway::door::Wire), from the identity of the data
    /// directory, which stays the same for its life.
    pub fn open(
        config: &Config,
        doors: impl FnOnce(u128) -> [Box<dyn Door>; 3],
    ) -> Result<Server, Fault> {
        let disk = Arc::new(FileDisk::new(config.data_dir.0.as_path()));
        Server::open_on(disk, config, doors)
    }

    /// The same on another disk than the operating system's, which then holds the log and everything
    /// beside it.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        config: &Config,
        doors: impl FnOnce(u128) -> [Box<dyn Door>; 3],
    ) -> Result<Server, Fault> {
        let poll = Poll::new().map_err(Fault::Poll)?;
        let registry = poll.registry().try_clone().map_err(Fault::Poll)?;
        let waker = waker(&poll).map_err(Fault::Poll)?;
        let stopper = Stopper {
            stop: Arc::default(),
            waker: Arc::clone(&waker),
        };
        let ring = Arc::new(move || {
            let _ = waker.wake();
        });
        let mut clock = Clock::default();
        let engine = Engine::open(config, disk, ring, &mut clock)?;
        let core = Core::new(engine, clock, Entropy::new()?);
        let doors = Doors::new(doors(core.engine.identity()));
        let stop = Arc::clone(&stopper.stop);
        let watch = Watch::new(config);
        let mut reactor = Reactor::new(poll, core, doors, config.limits.clone(), watch, stop);
        let changes = user_changes(reactor.topology(), &config.users)?;
        reactor.carry_out(changes)?;
        if config.listeners.are_open() && !somebody_may_come(reactor.topology()) {
            return Err(Fault::OpenWithoutUsers {
                bind: config.listeners.bind,
            });
        }
        raise_file_limit();
        let mut entrances_open = Vec::new();
        for entrance in entrances(&config.listeners) {
            let Entrance { name, at, .. } = entrance;
            let listening = reactor.listen(entrance);
            entrances_open.push(listening.map_err(|source| Fault::Listen { name, at, source })?);
        }
        Ok(Server {
            reactor,
            entrances: entrances_open,
            stopper,
            registry,
            signals: None,
        })
    }

    /// Where it listens, by the names of the configuration.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> + '_ {
        self.entrances
            .iter()
            .map(|entrance| (entrance.name, entrance.at))
    }

    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Lets SIGTERM and SIGINT stop it, too.
    pub fn take_signals(&mut self) -> Result<(), Fault> {
        let signals = Signals::take(&self.registry, &self.stopper.stop);
        self.signals = Some(signals.map_err(Fault::Signals)?);
        Ok(())
    }

    /// What is told to who started it: one line with every address.
    pub fn ready_line(&self) -> String {
        let mut line = String::from("troika ready");
        for (name, address) in self.addresses() {
            line += &format!(" {name}={address}");
        }
        line
    }

    /// Works until it is stopped or the disk fails.
    pub fn run(self) -> Result<(), Fault> {
        self.reactor.run()
    }
}

/// Everything that the binary does: opens, says so in one line on the standard output, and runs
/// until SIGTERM or SIGINT.
pub fn serve(config: &Config) -> Result<(), Fault> {
    serve_on(Arc::new(FileDisk::new(config.data_dir.0.as_path())), config)
}

/// The same on another disk than the operating system's.
pub fn serve_on(disk: Arc<dyn Disk>, config: &Config) -> Result<(), Fault> {
    let doors = |identity| crate::doors::doors(config, identity);
    let mut server = Server::open_on(disk, config, doors)?;
    server.take_signals()?;
    println!("{}", server.ready_line());
    server.run()
}

/// The users to make or to change: those of the configuration, and the default ones if there is
/// nobody at all.
fn user_changes(topology: &Topology, configured: &[User]) -> Result<Vec<Change>, Fault> {
    let mut changes = Vec::new();
    if topology.users().next().is_none() {
        for name in DEFAULT_USERS {
            changes.push(Change::SetUser(UserSpec {
                name: name.into(),
                password_hash: password::hash(name.as_bytes())?.into(),
                tags: vec![ADMINISTRATOR.into()],
                loopback_only: true,
            }));
        }
    }
    for user in configured {
        let known = topology.user(&user.name);
        let tags: Vec<Arc<str>> = user
            .tags
            .iter()
            .map(|tag| Arc::from(tag.as_str()))
            .collect();
        let same_rest = known
            .is_some_and(|known| known.tags == tags && known.loopback_only == user.loopback_only);
        let known_hash = known.map(|known| &*known.password_hash);
        let (same_secret, password_hash) = match &user.secret {
            Secret::PasswordHash(hash) => (known_hash == Some(hash), hash.clone()),
            Secret::Password(password) => {
                let password = password.as_bytes();
                let same = known_hash.is_some_and(|hash| password::verify(password, hash));
                (same, password::hash(password)?)
            }
        };
        if !(same_rest && same_secret) {
            changes.push(Change::SetUser(UserSpec {
                name: user.name.as_str().into(),
                password_hash: password_hash.into(),
                tags,
                loopback_only: user.loopback_only,
            }));
        }
    }
    Ok(changes)
}

fn somebody_may_come(topology: &Topology) -> bool {
    topology.users().any(|user| !user.loopback_only)
}

/// Each connection is a file; many systems allow 1024 unless asked.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        )
    {
        tracing::warn!(%error, ?current, "cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use broker::topology::{Limits, TopologyFact};

    use super::*;

    fn names(changes: &[Change]) -> Vec<String> {
        let name = |change: &Change| match change {
            Change::SetUser(spec) => Some(spec.name.to_string()),
            other => panic!("{other:?} is not about a user"),
        };
        changes.iter().filter_map(name).collect()
    }

    #[test]
    fn users_are_made_once_and_changed_when_they_differ() {
        let user = |secret: &str, tags: &[&str]| User {
            name: "ann".into(),
            secret: Secret::Password(secret.into()),
            tags: tags.iter().map(|tag| tag.to_string()).collect(),
            loopback_only: false,
        };
        let mut topology = Topology::new(&[], |_| None, Limits::default());
        let first = user_changes(&topology, &[user("one", &[])]).unwrap();
        assert_eq!(names(&first), ["guest", "admin", "ann"]);
        for change in first {
            if let Change::SetUser(spec) = change {
                topology.apply(&TopologyFact::UserSet(spec));
            }
        }
        assert!(somebody_may_come(&topology));
        for (user, changed) in [
            (user("one", &[]), &[][..]),
            (user("two", &[]), &["ann"]),
            (user("one", &["x"]), &["ann"]),
        ] {
            assert_eq!(names(&user_changes(&topology, &[user]).unwrap()), changed);
        }
    }
}

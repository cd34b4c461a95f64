//! SIGTERM and SIGINT ask for an orderly stop; the second one does not wait for it.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mio::{Interest, Registry};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::reactor::SIGNAL;

/// The exit code of a process that was told twice.
const IMPATIENT: i32 = 130;

/// Takes the two signals for as long as it lives.
pub(crate) struct Signals {
    _readable: mio::net::UnixStream,
}

impl Signals {
    /// A signal sets `stop` and wakes whoever waits at the registry.
    pub fn take(registry: &Registry, stop: &Arc<AtomicBool>) -> io::Result<Signals> {
        let (readable, ring) = UnixStream::pair()?;
        readable.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT] {
            // In this order: the exit looks at the flag before it is set the first time.
            let again = Arc::clone(stop);
            signal_hook::flag::register_conditional_shutdown(signal, IMPATIENT, again)?;
            signal_hook::flag::register(signal, Arc::clone(stop))?;
            signal_hook::low_level::pipe::register(signal, ring.try_clone()?)?;
        }
        let mut readable = mio::net::UnixStream::from_std(readable);
        registry.register(&mut readable, SIGNAL, Interest::READABLE)?;
        Ok(Signals {
            _readable: readable,
        })
    }
}

//! Peers that no door knows yet: what they can make a link hold, and how many of them there are.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use broker::event::Event;
use broker::id::{Millis, SessionId};
use broker::pass::Command;
use broker::topology::TopologyFact;
use gateway::door::{Context, Door, Peer, STRANGER_BYTES_MAX, STRANGER_UNSENT_BYTES_MAX};

use super::line::Gauge;
use super::{Running, config, wait_until, write_until_it_stalls};

/// What is answered to one command.
const ANSWER: &[u8] = &[b'a'; 100];

/// `LOGIN` makes a peer known, `ASK` is answered at length, and anything else is half a frame for
/// ever.
struct Porch {
    gauge: Gauge,
    known: HashSet<SessionId>,
}

fn doors(gauge: &Gauge) -> [Box<dyn Door>; 3] {
    [0; 3].map(|_| {
        let (gauge, known) = (gauge.clone(), HashSet::new());
        Box::new(Porch { gauge, known }) as Box<dyn Door>
    })
}

impl Door for Porch {
    fn opened(&mut self, _session: SessionId, _peer: Peer, _cx: &mut Context<'_>) {
        self.gauge.opened.fetch_add(1, Ordering::SeqCst);
    }

    fn received(&mut self, session: SessionId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let mut consumed = 0;
        loop {
            let rest = &bytes[consumed..];
            let is_stranger = !self.known.contains(&session);
            let unsent = cx.links.unsent(session);
            if is_stranger {
                let kept = rest.len() + unsent;
                self.gauge.offered_max.fetch_max(kept, Ordering::Relaxed);
                self.gauge.unsent_max.fetch_max(unsent, Ordering::Relaxed);
            }
            if is_stranger && unsent > STRANGER_UNSENT_BYTES_MAX {
                return consumed;
            }
            if rest.starts_with(b"LOGIN\n") {
                self.known.insert(session);
                cx.links.admit(session);
                cx.links.out(session).extend_from_slice(b"OK\n");
                consumed += 6;
            } else if rest.starts_with(b"ASK\n") {
                cx.links.out(session).extend_from_slice(ANSWER);
                consumed += 4;
            } else {
                return consumed;
            }
        }
    }

    fn event(&mut self, event: Event, _cx: &mut Context<'_>) {
        panic!("nothing was asked, and {event:?} came")
    }

    fn changed(&mut self, _fact: &TopologyFact, _cx: &mut Context<'_>) {}

    fn closed(&mut self, session: SessionId, cx: &mut Context<'_>) {
        self.known.remove(&session);
        cx.pass.push(session, Command::End { token: None });
        self.gauge.closed.fetch_add(1, Ordering::SeqCst);
    }

    fn tick(&mut self, _cx: &mut Context<'_>) {}

    fn deadline(&self) -> Option<Millis> {
        None
    }

    fn finish(&mut self, _cx: &mut Context<'_>) {}
}

#[test]
fn what_a_stranger_sends_waits_in_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::behind(config(dir.path()), doors);
    for address in server.all.clone() {
        let mut stranger = super::Client::connect(address);
        let frame = vec![b'x'; 16 << 20];
        let taken = write_until_it_stalls(stranger.lines.get_mut(), &frame);
        assert!(taken < frame.len(), "all of it was read");
        assert_eq!(server.connect().ask("LOGIN"), "OK");
    }
    let kept_max = server.gauge.offered_max.load(Ordering::Relaxed);
    assert!(kept_max == STRANGER_BYTES_MAX, "{kept_max} bytes were kept");
    server.stop();
}

#[test]
fn a_stranger_that_reads_nothing_is_answered_little_and_loses_nothing() {
    const COMMANDS: usize = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let server = Running::behind(config(dir.path()), doors);
    let mut stranger = server.connect();
    let commands = b"ASK\n".repeat(COMMANDS);
    let taken = write_until_it_stalls(stranger.lines.get_mut(), &commands);
    assert_eq!(server.connect().ask("LOGIN"), "OK");
    let writer = std::thread::spawn({
        let mut socket = stranger.lines.get_ref().try_clone().unwrap();
        move || socket.write_all(&commands[taken..]).unwrap()
    });
    let mut answers = vec![0; COMMANDS * ANSWER.len()];
    stranger.lines.read_exact(&mut answers).unwrap();
    writer.join().unwrap();
    let unsent_max = server.gauge.unsent_max.load(Ordering::Relaxed);
    let most = STRANGER_UNSENT_BYTES_MAX + ANSWER.len();
    assert!(unsent_max <= most, "{unsent_max} bytes waited");
    let kept_max = server.gauge.offered_max.load(Ordering::Relaxed);
    assert!(kept_max <= STRANGER_BYTES_MAX, "{kept_max} bytes were kept");
    // Once it is known it is read from as anybody else.
    assert_eq!(stranger.ask("LOGIN"), "OK");
    stranger.send(&"ASK\n".repeat(10_000));
    stranger
        .lines
        .read_exact(&mut answers[..1_000_000])
        .unwrap();
    server.stop();
}

#[test]
fn of_too_many_strangers_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.strangers = 3;
    let server = Running::behind(config, doors);
    let mut known = server.connect();
    assert_eq!(known.ask("LOGIN"), "OK");
    let mut strangers: Vec<_> = (1..=5)
        .map(|count| {
            let client = server.connect();
            wait_until("it has come", || {
                server.gauge.opened.load(Ordering::SeqCst) == count + 1
            });
            client
        })
        .collect();
    wait_until("two have gone", || {
        server.gauge.closed.load(Ordering::SeqCst) == 2
    });
    for stranger in &mut strangers[..2] {
        assert_eq!(stranger.line(), "", "it was closed");
    }
    for stranger in &mut strangers[2..] {
        assert_eq!(stranger.ask("LOGIN"), "OK");
    }
    // Those who are known do not count: three more may wait.
    let mut late: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in late.iter_mut().chain([&mut known]) {
        client.send("ASK");
        client.lines.read_exact(&mut [0; 100]).unwrap();
    }
    assert_eq!(server.gauge.closed.load(Ordering::SeqCst), 2);
    server.stop();
}

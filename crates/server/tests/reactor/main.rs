//! The reactor, the broker and the log together, through real sockets and real files.

mod line;
mod restart;
mod strangers;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gateway::door::Door;
use server::{Config, DataDir, Fault, Secret, Server, Stopper, User};

use line::{Gauge, LineDoor};

/// Nothing in here takes long; whatever does is a failure.
const DEADLINE: Duration = Duration::from_secs(20);

fn doors(gauge: &Gauge) -> [Box<dyn Door>; 3] {
    [0; 3].map(|_| Box::new(LineDoor::new(gauge.clone())) as Box<dyn Door>)
}

fn config(data_dir: &Path) -> Config {
    let mut config = Config {
        data_dir: DataDir(data_dir.into()),
        ..Config::default()
    };
    let listeners = &mut config.listeners;
    for port in [
        &mut listeners.amqp,
        &mut listeners.openwire,
        &mut listeners.nameserver,
        &mut listeners.remoting,
        &mut listeners.remoting_vip,
    ] {
        *port = 0;
    }
    config
}

/// A server on a thread of this process.
struct Running {
    address: SocketAddr,
    all: Vec<SocketAddr>,
    gauge: Gauge,
    stopper: Stopper,
    thread: JoinHandle<Result<(), Fault>>,
}

impl Running {
    fn start(config: Config) -> Running {
        Running::behind(config, doors)
    }

    /// Behind these doors.
    fn behind(config: Config, doors: fn(&Gauge) -> [Box<dyn Door>; 3]) -> Running {
        let gauge = Gauge::default();
        let (tell, told) = mpsc::channel();
        let its_gauge = gauge.clone();
        let thread = std::thread::spawn(move || {
            let server = Server::open(&config, |_| doors(&its_gauge))?;
            let addresses = server
                .addresses()
                .map(|(_, address)| address)
                .collect::<Vec<_>>();
            tell.send((addresses, server.stopper())).unwrap();
            server.run()
        });
        let (all, stopper) = told.recv_timeout(DEADLINE).expect("it starts");
        Running {
            address: all[0],
            all,
            gauge,
            stopper,
            thread,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    fn stop(self) {
        self.stopper.stop();
        self.thread.join().unwrap().unwrap();
    }
}

struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client {
            lines: BufReader::new(socket),
        }
    }

    fn send(&mut self, line: &str) {
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(b'\n');
        self.lines.get_mut().write_all(&bytes).unwrap();
    }

    /// The next line, without its end; empty when the server has closed.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_stored_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    for (queue, address) in [("jobs", server.all[0]), ("vjobs", server.all[1])] {
        let mut publisher = Client::connect(address);
        let mut consumer = Client::connect(address);
        assert_eq!(publisher.ask(&format!("PUB {queue} before")), "STORED");
        assert_eq!(consumer.ask(&format!("SUB {queue}")), "OK");
        assert_eq!(consumer.line(), "MSG before");
        assert_eq!(publisher.ask(&format!("PUB {queue} after")), "STORED");
        assert_eq!(consumer.line(), "MSG after");
    }
    // Across two doors.
    let mut far = Client::connect(server.all[3]);
    assert_eq!(far.ask("PUB jobs far"), "STORED");
    server.stop();
}

#[test]
fn commands_behind_a_barrier_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    let mut client = server.connect();
    client.send("SLOW\nPING\nSLOW\nPUB jobs x\nSLOW\nPING");
    let answers: Vec<_> = (0..6).map(|_| client.line()).collect();
    assert_eq!(answers, ["OK", "PONG", "OK", "STORED", "OK", "PONG"]);
    server.stop();
}

#[test]
fn many_messages_keep_their_order_and_are_read_back_from_the_log() {
    const COUNT: usize = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    for queue in ["jobs", "vjobs"] {
        let mut publisher = server.connect();
        // Twenty megabytes: more than is kept in memory.
        let padding = "p".repeat(1000);
        let writer = std::thread::spawn({
            let mut socket = publisher.lines.get_ref().try_clone().unwrap();
            move || {
                for number in 0..COUNT {
                    let line = format!("PUB {queue} {number} {padding}\n");
                    socket.write_all(line.as_bytes()).unwrap();
                }
            }
        });
        for _ in 0..COUNT {
            assert_eq!(publisher.line(), "STORED");
        }
        writer.join().unwrap();
        let mut consumer = server.connect();
        assert_eq!(consumer.ask(&format!("SUB {queue}")), "OK");
        for number in 0..COUNT {
            let line = consumer.line();
            assert_eq!(
                line.split(' ').nth(1),
                Some(number.to_string().as_str()),
                "{queue}"
            );
        }
    }
    server.stop();
}

#[test]
fn a_command_of_many_reads_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    let mut client = server.connect();
    let text = "0123456789".repeat(300_000);
    assert_eq!(client.ask(&format!("PUB jobs {text}")), "STORED");
    assert_eq!(client.ask("PING"), "PONG");
    assert_eq!(client.ask("SUB jobs"), "OK");
    assert!(client.line() == format!("MSG {text}"));
    server.stop();
}

#[test]
fn a_consumer_that_does_not_read_is_held_back() {
    const COUNT: usize = 40_000;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.outbox_bytes = 64 << 10;
    let server = Running::start(config);
    let mut consumer = server.connect();
    assert_eq!(consumer.ask("SUB jobs"), "OK");
    let mut publisher = server.connect();
    let padding = "p".repeat(1000);
    let mut batch = String::new();
    for number in 0..COUNT {
        batch += &format!("PUB jobs {number} {padding}\n");
        if number % 1000 == 999 {
            publisher
                .lines
                .get_mut()
                .write_all(batch.as_bytes())
                .unwrap();
            batch.clear();
            for _ in 0..1000 {
                assert_eq!(publisher.line(), "STORED");
            }
        }
    }
    // Forty megabytes were published; the sockets hold some, and one step may overshoot.
    let unsent_max = server.gauge.unsent_max.load(Ordering::Relaxed);
    assert!(unsent_max < 8 << 20, "{unsent_max} bytes waited");
    for number in 0..COUNT {
        let line = consumer.line();
        assert_eq!(line.split(' ').nth(1), Some(number.to_string().as_str()));
    }
    server.stop();
}

#[test]
fn answers_that_nobody_reads_stop_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.outbox_bytes = 64 << 10;
    let server = Running::start(config);
    let mut greedy = server.connect();
    // A gigabyte of answers to less than one read.
    const COMMANDS: usize = 10_000;
    greedy
        .lines
        .get_mut()
        .write_all(&b"FILL 99999\n".repeat(COMMANDS))
        .unwrap();
    let mut other = server.connect();
    assert_eq!(other.ask("PING"), "PONG");
    // It reads at last, and gets as much as it likes.
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    while received < 100_000 * COMMANDS / 20 {
        received += greedy.lines.read(&mut buffer).unwrap();
    }
    let unsent_max = server.gauge.unsent_max.load(Ordering::Relaxed);
    assert!(unsent_max < 1 << 20, "{unsent_max} bytes waited");
    server.stop();
}

/// Writes until the socket takes nothing for a while; returns how many bytes it took.
fn write_until_it_stalls(socket: &mut TcpStream, bytes: &[u8]) -> usize {
    socket
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) => panic!("{e}"),
        }
    }
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    written
}

#[test]
fn publishers_rest_until_consumers_have_freed_memory() {
    const COUNT: usize = 96;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.memory_bytes = Some(16 << 20);
    let server = Running::start(config);
    let mut watcher = server.connect();
    assert_eq!(watcher.ask("WATCH"), "ALARM none");
    let mut publisher = server.connect();
    let padding = "p".repeat(1 << 20);
    let line = |number: usize| format!("PUB vjobs {number} {padding}\n");
    let bytes: Vec<u8> = (0..COUNT).flat_map(|n| line(n).into_bytes()).collect();
    let socket = publisher.lines.get_mut();
    let written = write_until_it_stalls(socket, &bytes);
    // What the sockets hold was taken, too.
    assert!(written < 48 << 20, "{written} bytes were taken");
    assert_eq!(watcher.line(), "ALARM memory");
    // Who publishes from now on rests after it, and who does not goes on.
    let mut late = server.connect();
    assert_eq!(late.ask("PUB vother x"), "STORED");
    late.send("PING");
    assert_eq!(watcher.ask("PING"), "PONG");
    let writer = std::thread::spawn({
        let mut socket = publisher.lines.get_ref().try_clone().unwrap();
        move || socket.write_all(&bytes[written..]).unwrap()
    });
    let mut consumer = server.connect();
    assert_eq!(consumer.ask("SUB vjobs"), "OK");
    for number in 0..COUNT {
        let line = consumer.line();
        assert_eq!(line.split(' ').nth(1), Some(number.to_string().as_str()));
    }
    writer.join().unwrap();
    for _ in 0..COUNT {
        assert_eq!(publisher.line(), "STORED");
    }
    assert_eq!(late.line(), "PONG");
    // It may have come again while the rest was sent; it does not stay.
    assert_eq!(watcher.line(), "ALARM none");
    server.stop();
}

#[test]
fn a_backlog_of_a_volatile_queue_leaves_the_memory() {
    const COUNT: usize = 50_000;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.volatile_bytes = 1 << 20;
    // Fifty megabytes are published: if all of them were held, publishers would have to rest.
    config.limits.memory_bytes = Some(40 << 20);
    let server = Running::start(config);
    let mut watcher = server.connect();
    assert_eq!(watcher.ask("WATCH"), "ALARM none");
    let mut publisher = server.connect();
    let padding = "p".repeat(1000);
    for batch in 0..COUNT / 1000 {
        let numbers = batch * 1000..(batch + 1) * 1000;
        let lines: String = numbers
            .map(|n| format!("PUB vjobs {n} {padding}\n"))
            .collect();
        publisher
            .lines
            .get_mut()
            .write_all(lines.as_bytes())
            .unwrap();
        for _ in 0..1000 {
            assert_eq!(publisher.line(), "STORED");
        }
    }
    assert_eq!(watcher.ask("PING"), "PONG", "and no alarm before it");
    let folder = dir.path().join("volatile");
    assert!(fs::read_dir(&folder).unwrap().count() > 1);
    // A queue whose consumer keeps up goes on beside it.
    let mut quick = server.connect();
    assert_eq!(quick.ask("SUB vquick"), "OK");
    assert_eq!(publisher.ask("PUB vquick x"), "STORED");
    assert_eq!(quick.line(), "MSG x");
    let mut consumer = server.connect();
    assert_eq!(consumer.ask("SUB vjobs"), "OK");
    for number in 0..COUNT {
        let line = consumer.line();
        let expected = number.to_string();
        assert_eq!(line.split(' ').nth(1), Some(expected.as_str()));
        assert_eq!(
            line.len(),
            "MSG ".len() + expected.len() + 1 + padding.len()
        );
    }
    assert_eq!(publisher.ask("COUNT vjobs"), "COUNT 0");
    wait_until("the files go", || {
        fs::read_dir(&folder).unwrap().count() == 0
    });
    assert_eq!(watcher.ask("PING"), "PONG", "and no alarm before it");
    server.stop();
    assert!(!folder.exists());
}

#[test]
fn publishers_rest_while_the_disk_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.disk_free_bytes = u64::MAX;
    let server = Running::start(config);
    let mut watcher = server.connect();
    assert_eq!(watcher.ask("WATCH"), "ALARM disk");
    let mut publisher = server.connect();
    assert_eq!(publisher.ask("PUB jobs first"), "STORED");
    publisher.send("PUB jobs second");
    let mut consumer = server.connect();
    assert_eq!(consumer.ask("SUB jobs"), "OK");
    assert_eq!(consumer.line(), "MSG first");
    assert_eq!(consumer.ask("PING"), "PONG", "and nothing before it");
    server.stop();
    // The second one was never read.
    assert_eq!(publisher.line(), "STOPPING");
}

#[test]
fn a_session_that_ends_gives_back_what_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    for queue in ["jobs", "vjobs"] {
        let mut holder = server.connect();
        assert_eq!(holder.ask(&format!("PUB {queue} one")), "STORED");
        assert_eq!(holder.ask(&format!("HOLD {queue}")), "OK");
        assert_eq!(holder.line(), "MSG one");
        drop(holder);
        let mut next = server.connect();
        assert_eq!(next.ask(&format!("SUB {queue}")), "OK");
        assert_eq!(next.line(), "MSG one again");
    }
    server.stop();
}

#[test]
fn connections_are_closed_as_the_door_asks() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    let closed = |count: usize| {
        wait_until("the door hears of it", || {
            server.gauge.closed.load(Ordering::SeqCst) == count
        });
    };
    let mut client = server.connect();
    client.send("CLOSE now");
    let mut rest = Vec::new();
    // The peer may see a reset or an end, and nothing behind it.
    let _ = client.lines.read_to_end(&mut rest);
    assert!(b"BYE\n".starts_with(&rest));
    closed(1);

    let mut client = server.connect();
    client.send("FILL 3000000\nCLOSE sent");
    assert_eq!(client.line().len(), 3_000_000);
    assert_eq!(
        (client.line().as_str(), client.line().as_str()),
        ("BYE", "")
    );
    closed(2);

    let mut client = server.connect();
    assert_eq!(client.ask("CLOSE grace"), "BYE");
    // What is sent now is read and discarded, and the connection stays.
    client
        .lines
        .get_mut()
        .write_all(&vec![b'x'; 1 << 20])
        .unwrap();
    assert_eq!(server.gauge.closed.load(Ordering::SeqCst), 2);
    drop(client);
    closed(3);

    let mut client = server.connect();
    assert_eq!(client.ask("CLOSE 50"), "BYE");
    assert_eq!(client.line(), "");
    closed(4);
    server.stop();
}

#[test]
fn many_connections_and_one_too_many() {
    const MANY: usize = 400;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.limits.connections = MANY;
    let server = Running::start(config);
    let mut clients: Vec<_> = (0..MANY).map(|_| server.connect()).collect();
    for round in 0..3 {
        for client in &mut clients {
            client.send(&format!("PUB jobs {round}"));
        }
        for client in &mut clients {
            assert_eq!(client.line(), "STORED");
        }
    }
    let mut refused = server.connect();
    let mut rest = Vec::new();
    let _ = refused.lines.read_to_end(&mut rest);
    assert!(rest.is_empty());
    clients.truncate(MANY / 2);
    wait_until("their ends are heard", || {
        server.gauge.closed.load(Ordering::SeqCst) == MANY / 2
    });
    assert_eq!(server.connect().ask("PING"), "PONG");
    assert_eq!(clients[0].ask("PING"), "PONG");
    server.stop();
}

#[test]
fn an_orderly_stop_says_goodbye_and_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    let mut client = server.connect();
    for number in 0..10 {
        assert_eq!(client.ask(&format!("PUB jobs {number}")), "STORED");
        assert_eq!(client.ask(&format!("PUB vjobs {number}")), "STORED");
    }
    let gauge = server.gauge.clone();
    server.stop();
    assert_eq!(
        (client.line().as_str(), client.line().as_str()),
        ("STOPPING", "")
    );
    let heard = [&gauge.opened, &gauge.closed].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(heard, [1, 1]);

    for _ in 0..2 {
        let server = Running::start(config(dir.path()));
        let mut client = server.connect();
        assert_eq!(client.ask("HOLD jobs"), "OK");
        for number in 0..10 {
            let line = client.line();
            assert_eq!(line.split(' ').nth(1), Some(number.to_string().as_str()));
        }
        assert_eq!(client.ask("PING"), "PONG");
        server.stop();
    }
}

#[test]
fn a_second_server_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(config(dir.path()));
    let refused = Server::open(&config(dir.path()), |_| doors(&Gauge::default()));
    assert!(matches!(
        refused,
        Err(Fault::Store(store::StoreError::Locked { .. }))
    ));
    server.stop();
}

#[test]
fn an_open_listener_needs_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.listeners.bind = "0.0.0.0".parse().unwrap();
    let refused = Server::open(&config, |_| doors(&Gauge::default()))
        .err()
        .expect("refused");
    assert!(refused.to_string().contains("[[users]]"), "{refused}");
    config.users.push(User {
        name: "ann".into(),
        secret: Secret::Password("sesame".into()),
        tags: Vec::new(),
        loopback_only: false,
    });
    assert!(Server::open(&config, |_| doors(&Gauge::default())).is_ok());
}

/// In a process of its own, made by [`Killed::start`]; on its own it does nothing.
#[test]
fn serve_in_a_process_of_its_own() {
    let Ok(data_dir) = std::env::var("TROIKA_TEST_DATA_DIR") else {
        return;
    };
    let mut server = Server::open(&config(Path::new(&data_dir)), |_| doors(&Gauge::default()))
        .unwrap_or_else(|fault| panic!("{fault}"));
    server.take_signals().unwrap();
    println!("{}", server.ready_line());
    std::io::stdout().flush().unwrap();
    server.run().unwrap();
}

struct Process {
    child: Child,
    address: SocketAddr,
    /// Held, so that what the process still says has somewhere to go.
    _stdout: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(data_dir: &Path) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve_in_a_process_of_its_own", "--nocapture"])
            .env("TROIKA_TEST_DATA_DIR", data_dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("troika ready")?.1.to_owned()))
            .expect("it says that it is ready");
        let amqp = ready
            .split(' ')
            .find_map(|word| word.strip_prefix("amqp="))
            .unwrap();
        Process {
            child,
            address: amqp.parse().unwrap(),
            _stdout: lines,
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and an exit without an error.
    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Every confirmed number is there, in order; one that was not may be there, too.
fn check_numbers(address: SocketAddr, confirmed: &[usize]) {
    let mut holder = Client::connect(address);
    assert_eq!(holder.ask("HOLD jobs"), "OK");
    let mut previous = None;
    for wanted in confirmed {
        loop {
            let line = holder.line();
            let number: usize = line.split(' ').nth(1).expect("a message").parse().unwrap();
            assert!(previous < Some(number), "{number} after {previous:?}");
            previous = Some(number);
            if number == *wanted {
                break;
            }
            assert!(
                !confirmed.contains(&number),
                "{number} came before {wanted}"
            );
        }
    }
}

#[test]
fn what_was_confirmed_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut confirmed = Vec::new();
    let mut next = 0;
    for round in 0..5 {
        let process = Process::start(dir.path());
        check_numbers(process.address, &confirmed);
        let mut client = Client::connect(process.address);
        let (start, count) = (next, 300 + 123 * round);
        // The last ones are on their way when the process is killed.
        for _ in 0..count + 50 {
            client.send(&format!("PUB jobs {next}"));
            next += 1;
        }
        for number in start..start + count {
            assert_eq!(client.line(), "STORED");
            confirmed.push(number);
        }
        process.kill();
    }
    let process = Process::start(dir.path());
    check_numbers(process.address, &confirmed);
    process.end();
    let process = Process::start(dir.path());
    check_numbers(process.address, &confirmed);
    process.kill();
}

//! The brokers that are compared: started on an empty data directory and free ports, stopped by their process ids.
//!
//! Each is set up as its makers ship it, with what a persistent message needs to be safe: KahaDB's synchronous
//! journal, written before a send is answered; RocketMQ's `SYNC_FLUSH`. RabbitMQ's classic queues confirm without a
//! sync of their own, which is in its favour.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::account::Tree;
use super::{install, places};

/// How long a start may take.
const READY_SECONDS_MAX: u64 = 90;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broker {
    Troika,
    RabbitMq,
    /// Writes what it answers.
    ActiveMq,
    /// As it is shipped: answers without writing if a consumer has acknowledged first.
    ActiveMqShipped,
    RocketMq,
}

impl Broker {
    /// With the version; the jars' stand in `crates/xtask/java/pom.xml`.
    pub fn name(self) -> String {
        match self {
            Broker::Troika => "Troika".into(),
            Broker::RabbitMq => format!("RabbitMQ {}", install::rabbitmq_version()),
            Broker::ActiveMq => "ActiveMQ 6.3.1".into(),
            Broker::ActiveMqShipped => "ActiveMQ 6.3.1 as shipped".into(),
            Broker::RocketMq => "RocketMQ 5.5.0".into(),
        }
    }
}

/// Where a running broker listens; a broker of one protocol has only that one's ports.
#[derive(Clone, Copy)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// Ports are taken from here, below the range from which systems take those of outgoing connections.
    fn free() -> Ports {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = 24_000 + (std::process::id() % 500) as u16 * 8;
        loop {
            let base = start + NEXT.fetch_add(8, Ordering::Relaxed) % 4_000;
            let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if (base..base + 8).all(is_free) {
                return Ports { base };
            }
        }
    }

    pub fn amqp(self) -> u16 {
        self.base
    }

    pub fn openwire(self) -> u16 {
        self.base + 1
    }

    pub fn nameserver(self) -> u16 {
        self.base + 2
    }

    /// RocketMQ's clients derive it as `remoting - 2`.
    pub fn remoting_vip(self) -> u16 {
        self.base + 3
    }

    /// The one behind it is the real broker's for its replicas.
    pub fn remoting(self) -> u16 {
        self.base + 5
    }

    fn erlang(self) -> u16 {
        self.base + 1
    }

    fn epmd(self) -> u16 {
        self.base + 2
    }
}

/// A broker that listens; ends with its value, and its data with it.
pub struct Running {
    pub broker: Broker,
    pub ports: Ports,
    pub tree: Tree,
    children: Vec<Child>,
    dir: PathBuf,
}

impl Running {
    /// Starts a broker with nothing in it. `troika` is the release build.
    pub fn start(broker: Broker, troika: &Path) -> Result<Running, String> {
        let ports = Ports::free();
        let runs = match broker {
            // The root that it sees is its own.
            Broker::RabbitMq => places::rabbitmq_root().join("bench"),
            Broker::Troika | Broker::ActiveMq | Broker::ActiveMqShipped | Broker::RocketMq => {
                places::installed().join("run")
            }
        };
        let dir = runs.join(format!("{}-{}", std::process::id(), ports.base));
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut running = Running {
            broker,
            ports,
            tree: Tree::new(Vec::new(), &dir),
            children: Vec::new(),
            dir,
        };
        match broker {
            Broker::Troika => running.troika(troika)?,
            Broker::RabbitMq => running.rabbitmq()?,
            Broker::ActiveMq => running.activemq("write")?,
            Broker::ActiveMqShipped => running.activemq("shipped")?,
            Broker::RocketMq => running.rocketmq()?,
        }
        let roots = running.children.iter().map(Child::id).collect();
        running.tree = Tree::new(roots, &running.dir);
        Ok(running)
    }

    fn troika(&mut self, binary: &Path) -> Result<(), String> {
        let mut command = guarded(binary);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.dir.join("data"));
        for (flag, port) in [
            ("--amqp-port", self.ports.amqp()),
            ("--openwire-port", self.ports.openwire()),
            ("--nameserver-port", self.ports.nameserver()),
            ("--remoting-port", self.ports.remoting()),
            ("--remoting-vip-port", self.ports.remoting_vip()),
        ] {
            command.args([flag, &port.to_string()]);
        }
        self.spawn(command, "troika")?;
        self.wait_for(&[
            self.ports.amqp(),
            self.ports.openwire(),
            self.ports.remoting(),
        ])
    }

    fn rabbitmq(&mut self) -> Result<(), String> {
        let root = places::rabbitmq_root();
        let inside = format!(
            "/bench/{}",
            self.dir.file_name().unwrap_or_default().display()
        );
        fs::write(self.dir.join("plugins"), "[].\n").map_err(|error| error.to_string())?;
        let (epmd_port, erlang_port) = (
            self.ports.epmd().to_string(),
            self.ports.erlang().to_string(),
        );
        let amqp_port = self.ports.amqp().to_string();
        let at = |name: &str| format!("{inside}/{name}");
        let environment = [
            ("HOME", inside.clone()),
            ("LANG", "C.UTF-8".into()),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            (
                "RABBITMQ_NODENAME",
                format!("bench{}@localhost", self.ports.base),
            ),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", amqp_port),
            ("RABBITMQ_DIST_PORT", erlang_port),
            ("RABBITMQ_MNESIA_BASE", at("data")),
            ("RABBITMQ_LOG_BASE", at("log")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins")),
            ("RABBITMQ_CONFIG_FILE", at("none")),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
            ("RABBITMQ_PID_FILE", at("pid")),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("ERL_EPMD_PORT", epmd_port.clone()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".into(),
            ),
        ];
        // What is mounted is seen by these processes only; they and their mounts go with the first of them.
        let inside_of = |program: &str| {
            let mount = "mount --bind /proc \"$0/proc\" && mount --bind /dev \"$0/dev\" && exec chroot \"$0\"";
            let mut command = guarded(Path::new("unshare"));
            command
                .args([
                    "--mount",
                    "--pid",
                    "--fork",
                    "--kill-child=KILL",
                    "sh",
                    "-c",
                ])
                .arg(format!("{mount} {program}"))
                .arg(&root)
                .env_clear()
                .envs(environment.iter().map(|(name, value)| (*name, value)));
            command
        };
        self.spawn(
            inside_of(&format!("epmd -address 127.0.0.1 -port {epmd_port}")),
            "epmd",
        )?;
        self.wait_for(&[self.ports.epmd()])?;
        let server = "sh -c 'exec /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server'";
        self.spawn(inside_of(server), "rabbitmq")?;
        self.wait_for(&[self.ports.amqp()])
    }

    fn activemq(&mut self, answers: &str) -> Result<(), String> {
        let mut command = guarded(Path::new("java"));
        // The distribution's own sizes.
        command
            .args(["-Xms64M", "-Xmx1G", "-cp"])
            .arg(places::class_path(
                Some(&places::classes()),
                install::ACTIVEMQ,
            ))
            .arg("troika.bench.Broker")
            .arg(self.dir.join("data"))
            .arg(self.ports.openwire().to_string())
            .arg(answers);
        self.spawn(command, "activemq")?;
        self.wait_for(&[self.ports.openwire()])
    }

    fn rocketmq(&mut self) -> Result<(), String> {
        let conf = self.dir.join("conf");
        let shown = |error: std::io::Error| error.to_string();
        fs::create_dir_all(&conf).map_err(shown)?;
        let nameserver = self.ports.nameserver();
        let namesrv = format!("listenPort={nameserver}\nbindAddress=127.0.0.1\n");
        fs::write(conf.join("namesrv.conf"), namesrv).map_err(shown)?;
        let broker = format!(
            "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\nbrokerRole=ASYNC_MASTER\n\
             flushDiskType=SYNC_FLUSH\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={}\n\
             namesrvAddr=127.0.0.1:{nameserver}\nstorePathRootDir={}\nmappedFileSizeCommitLog=134217728\n",
            self.ports.remoting(),
            self.dir.join("store").display(),
        );
        fs::write(conf.join("broker.conf"), broker).map_err(shown)?;
        let class_path = format!(
            "{}:{}",
            conf.display(),
            places::class_path(None, install::ROCKETMQ)
        );
        let java = |sizes: &[&str], class: &str, file: &str| {
            let mut command = guarded(Path::new("java"));
            command
                .args(sizes)
                .arg(format!("-Duser.home={}", self.dir.display()))
                .args(["-cp", &class_path, class, "-c"])
                .arg(conf.join(file))
                .env("ROCKETMQ_HOME", &self.dir);
            command
        };
        let names = java(
            &["-Xms128m", "-Xmx256m"],
            "org.apache.rocketmq.namesrv.NamesrvStartup",
            "namesrv.conf",
        );
        let broker = java(
            &["-Xms512m", "-Xmx1g", "-XX:MaxDirectMemorySize=1g"],
            "org.apache.rocketmq.broker.BrokerStartup",
            "broker.conf",
        );
        self.spawn(names, "namesrv")?;
        self.wait_for(&[nameserver])?;
        self.spawn(broker, "broker")?;
        self.wait_for(&[self.ports.remoting()])
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> Result<(), String> {
        let file = |ending: &str| {
            let path = self.dir.join(format!("{name}.{ending}"));
            File::create(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let child = command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(file("out")?)
            .stderr(file("err")?)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        self.children.push(child);
        Ok(())
    }

    /// Until all these ports accept connections.
    fn wait_for(&mut self, ports: &[u16]) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
        for port in ports {
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            while TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_err() {
                let name = self.broker.name();
                for child in &mut self.children {
                    if let Ok(Some(status)) = child.try_wait() {
                        return Err(format!(
                            "{name} ended with {status} before it was ready{}",
                            self.said()
                        ));
                    }
                }
                if Instant::now() > deadline {
                    let said = self.said();
                    return Err(format!(
                        "{name} is not ready after {READY_SECONDS_MAX} s{said}"
                    ));
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// The end of what the processes wrote.
    fn said(&self) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|ending| ending == "out" || ending == "err")
            {
                all += &fs::read_to_string(&path).unwrap_or_default();
            }
        }
        let skipped = all.lines().count().saturating_sub(20);
        let last: Vec<&str> = all.lines().skip(skipped).collect();
        format!(":\n{}", last.join("\n"))
    }

    /// A topic with 8 queues, made as an operator would.
    pub fn create_topic(&self, name: &str) -> Result<(), String> {
        let output = Command::new("java")
            .arg(format!("-Duser.home={}", self.dir.display()))
            .args(["-cp", &places::class_path(None, install::ROCKETMQ)])
            .args([
                "org.apache.rocketmq.tools.command.MQAdminStartup",
                "updateTopic",
            ])
            .args(["-n", &format!("127.0.0.1:{}", self.ports.nameserver())])
            .args(["-b", &format!("127.0.0.1:{}", self.ports.remoting())])
            .args(["-t", name, "-r", "8", "-w", "8"])
            .env("ROCKETMQ_HOME", &self.dir)
            .output()
            .map_err(|error| format!("java: {error}"))?;
        // Its exit code is 0 even when it fails.
        let said = String::from_utf8_lossy(&output.stdout);
        if said.contains("success") {
            Ok(())
        } else {
            let complained = String::from_utf8_lossy(&output.stderr);
            Err(format!("mqadmin updateTopic: {said}{complained}"))
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let processes = Tree::processes(&Tree::new(
            self.children.iter().map(Child::id).collect(),
            &self.dir,
        ));
        let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
        if !ids.is_empty() {
            let _ = Command::new("kill")
                .arg("-KILL")
                .args(&ids)
                .stderr(Stdio::null())
                .status();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A command whose process is killed when this one ends, however that happens.
pub fn guarded(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

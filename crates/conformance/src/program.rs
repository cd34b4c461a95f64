//! One run of one foreign program: started, listened to, answered, ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::paths;
use crate::scenarios::Language;
use crate::server::Ports;

/// What the harness allows a program beyond the deadline that the program keeps itself.
const GRACE: Duration = Duration::from_secs(15);

/// How a program is started.
pub struct Launch<'a> {
    pub language: Language,
    /// The Java class below package `troika`, or the Python file without its extension.
    pub program: &'a str,
    /// The set of jars; unused for Python.
    pub set: &'a str,
    pub arguments: Vec<String>,
    pub ports: Ports,
    /// Suffix of the names that the program makes up.
    pub run: &'a str,
    /// Where the program may leave files.
    pub dir: &'a Path,
    pub deadline: Duration,
}

/// A program that runs.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    deadline: Instant,
    pub output: Vec<String>,
}

/// What a program that runs does next.
pub enum Step {
    Said(String),
    Ended { passed: bool },
}

impl Launch<'_> {
    pub fn start(&self) -> Result<Running, String> {
        let mut command = match self.language {
            Language::Python => {
                let mut command = Command::new("python3");
                let file = format!("{}.py", self.program);
                command
                    .arg("-u")
                    .arg(paths::crate_dir().join("python").join(file))
                    .env("PYTHONPATH", paths::python_packages())
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Language::Java => {
                let jars = paths::jars(self.set).join("*");
                let class_path = format!("{}:{}", paths::java_classes().display(), jars.display());
                let mut command = Command::new("java");
                command
                    .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m"])
                    // The RocketMQ client logs and keeps broadcast offsets below the home folder.
                    .arg(format!("-Duser.home={}", self.dir.display()))
                    .args(["-cp", &class_path])
                    .arg(format!("troika.{}", self.program));
                command
            }
        };
        command
            .args(&self.arguments)
            .arg(format!("amqp={}", self.ports.amqp))
            .arg(format!("openwire={}", self.ports.openwire))
            .arg(format!("nameserver={}", self.ports.nameserver))
            .arg(format!("deadline={}", self.deadline.as_secs()))
            .arg(format!("run={}", self.run));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program))?;
        let (said, lines) = mpsc::channel();
        let stdin = child.stdin.take();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            forward(out, said.clone());
            forward(err, said);
        }
        let deadline = Instant::now() + self.deadline + GRACE;
        Ok(Running {
            child,
            stdin,
            lines,
            deadline,
            output: Vec::new(),
        })
    }
}

fn forward(stream: impl Read + Send + 'static, said: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if said
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
}

impl Running {
    /// The next line, or the end. A program past its deadline is killed.
    pub fn step(&mut self) -> Step {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.output.push(line.clone());
                Step::Said(line)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.output
                    .push("FAILED killed by the harness after the deadline".into());
                self.kill();
                Step::Ended { passed: false }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let passed = self.child.wait().is_ok_and(|status| status.success());
                Step::Ended { passed }
            }
        }
    }

    /// Says a line to the program.
    pub fn tell(&mut self, line: &str) {
        // A program that ended meanwhile is noticed by the next step.
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        }
    }

    /// Reads on to the end and returns whether the program passed.
    pub fn finish(&mut self) -> bool {
        loop {
            match self.step() {
                Step::Said(_) => {}
                Step::Ended { passed } => return passed,
            }
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

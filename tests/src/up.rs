//! `magsentinel up` as a person runs it: started in a folder, read line by line, interrupted.

use crate::{magsentinel, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What one of its outputs has said so far.
type Lines = Arc<Mutex<Vec<String>>>;

/// A running `up`. Asked to end when dropped, so that nothing of it is left.
pub struct Up {
    child: Child,
    out: Lines,
    err: Lines,
}

/// A shell of somebody's: a working folder, and a state folder of their own.
pub struct Shell {
    /// The working folder.
    pub here: PathBuf,
    state: PathBuf,
}

impl Shell {
    /// With both folders below one.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        let here = dir.join("some folder");
        std::fs::create_dir_all(&here).expect("a folder");
        Self { here, state: dir.join("state") }
    }

    /// A program, as this shell would start it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let server = std::env::var_os("MAGSENTINEL_NATS_SERVER");
        command.current_dir(&self.here).env_clear().envs(crate::inherited());
        command.envs(server.map(|server| ("MAGSENTINEL_NATS_SERVER", server)));
        command.env("XDG_STATE_HOME", &self.state);
        command
    }

    /// Starts `up` in it.
    #[must_use]
    pub fn up(&self, args: &[&str]) -> Up {
        let mut command = self.command(magsentinel());
        Up::start(command.arg("up").args(args))
    }
}

impl Up {
    /// Starts a command that becomes `up`.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("magsentinel starts");
        let out = read(child.stdout.take().expect("a pipe"));
        let err = read(child.stderr.take().expect("a pipe"));
        Self { child, out, err }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has printed so far.
    #[must_use]
    pub fn printed(&self) -> Vec<String> {
        self.out.lock().expect("whole lines").clone()
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.err.lock().expect("whole lines").clone()
    }

    /// Waits for a printed line.
    pub async fn line(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        wait_for(what, async || self.printed().into_iter().find(|line| is(line))).await
    }

    /// Waits until all roles are ready.
    pub async fn ready(&self) {
        self.line("roles to be ready", |line| line.contains("roles are ready")).await;
    }

    /// Where its NATS is.
    pub async fn url(&self) -> String {
        let line = self.line("its address", |line| line.starts_with("magsentinel on ")).await;
        line.split(' ').nth(2).expect("an address").to_owned()
    }

    /// Publishes a body on `ingest` of its NATS, as any publisher does.
    pub async fn ingest(&self, kind: &str, body: &serde_json::Value) {
        let client = async_nats::connect(self.url().await).await.expect("a connection");
        let js = async_nats::jetstream::new(client);
        let subject = format!("mag.default.ingest.{kind}");
        let ack = js.publish(subject, body.to_string().into()).await.expect("published");
        ack.await.expect("stored");
    }

    /// Its nats-server.
    #[must_use]
    pub fn server(&self) -> Option<Pid> {
        let mut children = self.children().into_iter();
        children.find(|(_, line)| line.contains("nats-server")).map(|(pid, _)| pid)
    }

    /// The processes that it has started, each with its command line.
    #[must_use]
    pub fn children(&self) -> Vec<(Pid, String)> {
        let own = self.child.id().to_string();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let of_ours = |pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // After the name, which may hold anything: state, then the parent.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)? == own;
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|_| parent)?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            Some((Pid::from_raw(pid)?, line))
        };
        numbers.filter_map(of_ours).collect()
    }

    /// Kills it, so that it can end nothing of what it has started.
    pub fn kill(&mut self) {
        kill_process(self.pid(), Signal::KILL).expect("a running process");
        drop(self.child.wait());
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        kill_process(self.pid(), Signal::INT).expect("a running process");
    }

    /// Waits for its end, for as long as all roles may take to drain.
    pub fn wait(&mut self) -> ExitStatus {
        self.end().expect("up ends in time")
    }

    fn end(&mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < crate::DEADLINE {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- up printed\n{}", self.printed().join("\n"));
            eprintln!("--- up said\n{}", self.said().join("\n"));
        }
        // Asked, not killed: its roles drain.
        if matches!(self.child.try_wait(), Ok(None)) {
            let asked = kill_process(self.pid(), Signal::TERM).is_ok();
            if !asked || self.end().is_none() {
                drop(self.child.kill());
                drop(self.child.wait());
            }
        }
    }
}

/// Gathers the lines of a pipe on a thread.
fn read(from: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let to = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { break };
            to.lock().expect("whole lines").push(line);
        }
    });
    lines
}

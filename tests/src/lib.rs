//! The sandbox of the end-to-end tests: a real nats-server on a free port, roles as real
//! processes, everything gone when dropped.
//!
//! It fails loudly when a tool is missing; `cargo xtask test` provides them all.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a sandbox reports by panicking, and tells the logs then"
)]

pub mod ait;
pub mod dropped;
pub mod gateway;
pub mod keyed;
pub mod network;
pub mod postgres;
pub mod proxy;
pub mod receipt;
pub mod responses;
pub mod rivals;
pub mod server;
pub mod skew;
pub mod up;

use futures::StreamExt;
use magsentinel_analyzer::router;
use magsentinel_bus_schema::{Limits, Message, Stream};
use magsentinel_runtime::{
    bus::{Bus, BusConfig},
    memory::resident_bytes,
    stage::Delivery,
};
use rustix::process::{Pid, Signal, kill_process};
use server::Server;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Longest that a test waits for one condition. Generous, because machines are shared; a test
/// that passes never waits this long.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A sandbox.
pub struct Mesh {
    dir: tempfile::TempDir,
    /// The server; the first where there are several.
    pub server: Server,
    /// The others of its cluster.
    pub peers: Vec<Server>,
    roles: Vec<Role>,
}

/// A running role.
pub struct Role {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Mesh {
    /// Starts a server and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self::configured("")
    }

    /// Starts a server with more in its configuration, and nothing else.
    #[must_use]
    pub fn configured(more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start_with(&dir.path().join("nats"), more);
        Self { dir, server, peers: Vec::new(), roles: Vec::new() }
    }

    /// Starts a cluster of three servers, on which every stream has three replicas.
    #[must_use]
    pub fn clustered() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut servers = server::cluster(dir.path(), 3);
        let server = servers.remove(0);
        Self { dir, server, peers: servers, roles: Vec::new() }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        let servers = std::iter::once(&self.server).chain(&self.peers);
        servers.map(Server::url).collect::<Vec<_>>().join(",")
    }

    fn replicas(&self) -> usize {
        1 + self.peers.len()
    }

    /// Starts a server and these roles, and waits until all are ready.
    pub async fn with(roles: &[&str]) -> Self {
        let mut mesh = Self::new();
        for role in roles {
            mesh.start(role, &[]);
        }
        mesh.ready().await;
        mesh
    }

    /// The sandbox's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Settings that every process of the sandbox has.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        let dir = self.dir.path().display();
        vec![
            format!("bus.url={}", self.url()),
            format!("bus.streams.replicas={}", self.replicas()),
            format!("logbook.path={dir}/logbook.db"),
            format!("commander.knowledge={dir}/knowledge.db"),
            format!("sensor.state_dir={dir}/positions"),
            format!("responder.state_dir={dir}/state"),
        ]
    }

    /// `magsentinel` with the sandbox's settings.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(magsentinel());
        command.args(args).current_dir(self.dir.path()).env_clear().envs(inherited());
        // Nobody's own mesh takes part.
        command.env("XDG_STATE_HOME", self.dir.path().join("own"));
        for set in self.settings() {
            command.args(["--set", &set]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("magsentinel starts")
    }

    /// Starts a role; `more` is appended to its command line.
    pub fn start(&mut self, role: &str, more: &[&str]) -> usize {
        self.start_at(role, more, 0)
    }

    /// The same, with a wall clock that is so many seconds ahead, or behind.
    pub fn start_at(&mut self, role: &str, more: &[&str], ahead: i64) -> usize {
        let log = self.dir.path().join(format!("{role}-{}.log", self.roles.len()));
        let file = File::create(&log).expect("a log file");
        let mut command = self.command(&["run", role]);
        command.args(more).stdin(Stdio::null());
        if ahead != 0 {
            command.env("LD_PRELOAD", skew::clock(self.dir.path(), ahead));
        }
        command.stdout(file.try_clone().expect("a handle")).stderr(file);
        let child = command.spawn().expect("a role starts");
        self.roles.push(Role { name: role.to_owned(), child, log });
        self.roles.len() - 1
    }

    /// Waits until every running role answers and all shards have owners.
    pub async fn ready(&mut self) {
        let bus = self.bus().await;
        let wanted: Vec<String> = self.roles.iter().map(|r| r.name.clone()).collect();
        wait_for("roles to be ready", async || {
            let services = magsentinel_runtime::micro::ask_all(&bus, "STATS", None).await.ok()?;
            let ready = wanted.iter().all(|name| {
                let of = services.iter().filter(|s| s["name"] == **name);
                let parts: Vec<_> = of.map(|s| &s["endpoints"][0]["data"]["parts"]).collect();
                let owned = |part: &String| {
                    parts.iter().filter_map(|p| p[part]["shards"].as_u64()).sum::<u64>()
                };
                !parts.is_empty()
                    && sharded_parts(name).iter().all(|(part, all)| owned(part) == *all)
            });
            ready.then_some(())
        })
        .await;
    }

    /// Sends a signal to a role: `KILL`, `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, role: usize, signal: &str) {
        let signal = match signal {
            "KILL" => Signal::KILL,
            "TERM" => Signal::TERM,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            other => panic!("no signal {other}"),
        };
        kill_process(Pid::from_child(&self.roles[role].child), signal).expect("a running role");
    }

    /// Asks a role to end (SIGTERM), and waits until it has, well.
    pub fn stop(&mut self, role: usize) {
        self.signal(role, "TERM");
        let status = self.wait(role);
        assert!(status.success(), "{} ended with {status}", self.roles[role].name);
    }

    /// Whether a role has ended by itself.
    pub fn has_ended(&mut self, role: usize) -> bool {
        self.roles[role].child.try_wait().expect("a role").is_some()
    }

    /// Waits for a role to end and tells how.
    pub fn wait(&mut self, role: usize) -> std::process::ExitStatus {
        self.roles[role].child.wait().expect("a role ends")
    }

    /// Memory that a role holds (`VmRSS`), in bytes.
    #[must_use]
    pub fn resident_bytes(&self, role: usize) -> u64 {
        resident_bytes(self.roles[role].child.id()).unwrap_or(0)
    }

    /// Time that a role has run on any core, in seconds.
    #[must_use]
    pub fn cpu_seconds(&self, role: usize) -> f64 {
        cpu_seconds(self.roles[role].child.id())
    }

    /// What a role has logged.
    #[must_use]
    pub fn log(&self, role: usize) -> String {
        std::fs::read_to_string(&self.roles[role].log).unwrap_or_default()
    }

    /// A connection for the default tenant, with streams made.
    pub async fn bus(&self) -> Bus {
        self.bus_of("default").await
    }

    /// A connection for a tenant, with streams made.
    pub async fn bus_of(&self, tenant: &str) -> Bus {
        self.try_bus(tenant).await.expect("a connection with streams")
    }

    /// The same, which fails while the server cannot be asked.
    pub async fn try_bus(&self, tenant: &str) -> Result<Bus, magsentinel_runtime::bus::Error> {
        let tenant = tenant.parse().expect("a tenant");
        let mut config = BusConfig { url: self.url(), tenant, ..BusConfig::default() };
        config.streams.replicas = self.replicas();
        let bus = magsentinel_runtime::bus::connect(&config, "test").await?;
        bus.ensure_streams().await?;
        Ok(bus)
    }

    /// The number of the server that leads a stream of the default tenant; none while none says.
    pub async fn leader(&self, stream: Stream) -> Option<usize> {
        let js = async_nats::jetstream::new(self.try_client().await.ok()?);
        let name = stream.name(&"default".parse().expect("a tenant"));
        let info = js.get_stream(name).await.ok()?.cached_info().cluster.clone()?;
        info.leader?.strip_prefix('n')?.parse().ok()
    }

    /// A server of the cluster.
    pub fn node(&mut self, number: usize) -> &mut Server {
        match number.checked_sub(1) {
            Some(peer) => &mut self.peers[peer],
            None => &mut self.server,
        }
    }

    /// A plain client, as any publisher has.
    pub async fn client(&self) -> async_nats::Client {
        self.try_client().await.expect("a connection")
    }

    /// The same, which fails while no server can be reached.
    async fn try_client(&self) -> Result<async_nats::Client, async_nats::ConnectError> {
        let servers: Vec<async_nats::ServerAddr> =
            self.url().split(',').map(|url| url.parse().expect("an address")).collect();
        async_nats::connect(servers).await
    }

    /// Publishes a body on `ingest` and waits until the server has it.
    pub async fn ingest(&self, kind: &str, payload: impl Into<bytes::Bytes>) {
        let js = async_nats::jetstream::new(self.client().await);
        let subject = format!("mag.default.ingest.{kind}");
        let ack = js.publish(subject, payload.into()).await.expect("published");
        ack.await.expect("stored");
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        for role in &mut self.roles {
            drop(role.child.kill());
            drop(role.child.wait());
        }
        if std::thread::panicking() {
            for role in &self.roles {
                let log = std::fs::read_to_string(&role.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("--- log of {} (newest first)\n{}", role.name, tail.join("\n"));
            }
        }
    }
}

/// Time that the threads of a process have run on any core, in seconds.
#[must_use]
pub fn cpu_seconds(process: u32) -> f64 {
    let path = format!("/proc/{process}/task");
    let tasks = std::fs::read_dir(path).into_iter().flatten().flatten();
    let of_one = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(of_one).sum::<f64>() / 1e9
}

/// Whether the last thing that a role's log says is that it has drained; what the NATS client says
/// of its connection may come after it.
#[must_use]
pub fn has_drained(log: &str) -> bool {
    let own = log.lines().rev().find(|line| !line.contains("event: closed"));
    own.is_some_and(|line| line.contains("drained"))
}

/// Waits for a condition, asking every 100 ms, at most [`DEADLINE`].
pub async fn wait_for<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Everything that a stream holds for a filter, decoded. A server that was just struck is asked again.
pub async fn held<T: Message>(bus: &Bus, stream: Stream, filter: String) -> Vec<T> {
    wait_for("the stream to be read", async || {
        let mut found = Vec::new();
        let show = |d: &Delivery| found.extend(d.decode::<T>(Limits::default()));
        bus.read_all(stream, vec![filter.clone()], show).await.ok()?;
        Some(found)
    })
    .await
}

/// The next message of a subscription, at most [`DEADLINE`].
pub async fn next<T: Message>(subscription: &mut async_nats::Subscriber) -> T {
    let message = tokio::time::timeout(DEADLINE, subscription.next()).await;
    let message = message.expect("a message in time").expect("an open subscription");
    magsentinel_bus_schema::decode(&message.payload, None, Limits::default()).expect("readable")
}

/// The repository's root. Asked for at run time: the build may have happened in another checkout.
pub fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    PathBuf::from(package).parent().expect("the root is above it").to_path_buf()
}

/// The program under test, beside the test's own.
#[must_use]
pub fn magsentinel() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let folder = own.parent().expect("a folder");
    // Tests lie in `deps`, programs beside ours.
    let folder =
        if folder.ends_with("deps") { folder.parent().expect("target folder") } else { folder };
    let program = folder.join("magsentinel");
    assert!(program.is_file(), "{} is missing: cargo build --workspace", program.display());
    program
}

/// Under which names a role owns shards, and how many there are of each.
fn sharded_parts(role: &str) -> Vec<(String, u64)> {
    match magsentinel_patrol::patrols::find(role) {
        Some(entry) => {
            let of = |class| magsentinel_patrol::stage::consumer_of(entry.spec, class).to_string();
            entry.spec.keys.iter().map(|class| (of(*class), 64)).collect()
        }
        None if role == "analyzer" => vec![(role.to_owned(), 64), (router::NAME.to_owned(), 1)],
        None => Vec::new(),
    }
}

/// What a process needs of our environment; nothing that would configure it.
fn inherited() -> Vec<(String, String)> {
    std::env::vars()
        .filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG"))
        .collect()
}

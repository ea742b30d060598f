//! A real nats-server.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    dir: PathBuf,
    port: u16,
    /// Appended to its configuration.
    more: String,
}

/// The provisioned program, else the one on PATH.
fn program() -> PathBuf {
    std::env::var_os("MAGSENTINEL_NATS_SERVER")
        .map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}

/// Starts a cluster of so many servers, each in a folder of its own, named `n0`, `n1`, …
#[must_use]
pub fn cluster(dir: &Path, servers: usize) -> Vec<Server> {
    // Servers must know one another's addresses before any is started. All ports are held at
    // once, so that they differ, and let go just before the servers take them.
    let held: Vec<TcpListener> =
        (0..servers).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let at = |l: &TcpListener| l.local_addr().expect("an address");
    let ports: Vec<SocketAddr> = held.iter().map(at).collect();
    drop(held);
    let routes: Vec<String> = ports.iter().map(|at| format!("\"nats://{at}\"")).collect();
    let start = |(n, at): (usize, &SocketAddr)| {
        // Clients are not told of the other servers: one behind a proxy stays behind it.
        let more = format!(
            "server_name: n{n}\ncluster {{ name: mesh, listen: \"{at}\", no_advertise: true, \
             routes: [{}] }}",
            routes.join(", ")
        );
        Server::start_with(&dir.join(format!("n{n}")), &more)
    };
    ports.iter().enumerate().map(start).collect()
}

impl Server {
    /// Starts a server with JetStream in a folder, on a free port of its choice.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, "")
    }

    /// The same with more in its configuration.
    #[must_use]
    pub fn start_with(dir: &Path, more: &str) -> Self {
        std::fs::create_dir_all(dir).expect("a folder");
        let child = spawn(dir, -1, more);
        let mut server = Self { child, dir: dir.to_path_buf(), port: 0, more: more.to_owned() };
        server.port = server.await_port();
        server
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Time that it has run on any core, in seconds.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        crate::cpu_seconds(self.child.id())
    }

    /// SIGSTOP: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("a running server");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running server");
        self.child.wait().expect("an ended server");
    }

    /// Starts again on the same port and folder.
    pub fn restart(&mut self) {
        self.child = spawn(&self.dir, i32::from(self.port), &self.more);
        self.await_port();
    }

    fn await_port(&mut self) -> u16 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Some(port) = listed_port(&self.dir.join("ports"))
                && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            {
                return port;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                panic!("nats-server ended ({status}): {log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nats-server does not listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(dir: &Path, port: i32, more: &str) -> Child {
    let ports = dir.join("ports");
    drop(std::fs::remove_dir_all(&ports));
    std::fs::create_dir_all(&ports).expect("a folder");
    let config = dir.join("nats.conf");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\nports_file_dir: {ports:?}\n\
         jetstream {{ store_dir: {:?}, max_file: 40GB }}\n{more}\n",
        dir.join("streams")
    );
    std::fs::write(&config, text).expect("a file");
    let log = File::create(dir.join("log")).expect("a file");
    let started = Command::new(program())
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log)
        .spawn();
    started.unwrap_or_else(|e| {
        panic!(
            "{} cannot be started ({e}): set MAGSENTINEL_NATS_SERVER, or run the tests with \
             `cargo xtask test`, which provides it",
            program().display()
        )
    })
}

fn listed_port(ports: &Path) -> Option<u16> {
    let file = std::fs::read_dir(ports).ok()?.flatten().next()?;
    let listed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file.path()).ok()?).ok()?;
    listed["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

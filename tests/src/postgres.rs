//! A real PostgreSQL, logging statements as JSON.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running database. Ended when dropped.
pub struct Postgres {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

/// Folder of initdb and postgres: the provisioned one, else Debian's newest.
fn programs() -> PathBuf {
    if let Some(dir) = std::env::var_os("MAGSENTINEL_POSTGRES_BIN") {
        return PathBuf::from(dir);
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.map(|entry| entry.path().join("bin")).max();
    newest.expect("PostgreSQL is missing: run the tests with `cargo xtask test`")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.trim_ascii() == b"0"
}

/// A command that runs as an ordinary user: PostgreSQL refuses to run as root.
pub(crate) fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
    command
}

/// Lets the user of [`as_user`] write to a folder.
pub(crate) fn give_to_user(folder: &Path) {
    if is_root() {
        let owned = Command::new("chown").arg("65534:65534").arg(folder).status();
        assert!(owned.is_ok_and(|s| s.success()), "chown");
    }
}

impl Postgres {
    /// Makes a cluster, starts it on a free port and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        give_to_user(dir.path());
        let data = dir.path().join("data");
        let made = as_user(&programs().join("initdb"))
            .args(["--auth=trust", "--username=admin", "--no-sync", "--encoding=UTF8", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let settings = [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", dir.path().display()),
            "fsync=off".to_owned(),
            "logging_collector=on".to_owned(),
            "log_destination=jsonlog".to_owned(),
            "log_directory=log".to_owned(),
            "log_filename=shop".to_owned(),
            "log_file_mode=0644".to_owned(),
            "log_statement=all".to_owned(),
            "session_preload_libraries=auto_explain".to_owned(),
            "auto_explain.log_min_duration=0".to_owned(),
            "auto_explain.log_analyze=on".to_owned(),
            "auto_explain.log_timing=off".to_owned(),
            "auto_explain.log_format=json".to_owned(),
        ];
        let log = File::create(dir.path().join("stderr")).expect("a file");
        let mut command = as_user(&programs().join("postgres"));
        command.arg("-D").arg(&data).current_dir("/").stdin(Stdio::null());
        command.args(settings.iter().flat_map(|s| ["-c", s.as_str()]));
        command.stdout(log.try_clone().expect("a handle")).stderr(log);
        let child = command.spawn().expect("postgres starts");
        let mut postgres = Self { child, dir, port };
        postgres.await_answer();
        postgres
    }

    /// The connection string of a user.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("host=127.0.0.1 port={} user={user} dbname={database}", self.port)
    }

    /// The statement log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("data/log/shop.json")
    }

    fn await_answer(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            let ready = as_user(&programs().join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|s| s.success()) {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = std::fs::read_to_string(self.dir.path().join("stderr"));
                panic!("postgres ended ({status}): {}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("postgres does not answer");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown; its children end with it.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").args(["-INT", &pid]).status());
        drop(self.child.wait());
    }
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

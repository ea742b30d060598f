//! A real nginx, configured as the documentation tells.

use crate::{
    postgres::{as_user, give_to_user},
    repository,
};
use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// A running gateway and the application behind it. Ended when dropped.
pub struct Nginx {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut programs = folders.map(|folder| folder.join("nginx"));
    programs
        .find(|file| file.is_file())
        .expect("nginx is missing: run the tests with `cargo xtask test`, or apt-get install nginx")
}

/// What `docs/response.md` tells an operator to write, at these ports.
fn documented(gateway: u16, responder: u16, application: u16) -> String {
    let text = std::fs::read_to_string(repository().join("docs/response.md")).expect("the page");
    let block = text.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut block = block.expect("the page has a block of nginx").to_owned();
    for (from, to) in [
        ("listen 8080;", format!("listen {gateway};")),
        ("http://127.0.0.1:9080;", format!("http://127.0.0.1:{responder};")),
        ("http://127.0.0.1:8000;", format!("http://127.0.0.1:{application};")),
    ] {
        assert_eq!(block.matches(from).count(), 1, "{from} in {block}");
        block = block.replace(from, &to);
    }
    block
}

impl Nginx {
    /// Starts a gateway on every address of this network, which asks the responder at a port of
    /// loopback, and an application behind it that answers with a text. Waits until it answers.
    #[must_use]
    pub fn start(responder: u16, answer: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        give_to_user(dir.path());
        let (port, application) = (free_port(), free_port());
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|of| format!("    {of}_temp_path {}/{of};\n", dir.path().display()))
            .concat();
        let gateway = documented(port, responder, application);
        let text = format!(
            "daemon off;\npid {0}/pid;\nevents {{}}\nhttp {{\n{paths}    access_log off;\n\
             {gateway}\n    server {{ listen 127.0.0.1:{application}; \
             location / {{ return 200 \"{answer}\"; }} }}\n}}\n",
            dir.path().display()
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, text).expect("written");
        let mut command = as_user(&program());
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
        command.arg("-e").arg(dir.path().join("error.log")).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("nginx starts");
        let mut nginx = Self { child, dir, port };
        nginx.await_answer();
        nginx
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn await_answer(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("nginx ended ({status}): {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nginx does not answer: {}", self.log());
    }

    /// What it says is wrong.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM is a fast shutdown; its workers end with it.
        let pid = self.child.id().to_string();
        drop(std::process::Command::new("kill").args(["-TERM", &pid]).status());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

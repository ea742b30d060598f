//! Real gateways in front of an application, configured as an operator is told to.

use crate::{
    postgres::{as_user, free_port, give_to_user},
    repository,
};
use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running gateway and the application behind it. Ended when dropped.
pub struct Gateway {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
    log: &'static str,
}

/// Where each listens: the gateway, whom it asks, and the application.
struct Ports {
    gateway: u16,
    responder: u16,
    application: u16,
}

impl Ports {
    fn with(responder: u16) -> Self {
        Self { gateway: free_port(), responder, application: free_port() }
    }
}

/// A documented configuration, with these texts for those that it must have once.
fn put_into(text: &str, instead: &[(&str, String)]) -> String {
    instead.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        text.replace(from, to)
    })
}

/// A program on `PATH`, or where Debian keeps those of root.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Gateway {
    /// Starts nginx as `docs/response.md` tells, on every address of this network, which asks the
    /// responder at a port of loopback, and an application behind it that answers with a text.
    /// Waits until it answers.
    #[must_use]
    pub fn nginx(responder: u16, answer: &str) -> Self {
        let nginx = program("nginx").expect(
            "nginx is missing: run the tests with `cargo xtask test`, or apt-get install nginx",
        );
        let page = repository().join("docs/response.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let block = page.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
        let block = block.expect("the page has a block of nginx");
        let ports = Ports::with(responder);
        let gateway = put_into(
            block,
            &[
                ("listen 8080;", format!("listen {};", ports.gateway)),
                ("http://127.0.0.1:9080;", format!("http://127.0.0.1:{};", ports.responder)),
                ("http://127.0.0.1:8000;", format!("http://127.0.0.1:{};", ports.application)),
            ],
        );
        let dir = tempfile::tempdir().expect("a temporary folder");
        give_to_user(dir.path());
        let folder = dir.path().display();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|of| format!("    {of}_temp_path {folder}/{of};\n"))
            .concat();
        let application = ports.application;
        let text = format!(
            "daemon off;\npid {folder}/pid;\nevents {{}}\nhttp {{\n{paths}    access_log off;\n\
             {gateway}\n    server {{ listen 127.0.0.1:{application}; \
             location / {{ return 200 \"{answer}\"; }} }}\n}}\n",
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, text).expect("written");
        let mut command = as_user(&nginx);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
        command.arg("-e").arg(dir.path().join("error.log"));
        Self::start(command, dir, ports.gateway, "error.log")
    }

    /// As [`Self::nginx`]: Envoy, as `deploy/envoy.yaml` is.
    #[must_use]
    pub fn envoy(responder: u16, answer: &str) -> Self {
        let named = std::env::var_os("MAGSENTINEL_ENVOY").map(PathBuf::from);
        let envoy = named.or_else(|| program("envoy")).expect(
            "Envoy is missing: run the tests with `cargo xtask test`, or name it with MAGSENTINEL_ENVOY",
        );
        let file = repository().join("deploy/envoy.yaml");
        let ports = Ports::with(responder);
        let text = put_into(
            &std::fs::read_to_string(file).expect("the file"),
            &[
                ("port_value: 8080 ", format!("port_value: {} ", ports.gateway)),
                ("http://127.0.0.1:9080\"", format!("http://127.0.0.1:{}\"", ports.responder)),
                ("port_value: 9080 ", format!("port_value: {} ", ports.responder)),
                ("port_value: 8000 ", format!("port_value: {} ", ports.application)),
            ],
        );
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("envoy.yaml");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(envoy);
        command.arg("-c").arg(&file).args(["--config-yaml", &application(&ports, answer)]);
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        command.arg("--log-path").arg(dir.path().join("envoy.log"));
        Self::start(command, dir, ports.gateway, "envoy.log")
    }

    fn start(mut command: Command, dir: tempfile::TempDir, port: u16, log: &'static str) -> Self {
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the gateway starts");
        let mut gateway = Self { child, dir, port, log };
        gateway.await_answer();
        gateway
    }

    /// Where it listens.
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
                panic!("the gateway ended ({status}): {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the gateway does not answer: {}", self.log());
    }

    /// What it says is wrong.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(self.log)).unwrap_or_default()
    }
}

/// An application of Envoy's own, to be merged with a gateway's configuration.
fn application(ports: &Ports, answer: &str) -> String {
    let types = "type.googleapis.com/envoy.extensions.filters";
    serde_json::json!({"static_resources": {"listeners": [{
        "name": "application",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": ports.application}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": format!("{types}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "application",
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": format!("{types}.http.router.v3.Router")},
                }],
                "route_config": {"virtual_hosts": [{
                    "name": "application",
                    "domains": ["*"],
                    "routes": [{
                        "match": {"prefix": "/"},
                        "direct_response": {"status": 200, "body": {"inline_string": answer}},
                    }],
                }]},
            },
        }]}],
    }]}})
    .to_string()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SIGTERM is a fast shutdown; workers end with it.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        drop(self.child.wait());
    }
}

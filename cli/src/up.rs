//! `up`: the whole mesh on this machine, with something to see.

mod children;
mod nats_server;
mod play;
mod watch;

use crate::{
    args::{Global, UpArgs},
    exit::BadUsage,
    output::Format,
    roles,
    settings::Settings,
};
use anyhow::{Context, Result};
use children::Children;
use magsentinel_runtime::{shutdown, telemetry};
use nats_server::NatsServer;
use std::{fs::File, path::PathBuf, time::Duration};

/// Asks a child to end (SIGTERM).
fn terminate(child: &tokio::process::Child) {
    let Some(pid) = child.id() else { return };
    // `kill` is everywhere, and keeps this crate free of unsafe code.
    let sent = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status();
    if let Err(error) = sent {
        tracing::warn!(%error, pid, "cannot be asked to end");
    }
}

/// Runs the mesh until it is asked to end.
pub async fn run(global: &Global, args: UpArgs) -> Result<()> {
    let data = args.data.clone().map_or_else(default_data, Ok)?;
    std::fs::create_dir_all(&data).with_context(|| format!("{}", data.display()))?;
    let data = data.canonicalize()?;
    let _lock = lock(&data)?;
    for tail in &args.tail {
        magsentinel_sensor::parse_tail(tail).map_err(BadUsage)?;
    }
    let mut global = global.clone();
    global.set.push(format!("logbook.path={}", data.join("logbook.db").display()));
    if !global.set.iter().any(|set| set.starts_with("commander.knowledge=")) {
        global.set.push(format!("commander.knowledge={}", data.join("knowledge.db").display()));
    }
    global.set.push(format!("sensor.state_dir={}", data.join("positions").display()));
    let key = development_key(&data)?;
    global.set.push(format!("inference.bundles.signers=[\"{key}\"]"));
    if !global.set.iter().any(|set| set.starts_with("patterns.signers=")) {
        global.set.push(format!("patterns.signers=[\"{key}\"]"));
    }
    let plays = args.tail.is_empty() && !args.no_scenario;
    if plays && !global.set.iter().any(|set| set.starts_with("analyzer.lateness=")) {
        global.set.push(format!("analyzer.lateness={}s", lateness_s(args.speed)));
    }
    let mut stopping = shutdown::on_signals().context("cannot listen for signals")?;
    let server = match &args.nats {
        Some(_) => None,
        None => Some(start_server(&args, &data).await?),
    };
    let url = server.as_ref().map(|s| s.url.clone()).or_else(|| args.nats.clone());
    global.set.push(format!("bus.url={}", url.unwrap_or_default()));
    let result = mesh(&global, &args, &data, &mut stopping).await;
    if let Some(server) = server {
        server.stop().await;
    }
    result
}

/// The allowed lateness while a scenario is played, in seconds of event time: two seconds of the
/// clock on the wall, in which patrols that are not equally fast must come to the same event; at
/// least the default.
fn lateness_s(speed: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let seconds = (2.0 * speed).clamp(30.0, 3600.0) as u64;
    seconds
}

async fn start_server(args: &UpArgs, data: &std::path::Path) -> Result<NatsServer> {
    let program = nats_server::find(args.nats_server.as_deref())?;
    NatsServer::start(&program, data).await
}

/// Everything between the server's start and its end.
async fn mesh(
    global: &Global,
    args: &UpArgs,
    data: &std::path::Path,
    stopping: &mut tokio::sync::watch::Receiver<bool>,
) -> Result<()> {
    let mut settings = Settings::load(global)?;
    settings.telemetry.log = "warn".to_owned();
    telemetry::init(&settings.telemetry);
    let bus = roles::connect(&settings, "up").await?;
    let mut children = Children::start(global, &settings, args, data)?;
    let say = |text: String| {
        if global.output == Format::Text {
            println!("{text}");
        }
    };
    say(format!("magsentinel on {} (data in {})", settings.bus.url, data.display()));
    let result = tokio::select! {
        ready = children.ready(&bus, settings.analyzer.shards) => ready,
        _ = stopping.wait_for(|stop| *stop) => Ok(()),
    };
    let result = match result {
        Ok(()) if !*stopping.borrow() => {
            say(format!("{} roles are ready: {}", children.len(), roles::all().join(", ")));
            let follow = watch::Follow::start(&bus, global, data).await?;
            let played = play::play(&bus, &settings, args, stopping.clone(), say);
            watch::until_done(follow, played, args.once, &mut children, stopping).await
        }
        other => other,
    };
    say("draining".to_owned());
    children.stop().await;
    result
}

/// The public half of this folder's own key for signing bundles, made when it is missing.
fn development_key(data: &std::path::Path) -> Result<String> {
    let file = data.join("bundle.nk");
    if !file.exists() {
        return crate::bundle::new_key(&file);
    }
    let seed = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    magsentinel_runtime::bundle::public_key(&seed).map_err(|why| {
        anyhow::anyhow!("{}: {why}; remove it, to have it made anew", file.display())
    })
}

fn default_data() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = state.filter(|p| p.is_absolute()).or_else(home);
    let state =
        state.context("neither XDG_STATE_HOME nor HOME is set: name a folder with --data")?;
    Ok(state.join("magsentinel/up"))
}

/// One `up` per folder: two would fight over the same streams.
fn lock(data: &std::path::Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
    file.try_lock().map_err(|_| {
        BadUsage(format!(
            "another `magsentinel up` runs on {}; end it, or choose another folder with --data",
            data.display()
        ))
    })?;
    Ok(file)
}

/// How long the roles may take to be ready.
const READY: Duration = Duration::from_secs(60);

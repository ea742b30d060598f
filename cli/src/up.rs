//! `up`: the whole mesh on this machine, with something to see.

mod children;
mod nats_server;
mod next;
mod play;
pub mod tied;
mod watch;

use crate::{
    args::{Global, UpArgs},
    exit::BadUsage,
    mesh,
    output::Format,
    roles,
    settings::Settings,
};
use anyhow::{Context, Result};
use children::Children;
use magsentinel_runtime::{bus::Bus, shutdown, telemetry};
use magsentinel_sensor::replay::pace::Speed;
use nats_server::NatsServer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Asks a child to end (SIGTERM).
fn terminate(child: &tokio::process::Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let Some(pid) = pid else { return };
    if let Err(error) = kill_process(pid, Signal::TERM) {
        tracing::warn!(%error, ?pid, "cannot be asked to end");
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
    let mut global = configured(global, &args, &data)?;
    let mut stopping = shutdown::on_signals().context("cannot listen for signals")?;
    // A running server that is named goes before a program that could be started.
    let mut server = match &args.nats {
        Some(_) => None,
        None => Some(start_server(&args, &data).await?),
    };
    let url = server.as_ref().map(|s| s.url.clone()).or_else(|| args.nats.clone());
    global.set.push(format!("bus.url={}", json!(url.unwrap_or_default())));
    mesh::leave(&data, &global)?;
    let result = tokio::select! {
        result = run_mesh(&global, &args, &data, &mut stopping) => result,
        given_up = nats_server::keep(&mut server) => given_up,
    };
    if let Some(server) = server {
        server.stop().await;
    }
    result
}

/// The settings of every role: this folder is where everything is kept.
fn configured(global: &Global, args: &UpArgs, data: &Path) -> Result<Global> {
    let mut global = global.clone();
    let inside = |name: &str| json!(data.join(name).display().to_string());
    let key = development_key(data)?;
    let mut set = vec![
        format!("logbook.path={}", inside("logbook.db")),
        format!("sensor.state_dir={}", inside("positions")),
        format!("inference.bundles.signers=[\"{key}\"]"),
        // Of one port that a file names, only one of the roles could listen on it.
        "health.listen=127.0.0.1:0".to_owned(),
    ];
    let mut unless_told = vec![
        format!("commander.knowledge={}", inside("knowledge.db")),
        format!("patterns.signers=[\"{key}\"]"),
    ];
    if args.tail.is_empty() && !args.no_scenario {
        unless_told.push(format!("analyzer.lateness={}s", lateness_s(args.speed)));
        // Whoever looks on sees an incident grow.
        unless_told.push("analyzer.update_every=1s".to_owned());
    }
    let is_told = |one: &String| {
        let key = one.split_inclusive('=').next().unwrap_or(one);
        global.set.iter().any(|told| told.starts_with(key))
    };
    set.extend(unless_told.into_iter().filter(|one| !is_told(one)));
    global.set.extend(set);
    Ok(global)
}

/// The allowed lateness while a scenario is played, in seconds of event time: two seconds of the
/// clock on the wall, in which patrols that are not equally fast must come to the same event; at
/// least the default.
fn lateness_s(speed: Speed) -> u64 {
    let Speed::Times(times) = speed else { return LATENESS_S_MAX };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let seconds = (2.0 * times).ceil().max(30.0) as u64;
    seconds.min(LATENESS_S_MAX)
}

/// Longest that `up` lets the mesh wait for late events, in seconds of event time.
const LATENESS_S_MAX: u64 = 3600;

async fn start_server(args: &UpArgs, data: &Path) -> Result<NatsServer> {
    let program = nats_server::find(args.nats_server.as_deref())?;
    NatsServer::start(&program, data).await
}

/// Everything between the server's start and its end.
async fn run_mesh(
    global: &Global,
    args: &UpArgs,
    data: &Path,
    stopping: &mut tokio::sync::watch::Receiver<bool>,
) -> Result<()> {
    let mut settings = Settings::load(global)?;
    settings.telemetry.log = "warn".to_owned();
    settings.telemetry.json |= global.output == Format::Json;
    telemetry::init(&settings.telemetry);
    let bus = roles::connect(&settings, "up").await?;
    let mut children = Children::start(global, &settings, args, data)?;
    let say = |text: String| {
        if global.output == Format::Text {
            println!("{text}");
        }
    };
    say(format!("magsentinel on {} (data in {})", settings.bus.shown_url(), data.display()));
    let result = tokio::select! {
        ready = children.ready(&bus, settings.analyzer.shards) => ready,
        _ = stopping.wait_for(|stop| *stop) => Ok(()),
    };
    let result = match result {
        Ok(()) if !*stopping.borrow() => {
            say(format!("{} roles are ready: {}", children.len(), roles::all().join(", ")));
            let follow = follow(&bus, global, data).await?;
            let played = play::play(&bus, &settings, args, stopping.clone(), say);
            watch::until_done(follow, played, args.once, &mut children, stopping).await
        }
        other => other,
    };
    say("draining".to_owned());
    children.stop().await;
    result
}

/// Begins to follow what is decided; tries again while the server comes back.
async fn follow(bus: &Bus, global: &Global, data: &Path) -> Result<watch::Follow> {
    let deadline = Instant::now() + READY;
    loop {
        match watch::Follow::start(bus, global, data).await {
            Err(error) if Instant::now() < deadline => tracing::warn!(%error, "tried again"),
            done => return done,
        }
    }
}

/// The public half of this folder's own key for signing bundles, made when it is missing.
fn development_key(data: &Path) -> Result<String> {
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
    mesh::default_folder()
        .context("neither XDG_STATE_HOME nor HOME is set: name a folder with --data")
}

/// One `up` per folder: two would fight over the same streams.
fn lock(data: &Path) -> Result<File> {
    let path = data.join(mesh::LOCK);
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

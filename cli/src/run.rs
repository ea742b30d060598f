//! `run`: one role, until it is asked to end.

use crate::{
    args::{Global, RunArgs},
    exit::BadUsage,
    roles,
    settings::Settings,
};
use anyhow::{Context, Result};
use magsentinel_runtime::{service, shutdown, telemetry};
use tokio::{io::AsyncReadExt, sync::watch};

/// Runs a role.
pub async fn run(global: &Global, args: RunArgs) -> Result<()> {
    let mut settings = Settings::load(global)?;
    for tail in &args.tail {
        settings.sensor.tails.push(magsentinel_sensor::parse_tail(tail).map_err(BadUsage)?);
    }
    telemetry::init(&settings.telemetry);
    let service = roles::service(&args.role, &settings)?;
    let mut stopping = shutdown::on_signals().context("cannot listen for signals")?;
    if args.with_parent {
        stopping = with_parent(stopping);
    }
    let bus = magsentinel_runtime::bus::connect(&settings.bus, &args.role).await?;
    service::run(service, bus, &settings.health, stopping).await?;
    Ok(())
}

/// The same flag, which also turns true when standard input ends.
fn with_parent(mut signals: watch::Receiver<bool>) -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        let mut stdin = tokio::io::stdin();
        let mut nothing = [0; 1];
        tokio::select! {
            _ = stdin.read(&mut nothing) => tracing::info!("parent is gone; draining"),
            _ = signals.wait_for(|stop| *stop) => {}
        }
        stop.send_replace(true);
        // Later signals still end the process at once.
        stop.closed().await;
    });
    stopping
}

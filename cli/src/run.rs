//! `run`: one role, until it is asked to end.

use crate::{
    args::{Global, RunArgs},
    exit::BadUsage,
    output::Format,
    roles,
    settings::Settings,
};
use anyhow::{Context, Result};
use magsentinel_runtime::{service, shutdown, telemetry};

/// Runs a role.
pub async fn run(global: &Global, args: RunArgs) -> Result<()> {
    let mut settings = Settings::load(global)?;
    for tail in &args.tail {
        settings.sensor.tails.push(magsentinel_sensor::parse_tail(tail).map_err(BadUsage)?);
    }
    settings.telemetry.json |= global.output == Format::Json;
    telemetry::init(&settings.telemetry);
    let service = roles::service(&args.role, &settings)?;
    let mut stopping = shutdown::on_signals().context("cannot listen for signals")?;
    if args.with_parent {
        stopping = shutdown::with_parent(stopping);
    }
    let bus = magsentinel_runtime::bus::connect(&settings.bus, &args.role).await?;
    service::run(service, bus, &settings.health, stopping).await?;
    Ok(())
}

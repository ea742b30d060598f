//! `replay`: recorded events into a mesh.

use crate::{
    args::{Global, ReplayArgs},
    exit::{BadData, BadUsage},
    output::{self, Format},
    progress,
    roles::{self, Door},
    settings::Settings,
};
use anyhow::{Context, Result};
use magsentinel_bus_schema::{Id, Kind, Trust};
use magsentinel_runtime::{micro, shutdown, telemetry};
use magsentinel_sensor::replay::{Replay, rows::Recording};
use serde_json::json;

/// Plays a file.
pub async fn run(global: &Global, args: ReplayArgs) -> Result<()> {
    let mut settings = Settings::load(global)?;
    settings.telemetry.json |= global.output == Format::Json;
    telemetry::init(&settings.telemetry);
    let tenant = args.tenant.parse().map_err(|e| BadUsage(format!("{e}")))?;
    let own = std::mem::replace(&mut settings.bus.tenant, tenant);
    if own != settings.bus.tenant {
        settings.bus.streams = settings.bus.streams.for_recordings();
    }
    let kind = args.kind.map(|k| k.parse::<Kind>().map_err(BadUsage)).transpose()?;
    let replay = Replay {
        recording: Recording::File(args.file),
        kind,
        speed: args.speed,
        as_live: args.as_live,
        run: args.run_id.unwrap_or_else(|| Id::fresh().to_string()),
        trust: Trust::Observed,
    };
    let stopping = shutdown::on_signals().context("cannot listen for signals")?;
    let mut interrupted = stopping.clone();
    let bus = tokio::select! {
        bus = roles::connect(&settings, "replay") => bus?,
        _ = interrupted.wait_for(|stop| *stop) => {
            anyhow::bail!("stopped before there was a connection: nothing was published");
        }
    };
    if micro::ask_all(&bus, "PING", None).await?.is_empty() {
        output::note(&format!(
            "nobody reads for tenant {0} here: start roles with --set bus.tenant={0}, or play with \
             --tenant {own}",
            settings.bus.tenant
        ));
    }
    let bar = progress::bar(global, "rows", 0);
    let told = magsentinel_sensor::replay(
        &settings.sensor,
        &settings.bus.tenant,
        &replay,
        &Door(bus),
        stopping,
        |told| {
            bar.set_length(told.total);
            bar.set_position(told.done);
        },
    )
    .await?;
    bar.finish_and_clear();
    let report = json!({
        "run": replay.run, "rows": told.total, "published": told.done,
        "dead_lettered": told.rejected, "stopped": told.stopped,
    });
    global.output.print(&report, || {
        format!(
            "run {}: {} of {} rows published, {} of them as dead letters{}\n",
            replay.run,
            told.done,
            told.total,
            told.rejected,
            if told.stopped { "; stopped before its end" } else { "" }
        )
    });
    if told.total > 0 && told.rejected == told.total {
        return Err(BadData("not one row is an event; is --kind right?".to_owned()).into());
    }
    Ok(())
}

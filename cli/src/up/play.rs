//! What `up` plays: the built-in scenario, a recording, or nothing where logs are watched.

use crate::{args::UpArgs, roles::Door, settings::Settings};
use anyhow::Result;
use magsentinel_bus_schema::{Id, Trust};
use magsentinel_runtime::bus::Bus;
use magsentinel_sensor::replay::{Replay, pace::Speed, rows::Recording};
use tokio::sync::watch;

/// An hour of a small web shop, near whose end an injection becomes a dump.
const SHOP_HOUR: &str = include_str!("../../scenarios/shop-hour.jsonl");

/// Plays, and ends when the last event is published. Without anything to play it ends at once.
pub async fn play(
    bus: &Bus,
    settings: &Settings,
    args: &UpArgs,
    stopping: watch::Receiver<bool>,
    say: impl Fn(String),
) -> Result<()> {
    if args.no_scenario || !args.tail.is_empty() {
        args.tail.iter().for_each(|tail| say(format!("watching {tail}")));
        return Ok(());
    }
    let recording = match &args.scenario {
        Some(file) => Recording::File(file.clone()),
        None => {
            Recording::Built { name: "shop-hour".to_owned(), bytes: SHOP_HOUR.as_bytes().into() }
        }
    };
    let pace = match args.speed {
        Speed::Flat => "flat out".to_owned(),
        Speed::Times(times) => format!("at {times} times its speed"),
    };
    say(format!("playing {} {pace}", recording.name()));
    let replay = Replay {
        recording,
        kind: None,
        speed: args.speed,
        as_live: true,
        run: Id::fresh().to_string(),
        trust: Trust::Observed,
    };
    let door = Door(bus.clone());
    let tenant = &settings.bus.tenant;
    let told =
        magsentinel_sensor::replay(&settings.sensor, tenant, &replay, &door, stopping, |_| {})
            .await?;
    say(format!("played {} events; Ctrl-C ends the mesh", told.done));
    Ok(())
}

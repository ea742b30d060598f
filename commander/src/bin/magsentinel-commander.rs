//! The commander with a language model, as a program of its own: what it needs to build takes
//! twenty minutes, so the mesh's binary does without.
#![expect(clippy::print_stderr, reason = "it talks to a terminal")]

use clap::Parser;
use magsentinel_bus_schema::Token;
use magsentinel_runtime::{
    bus::{self, BusConfig},
    health::HealthConfig,
    service::{self, Service},
    settings::Layers,
    shutdown,
    telemetry::{self, TelemetryConfig},
};
use std::{error::Error, path::PathBuf, process::ExitCode};

/// Sections of the same file that other programs read.
const ELSEWHERE: &[&str] = &["sensor", "patrols", "inference", "analyzer", "responder", "logbook"];

/// Analyses incidents with a language model.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Configuration file [default: ./magsentinel.yaml, else /etc/magsentinel/magsentinel.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, before file and environment: `--set commander.model=/models/small`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// End when standard input ends: for a parent that may die
    #[arg(long, hide = true)]
    with_parent: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut layers = Layers::load(args.config.as_deref(), &args.set)?;
    let (bus, health): (BusConfig, HealthConfig) = (layers.section(), layers.section());
    let telemetry: TelemetryConfig = layers.section();
    let commander: magsentinel_commander::Config = layers.section();
    let patterns: magsentinel_pattern::Config = layers.section();
    layers.finish(ELSEWHERE)?;
    telemetry::init(&telemetry);
    let name: Token = "commander".parse()?;
    // The commander owns no shards.
    let mut service = Service::new(name, 1);
    let all = magsentinel_commander::parts(&commander)?;
    (service.pools, service.endpoints) = (all.pools, all.endpoints);
    service.tasks = all.tasks;
    service.tasks.extend(magsentinel_commander::tasks(&patterns)?);
    let signals = shutdown::on_signals()?;
    let stopping = if args.with_parent { shutdown::with_parent(signals) } else { signals };
    let bus = bus::connect(&bus, "commander").await?;
    service::run(service, bus, &health, stopping).await?;
    Ok(())
}

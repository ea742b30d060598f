//! `chaos`: replicas of everything on a cluster of three servers, under faults, in the long form.

use crate::{provision, workspace};
use anyhow::{Context, Result};

/// What is run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events that flow meanwhile
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// The seed of a former run, which printed it: the same traffic, the same order of faults
    #[arg(long)]
    seed: Option<u64>,
}

/// Fetches the tools, builds, and runs the test with this many events.
pub(crate) fn run(args: &Args) -> Result<()> {
    // Half of what flows is theirs: without them it would prove less, and nobody would notice.
    provision::data().context(
        "the curated data are missing: name their folder in MAGSENTINEL_DATA, or put it at \
         shared/data beside the repository",
    )?;
    let tools = provision::all()?;
    workspace::build_magsentinel()?;
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--test", "chaos", "--", "--nocapture"]);
    tools.describe(&mut command);
    command.env("MAGSENTINEL_CHAOS_EVENTS", args.events.to_string());
    if let Some(seed) = args.seed {
        command.env("MAGSENTINEL_CHAOS_SEED", seed.to_string());
    }
    workspace::run(&mut command)
}

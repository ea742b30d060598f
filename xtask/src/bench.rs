//! `bench`: the figures, measured with the release profile.

use crate::{provision, workspace};
use anyhow::Result;

/// Fetches what the benchmark runs against, builds with the release profile, and measures.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let server = provision::nats_server()?;
    let library = provision::onnxruntime()?;
    // The benchmark starts the real program beside it, so both are built, with one set of
    // features for what they share.
    workspace::run(workspace::cargo().args([
        "build",
        "--release",
        "--workspace",
        "--bin",
        "magsentinel",
        "--bin",
        "bench",
    ]))?;
    let release = workspace::members()?.target_directory.join("release");
    let mut command = std::process::Command::new(release.join("bench"));
    command.current_dir(workspace::root()).args(args);
    workspace::forget_cargo_run(&mut command);
    command.env(provision::NATS_SERVER, server).env(provision::ONNXRUNTIME, library);
    workspace::run(&mut command)
}

//! `bench`: the figures, measured with the release profile.

use crate::{provision, workspace};
use anyhow::Result;
use std::{path::Path, process::Command};

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
    let mut command = Command::new(release.join("bench"));
    command.current_dir(workspace::root()).args(args);
    workspace::forget_cargo_run(&mut command);
    describe(&mut command, &server, &library);
    workspace::run(&mut command)
}

/// Tells the benchmark where everything is that it measures with. The commander's searches the
/// knowledge in the curated data.
fn describe(command: &mut Command, server: &Path, library: &Path) {
    command.env(provision::NATS_SERVER, server).env(provision::ONNXRUNTIME, library);
    provision::describe_data(command);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchmark_is_told_of_the_data_wherever_the_tests_are() {
        let mut command = Command::new("bench");
        describe(&mut command, Path::new("/server"), Path::new("/library"));
        let told: Vec<&str> = command.get_envs().filter_map(|(name, _)| name.to_str()).collect();
        assert!(told.contains(&"MAGSENTINEL_NATS_SERVER"), "{told:?}");
        assert_eq!(told.contains(&"MAGSENTINEL_DATA"), provision::data().is_some(), "{told:?}");
    }
}

//! `up`: from a fresh clone to a running mesh.

use crate::{provision, workspace};
use anyhow::{Result, bail};
use std::{os::unix::process::CommandExt, process::Command};

/// Fetches nats-server unless told of one, builds, and becomes `magsentinel up`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let own_server = |a: &String| {
        ["--nats", "--nats-server", "--help", "-h"]
            .iter()
            .any(|flag| a == flag || a.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
    };
    let server = match args.iter().any(own_server) {
        true => None,
        false => Some(provision::nats_server()?),
    };
    let program = workspace::build_magsentinel()?;
    let mut command = Command::new(&program);
    command.arg("up").args(args);
    workspace::forget_cargo_run(&mut command);
    if let Some(server) = server {
        command.env(provision::NATS_SERVER, server);
    }
    // Becoming the program, rather than starting it, leaves nobody in between who would have
    // to pass on signals: Ctrl-C and SIGTERM reach the one that drains.
    let e = command.exec();
    bail!("{} cannot start: {e}", program.display())
}

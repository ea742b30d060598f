//! What the tests of the responder need to make networks of their own, and a gateway in one: root,
//! and a few programs.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Programs, and the Debian packages that hold them.
const PROGRAMS: &[(&str, &str)] = &[
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("nginx", "nginx"),
];

/// Finds the programs, or installs their packages as root.
pub(super) fn ensure() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| workspace::on_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let wanted = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    let user = workspace::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" || workspace::on_path("apt-get").is_none() {
        bail!("the tests of the responder lack programs, and need root: {wanted} (Debian)");
    }
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "-y", "--no-install-recommends"]).args(&missing);
        // In the run level of maintenance no package starts its server.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        workspace::output(&mut command)
    };
    if install().is_err() {
        // What is known of the packages may be so old that they are no longer there.
        workspace::output(Command::new("apt-get").arg("update"))
            .with_context(|| format!("tried {wanted}"))?;
        install().with_context(|| format!("tried {wanted}"))?;
    }
    Ok(())
}

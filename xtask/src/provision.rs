//! Programs that the mesh runs against and the tests need, fetched by hash where the machine
//! has none. No root is needed; everything goes to the cache folder.

mod cache;
mod envoy;
mod fetch;
mod helm;
mod nats_server;
mod onnxruntime;
mod packets;
mod postgres;
mod schemas;

use crate::workspace;
use anyhow::{Result, bail};
use std::{env, path::PathBuf, process::Command};

pub(crate) use cache::folder as cache_folder;
pub(crate) use envoy::find as envoy;
pub(crate) use helm::find as helm;
pub(crate) use nats_server::find as nats_server;
pub(crate) use onnxruntime::find as onnxruntime;
pub(crate) use postgres::find as postgres;
pub(crate) use schemas::find as schemas;

/// Names a nats-server to use as it is.
pub(crate) const NATS_SERVER: &str = "MAGSENTINEL_NATS_SERVER";
/// Names the native ONNX Runtime library to use as it is.
pub(crate) const ONNXRUNTIME: &str = "MAGSENTINEL_ONNXRUNTIME";
/// Names the folder with `initdb` and `postgres` to use as it is.
pub(crate) const POSTGRES_BIN: &str = "MAGSENTINEL_POSTGRES_BIN";
/// Names the folder with the schemas of STIX and OCSF to use as it is.
pub(crate) const SCHEMAS: &str = "MAGSENTINEL_SCHEMAS";
/// Names an Envoy to use as it is.
pub(crate) const ENVOY: &str = "MAGSENTINEL_ENVOY";
/// The variable that names the folder of the curated data.
const DATA: &str = "MAGSENTINEL_DATA";

/// Where the tools are.
pub(crate) struct Tools {
    nats_server: PathBuf,
    onnxruntime: PathBuf,
    postgres_bin: PathBuf,
    schemas: PathBuf,
    envoy: PathBuf,
}

impl Tools {
    /// Tells a command where they are.
    pub(crate) fn describe(&self, command: &mut Command) {
        command
            .env(NATS_SERVER, &self.nats_server)
            .env(ONNXRUNTIME, &self.onnxruntime)
            .env(POSTGRES_BIN, &self.postgres_bin)
            .env(SCHEMAS, &self.schemas)
            .env(ENVOY, &self.envoy);
        describe_data(command);
    }
}

/// Tells a command where the curated data is, if it is there.
pub(crate) fn describe_data(command: &mut Command) {
    if let Some(data) = data() {
        command.env(DATA, data);
    }
}

/// Folder of the curated data: the one that is named, else `shared/data` beside the repository.
/// Tests play all of it where it is there.
pub(crate) fn data() -> Option<PathBuf> {
    let beside = || Some(workspace::root().parent()?.join("shared").join("data"));
    std::env::var_os(DATA).map(PathBuf::from).or_else(beside).filter(|dir| dir.is_dir())
}

/// Finds or fetches all that the tests need, and says where it is.
pub(crate) fn all() -> Result<Tools> {
    packets::ensure()?;
    let tools = Tools {
        nats_server: nats_server()?,
        onnxruntime: onnxruntime()?,
        postgres_bin: postgres()?,
        schemas: schemas()?,
        envoy: envoy()?,
    };
    println!("{NATS_SERVER}={}", tools.nats_server.display());
    println!("{ONNXRUNTIME}={}", tools.onnxruntime.display());
    println!("{POSTGRES_BIN}={}", tools.postgres_bin.display());
    println!("{SCHEMAS}={}", tools.schemas.display());
    println!("{ENVOY}={}", tools.envoy.display());
    Ok(tools)
}

/// `cargo xtask provision`.
pub(crate) fn run() -> Result<()> {
    all().map(drop)
}

/// What a variable names, if it is set; an error when it names nothing.
fn named_by(variable: &str) -> Result<Option<PathBuf>> {
    match env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from) {
        Some(path) if !path.exists() => {
            bail!("{variable} names {}, which does not exist", path.display())
        }
        named => Ok(named),
    }
}

/// The first two numbers in the version that a program prints.
fn version_of(program: &std::path::Path, flag: &str) -> Result<(u32, u32)> {
    let text = crate::workspace::output(Command::new(program).arg(flag))?;
    match first_version(&text) {
        Some(version) => Ok(version),
        None => bail!("{} says {:?}, which names no version", program.display(), text.trim()),
    }
}

fn first_version(text: &str) -> Option<(u32, u32)> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.filter(|word| word.contains('.')).find_map(|word| {
        let mut numbers = word.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_print_them() {
        for (text, want) in [
            ("nats-server: v2.15.1", Some((2, 15))),
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", Some((15, 14))),
            ("v4.1.4+g05fa379", Some((4, 1))),
            ("envoy  version: 9e5580933739775e8bce696a57a2/1.40.0/Clean/RELEASE", Some((1, 40))),
            ("no version.", None),
            ("", None),
        ] {
            assert_eq!(first_version(text), want, "{text}");
        }
    }
}

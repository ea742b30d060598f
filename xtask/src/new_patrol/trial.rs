//! A patrol that `new-patrol` writes, compiled and tested for real: in a copy of the repository,
//! so that the repository itself is left as it is.

use super::plan;
use crate::{tidy, workspace};
use anyhow::{Context, Result};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The patrol that is written.
const NAME: &str = "trial-watch";

/// At least so many tests run: one of its own, and those of every patrol's rules, card and scenario.
pub(crate) const LEAST: u64 = 4;

/// What runs its tests, in a copy with the patrol written.
///
/// The copy stays where it is and only files that differ are written, so that the next run
/// compiles what has changed since; what others have published is compiled once for both.
pub(crate) fn command() -> Result<Command> {
    let target = workspace::members()?.target_directory;
    let copy = target.join("new-patrol");
    let root = workspace::root();
    let mut changed = plan(&root, NAME, "api")?;
    changed.extend(renamed(&root)?);
    mirror(&root, &copy, changed)?;
    let mut command = workspace::cargo();
    command.current_dir(&copy).args(["test", "--offline", "--locked"]);
    // Of the others nothing is run: beside them cargo chooses the features of dependencies that the
    // whole workspace has, so that those are there already, compiled for it.
    let beside = ["-p", "magsentinel-logbook", "-p", "magsentinel-cli"];
    command.args(["-p", "magsentinel-patrol"]).args(beside);
    command.args(["--lib", "--target-dir"]).arg(target);
    // Its own tests, its scenario and card, and no other: their number says whether it has any.
    command.args(["--", &NAME.replace('-', "_"), "every_patrol"]);
    Ok(command)
}

/// The manifest and the lock file with another version of our own packages.
///
/// Cargo knows a package of a workspace by its place below the root and by its version, not by where
/// the root is: with the same version, it would take what was compiled in the copy for compiled here.
fn renamed(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    let other = "version = \"0.0.0-trial\"";
    let read = |name: &str| fs::read_to_string(root.join(name)).context(name.to_owned());
    let manifest = read("Cargo.toml")?.replacen(version, other, 1);
    let ours =
        |block: &str| block.contains("name = \"magsentinel-") && !block.contains("source = ");
    let lock = read("Cargo.lock")?;
    let blocks = lock.split("[[package]]").map(|block| {
        if ours(block) { block.replacen(version, other, 1) } else { block.to_owned() }
    });
    let lock = blocks.collect::<Vec<_>>().join("[[package]]");
    Ok(vec![("Cargo.toml".to_owned(), manifest.into()), ("Cargo.lock".to_owned(), lock.into())])
}

/// Makes a folder equal to another with some files changed or added.
fn mirror(from: &Path, to: &Path, changed: Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut kept = BTreeSet::new();
    for (path, bytes) in &changed {
        write(&to.join(path), bytes)?;
        kept.insert(PathBuf::from(path));
    }
    for path in tidy::paths(from)? {
        if kept.insert(path.clone()) {
            let bytes = fs::read(from.join(&path)).with_context(|| path.display().to_string())?;
            write(&to.join(path), &bytes)?;
        }
    }
    for path in tidy::paths(to)?.into_iter().filter(|path| !kept.contains(path)) {
        fs::remove_file(to.join(path))?;
    }
    Ok(())
}

/// Writes a file that differs; one that does not keeps its time, by which cargo knows it.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copys_packages_are_others_and_dependencies_are_not() {
        let files = renamed(&workspace::root()).unwrap();
        let [manifest, lock] = [0, 1].map(|at| String::from_utf8(files[at].1.clone()).unwrap());
        assert_eq!(manifest.matches("0.0.0-trial").count(), 1);
        let ours = lock.matches("name = \"magsentinel-").count();
        assert!(ours > 8 && lock.matches("0.0.0-trial").count() == ours, "{ours}");
    }

    #[test]
    fn a_mirror_has_what_is_there_and_what_was_changed_and_leaves_the_rest_untouched() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = |name: &str| fs::read_to_string(to.path().join(name)).unwrap();
        for (name, what) in [("a/same", "1"), ("table", "old"), ("gone", "1")] {
            write(&from.path().join(name), what.as_bytes()).unwrap();
        }
        write(&from.path().join("target/big"), b"compiled").unwrap();
        let changed = || vec![("table".to_owned(), b"new".to_vec()), ("b".to_owned(), vec![])];
        mirror(from.path(), to.path(), changed()).unwrap();
        assert_eq!(
            (text("a/same"), text("table"), text("b")),
            ("1".into(), "new".into(), "".into())
        );
        assert!(!to.path().join("target").exists());
        let time = |name: &str| fs::metadata(to.path().join(name)).unwrap().modified().unwrap();
        let before = (time("a/same"), time("table"));
        fs::remove_file(from.path().join("gone")).unwrap();
        mirror(from.path(), to.path(), changed()).unwrap();
        assert_eq!((time("a/same"), time("table")), before);
        assert!(!to.path().join("gone").exists());
        assert_eq!(fs::read_to_string(from.path().join("table")).unwrap(), "old");
    }
}

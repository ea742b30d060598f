//! `gen`: reference pages come from the code, and are committed so that they can be read
//! without building.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

const PAGES: &str = "docs/reference";

/// Writes the pages; or, when checking, says which are stale.
pub(crate) fn run(check: bool) -> Result<()> {
    let program = workspace::build_magsentinel()?;
    let fresh = tempfile::tempdir().context("no temporary folder")?;
    workspace::run(
        Command::new(program)
            .args(["reference", "--out"])
            .arg(fresh.path())
            .current_dir(workspace::root()),
    )?;
    let new = files(fresh.path())?;
    if new.is_empty() {
        bail!("`magsentinel reference` wrote no page");
    }
    let committed = workspace::root().join(PAGES);
    let old = files(&committed)?;
    if check { compare(&old, &new) } else { write(&committed, &old, &new) }
}

type Files = BTreeMap<String, Vec<u8>>;

fn compare(old: &Files, new: &Files) -> Result<()> {
    let changed = new.iter().filter(|(name, text)| old.get(*name) != Some(*text));
    let changed = changed.map(|(name, _)| match old.contains_key(name) {
        true => format!("{PAGES}/{name} is stale"),
        false => format!("{PAGES}/{name} is missing"),
    });
    let extra = old.keys().filter(|name| !new.contains_key(*name));
    let extra = extra.map(|name| format!("{PAGES}/{name} is no longer generated"));
    let stale: Vec<String> = changed.chain(extra).collect();
    if stale.is_empty() {
        println!("{} reference pages are current", new.len());
        return Ok(());
    }
    bail!("{}\nrun `cargo xtask gen` and commit what it writes", stale.join("\n"))
}

fn write(to: &Path, old: &Files, new: &Files) -> Result<()> {
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        fs::remove_file(to.join(name)).with_context(|| format!("{name} cannot be removed"))?;
    }
    for (name, text) in new {
        let file = to.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    println!("{} reference pages in {PAGES}", new.len());
    Ok(())
}

/// Every file below a folder by its relative path; none where there is no folder.
fn files(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                found.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checking_names_every_page_that_is_not_as_generated() {
        let page = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let old = Files::from([page("a.md", "1"), page("b.md", "1"), page("gone.md", "1")]);
        let new = Files::from([page("a.md", "1"), page("b.md", "2"), page("c.md", "1")]);
        let told = compare(&old, &new).unwrap_err().to_string();
        for want in ["b.md is stale", "c.md is missing", "gone.md is no longer generated"] {
            assert!(told.contains(want), "{told}");
        }
        assert!(!told.contains("a.md"), "{told}");
        assert!(compare(&new, &new).is_ok());
    }

    #[test]
    fn writing_makes_the_folder_equal_to_what_was_generated() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gone.md"), "old").unwrap();
        let old = files(folder.path()).unwrap();
        let new = Files::from([("schemas/event.json".to_owned(), b"{}".to_vec())]);
        write(folder.path(), &old, &new).unwrap();
        assert_eq!(files(folder.path()).unwrap(), new);
    }
}

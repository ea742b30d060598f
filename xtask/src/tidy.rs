//! `tidy`: what neither the compiler nor clippy can see. Every violation is told at once.

mod boundaries;
mod licences;
mod manifests;
mod rules;
mod text;
mod tree;

use crate::workspace;
use anyhow::{Result, bail};
use std::{fmt, path::Path};
pub(crate) use tree::paths;

/// One violation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Path from the root.
    file: String,
    /// Line, from 1.
    line: usize,
    /// What is wrong, and what to do.
    what: String,
}

impl Violation {
    fn new(file: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.into(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Fails with every violation in the repository.
pub(crate) fn run() -> Result<()> {
    let violations = check(&workspace::root())?;
    if violations.is_empty() {
        println!("tidy");
        return Ok(());
    }
    for violation in &violations {
        println!("{violation}");
    }
    bail!("{} violations", violations.len())
}

fn check(root: &Path) -> Result<Vec<Violation>> {
    let rules = rules::read(root)?;
    let members = workspace::members()?;
    let mut found = text::check(&tree::files(root)?);
    found.extend(manifests::check(root, &members)?);
    found.extend(boundaries::check(root, &rules, &members)?);
    found.extend(licences::check(root, &rules, &workspace::packages()?)?);
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let told: Vec<String> =
            check(&workspace::root()).unwrap().iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "\n{}", told.join("\n"));
    }
}

//! Manifests: versions once, in the root; lints everywhere; nothing listed that nobody uses.

use super::Violation;
use crate::workspace::Metadata;
use anyhow::{Context, Result};
use std::{fs, path::Path};

pub(super) fn check(root: &Path, members: &Metadata) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for package in &members.packages {
        let path = &package.manifest_path;
        let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        member(&name, &text, &mut found);
        texts.push(text);
    }
    unused(&fs::read_to_string(root.join("Cargo.toml"))?, &texts, &mut found);
    Ok(found)
}

/// A section's header, or a `key = value` line of it, with its number.
enum Line<'a> {
    Section(&'a str),
    Entry(usize, &'a str, &'a str),
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            return Some(Line::Section(section));
        }
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some(Line::Entry(at + 1, key.trim(), value.trim()))
    })
}

fn member(name: &str, text: &str, found: &mut Vec<Violation>) {
    let mut section = "";
    let mut lints = false;
    for line in lines(text) {
        match line {
            Line::Section(name) => section = name,
            Line::Entry(_, "workspace", "true") if section == "lints" => lints = true,
            Line::Entry(at, key, value) if section.ends_with("dependencies") => {
                let inherited = key.ends_with(".workspace") && value == "true"
                    || value.contains("workspace = true");
                if !inherited {
                    let what = format!(
                        "`{key}`: say the version in the root's Cargo.toml, and \
                                        `{key}.workspace = true` here"
                    );
                    found.push(Violation::new(name, at, what));
                }
            }
            Line::Entry(..) => {}
        }
    }
    if !lints {
        let what = "write `[lints]` and `workspace = true`, so that the lints hold here too";
        found.push(Violation::new(name, 1, what));
    }
}

fn unused(root: &str, members: &[String], found: &mut Vec<Violation>) {
    let mut section = "";
    for line in lines(root) {
        match line {
            Line::Section(name) => section = name,
            Line::Entry(at, name, _) if section == "workspace.dependencies" => {
                let used = members.iter().flat_map(|text| lines(text)).any(|line| match line {
                    Line::Entry(_, key, _) => key.trim_end_matches(".workspace") == name,
                    Line::Section(_) => false,
                });
                if !used {
                    let what = format!("no crate uses `{name}`: remove it");
                    found.push(Violation::new("Cargo.toml", at, what));
                }
            }
            Line::Entry(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_outside_the_root_and_missing_lints_are_told() {
        let mut found = Vec::new();
        let text = "[package]\nname = \"a\"\n[dependencies]\nserde.workspace = true\n\
                    uuid = { workspace = true, optional = true }\nregex = \"1\"\n";
        member("a/Cargo.toml", text, &mut found);
        let lines: Vec<usize> = found.iter().map(|v| v.line).collect();
        assert_eq!(lines, [6, 1], "{found:?}");
    }

    #[test]
    fn a_listed_dependency_that_nobody_uses_is_told() {
        let mut found = Vec::new();
        let root = "[workspace.dependencies]\nserde = \"1\"\nregex = \"1\"\n";
        unused(root, &["[dependencies]\nserde.workspace = true\n".to_owned()], &mut found);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("`regex`"), "{found:?}");
    }
}

//! Who may depend on whom.

use super::{
    Violation,
    rules::{FILE, Rules},
};
use crate::workspace::Metadata;
use anyhow::{Context, Result};
use std::{collections::BTreeSet, fs, path::Path};

/// What a crate must never name, because its promise is to do without.
const WITHOUT: &[(&str, &[&str])] = &[
    (
        "magsentinel-bus-schema",
        &["tokio", "async-nats", "axum", "ractor", "futures", "magsentinel-runtime"],
    ),
    ("magsentinel-xtask", &["tokio", "async-nats", "magsentinel-runtime"]),
];

/// One crate names another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
}

pub(super) fn check(root: &Path, rules: &Rules, members: &Metadata) -> Result<Vec<Violation>> {
    let ours = members.packages.iter().flat_map(|package| {
        let from = &package.name;
        package.dependencies.iter().map(|d| Edge { from: from.clone(), to: d.name.clone() })
    });
    let mut edges: BTreeSet<Edge> = ours.collect();
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    edges.extend(locked(&lock));
    let manifest = |name: &str| {
        let package = members.packages.iter().find(|package| package.name == name);
        let path = package.and_then(|p| p.manifest_path.strip_prefix(root).ok());
        path.map_or_else(|| "Cargo.lock".to_owned(), |path| path.display().to_string())
    };
    let mut found: Vec<Violation> = crossings(rules, &edges)
        .into_iter()
        .map(|(edge, what)| at_line(root, &manifest(&edge.from), &edge.to, what))
        .collect();
    let known: BTreeSet<&str> = edges.iter().flat_map(|e| [&*e.from, &*e.to]).collect();
    for rule in rules.guarded.iter().filter(|rule| !known.contains(&*rule.name)) {
        let what = format!("no crate is called `{}`: remove the rule", rule.name);
        found.push(at_line(root, FILE, &rule.name, what));
    }
    found.extend(foreign_sources(&lock));
    Ok(found)
}

fn crossings<'a>(rules: &Rules, edges: &'a BTreeSet<Edge>) -> Vec<(&'a Edge, String)> {
    let guarded = rules.guarded.iter().flat_map(|rule| {
        let crossing =
            edges.iter().filter(|e| e.to == rule.name && !rule.wrappers.contains(&e.from));
        let only = rule.wrappers.join(", ");
        crossing.map(move |e| (e, format!("`{}` may name `{}`? only {only} may", e.from, e.to)))
    });
    let without = WITHOUT.iter().flat_map(|(from, names)| {
        let crossing = edges.iter().filter(|e| e.from == *from && names.contains(&e.to.as_str()));
        crossing.map(|e| (e, format!("`{}` does without `{}`", e.from, e.to)))
    });
    guarded.chain(without).collect()
}

/// Every edge of a lock file: also those between packages that are not ours.
fn locked(lock: &str) -> Vec<Edge> {
    let mut edges = Vec::new();
    let (mut from, mut listing) = (String::new(), false);
    for line in lock.lines() {
        if let Some(name) = line.strip_prefix("name = ") {
            from = name.trim_matches('"').to_owned();
        } else if line == "dependencies = [" {
            listing = true;
        } else if line == "]" {
            listing = false;
        } else if listing {
            let name = line.trim().trim_end_matches(',').trim_matches('"');
            let to = name.split(' ').next().unwrap_or(name).to_owned();
            edges.push(Edge { from: from.clone(), to });
        }
    }
    edges
}

/// Packages that come from anywhere but the default registry, like a git repository.
fn foreign_sources(lock: &str) -> Vec<Violation> {
    let foreign = lock.lines().enumerate().filter(|(_, line)| {
        line.starts_with("source = ") && !line.starts_with("source = \"registry+")
    });
    foreign
        .map(|(at, line)| {
            Violation::new("Cargo.lock", at + 1, format!("{line}: only the registry may be used"))
        })
        .collect()
}

/// A violation at the line of a file that names a crate, else at its first.
fn at_line(root: &Path, file: &str, name: &str, what: String) -> Violation {
    let text = fs::read_to_string(root.join(file)).unwrap_or_default();
    let names = |line: &str| {
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c)));
        words.any(|word| word == name)
    };
    let line = text.lines().position(names).map_or(1, |at| at + 1);
    Violation::new(file, line, what)
}

#[cfg(test)]
mod tests {
    use super::super::rules::Guarded;
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn whoever_is_no_wrapper_and_names_a_guarded_crate_is_told() {
        let guarded = Guarded { name: "ort".into(), wrappers: vec!["magsentinel-patrol".into()] };
        let rules = Rules { guarded: vec![guarded], licences: Vec::new() };
        let edges = BTreeSet::from([
            edge("magsentinel-patrol", "ort"),
            edge("magsentinel-analyzer", "ort"),
            edge("magsentinel-analyzer", "tract-onnx"),
            edge("magsentinel-bus-schema", "tokio"),
            edge("magsentinel-runtime", "tokio"),
        ]);
        let told: Vec<&Edge> = crossings(&rules, &edges).into_iter().map(|(e, _)| e).collect();
        let want = [edge("magsentinel-analyzer", "ort"), edge("magsentinel-bus-schema", "tokio")];
        assert_eq!(told, want.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_lock_file_is_read_with_versions_and_git_sources_are_told() {
        let lock = "[[package]]\nname = \"a\"\nsource = \"git+https://example.org/a#1\"\n\
                    dependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n[[package]]\nname = \"b\"\n\
                    source = \"registry+https://example.org/index\"\n";
        assert_eq!(locked(lock), [edge("a", "b"), edge("a", "c")]);
        let told = foreign_sources(lock);
        assert_eq!(told.iter().map(|v| v.line).collect::<Vec<_>>(), [3]);
    }
}

//! What is shipped names no technique that the build does not know.

use crate::package;
use magsentinel_commander::knowledge::{is_technique_id, shipped};
use std::{collections::BTreeSet, fs, path::Path};

/// Ids in a source or rule: `"T1190"`, `attack.t1190`.
fn ids_in(text: &str, found: &mut BTreeSet<String>) {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    for word in words {
        let word = word.trim_matches('.');
        let id = word.strip_prefix("attack.").unwrap_or(word).to_ascii_uppercase();
        if is_technique_id(&id) && (word.starts_with("attack.") || word.starts_with('T')) {
            found.insert(id);
        }
    }
}

fn walk(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        let extension = entry.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if entry.is_dir() {
            walk(&entry, found);
        } else if entry.ends_with("severity/stage.rs") {
            // It sorts techniques that anybody may name, and names none itself.
        } else if matches!(extension, "rs" | "yml" | "yaml") {
            ids_in(&fs::read_to_string(&entry).expect("text"), found);
        }
    }
}

#[test]
fn every_technique_of_the_shipped_patrols_and_chains_has_name_tactic_and_advice() {
    let mut named = BTreeSet::new();
    let root = package();
    for folder in ["../analyzer/src", "../analyzer/chains", "../agents/patrol/src"] {
        walk(&root.join(folder), &mut named);
    }
    assert!(named.len() > 20 && named.contains("T1190"), "{named:?}");
    let listed: BTreeSet<&str> = shipped::ids().collect();
    let missing: Vec<&String> = named.iter().filter(|id| !listed.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "commander/src/knowledge/shipped.rs lacks {missing:?}");
}

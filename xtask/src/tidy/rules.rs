//! `deny.toml`, as far as tidy enforces it: who may name a crate, and which licences may come in.
//!
//! cargo-deny reads the same file; tidy makes sure that the rules hold where it is not
//! installed. One rule stands on one line.

use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// Name of the file.
pub(super) const FILE: &str = "deny.toml";

/// The rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Crates that only some may name.
    pub(super) guarded: Vec<Guarded>,
    /// SPDX identifiers of licences that may come in.
    pub(super) licences: Vec<String>,
}

/// A crate that only some may name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guarded {
    /// The crate.
    pub(super) name: String,
    /// Who may.
    pub(super) wrappers: Vec<String>,
}

pub(super) fn read(root: &Path) -> Result<Rules> {
    let text = fs::read_to_string(root.join(FILE)).with_context(|| FILE.to_owned())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Rules> {
    let mut rules = Rules::default();
    let (mut section, mut list) = (String::new(), String::new());
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, "[")) = line.split_once(" = ") {
            list = format!("{section}.{key}");
        } else if line == "]" {
            list.clear();
        } else if list == "bans.deny" {
            let rule = guarded(line).with_context(|| format!("{FILE}:{}: {line}", at + 1))?;
            rules.guarded.push(rule);
        } else if list == "licenses.allow" {
            rules.licences.extend(strings(line).map(str::to_owned));
        }
    }
    if rules.guarded.is_empty() || rules.licences.is_empty() {
        bail!("{FILE} must list `deny` in [bans] and `allow` in [licenses], one entry a line");
    }
    Ok(rules)
}

/// `{ crate = "ort", wrappers = ["magsentinel-patrol"] },`
fn guarded(line: &str) -> Result<Guarded> {
    let (head, tail) = line.split_once("wrappers").context("no wrappers")?;
    let name = strings(head).next().context("no crate")?.to_owned();
    let (list, _) = tail.split_once(']').context("the wrappers do not end on this line")?;
    Ok(Guarded { name, wrappers: strings(list).map(str::to_owned).collect() })
}

fn strings(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_one_a_line_and_an_unreadable_one_is_an_error() {
        let good = "[bans]\ndeny = [\n  # why\n  { crate = \"ort\", wrappers = [\"p\", \"q\"] },\n]\n\
                    [licenses]\nallow = [\n  \"MIT\",\n]\n";
        let rules = parse(good).unwrap();
        let want = Guarded { name: "ort".into(), wrappers: vec!["p".into(), "q".into()] };
        assert_eq!(rules.guarded, [want]);
        assert_eq!(rules.licences, ["MIT"]);
        assert!(parse(&good.replace("wrappers = [\"p\", \"q\"]", "")).is_err());
        assert!(parse("").is_err());
    }
}

//! `new-patrol`: everything that a patrol is made of, written so that it compiles, runs and
//! passes its tests before its author has changed a line.

mod model;
mod template;
mod trial;

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};
pub(crate) use trial::{LEAST as TRIAL_TESTS, command as trial};

const TABLE: &str = "agents/patrol/src/patrols.rs";
const VALUES: &str = "helm/magsentinel/values.yaml";

/// Kinds of event, and the variant of each.
const KINDS: &[(&str, &str)] = &[
    ("sql", "Sql"),
    ("api", "Api"),
    ("auth", "Auth"),
    ("data", "Data"),
    ("extension", "Extension"),
    ("iot", "Iot"),
    ("flow", "Flow"),
    ("dns", "Dns"),
    ("host", "Host"),
];

/// Writes the patrol `name`, which scores events of `kind`.
pub(crate) fn run(name: &str, kind: &str) -> Result<()> {
    let root = workspace::root();
    let files = plan(&root, name, kind)?;
    for (path, bytes) in &files {
        let file = root.join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, bytes).with_context(|| format!("{path} cannot be written"))?;
        println!("wrote {path}");
    }
    println!(
        "\nNow: say in agents/patrol/src/patrols/{section}.rs what it finds, compute its features \
         there,\nwrite its scenario and its patterns, train its model and write the card \
         (CONTRIBUTING.md),\nthen `cargo xtask gen` and `cargo xtask test`.",
        section = name.replace('-', "_")
    );
    Ok(())
}

/// Every file with its new content; nothing is written unless all of it can be.
fn plan(root: &Path, name: &str, kind: &str) -> Result<Vec<(String, Vec<u8>)>> {
    check_name(name)?;
    let Some((_, variant)) = KINDS.iter().find(|(token, _)| *token == kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(token, _)| *token).collect();
        bail!("there is no event kind {kind:?}: the kinds are {}", known.join(", "));
    };
    let section = name.replace('-', "_");
    let source = format!("agents/patrol/src/patrols/{section}.rs");
    if root.join(&source).exists() {
        bail!("{source} exists already");
    }
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    let (onnx, selftest) = model::starting();
    let words = template::Words { name, section: &section, kind, variant };
    Ok(vec![
        (source, words.fill(template::PATROL).into_bytes()),
        (format!("agents/patrol/patterns/{name}/first.yml"), words.fill(template::PATTERN).into()),
        (format!("agents/patrol/models/{name}.onnx"), onnx),
        (format!("agents/patrol/models/{name}.selftest.json"), selftest.into_bytes()),
        (format!("agents/patrol/models/{name}.md"), words.fill(template::CARD).into()),
        (format!("agents/patrol/scenarios/{name}.jsonl"), words.fill(template::SCENARIO).into()),
        // It was trained on nothing yet.
        (format!("agents/patrol/models/{name}.sources.json"), b"{}\n".to_vec()),
        (TABLE.to_owned(), with_line(&read(TABLE)?, &words)?.into_bytes()),
        (VALUES.to_owned(), with_key(&read(VALUES)?, &section)?.into_bytes()),
    ])
}

fn check_name(name: &str) -> Result<()> {
    let good = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let ends = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
    if !good || !ends || name.contains("--") || name.len() > 32 {
        bail!(
            "{name:?} is no name for a patrol: write lower-case words joined by -, like sql-guard"
        );
    }
    Ok(())
}

/// The table with one more line: before the brace that ends it.
fn with_line(table: &str, words: &template::Words<'_>) -> Result<String> {
    let start = table.find("\npatrols! {").context("the table `patrols! {` is not in place")?;
    let (head, rest) = table.split_at(start + 1);
    let (lines, tail) = rest.split_once("\n}").context("the table does not end")?;
    let line = words.fill("\n    /// Overlong values in `@kind@` events.\n    @section@,\n}");
    Ok(format!("{head}{lines}{line}{tail}"))
}

/// The values with one more key below `patrols:`.
fn with_key(values: &str, section: &str) -> Result<String> {
    let (head, tail) =
        values.split_once("\npatrols:\n").context("values.yaml has no `patrols:`")?;
    let ours = |line: &&str| line.starts_with(' ') || line.is_empty();
    let mut lines: Vec<&str> = tail.lines().take_while(ours).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let rest: Vec<&str> = tail.lines().skip(lines.len()).collect();
    let (lines, rest) = (lines.join("\n"), rest.join("\n"));
    Ok(format!("{head}\npatrols:\n{lines}\n  {section}:\n    enabled: true\n{rest}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<(String, Vec<u8>)> {
        plan(&workspace::root(), "cookie-watch", "api").unwrap()
    }

    #[test]
    fn a_plan_holds_source_pattern_model_card_scenario_table_line_and_key() {
        let files = files();
        let text = |path: &str| {
            let (_, bytes) = files.iter().find(|(name, _)| name == path).unwrap();
            String::from_utf8(bytes.clone()).unwrap()
        };
        let table = text(TABLE);
        assert!(table.contains("    sql_guard,\n") && table.contains("    cookie_watch,\n}"));
        let values = text(VALUES);
        assert!(values.contains("\n  cookie_watch:\n    enabled: true\n"), "{values}");
        let source = text("agents/patrol/src/patrols/cookie_watch.rs");
        assert!(source.contains("kinds: &[Kind::Api]") && !source.contains('@'), "{source}");
        assert!(files.iter().any(|(name, _)| name == "agents/patrol/models/cookie-watch.onnx"));
        assert!(text("agents/patrol/models/cookie-watch.md").starts_with("# cookie-watch: "));
        let scenario = text("agents/patrol/scenarios/cookie-watch.jsonl");
        assert!(scenario.lines().count() == 2 && !scenario.contains('@'), "{scenario}");
    }

    #[test]
    fn names_that_are_none_and_patrols_that_exist_are_refused() {
        let root = workspace::root();
        for name in ["", "Cookie", "cookie_watch", "-a", "a-", "a--b", "../evil"] {
            assert!(plan(&root, name, "api").is_err(), "{name}");
        }
        assert!(plan(&root, "sql-guard", "sql").unwrap_err().to_string().contains("exists"));
        assert!(plan(&root, "tea-watch", "tea").is_err());
    }
}

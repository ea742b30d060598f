//! From YAML to a [`Book`]. What is not understood is an error, never skipped.

use super::{Book, Hit, Mask, PATTERNS_MAX, Pattern};
use crate::body::ANNOTATIONS;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use magsentinel_bus_schema::{Kind, Level, Token};
use rsigma_eval::compile_rule;
use rsigma_parser::{Detection, Modifier, SigmaRule, parse_sigma_yaml};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a patrol's patterns cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The extra directory, or a file in it, cannot be read.
    #[error(
        "patterns in {} cannot be read; correct the patrol's `patterns`",
        path.display()
    )]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something that is no rule of ours.
    #[error("pattern {file}: {why}")]
    Rule {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// There are too many.
    #[error("{0} patterns are more than a patrol's {PATTERNS_MAX}: remove some")]
    TooMany(usize),
}

impl Book {
    /// Compiles the embedded rules of a patrol and those of an extra directory (`*.yml`,
    /// `*.yaml`, in the order of their names).
    pub fn load(
        kinds: &[Kind],
        embedded: &[(&str, &str)],
        extra: Option<&Path>,
    ) -> Result<Self, Error> {
        let mut files: Vec<(String, String)> =
            embedded.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        if let Some(dir) = extra {
            files.extend(read_dir(dir)?);
        }
        Self::of_files(kinds, &files)
    }

    /// Compiles rules from files, given by name and text.
    pub fn of_files(kinds: &[Kind], files: &[(String, String)]) -> Result<Self, Error> {
        let mut rules: Vec<(String, SigmaRule)> = Vec::new();
        for (file, text) in files {
            let wrong = |why| Error::Rule { file: file.clone(), why };
            for rule in parse(text).map_err(wrong)? {
                let id = rule.id.clone().or_else(|| rule.name.clone());
                let twin = rules.iter().find(|(_, other)| id.is_some() && other.id == id);
                if let Some((other, _)) = twin {
                    return Err(wrong(format!("its id is already that of a rule in {other}")));
                }
                rules.push((file.clone(), rule));
            }
        }
        if rules.len() > PATTERNS_MAX {
            return Err(Error::TooMany(rules.len()));
        }
        let parts: Vec<&[u8]> =
            files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]).collect();
        build(kinds, &rules, crate::inference::digest_of(&parts))
    }
}

/// The rules of a directory, in the order of their names.
pub fn read_dir(dir: &Path) -> Result<Vec<(String, String)>, Error> {
    let failed = |path: &Path, source| Error::Read { path: path.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| failed(dir, e))? {
        let path = entry.map_err(|e| failed(dir, e))?.path();
        if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(e) => Err(failed(&path, e)),
    };
    paths.into_iter().map(read).collect()
}

pub(super) fn parse(text: &str) -> Result<Vec<SigmaRule>, String> {
    let found = parse_sigma_yaml(text).map_err(|e| e.to_string())?;
    if !found.errors.is_empty() {
        return Err(found.errors.join("; "));
    }
    if !found.correlations.is_empty() || !found.filters.is_empty() {
        return Err("correlations and filters are no patterns: chains are the analyzer's".into());
    }
    if found.rules.is_empty() { Err("it holds no rule".to_owned()) } else { Ok(found.rules) }
}

fn build(kinds: &[Kind], rules: &[(String, SigmaRule)], digest: String) -> Result<Book, Error> {
    let mut patterns = Vec::new();
    let mut always = 0;
    let mut woken: BTreeMap<String, Mask> = BTreeMap::new();
    for (at, (file, rule)) in rules.iter().enumerate() {
        let wrong = |why: String| Error::Rule { file: file.clone(), why };
        let triggers = triggers_of(rule).map_err(wrong)?;
        patterns.push(pattern(kinds, rule).map_err(wrong)?);
        let bit = (1 as Mask) << at;
        if triggers.is_empty() {
            always |= bit;
        }
        for trigger in triggers {
            *woken.entry(trigger).or_default() |= bit;
        }
    }
    let words: Vec<&String> = woken.keys().collect();
    let triggers = match words.as_slice() {
        [] => None,
        words => {
            Some(AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(words).map_err(
                |e| Error::Rule {
                    file: "all".to_owned(),
                    why: format!("triggers cannot be compiled: {e}"),
                },
            )?)
        }
    };
    Ok(Book { patterns, always, triggers, woken: woken.into_values().collect(), digest })
}

fn pattern(kinds: &[Kind], rule: &SigmaRule) -> Result<Pattern, String> {
    let source = &rule.logsource;
    let of = |kind: &&Kind| source.category.as_deref() == Some(kind.token());
    let ours = source.product.as_deref() == Some("magsentinel") && source.service.is_none();
    let Some(kind) = kinds.iter().find(of).copied().filter(|_| ours) else {
        let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
        let kinds = tokens.join(" or ");
        return Err(format!("its logsource must be product: magsentinel, category: {kinds}"));
    };
    let unknown = rule.custom_attributes.keys().find(|key| *key != "triggers");
    if let Some(key) = unknown {
        return Err(format!("{key:?} is no part of a Sigma rule"));
    }
    rule.detection.named.values().try_for_each(supported)?;
    let level = match rule.level {
        Some(rsigma_parser::Level::Critical) => Level::Critical,
        Some(rsigma_parser::Level::High) => Level::High,
        Some(rsigma_parser::Level::Medium) => Level::Medium,
        Some(rsigma_parser::Level::Low) => Level::Low,
        Some(rsigma_parser::Level::Informational) | None => {
            return Err("its level must be low, medium, high or critical".to_owned());
        }
    };
    let categories: Vec<_> = rule.tags.iter().filter_map(|t| t.strip_prefix("mag.")).collect();
    let [category] = categories.as_slice() else {
        return Err("it must have exactly one tag mag.<category>".to_owned());
    };
    let hit = Hit {
        level,
        category: category.parse::<Token>().map_err(|e| e.to_string())?,
        techniques: rule.tags.iter().filter_map(|tag| technique(tag)).collect(),
        reason: rule.title.clone(),
    };
    let mut rule = rule.clone();
    super::ascii::rewrite(&mut rule);
    let compiled = compile_rule(&rule).map_err(|e| e.to_string())?;
    Ok(Pattern { kind, rule: compiled, hit: Arc::new(hit) })
}

/// `attack.t1190` is T1190; a tactic's tag is none.
fn technique(tag: &str) -> Option<String> {
    let id = tag.strip_prefix("attack.t")?;
    let digits = id.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (digits && !id.is_empty()).then(|| format!("T{id}"))
}

fn triggers_of(rule: &SigmaRule) -> Result<Vec<String>, String> {
    let Some(value) = rule.custom_attributes.get("triggers") else { return Ok(Vec::new()) };
    let items = value.as_sequence().filter(|items| !items.is_empty());
    let items = items.ok_or("triggers must be a list of texts")?;
    let good = |text: &&str| !text.is_empty() && !text.contains(|c: char| c.is_ascii_uppercase());
    let texts = items.iter().map(|item| item.as_str().filter(good).map(str::to_owned));
    let texts: Option<Vec<_>> = texts.collect();
    texts.ok_or_else(|| "triggers must be lower-case texts, none of them empty".to_owned())
}

/// Refuses what the engine would take but cannot mean anything here.
fn supported(detection: &Detection) -> Result<(), String> {
    match detection {
        Detection::AllOf(items) => items.iter().try_for_each(|item| {
            if let Some(name) = item.field.name.as_deref().filter(|n| ANNOTATIONS.contains(n)) {
                return Err(format!("it reads {name}, which annotates recorded data"));
            }
            let odd = [
                Modifier::Expand,
                Modifier::Minute,
                Modifier::Hour,
                Modifier::Day,
                Modifier::Week,
                Modifier::Month,
                Modifier::Year,
            ];
            match item.field.modifiers.iter().find(|m| odd.contains(m)) {
                Some(modifier) => Err(format!("modifier {modifier:?} is not supported")),
                None => Ok(()),
            }
        }),
        Detection::AnyOf(parts) | Detection::And(parts) => parts.iter().try_for_each(supported),
        Detection::Keywords(_) => Ok(()),
        _ => Err("matching inside lists is not supported: bodies are flat".to_owned()),
    }
}

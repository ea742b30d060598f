//! Lengths, names and words.

use super::{Violation, tree::File};

/// Lines of a source file. Beyond, it is two things in one file.
const LINES_MAX: usize = 500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// A word that may not occur, and why. Split, so that this file does not contain them.
const WORDS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or leave it out"),
    (concat!("FIX", "ME"), "do it, or leave it out"),
    (concat!("to", "do!("), "write it, or leave it out"),
    (concat!("unimple", "mented!("), "write it, or leave it out"),
    (concat!("db", "g!("), "a trace of debugging"),
    (concat!("allow(dead", "_code)"), "remove the code"),
    (concat!("crates", ".io"), "name the package, not the registry's host"),
    (concat!("pypi", ".org"), "name the package, not the registry's host"),
    (concat!("python", "hosted.org"), "name the package, not the registry's host"),
    (concat!("npmjs", "."), "name the package, not the registry's host"),
    (concat!("proxy.go", "lang.org"), "name the package, not the registry's host"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("../sha", "red/"), "a path of one machine"),
];

/// Files that cargo writes, or that hold data rather than words of ours.
fn is_source(path: &str) -> bool {
    let data = path == "Cargo.lock"
        || path.starts_with("docs/reference/")
        || [".jsonl", ".csv", ".log", ".selftest.json"].iter().any(|end| path.ends_with(end));
    !data
}

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| is_source(&file.path)) {
        name(file, &mut found);
        length(file, &mut found);
        words(file, &mut found);
    }
    found
}

fn is_code(path: &str) -> bool {
    path.ends_with(".rs") || path.ends_with(".py")
}

fn name(file: &File, found: &mut Vec<Violation>) {
    if !is_code(&file.path) {
        return;
    }
    let mut parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    if let Some(part) = parts.find(|part| EMPTY_NAMES.contains(part)) {
        let what = format!("`{part}` says nothing about what is inside: name the noun");
        found.push(Violation::new(&file.path, 1, what));
    }
    if file.path.ends_with("/mod.rs") {
        found.push(Violation::new(&file.path, 1, "write `foo.rs` beside `foo/`, not `mod.rs`"));
    }
}

fn length(file: &File, found: &mut Vec<Violation>) {
    if !is_code(&file.path) {
        return;
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        let what = format!("{lines} lines, over {LINES_MAX}: it is two things, split it");
        found.push(Violation::new(&file.path, lines, what));
    }
}

fn words(file: &File, found: &mut Vec<Violation>) {
    for (at, line) in file.text.lines().enumerate() {
        for (word, why) in WORDS.iter().filter(|(word, _)| line.contains(word)) {
            found.push(Violation::new(&file.path, at + 1, format!("`{word}`: {why}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&[file]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn words_are_told_with_their_line() {
        let text = format!("fn a() {{}}\n// {}: later\n", concat!("TO", "DO"));
        let told = told("agents/a/src/lib.rs", &text);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("agents/a/src/lib.rs:2: "), "{told:?}");
    }

    #[test]
    fn empty_names_and_long_files_are_told() {
        assert_eq!(told("a/src/utils/clock.rs", "").len(), 1);
        assert_eq!(told("a/src/parse/mod.rs", "").len(), 1);
        assert_eq!(told("a/src/long.rs", &"x\n".repeat(LINES_MAX + 1)).len(), 1);
    }

    #[test]
    fn good_files_and_data_are_not_told() {
        assert!(told("a/src/clock.rs", &"x\n".repeat(LINES_MAX)).is_empty());
        assert!(told("Cargo.lock", concat!("crates", ".io")).is_empty());
    }
}

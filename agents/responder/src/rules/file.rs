//! A policy in a file of its own: read whole or not at all.

use super::Policy;
use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// Largest policy file, in bytes.
const BYTES_MAX: u64 = 4 << 20;

/// Why a policy file cannot be used. Each problem begins with the line and the field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("policy {file}: {}", .problems.join("; "))]
pub struct Error {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// Reads a policy file.
///
/// # Errors
/// Everything that is wrong with it, or the first thing that keeps it from being read.
pub fn read(path: &Path) -> Result<Policy, Error> {
    let wrong = |problems| Error { file: path.display().to_string(), problems };
    let size = std::fs::metadata(path).map_err(|e| wrong(vec![e.to_string()]))?.len();
    if size > BYTES_MAX {
        return Err(wrong(vec![format!("it has {size} bytes, at most {BYTES_MAX} are read")]));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(vec![e.to_string()]))?;
    parse(&text).map_err(wrong)
}

fn parse(text: &str) -> Result<Policy, Vec<String>> {
    let document = yaml_serde::Deserializer::from_str(text);
    // An empty file would be a policy of defaults that nobody wrote.
    if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        return Err(vec!["it is empty".to_owned()]);
    }
    let read: Result<Policy, _> = serde_path_to_error::deserialize(document);
    let policy = read.map_err(|e| {
        let (path, error) = (e.path().to_string(), e.inner());
        // The reader knows where the value around a wrong one begins, or the wrong one itself.
        let line = line_of(text, &path).or_else(|| error.location().map(|at| at.line()));
        let at = line.map_or_else(String::new, |line| format!("line {line}: "));
        vec![format!("{at}{path}: {error}")]
    })?;
    let problems = policy.problems();
    if problems.is_empty() {
        return Ok(policy);
    }
    let placed = |problem: String| {
        let key = problem.split(':').next().unwrap_or_default();
        match line_of(text, key) {
            Some(line) => format!("line {line}: {problem}"),
            None => problem,
        }
    };
    Err(problems.into_iter().map(placed).collect())
}

/// The line of a key like `budget.targets_max`, counted from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut found = None;
    let mut lines = text.lines().enumerate();
    for part in key.split('.') {
        let name = part.split('[').next().unwrap_or(part);
        let named = |line: &str| {
            let line = line.trim_start().trim_start_matches(['{', ' ', '"', '\'']);
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '"', '\'']))
                || line.contains(&format!("{{{name}:"))
                || line.contains(&format!(" {name}:"))
        };
        // A part may stand on the line of the one that holds it: `budget: {targets_max: 1}`.
        let same = found.and_then(|at: usize| text.lines().nth(at - 1).filter(|l| named(l)));
        if found.is_none() || same.is_none() {
            found = Some(lines.find(|(_, line)| named(line))?.0 + 1);
        }
    }
    found
}

/// How long a file must have stood still before it is read: half of a policy that somebody is
/// writing may be a policy too, and a wrong one.
const STILL: Duration = Duration::from_millis(500);

/// When a file was written and how long it is; none where there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// Follows a policy file.
#[derive(Debug)]
pub struct Watch {
    /// The file as it was read.
    seen: Stamp,
    /// The file as it is now, where that is another, and since when.
    stirred: Option<(Stamp, Instant)>,
}

impl Watch {
    /// Follows a file from how it is now.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self { seen: stamp(path), stirred: None }
    }

    /// The file's new policy, where it has changed since it was read, and stood still since.
    pub fn changed(&mut self, path: &Path, now: Instant) -> Option<Result<Policy, Error>> {
        let is = stamp(path);
        if is == self.seen {
            self.stirred = None;
            return None;
        }
        let since = match self.stirred {
            Some((was, since)) if was == is => since,
            _ => now,
        };
        self.stirred = Some((is, since));
        if now.duration_since(since) < STILL {
            return None;
        }
        let policy = read(path);
        // Written while it was read: what was read may be of both.
        if stamp(path) != is {
            self.stirred = None;
            return None;
        }
        (self.seen, self.stirred) = (is, None);
        Some(policy)
    }
}

fn stamp(path: &Path) -> Stamp {
    std::fs::metadata(path).and_then(|m| Ok((m.modified()?, m.len()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_wrong_is_told_with_line_and_field() {
        for (text, line, field) in [
            ("mode: sometimes\n", 1, "mode"),
            ("# a policy\nmode: ask\nmodus: ask\n", 3, "modus"),
            ("mode: ask\nbudget:\n  targets_max: many\n", 3, "budget.targets_max"),
            ("mode: ask\nbudget:\n  targets_max: 2000000\n", 3, "budget.targets_max"),
            ("mode: ask\nbudget: {targets_max: 2000000}\n", 2, "budget.targets_max"),
            ("ttl_max: 15m\nnever_block:\n  networks: [10.0.0.1/8]\n", 3, "never_block.networks"),
            ("mode: ask\nttl_max: 40d\n", 2, "ttl_max"),
            ("prefix:\n  v4_bits_min: 4\n", 2, "prefix.v4_bits_min"),
        ] {
            let problems = parse(text).unwrap_err();
            let told = problems.first().unwrap();
            assert!(told.starts_with(&format!("line {line}")), "{text}: {problems:?}");
            assert!(told.contains(field), "{text}: {problems:?}");
        }
        assert!(parse("# nothing\n").is_err());
        assert_eq!(parse("mode: enforce").unwrap().mode, magsentinel_bus_schema::Mode::Enforce);
    }

    /// Every field of the defaults, by its path.
    fn fields(of: &Value, path: &str, found: &mut Vec<String>) {
        match of {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    fields(value, &path, found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn a_policy_broken_in_any_field_is_refused_whole() {
        let mut paths = Vec::new();
        fields(&json!(Policy::default()), "", &mut paths);
        assert!(paths.len() > 15, "{paths:?}");
        for path in paths {
            let mut broken = json!(Policy::default());
            let pointer = format!("/{}", path.replace('.', "/"));
            *broken.pointer_mut(&pointer).unwrap() = json!({"no": "such"});
            let text = serde_json::to_string_pretty(&broken).unwrap();
            let problems = parse(&text).unwrap_err();
            let told = problems.join("; ");
            let last = path.rsplit('.').next().unwrap();
            let line = text.lines().position(|l| l.contains(&format!("\"{last}\":"))).unwrap() + 1;
            assert!(told.contains(&path), "{path}: {told}");
            let near = (line..=line + 1).any(|l| told.starts_with(&format!("line {l}:")));
            assert!(near, "{path} on line {line}: {told}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed_and_stood_still() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        let mut watch = Watch::of(&path);
        let mut now = Instant::now();
        let mut look = |after: Duration| {
            now += after;
            watch.changed(&path, now)
        };
        let (soon, later) = (Duration::from_millis(200), STILL);
        assert_eq!(look(later), None);
        std::fs::write(&path, "mode: ask").unwrap();
        assert_eq!(look(soon), None);
        assert!(look(later).unwrap().is_ok());
        assert_eq!(look(later), None);
        std::fs::write(&path, "mode: never").unwrap();
        assert_eq!(look(soon), None);
        assert!(look(later).unwrap().is_err());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look(soon), None);
        assert!(look(later).unwrap().is_err());
    }

    #[test]
    fn a_policy_that_is_being_written_is_not_read_by_halves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        std::fs::write(&path, "mode: ask").unwrap();
        let mut watch = Watch::of(&path);
        let (half, rest) = ("mode: enforce\n", "never_block:\n  networks: [192.0.2.0/24]\n");
        assert!(parse(half).is_ok(), "the half is a policy of its own");
        let mut now = Instant::now();
        std::fs::write(&path, half).unwrap();
        assert_eq!(watch.changed(&path, now), None);
        now += Duration::from_millis(400);
        std::fs::write(&path, [half, rest].concat()).unwrap();
        assert_eq!(watch.changed(&path, now), None);
        now += Duration::from_millis(400);
        assert_eq!(watch.changed(&path, now), None, "it has not stood still for long enough");
        now += Duration::from_millis(200);
        let policy = watch.changed(&path, now).unwrap().unwrap();
        assert_eq!(policy.never_block.networks.len(), 1);
    }
}

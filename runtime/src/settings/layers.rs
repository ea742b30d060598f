//! Defaults < file < environment < flag, and every mistake told at once.

use super::Section;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Prefix of environment variables: `MAGSENTINEL__BUS__URL` sets `bus.url`.
pub const ENV_PREFIX: &str = "MAGSENTINEL";

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.render())]
pub struct ConfigError {
    /// Where it was read from.
    pub origin: String,
    /// One sentence each, each beginning with the key.
    pub problems: Vec<String>,
}

impl ConfigError {
    fn render(&self) -> String {
        let n = self.problems.len();
        let noun = if n == 1 { "problem" } else { "problems" };
        let mut text = format!("configuration has {n} {noun} ({}):", self.origin);
        for problem in &self.problems {
            text.push_str("\n  - ");
            text.push_str(problem);
        }
        text
    }
}

/// The merged layers, before any section is read.
#[derive(Debug)]
pub struct Layers {
    origin: String,
    root: Map<String, Value>,
    read: Vec<&'static str>,
    problems: Vec<String>,
}

/// The file that is read when none is named: the first that exists of `./magsentinel.yaml` and
/// `/etc/magsentinel/magsentinel.yaml`.
#[must_use]
pub fn default_file() -> Option<PathBuf> {
    ["magsentinel.yaml", "/etc/magsentinel/magsentinel.yaml"]
        .into_iter()
        .map(PathBuf::from)
        .find(|p| p.is_file())
}

impl Layers {
    /// Merges file, environment and flags. `flags` are `section.key=value` texts; a value that
    /// is YAML for a number, boolean, list or map is taken as such.
    pub fn load(file: Option<&Path>, flags: &[String]) -> Result<Self, ConfigError> {
        let file = file.map(Path::to_path_buf).or_else(default_file);
        let origin = match &file {
            Some(path) => format!("{} and {ENV_PREFIX}__*", path.display()),
            None => format!("defaults and {ENV_PREFIX}__*"),
        };
        let fail =
            |problem: String| ConfigError { origin: origin.clone(), problems: vec![problem] };
        let mut builder = config::Config::builder();
        if let Some(path) = &file {
            let text = std::fs::read_to_string(path)
                .map_err(|e| fail(format!("{}: cannot be read: {e}", path.display())))?;
            builder = builder.add_source(config::File::from_str(&text, config::FileFormat::Yaml));
        }
        let environment = config::Environment::with_prefix(ENV_PREFIX)
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true);
        builder = builder.add_source(environment);
        for flag in flags {
            let (key, value) = flag
                .split_once('=')
                .ok_or_else(|| fail(format!("--set {flag}: write section.key=value")))?;
            let one = config::File::from_str(&nest(key, value), config::FileFormat::Yaml);
            builder = builder.add_source(one);
        }
        let merged = builder.build().map_err(|e| fail(e.to_string()))?;
        let root = merged.try_deserialize::<Map<String, Value>>();
        let root = root.map_err(|e| fail(e.to_string()))?;
        Ok(Self { origin, root, read: Vec::new(), problems: Vec::new() })
    }

    /// Reads one section. A mistake in it is remembered, the defaults stand in for it, and
    /// [`Layers::finish`] tells them all.
    pub fn section<T: Section>(&mut self) -> T {
        self.read.push(T::NAME);
        let Some(value) = self.root.get(T::NAME).filter(|v| !v.is_null()) else {
            return self.checked(T::default());
        };
        match read::<T>(value) {
            Ok(section) => self.checked(section),
            Err(found) => {
                self.problems.extend(found);
                T::default()
            }
        }
    }

    fn checked<T: Section>(&mut self, section: T) -> T {
        let found = section.problems().into_iter().map(|p| format!("{}.{p}", T::NAME));
        self.problems.extend(found);
        section
    }

    /// Adds a problem that only several sections together show.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Every problem of all sections, and sections that nobody has read.
    ///
    /// `elsewhere` names sections that other programs read from the same file.
    pub fn finish(mut self, elsewhere: &[&str]) -> Result<(), ConfigError> {
        let known = self.read.join(", ");
        let mine = |k: &&String| self.read.contains(&k.as_str()) || elsewhere.contains(&k.as_str());
        let unknown = self.root.keys().filter(|k| !mine(k));
        self.problems.extend(unknown.map(|k| format!("{k}: unknown section (known: {known})")));
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError { origin: self.origin, problems: self.problems })
    }
}

/// Reads a section and gathers every unknown key, beside the first value of a wrong type.
fn read<T: Section>(value: &Value) -> Result<T, Vec<String>> {
    let mut found = Vec::new();
    let typed = serde_path_to_error::deserialize::<_, T>(value);
    let Err(error) = typed else {
        return typed.map_err(|_| found);
    };
    let path = error.path().to_string();
    let key = if path == "." { T::NAME.to_owned() } else { format!("{}.{path}", T::NAME) };
    found.push(format!("{key}: {}", error.into_inner()));
    // One wrong key hides the others: without it the rest is read again.
    let mut rest = value.clone();
    while let Some(pruned) = found.last().and_then(|p| prune::<T>(&rest, p)) {
        rest = pruned;
        match serde_path_to_error::deserialize::<_, T>(&rest) {
            Ok(_) => break,
            Err(e) if found.len() < 32 => {
                let path = e.path().to_string();
                found.push(format!("{}.{path}: {}", T::NAME, e.into_inner()));
            }
            Err(_) => break,
        }
    }
    Err(found)
}

/// The value without the key that a problem names; `None` when it cannot be found.
fn prune<T: Section>(value: &Value, problem: &str) -> Option<Value> {
    let key = problem.split(": ").next()?;
    let path = key.strip_prefix(T::NAME)?.trim_start_matches('.');
    let mut pruned = value.clone();
    let mut at = &mut pruned;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let map = at.as_object_mut()?;
        if steps.peek().is_none() {
            return map.remove(step).map(|_| pruned);
        }
        at = map.get_mut(step)?;
    }
    None
}

/// `a.b=c` as nested YAML.
fn nest(key: &str, value: &str) -> String {
    let mut text = String::new();
    for (depth, part) in key.split('.').enumerate() {
        if depth > 0 {
            text.push('\n');
        }
        text.push_str(&"  ".repeat(depth));
        text.push_str(part);
        text.push(':');
    }
    text.push(' ');
    text.push_str(value);
    text
}

//! Findings of ordinary work: those that are built in, and the operator's recording.

use magsentinel_bus_schema::{
    Class, Entity, Id, Kind, Level, SCHEMA_VERSION, Scored, Tenant, Timestamp, Token, Trust,
};
use serde::Deserialize;
use std::{fs, path::Path};

/// A day of an installation, in short.
const BUILT_IN: &str = include_str!("../../good/scored.jsonl");
/// Largest recording of an operator's, in bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The good findings.
#[derive(Clone, Debug, Default)]
pub(super) struct Good {
    recorded: String,
}

/// One that is built in.
#[derive(Deserialize)]
struct Line {
    /// Seconds from the beginning of the day.
    at: f64,
    patrol: Token,
    kind: Kind,
    category: Token,
    level: Level,
    score: f32,
    user: Option<String>,
    client: Option<String>,
    host: Option<String>,
    key: Option<String>,
}

impl Good {
    /// Reads the recording `scored.jsonl` of a folder, where there is one: scored events as they
    /// are on the bus in JSON, one a line.
    pub(super) fn read(dir: Option<&Path>) -> Result<Self, String> {
        let path = dir.map(|dir| dir.join("scored.jsonl")).filter(|path| path.exists());
        let Some(path) = path else { return Ok(Self::default()) };
        let told = |why: String| format!("{}: {why}; correct patterns.known_good", path.display());
        let size = fs::metadata(&path).map_err(|e| told(e.to_string()))?.len();
        if size > BYTES_MAX {
            return Err(told(format!("has {size} bytes, more than {BYTES_MAX}")));
        }
        let recorded = fs::read_to_string(&path).map_err(|e| told(e.to_string()))?;
        for (number, line) in (1..).zip(recorded.lines()) {
            let read = serde_json::from_str::<Scored>(line);
            read.map_err(|e| told(format!("line {number} is no scored event: {e}")))?;
        }
        Ok(Self { recorded })
    }

    /// What is built in; then what is recorded.
    pub(super) fn scored(&self) -> [Vec<Scored>; 2] {
        let lines = BUILT_IN.lines().filter_map(|line| serde_json::from_str(line).ok());
        let built_in = (0_usize..).zip(lines).map(|(n, line)| scored(n, line)).collect();
        let recorded = self.recorded.lines().filter_map(|line| serde_json::from_str(line).ok());
        [built_in, recorded.collect()]
    }
}

fn scored(number: usize, line: Line) -> Scored {
    let name = number.to_string();
    let named = [
        (Class::User, line.user),
        (Class::Client, line.client),
        (Class::Host, line.host),
        (Class::Key, line.key),
    ];
    let entities = named
        .into_iter()
        .filter_map(|(class, value)| Some(Entity { class, value: value?, trust: Trust::Observed }));
    Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["good scored", &name]),
        event: Id::derived(&["good event", &name]),
        seq: 1,
        tenant: Tenant::default(),
        kind: line.kind,
        ts: Timestamp::from_seconds(1_767_600_000.0 + line.at).unwrap_or_default(),
        replayed: false,
        backfilled: false,
        patrol: line.patrol,
        by_key: None,
        source: None,
        level: line.level,
        score: line.score,
        confidence: line.score,
        category: line.category,
        techniques: Vec::new(),
        reasons: Vec::new(),
        entities: entities.collect(),
        excerpt: String::new(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, analyze_with, testing::shipped};
    use magsentinel_bus_schema::Response;

    /// Every line is read, and none of them leads the shipped chains to alert anybody.
    #[test]
    fn what_is_built_in_is_good() {
        let [built_in, recorded] = Good::read(None).unwrap().scored();
        assert_eq!((built_in.len(), recorded.len()), (BUILT_IN.lines().count(), 0));
        assert!(built_in.len() >= 400, "{}", built_in.len());
        let end = built_in.iter().map(|scored| scored.ts).max().unwrap();
        let told = analyze_with(&shipped(), &Config::default(), built_in, end);
        let loud: Vec<_> = told.iter().filter(|of| of.response != Response::Allow).collect();
        assert!(loud.is_empty(), "{:#?}", loud[0]);
    }

    #[test]
    fn a_recording_that_is_none_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("scored.jsonl"), "{\"id\": 1}\n").unwrap();
        let told = Good::read(Some(dir.path())).unwrap_err();
        assert!(told.contains("line 1") && told.contains("patterns.known_good"), "{told}");
    }
}

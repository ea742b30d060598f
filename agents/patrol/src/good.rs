//! Events that are known to be good: a few that are built in, and the operator's recordings.

use magsentinel_bus_schema::{Fields, Kind};
use std::{fs, path::Path};

/// Built in, by kind.
const BUILT_IN: &[(Kind, &str)] = &[
    (Kind::Sql, include_str!("../good/sql.jsonl")),
    (Kind::Api, include_str!("../good/api.jsonl")),
    (Kind::Auth, include_str!("../good/auth.jsonl")),
    (Kind::Data, include_str!("../good/data.jsonl")),
];

/// Largest recording of an operator's, in bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The good events of the kinds of a patrol.
#[derive(Clone, Debug)]
pub(crate) struct Good {
    of: Vec<OfKind>,
}

/// Those of one kind.
#[derive(Clone, Debug)]
struct OfKind {
    kind: Kind,
    built_in: &'static str,
    recorded: String,
}

impl Good {
    /// Reads the recordings of some kinds, where there are any.
    pub(crate) fn read(kinds: &[Kind], dir: Option<&Path>) -> Result<Self, String> {
        let of = kinds.iter().map(|kind| OfKind::read(*kind, dir));
        Ok(Self { of: of.collect::<Result<_, _>>()? })
    }

    /// The bodies with their kinds, one after the other.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = (Kind, Fields)> + '_ {
        self.of.iter().flat_map(|of| of.bodies().map(|body| (of.kind, body)))
    }
}

impl OfKind {
    fn read(kind: Kind, dir: Option<&Path>) -> Result<Self, String> {
        let built_in = BUILT_IN.iter().find(|(of, _)| *of == kind).map_or("", |(_, text)| text);
        let path = dir.map(|dir| dir.join(format!("{kind}.jsonl"))).filter(|path| path.exists());
        let Some(path) = path else { return Ok(Self { kind, built_in, recorded: String::new() }) };
        let told = |why: String| format!("{}: {why}; correct patterns.known_good", path.display());
        let size = fs::metadata(&path).map_err(|e| told(e.to_string()))?.len();
        if size > BYTES_MAX {
            return Err(told(format!("has {size} bytes, more than {BYTES_MAX}")));
        }
        let recorded = fs::read_to_string(&path).map_err(|e| told(e.to_string()))?;
        for (number, line) in (1..).zip(recorded.lines()) {
            let read = serde_json::from_str::<Fields>(line);
            read.map_err(|e| told(format!("line {number} is no body: {e}")))?;
        }
        Ok(Self { kind, built_in, recorded })
    }

    fn bodies(&self) -> impl Iterator<Item = Fields> + '_ {
        let lines = self.built_in.lines().chain(self.recorded.lines());
        lines.filter_map(|line| serde_json::from_str(line).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Rows;
    use crate::{
        patrol::Seen,
        patrols::{Config, TABLE},
        patterns::{Book, Normal},
    };
    use magsentinel_bus_schema::Timestamp;

    /// Every line is one that its patrol scores, and none is what a shipped pattern looks for.
    #[test]
    fn what_is_built_in_is_of_its_kind_and_good() {
        for entry in TABLE {
            let good = Good::read(entry.spec.kinds, None).unwrap();
            let book = Book::load(entry.spec.kinds, entry.spec.patterns, None).unwrap();
            let class = entry.spec.keys.first().copied();
            let mut patrol = (entry.maker)(&Config::default())(class);
            let (mut rows, mut normal) = (Rows::new(entry.spec.input), Normal::default());
            let mut count = 0;
            for (kind, body) in good.bodies() {
                let ts = Timestamp::from_micros(0);
                let seen =
                    Seen { kind, body: &body, ts, ts_refused: false, repeated: true, timed: true };
                rows.truncate(0);
                patrol.features(&seen, &mut rows).unwrap();
                let text = patrol.normal(&seen, &mut normal);
                let mut hits = Vec::new();
                book.matches((kind, &body), text.then_some(&normal), &mut hits);
                let flagged = hits.iter().find(|hit| hit.level.is_flagged());
                assert_eq!(flagged, None, "{body:?}");
                count += 1;
            }
            let lines = good.of.iter().map(|of| of.built_in.lines().count());
            assert_eq!(count, lines.sum::<usize>());
            // A new kind may come without; then only the operator's recordings are known good.
            assert!(count >= 100 || count == 0, "{}: {count}", entry.spec.name);
        }
    }

    #[test]
    fn a_recording_is_read_and_a_broken_one_is_told_by_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sql.jsonl");
        fs::write(&file, "{\"text\": \"select 1\"}\n").unwrap();
        let read = Good::read(&[Kind::Sql], Some(dir.path())).unwrap();
        assert_eq!(read.bodies().count(), read.of[0].built_in.lines().count() + 1);
        fs::write(&file, "{\"text\": \"select 1\"}\nselect 2\n").unwrap();
        let why = Good::read(&[Kind::Sql], Some(dir.path())).unwrap_err();
        assert!(why.contains("line 2") && why.contains("patterns.known_good"), "{why}");
        assert!(Good::read(&[Kind::Api], Some(dir.path())).is_ok());
    }
}

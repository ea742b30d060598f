//! # sql-guard: SQL injection in statements and values
//!
//! **Finds** SQL injection in the text of `sql` events: in statements as a database logged them,
//! in parameter values on their way into one, and in free text. Patterns name what they see:
//! `union_injection`, `tautology`, `stacked_query`, `time_blind`, `error_based`, `out_of_band`,
//! `command_execution`, `file_write`, `file_read`, `schema_enumeration`, `bulk_export`,
//! `destructive_ddl`, `privilege_change`, `comment_probe`; what only the model recognises is
//! `sql_injection`.
//!
//! **Reads** `text` (required, text), and in patterns any field of the body but the annotations
//! of recorded rows. Text that is not there or is no text makes the event a dead letter.
//!
//! **Techniques**: T1190; patterns add T1213.006, T1505.003, T1059, T1048, T1485 and others.
//!
//! **Limits**: the model sees the first and last kilobyte of a text; patterns see
//! [`Config::text_bytes_max`] of it (its two halves when it is longer). What was cut is told in
//! the reasons of a finding. One event is judged alone: slow probing over many statements is for
//! the analyzer's chains. Level critical comes from patterns only.

use crate::{
    body,
    features::sql,
    inference::{Embedded, Input, Rows},
    patrol::{Evidence, Finding, ModelSays, Patrol, Seen, Spec},
    patrols::{Keyed, Maker},
};
use magsentinel_bus_schema::{Fields, Kind, Thresholds};

patrol_config! {
    /// Section `patrols.sql_guard`.
    {
        /// Most bytes of a text that patterns look at, 256..=1048576; of a longer one the first
        /// and last half of it. Default 65536.
        text_bytes_max: usize = 65_536,
    }
}

macro_rules! pattern {
    ($name:literal) => {
        ($name, include_str!(concat!("../../patterns/sql-guard/", $name)))
    };
}

/// The fixed facts of sql-guard.
pub const SPEC: Spec = Spec {
    name: "sql-guard",
    kinds: &[Kind::Sql],
    keys: &[],
    facts: &[],
    input: Input::Ids(sql::WIDTH),
    model: Embedded {
        onnx: include_bytes!("../../models/sql-guard.onnx"),
        selftest: include_str!("../../models/sql-guard.selftest.json"),
    },
    patterns: &[
        pattern!("injection.yml"),
        pattern!("blind.yml"),
        pattern!("takeover.yml"),
        pattern!("recon.yml"),
    ],
};

pub(super) fn problems(config: &Config) -> Vec<String> {
    let good = (256..=1_048_576).contains(&config.text_bytes_max);
    let problem =
        || format!("text_bytes_max: must be 256 to 1048576, is {}", config.text_bytes_max);
    if good { Vec::new() } else { vec![problem()] }
}

pub(super) fn maker(config: &Config) -> Maker {
    let (thresholds, text_bytes_max) = (config.thresholds, config.text_bytes_max);
    Box::new(move |_| Box::new(SqlGuard { thresholds, text_bytes_max }))
}

pub(super) fn keyed(_: &Config) -> Option<Keyed> {
    None
}

struct SqlGuard {
    thresholds: Thresholds,
    text_bytes_max: usize,
}

/// The text of a body. An empty one is a text: an empty statement.
fn text_of(fields: &Fields) -> Result<&str, String> {
    match body::field(fields, "text") {
        Some(value) => value.as_str().ok_or_else(|| "text is not text".to_owned()),
        None => Err("body has no text: a sql event must carry its statement or value".to_owned()),
    }
}

impl Patrol for SqlGuard {
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String> {
        sql::ids(text_of(seen.body)?, rows.ids());
        Ok(())
    }

    fn text<'a>(&self, seen: &Seen<'a>) -> Option<(&'a str, usize)> {
        text_of(seen.body).ok().map(|text| (text, self.text_bytes_max))
    }

    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let says =
            ModelSays { category: "sql_injection", techniques: &["T1190"], what: "SQL injection" };
        let mut found = Finding::weigh(&self.thresholds, evidence.score, evidence.hits, says)?;
        let bytes = text_of(seen.body).map_or(0, str::len);
        if bytes > sql::HEAD_BYTES + sql::TAIL_BYTES {
            let (head, tail) = (sql::HEAD_BYTES, sql::TAIL_BYTES);
            found.reasons.push(format!(
                "the text has {bytes} bytes: the model saw its first {head} and last {tail}"
            ));
        }
        if evidence.normal.is_some_and(|normal| normal.cut().is_some()) {
            found.reasons.push(format!("patterns saw {} bytes of it", self.text_bytes_max));
        }
        Some(found)
    }

    fn excerpt(&self, fields: &Fields, chars_max: usize) -> String {
        text_of(fields).unwrap_or_default().chars().take(chars_max).collect()
    }
}

#[cfg(test)]
mod tests;

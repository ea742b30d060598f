//! The rows that judge a patrol: which files hold rows of its kind, and what a row is.

use anyhow::{Context, Result, bail};
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use magsentinel_sensor::replay::rows::Recording;
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// Longest row that is read, in bytes.
const LINE_BYTES_MAX: usize = 4 << 20;

/// One labelled row.
pub(crate) struct Row {
    /// Where it comes from.
    pub(crate) source: String,
    /// What of the source it is, where sources are of several parts: a statement, a value.
    pub(crate) part: String,
    /// How sure its label is, in the words of the data.
    pub(crate) quality: String,
    /// What attack it is said to be.
    pub(crate) category: String,
    /// 1 attack, 0 benign, anything else unknown.
    pub(crate) label: i64,
    /// When it happened.
    pub(crate) ts: Option<Timestamp>,
    /// The event's body, labels and all: the program must not read them.
    pub(crate) body: Fields,
}

impl Row {
    /// A text field of the body.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }
}

/// Files of the data that hold bodies of a kind.
fn files(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Sql => &["sql/sql.jsonl.gz"],
        Kind::Api => &["api/http_requests.jsonl.gz"],
        Kind::Auth => &[
            "auth/auth_events.jsonl.gz",
            "auth/cowrie_sessions.jsonl.gz",
            "auth/cert_logons.csv.gz",
            "auth/windows_logons.jsonl.gz",
        ],
        Kind::Data => &["dataflow/cloud_audit.jsonl.gz", "dataflow/cert_activity.csv.gz"],
        Kind::Iot => &["iot/mqtt_messages.jsonl.gz", "iot/ton_iot_telemetry.jsonl.gz"],
        Kind::Flow => &["net/flows.jsonl.gz"],
        Kind::Dns => &["net/dns_queries.jsonl.gz"],
        Kind::Host => &["chains/windows_events.jsonl.gz"],
        Kind::Extension => &[],
    }
}

/// All rows of a kind.
pub(crate) fn of(kind: Kind, data: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for file in files(kind) {
        rows.extend(read(&data.join(file), kind)?);
    }
    if kind == Kind::Sql {
        rows.extend(http_values(&data.join("api/http_requests.jsonl.gz"))?);
    }
    Ok(rows)
}

/// Rows of a simulated world, none where there is no such file.
pub(crate) fn simulated(file: &Path, kind: Kind) -> Result<Vec<Row>> {
    if file.is_file() { read(file, kind) } else { Ok(Vec::new()) }
}

/// Whole requests, as lines of JSON.
pub(crate) fn raw_http(file: &Path) -> Result<Vec<Row>> {
    let rows = read_as(file, Kind::Api, false)?;
    match rows.iter().find(|row| row.text("raw").is_none()) {
        Some(_) => bail!("{}: a row has no text `raw`", file.display()),
        None => Ok(rows),
    }
}

fn read(file: &Path, kind: Kind) -> Result<Vec<Row>> {
    read_as(file, kind, true)
}

/// Rows of a file; `shaped` where they must be bodies of the kind.
fn read_as(file: &Path, kind: Kind, shaped: bool) -> Result<Vec<Row>> {
    let name = || format!("{}", file.display());
    let recording = Recording::File(PathBuf::from(file));
    let rows = recording.rows(Some(kind), LINE_BYTES_MAX).with_context(name)?;
    let rows = if shaped { rows } else { rows.unshaped() };
    let mut made = Vec::new();
    for row in rows {
        match row.with_context(name)? {
            Ok(row) => made.push(of_body(kind, row.ts, row.body)),
            Err(bad) => bail!("{}, row {}: {}", name(), bad.number, bad.reason),
        }
    }
    Ok(made)
}

fn of_body(kind: Kind, ts: Option<Timestamp>, body: Fields) -> Row {
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let label = match body.get("label") {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(-1),
        Some(Value::String(text)) => text.parse().unwrap_or(-1),
        _ => -1,
    };
    let part = match kind {
        Kind::Sql => text("kind"),
        Kind::Api if label == 1 => text("category"),
        _ => String::new(),
    };
    Row {
        source: text("source"),
        part,
        quality: text("label_quality"),
        category: text("category"),
        label,
        ts,
        body,
    }
}

/// Parameter values of ordinary requests, each once, as an application hands them to SQL.
fn http_values(file: &Path) -> Result<Vec<Row>> {
    let mut seen = HashSet::new();
    let mut made = Vec::new();
    for row in read(file, Kind::Api)?.iter().filter(|row| row.label == 0) {
        let form = matches!(row.text("body"), Some(body) if body.contains('='));
        let body = row.text("body").filter(|_| form).unwrap_or_default();
        let pairs = [row.text("query").unwrap_or_default(), body];
        for pair in pairs.iter().flat_map(|text| text.split(['&', ';'])) {
            let (_, value) = pair.split_once('=').unwrap_or(("", pair));
            let value = percent_decoded(value);
            if value.is_empty() || !seen.insert((row.source.clone(), value.clone())) {
                continue;
            }
            let body = json!({ "text": value, "kind": "param" });
            let Value::Object(body) = body else { continue };
            made.push(Row {
                source: row.source.clone(),
                part: "value of a request".to_owned(),
                quality: row.quality.clone(),
                category: String::new(),
                label: 0,
                ts: None,
                body: Fields(body),
            });
        }
    }
    Ok(made)
}

/// A form value as the application reads it; what is no UTF-8 is read as Latin-1.
fn percent_decoded(value: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match (*byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(other),
        }
    }
    String::from_utf8(out)
        .unwrap_or_else(|bad| bad.as_bytes().iter().map(|b| char::from(*b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_values_are_read_as_an_application_reads_them() {
        for (value, want) in [
            ("Jam%F3n+Ib%E9rico", "Jamón Ibérico"),
            ("%C3%A9t%C3%A9", "été"),
            ("100%", "100%"),
            ("%2g%", "%2g%"),
            ("", ""),
        ] {
            assert_eq!(percent_decoded(value), want, "{value}");
        }
    }
}

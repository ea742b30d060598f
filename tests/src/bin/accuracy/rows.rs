//! The rows that judge a patrol: which files hold rows of its kind, and what a row is.

mod files;

use anyhow::{Context, Result};
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use magsentinel_sensor::replay::rows::{ROW_BYTES_MAX, Recording};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// One labelled row.
pub(crate) struct Row {
    /// The event's kind.
    pub(crate) kind: Kind,
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
    /// The event's body, labels and all: the program must not read them. Of a row that could not
    /// be read, what there is of it: the program says then what is wrong.
    pub(crate) body: Fields,
}

impl Row {
    /// A text field of the body.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }
}

/// Rows, and what was odd about the files that should hold them.
#[derive(Default)]
pub(crate) struct Found {
    /// In the order of the files.
    pub(crate) rows: Vec<Row>,
    /// Files that are not there, hold no such rows, or end too early; in words.
    pub(crate) notes: Vec<String>,
}

impl Found {
    /// Adds rows of other files.
    pub(crate) fn join(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.notes.extend(other.notes);
    }

    fn read(&mut self, data: &Path, name: &str, kinds: &[Kind]) {
        match read(&data.join(name), kinds, true) {
            Ok(read) if read.good == 0 => {
                let rows = read.rows.len();
                let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
                let kinds = tokens.join(" or ");
                self.notes.push(format!("{name}: none of its {rows} rows is a {kinds} event"));
            }
            Ok(read) => {
                self.rows.extend(read.rows);
                self.notes.extend(read.broken.map(|why| format!("{name}: {why}")));
            }
            Err(why) => self.notes.push(format!("{name}: {why:#}")),
        }
    }
}

/// All rows of a kind.
pub(crate) fn of(kind: Kind, data: &Path) -> Result<Found> {
    let listed = files::of(kind, data)?;
    let mut found = Found { rows: Vec::new(), notes: listed.notes };
    for name in &listed.names {
        found.read(data, name, &[kind]);
    }
    if kind == Kind::Sql {
        let mut requests = Found::default();
        for name in &files::of(Kind::Api, data)?.names {
            requests.read(data, name, &[Kind::Api]);
        }
        found.rows.extend(http_values(&requests.rows));
    }
    Ok(found)
}

/// Rows of a simulated world, none where there is no such file.
pub(crate) fn simulated(file: &Path, kinds: &[Kind]) -> Result<Found> {
    let mut found = Found::default();
    if file.is_file() {
        let folder = file.parent().unwrap_or(Path::new(""));
        let name = file.file_name().context("a file has a name")?.to_string_lossy();
        found.read(folder, &name, kinds);
    }
    Ok(found)
}

/// Whole requests, as lines of JSON.
pub(crate) fn raw_http(file: &Path) -> Result<Found> {
    let read = read(file, &[Kind::Api], false)?;
    let name = file.display();
    let notes = read.broken.map(|why| format!("{name}: {why}")).into_iter().collect();
    Ok(Found { rows: read.rows, notes })
}

/// What a file holds.
struct Read {
    rows: Vec<Row>,
    /// How many of them could be read.
    good: usize,
    /// Why its end could not.
    broken: Option<String>,
}

/// Rows of a file; `shaped` where they must be bodies of one of the kinds. One that cannot be read is a
/// row too: whoever gives it to a patrol gets no verdict.
fn read(file: &Path, kinds: &[Kind], shaped: bool) -> Result<Read> {
    let rows = Recording::File(PathBuf::from(file)).rows(kinds, ROW_BYTES_MAX)?;
    let rows = if shaped { rows } else { rows.unshaped() };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    let mut read = Read { rows: Vec::new(), good: 0, broken: None };
    for row in rows {
        match row {
            Ok(Ok(row)) => {
                read.good += 1;
                read.rows.push(of_body(row.kind, row.ts, row.body, stem));
            }
            Ok(Err(bad)) => {
                let kind = kinds.first().copied().unwrap_or(Kind::Sql);
                read.rows.push(of_body(kind, None, bad.fields.unwrap_or_default(), stem));
            }
            Err(e) => read.broken = Some(format!("cannot be read to its end: {e}")),
        }
    }
    Ok(read)
}

/// What a row's label says: 1, 0, another class, or -1 where nothing does.
fn label_of(body: &Fields) -> i64 {
    let of_text = |text: &str| match &*text.trim().to_ascii_lowercase() {
        "malicious" | "attack" | "anomalous" | "true" => Some(1),
        "benign" | "normal" | "false" => Some(0),
        other => other.parse::<f64>().ok().map(|number| number.round() as i64),
    };
    let label = match body.get("label") {
        Some(Value::Number(number)) => number.as_f64().map(|number| number.round() as i64),
        Some(Value::Bool(attack)) => Some(i64::from(*attack)),
        Some(Value::String(text)) => of_text(text),
        _ => None,
    };
    label.unwrap_or(-1)
}

/// A row of a body; `file` stands for its source where it names none.
fn of_body(kind: Kind, ts: Option<Timestamp>, mut body: Fields, file: &str) -> Row {
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let label = label_of(&body);
    let part = match kind {
        Kind::Sql => text("kind"),
        Kind::Api | Kind::Dns | Kind::Flow if label == 1 => text("category"),
        _ => String::new(),
    };
    let source = Some(text("source")).filter(|source| !source.is_empty());
    let (quality, category) = (text("label_quality"), text("category"));
    if let Some(ts) = ts.filter(|_| !body.contains_key("ts")) {
        body.0.insert("ts".to_owned(), ts.to_string().into());
    }
    let source = source.unwrap_or_else(|| file.to_owned());
    Row { kind, source, part, quality, category, label, ts, body }
}

/// Parameter values of ordinary requests, each once, as an application hands them to SQL.
fn http_values(requests: &[Row]) -> Vec<Row> {
    let mut seen = HashSet::new();
    let mut made = Vec::new();
    for row in requests.iter().filter(|row| row.label == 0) {
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
                kind: Kind::Sql,
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
    made
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

    #[test]
    fn a_label_is_read_however_it_is_written() {
        for (label, want) in [
            (json!(1), 1),
            (json!(1.0), 1),
            (json!("1"), 1),
            (json!("0.0"), 0),
            (json!("Malicious"), 1),
            (json!("benign"), 0),
            (json!(true), 1),
            (json!(2), 2),
            (json!(-1), -1),
            (json!("?"), -1),
            (json!(null), -1),
        ] {
            let body = Fields(json!({"label": label}).as_object().cloned().unwrap_or_default());
            assert_eq!(label_of(&body), want, "{label}");
        }
    }
}

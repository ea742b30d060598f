//! The rows of a recording: JSON lines or CSV, plain or gzip.

mod mended;

use crate::{
    cells::cells,
    lines::{Framing, Lines, Piece, What},
    shape::shape,
};
use flate2::read::MultiGzDecoder;
use magsentinel_bus_schema::{Fields, Kind, Timestamp, entity::NOBODY};
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::PathBuf,
};

/// Longest row that the tools read: they hold one row at a time, and an event of a mesh has bounds
/// of its own.
pub const ROW_BYTES_MAX: usize = 64 << 20;

/// Where a recording is.
#[derive(Clone, Debug)]
pub enum Recording {
    /// In a file: JSON lines, or CSV when its name ends in `.csv` or `.csv.gz`.
    File(PathBuf),
    /// In the program, as JSON lines.
    Built {
        /// Its name in messages and sources.
        name: String,
        /// Its bytes.
        bytes: Cow<'static, [u8]>,
    },
}

impl Recording {
    /// Its name in messages and sources.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Built { name, .. } => name.clone(),
        }
    }

    fn is_csv(&self) -> bool {
        let Self::File(path) = self else { return false };
        let name = path.to_string_lossy().to_ascii_lowercase();
        name.ends_with(".csv") || name.ends_with(".csv.gz")
    }

    /// Its rows, from the first. Gzip is recognised by its first bytes. `line_bytes_max` bounds
    /// a row; a larger one is given out as a bad row.
    pub fn rows(&self, kind: Option<Kind>, line_bytes_max: usize) -> io::Result<Rows> {
        let source: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Built { bytes, .. } => Box::new(Cursor::new(bytes.clone())),
        };
        let mut source = BufReader::new(source);
        let zipped = source.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read + Send> =
            if zipped { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        let framing = if self.is_csv() { Framing::Csv } else { Framing::Newline };
        Ok(Rows {
            reader,
            lines: Lines::new(framing, line_bytes_max, 0),
            pieces: VecDeque::new(),
            ended: false,
            header: self.is_csv().then(Vec::new),
            kind,
            shaped: true,
            number: 0,
        })
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// From one, header and blank lines not counted.
    pub number: u64,
    /// Its kind.
    pub kind: Kind,
    /// Its time, where it has one.
    pub ts: Option<Timestamp>,
    /// Its body.
    pub body: Fields,
}

/// A row that is none.
#[derive(Clone, Debug, PartialEq)]
pub struct BadRow {
    /// From one.
    pub number: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Its beginning.
    pub bytes: Vec<u8>,
    /// Its length in bytes.
    pub len: u64,
    /// Its fields, where it has any: it is an object, and none of its kind.
    pub fields: Option<Fields>,
}

/// Why a row is none, and what could be read of it.
struct Unread {
    reason: String,
    fields: Option<Fields>,
}

impl From<String> for Unread {
    fn from(reason: String) -> Self {
        Self { reason, fields: None }
    }
}

/// The rows of a recording, in order. An I/O error (a truncated archive) ends them.
pub struct Rows {
    reader: Box<dyn Read + Send>,
    lines: Lines,
    pieces: VecDeque<Piece>,
    ended: bool,
    /// The columns of a CSV file; empty before its first line was read.
    header: Option<Vec<String>>,
    kind: Option<Kind>,
    shaped: bool,
    number: u64,
}

impl Iterator for Rows {
    type Item = io::Result<Result<Row, BadRow>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let piece = match self.piece() {
                Ok(piece) => piece?,
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
            };
            if piece.bytes.trim_ascii().is_empty() && piece.what == What::Line {
                continue;
            }
            if self.header.as_ref().is_some_and(Vec::is_empty) {
                match row_cells(&piece.bytes) {
                    Ok(columns) => self.header = Some(columns),
                    Err(reason) => {
                        return Some(Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("first line is no CSV header: {reason}"),
                        )));
                    }
                }
                continue;
            }
            self.number += 1;
            let number = self.number;
            let row = self.row(&piece);
            let (bytes, len) = (piece.bytes, piece.end - piece.offset);
            let bad = |Unread { reason, fields }| BadRow { number, reason, bytes, len, fields };
            return Some(Ok(row.map_err(bad)));
        }
    }
}

impl Rows {
    /// Gives rows out as they are, without what every body of their kind needs: for those that
    /// are made into bodies elsewhere.
    #[must_use]
    pub fn unshaped(mut self) -> Self {
        self.shaped = false;
        self
    }

    fn piece(&mut self) -> io::Result<Option<Piece>> {
        while self.pieces.is_empty() && !self.ended {
            let mut chunk = vec![0; 64 * 1024];
            let read = match self.reader.read(&mut chunk) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let mut pieces = Vec::new();
            self.lines.push(chunk.get(..read).unwrap_or_default(), &mut pieces);
            if read == 0 {
                self.ended = true;
                self.lines.finish(&mut pieces);
                // A recording is finished: its last line needs no newline.
                for piece in pieces.iter_mut().filter(|p| p.what == What::Cut) {
                    piece.what = What::Line;
                }
            }
            self.pieces.extend(pieces);
        }
        Ok(self.pieces.pop_front())
    }

    fn row(&self, piece: &Piece) -> Result<Row, Unread> {
        match piece.what {
            What::Line | What::Cut => {}
            What::TooLong => return Err("row is over line_bytes_max".to_owned().into()),
            What::Broken => return Err("row was cut: its quotes do not close".to_owned().into()),
        }
        let fields = match &self.header {
            Some(columns) => csv_row(columns, &piece.bytes)?,
            None => {
                mended::object(&piece.bytes).map_err(|e| format!("row is no JSON object: {e}"))?
            }
        };
        let (kind, ts, body) = self.parts(fields)?;
        let mut body = Fields(body);
        let bad = |reason, fields: &Fields| Unread { reason, fields: Some(fields.clone()) };
        let own = body.get("ts").cloned();
        let told = |value: &Value| match value {
            Value::String(text) => !text.trim().is_empty() && !NOBODY.contains(&text.trim()),
            value => !value.is_null(),
        };
        let given = ts.or(own).filter(told);
        let ts = given.as_ref().map(Timestamp::from_value).transpose();
        let ts = ts.map_err(|e| bad(format!("ts is {e}"), &body))?;
        if self.shaped {
            // Of a body that cannot be shaped, what it was before counts.
            let before = body.clone();
            shape(kind, &mut body).map_err(|reason| bad(reason, &before))?;
        }
        Ok(Row { number: self.number, kind, ts, body })
    }

    /// `{"kind", "ts", "body": {…}}`, or a bare body of the kind that was told. (A sql body has
    /// a `kind` and an api body a `body` of their own; neither is an object beside a kind.)
    fn parts(&self, mut row: Map<String, Value>) -> Result<Parts, String> {
        let named = row.get("kind").and_then(Value::as_str).and_then(|k| k.parse().ok());
        let wrapped = row.get("body").is_some_and(Value::is_object);
        if let (Some(kind), true) = (named, wrapped) {
            let ts = row.remove("ts");
            let Some(Value::Object(body)) = row.remove("body") else {
                return Err("body is no object".to_owned());
            };
            return Ok((kind, ts, body));
        }
        match self.kind {
            Some(kind) => Ok((kind, None, row)),
            None => Err("row names no kind: tell the kind of its bodies with --kind, or write \
                         {\"kind\": …, \"ts\": …, \"body\": {…}}"
                .to_owned()),
        }
    }
}

type Parts = (Kind, Option<Value>, Map<String, Value>);

fn row_cells(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(bytes);
    cells(text.trim_start_matches('\u{feff}'))
}

/// Empty cells are absent fields.
fn csv_row(columns: &[String], bytes: &[u8]) -> Result<Map<String, Value>, Unread> {
    let cells = row_cells(bytes)?;
    let count = cells.len();
    let filled = columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    let fields = filled.map(|(column, cell)| (column.clone(), Value::String(cell))).collect();
    if count != columns.len() {
        let reason = format!("row has {count} columns, its header {}", columns.len());
        return Err(Unread { reason, fields: Some(Fields(fields)) });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn read(name: &str, bytes: &[u8], kind: Option<Kind>) -> Vec<Result<Row, BadRow>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Recording::File(path).rows(kind, 1000).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn wrapped_rows_and_bare_bodies_are_read() {
        let text = "{\"kind\":\"api\",\"ts\":1,\"body\":{\"method\":\"GET\",\"path\":\"/\",\"body\":\"x\"}}\n\n\
                    {\"kind\":\"query\",\"text\":\"select 1\",\"ts\":2}";
        let found = read("r.jsonl", text.as_bytes(), Some(Kind::Sql));
        let told: Vec<_> = found
            .iter()
            .map(|r| r.as_ref().map(|r| (r.number, r.kind, r.ts.map(Timestamp::micros))))
            .collect();
        assert_eq!(
            told,
            [Ok((1, Kind::Api, Some(1_000_000))), Ok((2, Kind::Sql, Some(2_000_000)))]
        );
    }

    #[test]
    fn csv_rows_are_bodies_with_numbers_where_the_kind_has_them() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(b"ts,user,action,bytes\n2010-01-02T06:55:16,u1,\"file\ncopy\",42\n,u2,x,\n")
            .unwrap();
        let found = read("r.csv.gz", &gz.finish().unwrap(), Some(Kind::Data));
        let first = found[0].as_ref().unwrap();
        assert_eq!(first.body.get("bytes"), Some(&Value::from(42)));
        assert_eq!(first.body.get("action"), Some(&Value::from("file\ncopy")));
        assert_eq!(found[1].as_ref().unwrap().body.get("bytes"), None);
        assert_eq!(found[1].as_ref().unwrap().ts, None);
    }

    #[test]
    fn bad_rows_are_told_by_number_and_the_good_ones_go_on() {
        let long = format!("{{\"text\":\"{}\"}}", "x".repeat(2000));
        let text = format!(
            "{{\"text\":\n[]\n{{\"text\":\"a\",\"ts\":\"soon\"}}\n{long}\n{{}}\n{{\"text\":\"a\"}}\n"
        );
        let found = read("r.jsonl", text.as_bytes(), Some(Kind::Sql));
        let bad: Vec<_> = found.iter().filter_map(|r| r.as_ref().err()).map(|b| b.number).collect();
        assert_eq!((bad, found.len()), (vec![1, 2, 3, 4, 5], 6));
        let unknown = read("r.jsonl", b"{\"text\":\"a\"}\n", None);
        assert!(unknown[0].as_ref().unwrap_err().reason.contains("--kind"));
    }

    #[test]
    fn a_truncated_archive_is_an_error_and_no_end() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        for n in 0..1000 {
            writeln!(gz, "{{\"text\":\"row {n}\"}}").unwrap();
        }
        let bytes = gz.finish().unwrap();
        let cut = Cow::Owned(bytes[..bytes.len() - 20].to_vec());
        let recording = Recording::Built { name: "x".into(), bytes: cut };
        let mut rows = recording.rows(Some(Kind::Sql), 1000).unwrap();
        assert!(rows.any(|row| row.is_err()));
        assert!(rows.next().is_none());
    }
}

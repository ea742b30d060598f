//! The rows of a recording: JSON lines or CSV, plain or gzip.

mod mended;

use crate::{
    cells::cells,
    envelope::{is_told, time_of},
    lines::{Framing, Lines, Piece, What},
    shape::{essential, shape},
};
use flate2::read::MultiGzDecoder;
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
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
    /// a row; a larger one is given out as a bad row. `kinds` are those that a row which names none
    /// may be of: the first whose needed fields it has, else the first of all.
    pub fn rows(&self, kinds: &[Kind], line_bytes_max: usize) -> io::Result<Rows> {
        let source: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Built { bytes, .. } => Box::new(Cursor::new(bytes.clone())),
        };
        let mut source = BufReader::new(source);
        let zipped = source.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read + Send> =
            if zipped { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        let mut reader = BufReader::new(reader);
        let begin = reader.fill_buf()?;
        readable(begin)?;
        // Editors of Windows begin a text with a byte order mark.
        if begin.starts_with(b"\xef\xbb\xbf") {
            reader.consume(3);
        }
        let framing = if self.is_csv() { Framing::Csv } else { Framing::Newline };
        Ok(Rows {
            reader: Box::new(reader),
            lines: Lines::new(framing, line_bytes_max, 0),
            pieces: VecDeque::new(),
            ended: false,
            header: self.is_csv().then(Vec::new),
            kinds: kinds.to_vec(),
            shaped: true,
            number: 0,
        })
    }
}

/// What a file begins with that is no text, and what it is.
const UNREADABLE: &[(&[u8], &str)] = &[
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: unpack it (zstd -d)"),
    (b"\xfd7zXZ\0", "is compressed with xz: unpack it (xz -d)"),
    (b"BZh", "is compressed with bzip2: unpack it (bzip2 -d)"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4: unpack it (lz4 -d)"),
    (b"PK\x03\x04", "is a zip archive: unpack it (unzip)"),
    (b"\x1f\x8b", "is compressed twice with gzip: unpack it once (gzip -d)"),
    (b"PAR1", "is a Parquet file: write it as JSON lines or CSV"),
    (b"\xff\xfe", "is UTF-16: write it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    (b"\xfe\xff", "is UTF-16: write it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
];

/// Refuses by name what can never be rows.
fn readable(begin: &[u8]) -> io::Result<()> {
    match UNREADABLE.iter().find(|(magic, _)| begin.starts_with(magic)) {
        None => Ok(()),
        Some((_, what)) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("it {what}"))),
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
    kinds: Vec<Kind>,
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
                match header(&piece.bytes) {
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
            None => json_row(&piece.bytes)?,
        };
        let (kind, ts, body) = self.parts(fields)?;
        let mut body = Fields(body);
        let bad = |reason, fields: &Fields| Unread { reason, fields: Some(fields.clone()) };
        let ts = match ts.filter(is_told) {
            Some(ts) => Timestamp::from_value(&ts).map(Some).map_err(|e| format!("ts is {e}")),
            None => time_of(&body),
        };
        let ts = ts.map_err(|reason| bad(reason, &body))?;
        if self.shaped {
            // Of a body that cannot be shaped, what it was before counts.
            let before = body.clone();
            shape(kind, &mut body).map_err(|reason| bad(reason, &before))?;
        }
        Ok(Row { number: self.number, kind, ts, body })
    }

    /// `{"kind", "ts", "body": {…}}`, the same without a kind where it was told, or a bare body
    /// of the kind that was told. (A sql body has a `kind` and an api body a `body` of their own;
    /// neither is an object beside a kind, and an api body is known by its method and path.)
    fn parts(&self, mut row: Map<String, Value>) -> Result<Parts, String> {
        let name = row.get("kind").and_then(Value::as_str).map(str::to_owned);
        let named = name.as_deref().map(str::parse::<Kind>);
        let holds_body = row.get("body").is_some_and(Value::is_object);
        let has = |of: &Map<String, Value>, field: &str| of.contains_key(field);
        // What is under `body` may be the row's body, or a request's.
        let own = |field: &str| has(&row, field) && (field != "body" || !holds_body);
        let bare = |kind: Kind| essential(kind).iter().all(|any| any.iter().any(|f| own(f)));
        let inner = row.get("body").and_then(Value::as_object);
        let request =
            |inner| essential(Kind::Api).iter().all(|any| any.iter().any(|f| has(inner, f)));
        let wraps = |kind: Kind| kind != Kind::Api || inner.is_some_and(request);
        let within = |kind: Kind| {
            let all_in =
                |inner| essential(kind).iter().all(|any| any.iter().any(|f| has(inner, f)));
            holds_body && inner.is_some_and(all_in)
        };
        // A kind whose bodies need no field at all fits any row, and so comes after those that fit.
        let telling =
            |kind: &&Kind| !essential(**kind).is_empty() && (bare(**kind) || within(**kind));
        let open = || self.kinds.iter().find(|kind| essential(**kind).is_empty());
        let likely = self.kinds.iter().find(telling).or_else(open).or(self.kinds.first()).copied();
        let told = likely.filter(|kind| named.is_none() && !bare(*kind) && wraps(*kind));
        let wrapped = match &named {
            Some(Ok(kind)) if holds_body => Some(*kind),
            _ => told.filter(|_| holds_body),
        };
        if let Some(kind) = wrapped {
            let ts = row.remove("ts");
            let Some(Value::Object(body)) = row.remove("body") else {
                return Err("body is no object".to_owned());
            };
            return Ok((kind, ts, body));
        }
        match (likely, named) {
            (Some(kind), _) => Ok((kind, None, row)),
            (None, Some(Err(unknown))) if holds_body => Err(unknown),
            (None, _) => {
                Err("row names no kind: tell the kind of its bodies with --kind, or write \
                              {\"kind\": …, \"ts\": …, \"body\": {…}}"
                    .to_owned())
            }
        }
    }
}

type Parts = (Kind, Option<Value>, Map<String, Value>);

fn row_cells(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(bytes);
    cells(text.trim_start_matches('\u{feff}'))
}

/// The names of the columns.
fn header(bytes: &[u8]) -> Result<Vec<String>, String> {
    let columns: Vec<String> =
        row_cells(bytes)?.into_iter().map(|column| column.trim().to_owned()).collect();
    let mut seen = BTreeSet::new();
    // A column without a name (an index that somebody exported too) is left out.
    for column in columns.iter().filter(|column| !column.is_empty()) {
        if !seen.insert(column) {
            return Err(format!("column {column:?} is there twice: rename one of them"));
        }
    }
    if let [only] = columns.as_slice()
        && let Some(other) = only.chars().find(|c| matches!(c, ';' | '\t' | '|'))
    {
        return Err(format!("columns are separated by {other:?}: write commas"));
    }
    Ok(columns)
}

fn json_row(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    mended::object(bytes).map_err(|e| {
        if bytes.trim_ascii_start().starts_with(b"[") {
            return "row is a JSON array: write one object a line (jq -c '.[]')".to_owned();
        }
        format!("row is no JSON object: {e}")
    })
}

/// Empty cells are absent fields.
fn csv_row(columns: &[String], bytes: &[u8]) -> Result<Map<String, Value>, Unread> {
    let cells = row_cells(bytes)?;
    let count = cells.len();
    let named = columns.iter().zip(cells).filter(|(column, _)| !column.is_empty());
    let filled = named.filter(|(_, cell)| !cell.is_empty());
    let fields = filled.map(|(column, cell)| (column.clone(), Value::String(cell))).collect();
    if count != columns.len() {
        let reason = format!("row has {count} columns, its header {}", columns.len());
        return Err(Unread { reason, fields: Some(Fields(fields)) });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests;

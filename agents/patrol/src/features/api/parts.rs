//! A request taken apart into the texts that an attacker can choose.

mod reader;

use self::reader::Reader;
use super::{
    OVERLAP, WINDOW,
    decode::{self, Undone, Written},
    json, multipart, words,
};
use crate::body;
use magsentinel_bus_schema::Fields;
use serde_json::Value;
use std::{borrow::Cow, collections::HashSet, ops::Range};

/// How much of a request is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of one field of the event (path, query, body, a header); of a longer one its
    /// two halves.
    pub field_bytes_max: usize,
    /// Most parts.
    pub parts_max: usize,
    /// Most rows for the model; of more, those with most marks.
    pub rows_max: usize,
}

/// Where a part stands, as far as it changes what is ordinary there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The path.
    Path,
    /// A name: of a parameter, field, cookie, file.
    Name,
    /// A value: of a parameter, field, cookie, JSON leaf.
    Value,
    /// A header.
    Header,
    /// The header that names the client's program.
    Agent,
    /// Free content: an uploaded file, a body of no known form.
    Content,
}

#[derive(Clone, Debug)]
struct Kept {
    place: Place,
    origin: &'static str,
    name: Range<usize>,
    text: Range<usize>,
    undone: Undone,
}

/// One part, for people and patterns.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Where it stands.
    pub place: Place,
    /// `path`, `query`, `cookie`, `header`, `json`, `form`, `field`, `file`, `body`.
    pub origin: &'static str,
    /// Its name, decoded; may be empty.
    pub name: &'a [u8],
    /// What it says, decoded.
    pub text: &'a [u8],
}

/// A stretch of a part that the model sees as one row.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    part: usize,
    from: usize,
    end: usize,
}

/// The parts of one request. Its buffers are kept from one request to the next.
#[derive(Debug, Default)]
pub struct Parts {
    arena: Vec<u8>,
    parts: Vec<Kept>,
    windows: Vec<Window>,
    seen: Once,
    /// Bytes of fields that were not read.
    cut_bytes: usize,
    /// Parts and windows that were not looked at.
    left_out: usize,
}

/// Nesting of JSON in texts of JSON that is followed.
const DEPTH_MAX: usize = 3;

/// Bytes of a Base64 text that are looked into.
const BASE64_BYTES_MAX: usize = 3072;

impl Parts {
    /// Takes a request apart. An error says which field is no part of a request.
    pub fn read(&mut self, fields: &Fields, limits: Limits) -> Result<(), String> {
        self.arena.clear();
        self.parts.clear();
        self.windows.clear();
        self.seen.clear();
        (self.cut_bytes, self.left_out) = (0, 0);
        let path = body::text(fields, &["path", "uri", "url"])?;
        let query = body::text(fields, &["query"])?;
        let method = body::text(fields, &["method"])?;
        let headers = body::field(fields, "headers");
        let sent = body::field(fields, "body");
        if path.is_none() && query.is_none() && headers.is_none() && sent.is_none() {
            return Err("body has no path, query, headers or body: an api event must carry a \
                        request"
                .to_owned());
        }
        let mut reader = Reader::new(self, limits);
        if let Some(path) = path {
            let (path, inline) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
            reader.add("path", Place::Path, b"", path.as_bytes(), Written::Percent, 0);
            if let Some(inline) = inline {
                reader.pairs("query", inline.as_bytes());
            }
        }
        if let Some(query) = query {
            reader.pairs("query", query.as_bytes());
        }
        if let Some(method) = method.filter(|m| !m.bytes().all(|b| b.is_ascii_alphabetic())) {
            reader.add("method", Place::Header, b"", method.as_bytes(), Written::Plain, 0);
        }
        let content_type = match headers {
            None => String::new(),
            Some(Value::Object(map)) => {
                let mut content_type = String::new();
                for (name, value) in map {
                    let value = text_of(value);
                    if name.eq_ignore_ascii_case("content-type") {
                        content_type = value.to_ascii_lowercase();
                    }
                    reader.header(name, &value);
                }
                content_type
            }
            Some(other) => {
                reader.add(
                    "header",
                    Place::Header,
                    b"",
                    text_of(other).as_bytes(),
                    Written::Percent,
                    0,
                );
                String::new()
            }
        };
        if let Some(sent) = sent {
            reader.sent(text_of(sent).as_bytes(), &content_type);
        }
        self.choose(limits.rows_max);
        Ok(())
    }

    /// The rows of the request; the suspicious ones first where there were too many.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Writes the features of a window.
    pub fn ids(&self, window: Window, out: &mut [i32]) {
        let Some(part) = self.parts.get(window.part) else { return };
        let bytes = self.arena.get(window.from..window.end).unwrap_or_default();
        let inner = window.from > part.text.start || window.end < part.text.end;
        super::ids(bytes, part.place, part.undone, inner, out);
    }

    /// The part of a window, with only the window's text.
    #[must_use]
    pub fn part_of(&self, window: Window) -> Option<Part<'_>> {
        let kept = self.parts.get(window.part)?;
        let text = self.arena.get(window.from..window.end)?;
        Some(Part { text, ..self.part(kept) })
    }

    fn part(&self, kept: &Kept) -> Part<'_> {
        Part {
            place: kept.place,
            origin: kept.origin,
            name: self.arena.get(kept.name.clone()).unwrap_or_default(),
            text: self.arena.get(kept.text.clone()).unwrap_or_default(),
        }
    }

    /// Every part, harmless ones too.
    pub fn iter(&self) -> impl Iterator<Item = Part<'_>> {
        self.parts.iter().map(|kept| self.part(kept))
    }

    /// What was not looked at, for the reasons of a finding: bytes of fields, and rows.
    #[must_use]
    pub fn left_out(&self) -> (usize, usize) {
        (self.cut_bytes, self.left_out)
    }

    /// One line per part, `origin name: text`, as patterns see them: lower case, single blanks,
    /// line ends within a part as `␍` and `␊`, a zero byte as `␀`.
    pub fn lines(&self, out: &mut String) {
        out.clear();
        for part in self.iter() {
            out.push_str(part.origin);
            out.push(' ');
            fold(part.name, out);
            out.push_str(": ");
            fold(part.text, out);
            out.push('\n');
        }
    }

    /// Keeps the `rows_max` windows with most marks, in their order.
    fn choose(&mut self, rows_max: usize) {
        if self.windows.len() <= rows_max {
            return;
        }
        let marks = |window: &Window| {
            let bytes = self.arena.get(window.from..window.end).unwrap_or_default();
            bytes.iter().map(|byte| u32::from(weight(*byte))).sum::<u32>()
        };
        let mut ranked: Vec<(u32, usize)> =
            self.windows.iter().enumerate().map(|(at, window)| (marks(window), at)).collect();
        ranked.sort_unstable_by_key(|(marks, at)| (std::cmp::Reverse(*marks), *at));
        ranked.truncate(rows_max);
        ranked.sort_unstable_by_key(|(_, at)| *at);
        let chosen = ranked.iter().filter_map(|(_, at)| self.windows.get(*at).copied()).collect();
        self.left_out += self.windows.len() - rows_max;
        self.windows = chosen;
    }
}

/// How much a byte says for an attack when only some windows can be looked at.
fn weight(byte: u8) -> u8 {
    match byte {
        b'<' | b'>' | b'\'' | b'(' | b')' | b'$' | b'`' | b'|' | b';' | b'\\' => 3,
        b'"' | b'{' | b'}' | b'=' | b'&' | b'/' | b'%' | b'*' | b'#' | b'@' | b'[' | b']' => 1,
        _ => 0,
    }
}

fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// Whether a header says only what the protocol lets it say.
fn structural(name: &str, value: &[u8]) -> bool {
    let known = ["accept", "sec-", "if-", "cache-control", "pragma", "connection", "host", "te"]
        .iter()
        .any(|start| name.starts_with(start))
        || [
            "content-length",
            "content-type",
            "dnt",
            "priority",
            "upgrade-insecure-requests",
            "keep-alive",
            "range",
            "transfer-encoding",
            "upgrade",
        ]
        .contains(&name);
    let quotes = name.starts_with("sec-") || name.starts_with("if-");
    let plain = |byte: &u8| match byte {
        b'"' | b'(' | b')' | b'?' => quotes,
        _ => byte.is_ascii_alphanumeric() || b" ,;=./*+_:-".contains(byte),
    };
    known && value.iter().all(plain) && !value.windows(2).any(|pair| pair == b"..")
}

/// Whether nothing can come of a text: letters, digits and the marks of names, numbers and
/// dates, and none of the words that attacks are made of.
fn tame(bytes: &[u8], place: Place) -> bool {
    if bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        return true;
    }
    let path = place == Place::Path;
    let plain = |byte: &u8| match byte {
        b'/' => path,
        b' ' | b',' | b'.' | b':' | b'@' | b'+' | b'-' | b'_' => true,
        _ => byte.is_ascii_alphanumeric() || *byte >= 0xc3,
    };
    let low = |byte: &u8| plain(byte) || *byte >= 0x80;
    if !bytes.iter().all(low) {
        return false;
    }
    let hidden = |pair: &[u8]| matches!(pair, b".." | b"//" | b"/.");
    if bytes.windows(2).any(hidden) {
        return false;
    }
    let mut words = bytes.split(|b| !(b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80));
    !words.any(|word| words::find(word).is_some())
}

/// Hashes that were there before. A request has a handful of windows, for which looking through
/// a list is faster than any table; one of thousands must not cost their square.
#[derive(Debug, Default)]
struct Once {
    few: Vec<u64>,
    many: HashSet<u64>,
}

impl Once {
    const FEW: usize = 32;

    fn insert(&mut self, hash: u64) -> bool {
        if self.few.contains(&hash) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(hash);
            return true;
        }
        self.many.insert(hash)
    }

    fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }
}

fn hash(bytes: &[u8], place: Place) -> u64 {
    let mix = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^ (hash >> 29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let start = mix(0xCBF2_9CE4_8422_2325 ^ bytes.len() as u64, place as u64);
    let hash = words.iter().fold(start, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let tail = rest.iter().fold(0u64, |tail, byte| tail << 8 | u64::from(*byte));
    mix(mix(hash, tail), 0x00D6_E8FE)
}

/// Lower case, single blanks, and marks for what is no blank.
fn fold(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => fold_ascii(text, out),
        _ => fold_any(bytes, out),
    }
}

/// As [`fold_any`], word by word.
fn fold_ascii(text: &str, out: &mut String) {
    let (from, mut rest, mut blank) = (out.len(), text, false);
    while !rest.is_empty() {
        let plain = rest.bytes().position(|byte| byte <= b' ').unwrap_or(rest.len());
        let (word, tail) = rest.split_at(plain);
        out.push_str(word);
        blank &= word.is_empty();
        let Some(mark) = tail.chars().next() else { break };
        match mark {
            '\t' | ' ' | '\x0b' | '\x0c' => {
                if !blank {
                    out.push(' ');
                }
                blank = true;
            }
            mark => {
                out.push(match mark {
                    '\r' => '␍',
                    '\n' => '␊',
                    '\0' => '␀',
                    other => other,
                });
                blank = false;
            }
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    if let Some(added) = out.get_mut(from..) {
        added.make_ascii_lowercase();
    }
}

fn fold_any(bytes: &[u8], out: &mut String) {
    let mut blank = false;
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let folded = match letter {
                '\r' => '␍',
                '\n' => '␊',
                '\0' => '␀',
                '\t' | ' ' | '\x0b' | '\x0c' => ' ',
                letter => letter.to_ascii_lowercase(),
            };
            if folded != ' ' || !blank {
                out.push(folded);
            }
            blank = folded == ' ';
        }
        if !chunk.invalid().is_empty() {
            out.push('?');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_is_folded_as_any_text_is() {
        for text in
            ["", " ", "A  b\t\tC", "\r\n x\0Y\x01 ", "  lead", "tail \x0b\x0c ", "a\r \n  b"]
        {
            let (mut fast, mut slow) = ("x ".to_owned(), "x ".to_owned());
            fold_ascii(text, &mut fast);
            fold_any(text.as_bytes(), &mut slow);
            assert_eq!(fast, slow, "{text:?}");
        }
    }

    #[test]
    fn a_hash_is_new_once_however_many_there_are() {
        let mut once = Once::default();
        assert!((0..100).all(|n| once.insert(n)) && (0..100).all(|n| !once.insert(n)));
        once.clear();
        assert!(once.insert(99));
    }
}

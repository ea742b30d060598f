//! One spelling for what a database reads alike, so that patterns stay short.
//!
//! Percent escapes are decoded (twice at most), `+` is a space in form values, letters are lower
//! case and ASCII, runs of blanks and control characters are one space. Comments are the hard
//! part: what is a comment in one database runs in another, and `/*` inside a string is none at
//! all. So a text with comments has two forms, and patterns look at both: [`Normal::kept`], with
//! only the comment marks taken out, hides nothing; [`Normal::dropped`], without the comments,
//! joins what they split.

/// A text in normal form. Its buffers are kept from one text to the next.
#[derive(Debug, Default)]
pub struct Normal {
    decoded: Vec<u8>,
    kept: String,
    dropped: String,
    bytes: usize,
    cut: bool,
}

impl Normal {
    /// Normalises a text. A text longer than `bytes_max` loses its middle; [`Normal::cut`]
    /// says so.
    pub fn set(&mut self, text: &str, bytes_max: usize) {
        self.bytes = text.len();
        self.cut = text.len() > bytes_max;
        self.decoded.clear();
        let all = text.as_bytes();
        if self.cut {
            let half = bytes_max / 2;
            self.decoded.extend_from_slice(all.get(..half).unwrap_or_default());
            self.decoded.push(b'\n');
            self.decoded.extend_from_slice(all.get(all.len() - half..).unwrap_or_default());
        } else {
            self.decoded.extend_from_slice(all);
        }
        decode(&mut self.decoded);
        let comments = fold(&self.decoded, &mut self.kept);
        self.dropped.clear();
        if comments {
            let mut bytes = std::mem::take(&mut self.dropped).into_bytes();
            without_comments(&self.decoded, &mut bytes);
            fold(&bytes, &mut self.dropped);
        }
    }

    /// Takes lines that are in a normal form already: one part of the text each, so that no
    /// expression reaches over the end of a line. Block comments are left out in the second form
    /// only where they end on their line.
    pub fn set_lines(&mut self, lines: &str) {
        (self.bytes, self.cut) = (lines.len(), false);
        self.kept.clear();
        self.kept.push_str(lines);
        self.dropped.clear();
        if !lines.contains("/*") {
            return;
        }
        let mut rest = lines;
        while let Some((before, after)) = rest.split_once("/*") {
            self.dropped.push_str(before);
            match after.split_once("*/") {
                Some((inner, tail)) if !inner.contains('\n') => {
                    self.dropped.push(' ');
                    rest = tail;
                }
                _ => {
                    self.dropped.push_str("/*");
                    rest = after;
                }
            }
        }
        self.dropped.push_str(rest);
    }

    /// Everything, without the marks of block comments.
    #[must_use]
    pub fn kept(&self) -> &str {
        &self.kept
    }

    /// The text without its comments; empty when it has none.
    #[must_use]
    pub fn dropped(&self) -> &str {
        &self.dropped
    }

    /// The size of the whole text in bytes, when its middle was left out.
    #[must_use]
    pub fn cut(&self) -> Option<usize> {
        self.cut.then_some(self.bytes)
    }
}

/// Percent escapes and `+`, in place.
fn decode(bytes: &mut Vec<u8>) {
    let escaped = bytes.contains(&b'%');
    let plus = bytes.contains(&b'+')
        && !bytes.iter().any(u8::is_ascii_whitespace)
        && (escaped || bytes.windows(3).any(joins_words));
    if plus {
        bytes.iter_mut().filter(|b| **b == b'+').for_each(|b| *b = b' ');
    }
    if escaped && percent(bytes) {
        percent(bytes);
    }
}

/// Whether a `+` stands where a formula would have none.
fn joins_words(window: &[u8]) -> bool {
    let [before, b'+', after] = window else { return false };
    (before.is_ascii_alphabetic() || b"'\")/".contains(before))
        && (after.is_ascii_alphabetic() || b"-#/".contains(after))
}

/// One round of percent decoding, in place; whether anything was decoded.
fn percent(bytes: &mut Vec<u8>) -> bool {
    let (mut read, mut write) = (0, 0);
    while let Some(&byte) = bytes.get(read) {
        let digit = |at: usize| bytes.get(read + at).and_then(|d| char::from(*d).to_digit(16));
        let wide = matches!(bytes.get(read + 1), Some(b'u' | b'U'));
        let (value, used) = match byte {
            b'%' if wide => match (digit(2), digit(3), digit(4), digit(5)) {
                (Some(0), Some(0), Some(high), Some(low)) => (high * 16 + low, 6),
                _ => (u32::from(byte), 1),
            },
            b'%' => match (digit(1), digit(2)) {
                (Some(high), Some(low)) => (high * 16 + low, 3),
                _ => (u32::from(byte), 1),
            },
            _ => (u32::from(byte), 1),
        };
        if let Some(slot) = bytes.get_mut(write) {
            *slot = u8::try_from(value).unwrap_or(b'?');
        }
        write += 1;
        read += used;
    }
    let changed = write < read;
    bytes.truncate(write);
    changed
}

/// What [`fold`] makes of a byte on its own; 0 where that depends on its neighbours.
const FOLDED: [u8; 256] = folded();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, below 256")]
const fn folded() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = b'!';
    while byte < u8::MAX {
        table[byte as usize] = match byte {
            b'/' | b'*' | b'-' | b'#' | 0x7f | 0xc2 | 0xef => 0,
            _ => byte.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table
}

/// Lower case, single blanks, no block comment marks; whether there are comments.
fn fold(bytes: &[u8], out: &mut String) -> bool {
    let mut folded = std::mem::take(out).into_bytes();
    folded.clear();
    folded.reserve(bytes.len());
    let mut comments = false;
    let mut line_comment = false;
    let mut blank = true;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let alone = FOLDED.get(usize::from(byte)).copied().unwrap_or(0);
        if alone != 0 {
            folded.push(alone);
            blank = false;
            at += 1;
            continue;
        }
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let (byte, used) = match (byte, next) {
            (b'/', b'*') => {
                comments = true;
                // MySQL runs the content of `/*!50000 … */`.
                (b' ', mark_len(bytes.get(at..).unwrap_or_default()))
            }
            (b'*', b'/') if comments => (b' ', 2),
            (b'-', b'-') | (b'#', _) => {
                line_comment = true;
                (byte, 1)
            }
            (b'\n', _) => {
                comments |= line_comment;
                (b' ', 1)
            }
            (0..=b' ' | 0x7f, _) => (b' ', 1),
            (0xc2, 0xa0) => (b' ', 2),
            (0xef, 0xbc | 0xbd) => (narrow(bytes.get(at..).unwrap_or_default()), 3),
            _ => (byte, 1),
        };
        if byte != b' ' || !blank {
            folded.push(byte);
        }
        blank = byte == b' ';
        at += used;
    }
    *out = text_of(folded);
    comments
}

/// Bytes, with what is no UTF-8 (a decoded escape may be anything) replaced by `?`.
fn text_of(mut bytes: Vec<u8>) -> String {
    loop {
        match String::from_utf8(bytes) {
            Ok(text) => return text,
            Err(e) => {
                let wrong = e.utf8_error();
                let (from, len) = (wrong.valid_up_to(), wrong.error_len());
                bytes = e.into_bytes();
                let until = len.map_or(bytes.len(), |len| from + len);
                if let Some(part) = bytes.get_mut(from..until) {
                    part.fill(b'?');
                }
            }
        }
    }
}

/// Length of `/*` or of MySQL's `/*!` with its version.
fn mark_len(bytes: &[u8]) -> usize {
    match bytes {
        [_, _, b'!', rest @ ..] => {
            3 + rest.iter().take(6).take_while(|b| b.is_ascii_digit()).count()
        }
        _ => 2,
    }
}

/// Full-width forms (U+FF01..=U+FF5E), which some databases convert to ASCII.
fn narrow(bytes: &[u8]) -> u8 {
    match bytes {
        [_, 0xbc, low @ 0x81..=0xbf, ..] => (low - 0x60).to_ascii_lowercase(),
        [_, 0xbd, low @ 0x80..=0x9e, ..] => (low - 0x20).to_ascii_lowercase(),
        _ => b'?',
    }
}

/// Leaves out block comments (but MySQL's executable ones) and line comments that end.
fn without_comments(bytes: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let line_end = || rest.iter().position(|b| *b == b'\n');
        let used = match rest {
            [b'/', b'*', b'!', ..] => 1,
            [b'/', b'*', inner @ ..] => {
                let end = inner.windows(2).position(|w| w == b"*/");
                // Between letters a comment parts words in one database and nothing in another;
                // nearly all take it as a blank.
                end.map_or(rest.len(), |end| end + 4)
            }
            [b'-', b'-', ..] | [b'#', ..] => line_end().unwrap_or(1),
            _ => 1,
        };
        out.push(if used == 1 { byte } else { b' ' });
        at += used;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> String {
        let mut normal = Normal::default();
        normal.set(text, 65_536);
        normal.kept().to_owned()
    }

    #[test]
    fn spellings_of_one_injection_become_one() {
        let plain = "1' union select 1,2 -- ";
        for text in [
            "1' UNION  SELECT\t1,2 -- ",
            "1%27%20union%0Aselect%201,2%20--%20",
            "1%2527+UniOn%2520SELECT+1,2+--+",
            "1'/*!50000union*/\u{a0}select 1,2 -- ",
            "1'\u{ff55}nion",
        ] {
            let (text, wanted) = (kept(text), &plain[..7]);
            assert!(text.replace("1' u", "1'u").starts_with(&wanted.replace(' ', "")), "{text}");
        }
        assert_eq!(kept("1%27%20union%0Aselect%201,2%20--%20"), plain);
    }

    #[test]
    fn comments_neither_hide_nor_split() {
        let mut normal = Normal::default();
        normal.set("a un/**/ion/* x */select -- y\n 1", 1000);
        assert_eq!(normal.dropped(), "a un ion select 1");
        normal.set("'/*' union select 1 -- '*/", 1000);
        assert!(normal.kept().contains("' union select 1"));
        normal.set("union -- nothing\nselect", 1000);
        assert_eq!(normal.dropped(), "union select");
        normal.set("plain text", 1000);
        assert_eq!(normal.dropped(), "");
    }

    #[test]
    fn any_bytes_stay_text_and_a_cut_is_told() {
        assert_eq!(kept("%FF%C3%28%E2%82"), "??(??");
        let mut normal = Normal::default();
        normal.set(&"é".repeat(1000), 101);
        assert!(normal.kept().len() <= 102 && normal.cut() == Some(2000));
        for text in ["", "%", "%%", "%2", "%u00", "/*", "*/", "--", "#", "/*!", "\0"] {
            kept(text);
        }
    }
}

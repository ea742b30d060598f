//! Features of `sql-guard`: a text becomes a set of small integers.
//!
//! The text (a statement, a parameter value, a piece of prose) is cut to [`HEAD_BYTES`] and
//! [`TAIL_BYTES`], decoded (percent, twice; plus as space in form values; full-width letters), and
//! read in three ways, each giving hashed n-grams in a range of its own:
//!
//! 1. *raw*: lexed as SQL, 1..3-grams over the tokens ([`lex`]);
//! 2. *quoted*: lexed again as if the text stood inside a string and its first quote closed it,
//!    the way an injected parameter is seen by the database;
//! 3. *shape*: letters, digits and blanks folded, 4-grams that hold at least one other character.
//!
//! A handful of scalars (lengths, quote balance, decoding rounds …) come first, each with ids of
//! its own. An id occurs once at most, so the order of slots means nothing and repetition cannot
//! drown a rare n-gram. Where a lane is full, the middle of the text loses, its two ends stay.
//!
//! The work is bounded by the cut, whatever the input: 10 MB cost the same as 2 KiB.

mod decode;
mod lex;
mod words;

pub use super::slots::BUCKETS;

use super::slots::{Slots, log2};
use lex::{Lexed, Start};

/// Slots of one event: the second dimension of the model's input `ids`.
pub const WIDTH: usize = 256;

/// Bytes kept from the beginning of a longer text.
pub const HEAD_BYTES: usize = 1024;

/// Bytes kept from the end of a longer text.
pub const TAIL_BYTES: usize = 1024;

/// The last slot that each lane may fill; what one lane leaves free, the next may use.
const RAW_END: usize = 136;
const QUOTED_END: usize = 200;

/// Bytes at either end of the decoded text that the shape lane reads.
const SHAPE_BYTES: usize = 192;

/// Fills the first [`WIDTH`] slots of `out` with ids in `1..BUCKETS`, then zeros (padding).
///
/// A shorter `out` gets what fits. Never panics, allocates nothing.
pub fn ids(text: &str, out: &mut [i32]) {
    let width = out.len().min(WIDTH);
    let (out, rest) = out.split_at_mut(width);
    rest.fill(0);

    let mut buffer = [0u8; HEAD_BYTES + TAIL_BYTES + 1];
    let decoded = decode::decode(text.as_bytes(), &mut buffer);
    let bytes = decoded.bytes;

    let raw = Lexed::of(bytes, Start::Plain);
    let first_quote = bytes.iter().position(|byte| matches!(byte, b'\'' | b'"'));
    let quoted = match first_quote {
        Some(at) if !raw.starts_statement() || raw.open_string => {
            let quote = bytes.get(at).copied().unwrap_or(b'\'');
            Some(Lexed::of(bytes.get(at..).unwrap_or_default(), Start::Inside(quote)))
        }
        _ => None,
    };

    let mut slots = Slots::new(out);
    scalars(&mut slots, text, &decoded, &raw, quoted.as_ref());
    slots.grams(raw.padded(), 0x51, RAW_END);
    if let Some(quoted) = &quoted {
        slots.grams(quoted.padded(), 0xA7, QUOTED_END);
    }
    slots.shape(bytes, SHAPE_BYTES, WIDTH);
}

/// The place of a word in the list of SQL words, whatever its case.
pub(super) fn word(word: &[u8]) -> Option<u16> {
    words::find(word)
}

/// The scalars; each is one id out of a dozen of its own.
fn scalars(
    slots: &mut Slots<'_>,
    text: &str,
    decoded: &decode::Decoded<'_>,
    raw: &Lexed,
    quoted: Option<&Lexed>,
) {
    let bytes = decoded.bytes;
    let mut singles = 0;
    let mut doubles = 0;
    let mut marks = 0;
    let mut digits = 0;
    let mut depth = 0i32;
    let mut depth_min = 0;
    for byte in bytes {
        match byte {
            b'\'' => singles += 1,
            b'"' => doubles += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth_min = depth_min.min(depth);
        marks += usize::from(!byte.is_ascii_alphanumeric() && *byte != b' ' && byte.is_ascii());
        digits += usize::from(byte.is_ascii_digit());
    }
    let share = |part: usize| (part * 10 / bytes.len().max(1)).min(10);
    let quoted_end = quoted.map_or(0, |lexed| 1 + usize::from(lexed.open_string));
    let values = [
        log2(bytes.len()),
        log2(raw.tokens().len()),
        if singles == 0 { 0 } else { 1 + singles % 2 },
        if doubles == 0 { 0 } else { 1 + doubles % 2 },
        usize::from(raw.open_string) + 2 * quoted_end,
        usize::from(depth_min < 0) + 2 * usize::from(depth > 0),
        raw.mixed_case.min(3),
        decoded.rounds + 3 * usize::from(decoded.plus),
        usize::from(raw.starts_statement()) + 2 * usize::from(raw.ends_in_comment()),
        raw.keywords.min(11),
        share(marks),
        share(digits),
        raw.comments.min(4) + 5 * usize::from(text.len() > HEAD_BYTES + TAIL_BYTES),
        raw.folds.min(3) + 4 * usize::from(!bytes.is_ascii()),
        raw.constants.min(3) + 4 * quoted.map_or(0, |lexed| lexed.constants.min(1)),
        quoted.map_or(0, |lexed| 1 + lexed.keywords.min(10)),
    ];
    slots.scalars(&values, WIDTH);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Vec<i32> {
        let mut out = vec![-1; WIDTH];
        ids(text, &mut out);
        out
    }

    fn check(text: &str) {
        let out = set(text);
        let filled = out.iter().position(|id| *id == 0).unwrap_or(WIDTH);
        assert!(out.iter().skip(filled).all(|id| *id == 0), "padding only at the end");
        let mut seen = out.clone();
        seen.truncate(filled);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), filled, "an id occurs once");
        assert!(seen.iter().all(|id| (1..BUCKETS as i32).contains(id)), "ids in range");
    }

    #[test]
    fn any_text_gives_ids_in_range() {
        for text in ["", "'", "\"", "%", "%2", "%%%", "\0", "\u{1f600}'", "/*", "*/", "--", "'''"] {
            check(text);
        }
        let alphabet: Vec<char> =
            "ab1'\"%2527/*-#;()=,.`\\ \u{e9}\u{ff07}\u{1f4a5}\0\n+@$[!|&<".chars().collect();
        let mut state = 7u64;
        for length in 0..400 {
            let mut text = String::new();
            for _ in 0..length * 9 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.extend(alphabet.get((state >> 33) as usize % alphabet.len()));
            }
            check(&text);
        }
    }

    #[test]
    fn a_short_or_long_buffer_is_filled_as_far_as_it_goes() {
        let mut short = [-1; 5];
        ids("select 1", &mut short);
        assert!(short.iter().all(|id| *id > 0));
        let mut long = vec![-1; WIDTH + 9];
        ids("select 1", &mut long);
        assert_eq!(long.last(), Some(&0));
    }

    #[test]
    fn a_huge_text_is_cut_not_read() {
        let huge = "a'b\"(".repeat(2_000_000);
        let start = std::time::Instant::now();
        check(&huge);
        assert!(start.elapsed() < std::time::Duration::from_millis(100));
    }

    #[test]
    fn encodings_of_one_injection_read_alike() {
        let plain = set("1' UNION SELECT 1,2 -- ");
        let raw = |text| Lexed::of(decode::decode(text, &mut [0; 2049]).bytes, Start::Plain);
        let tokens = raw(b"1' UNION SELECT 1,2 -- ").tokens().to_vec();
        for text in ["1%27+union+select+1,2+--+", "1%2527%20UnIoN%20select%201%2c2%20--%20"] {
            assert_eq!(raw(text.as_bytes()).tokens(), tokens, "{text}");
        }
        assert_ne!(plain, set("1 UNION SELECT 1,2"));
    }

    #[test]
    fn both_ends_of_a_long_text_count() {
        let middle = "lorem ipsum dolor sit amet, ".repeat(500);
        let calm = set(&format!("note {middle}"));
        assert_ne!(calm, set(&format!("note {middle}' OR 1=1 -- ")));
        assert_ne!(calm, set(&format!("' OR 1=1 -- {middle}")));
    }
}

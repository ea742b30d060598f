//! From the bytes as they came to the bytes as the database would read them.

use super::{HEAD_BYTES, TAIL_BYTES};

/// A decoded text, in the caller's buffer.
pub(super) struct Decoded<'a> {
    pub(super) bytes: &'a [u8],
    /// How many rounds of percent decoding changed something: 0..=2.
    pub(super) rounds: usize,
    /// Whether `+` was read as a space.
    pub(super) plus: bool,
}

/// Cuts, then decodes into `buffer`: percent escapes twice (`%27`, `%u0027`), `+` as a space where
/// the text looks like a form value, and what [`fold`] knows.
pub(super) fn decode<'a>(
    text: &[u8],
    buffer: &'a mut [u8; HEAD_BYTES + TAIL_BYTES + 1],
) -> Decoded<'a> {
    let mut length = cut(text, buffer);
    let kept = buffer.get(..length).unwrap_or_default();
    let escaped = kept.contains(&b'%');
    let blank = kept.iter().any(|byte| byte.is_ascii_whitespace());
    let plus = kept.contains(&b'+') && !blank && (escaped || words_joined(kept));

    let mut rounds = 0;
    if escaped {
        while rounds < 2 {
            let (decoded, changed) = percent(buffer, length, plus && rounds == 0);
            length = decoded;
            if !changed {
                break;
            }
            rounds += 1;
        }
    }
    if plus && rounds == 0 {
        let kept = buffer.get_mut(..length).unwrap_or_default();
        kept.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    }
    if !buffer.get(..length).is_some_and(<[u8]>::is_ascii) {
        length = fold(buffer, length);
    }
    Decoded { bytes: buffer.get(..length).unwrap_or_default(), rounds, plus }
}

/// Head and tail of the text with a line feed between them, or all of it.
fn cut(text: &[u8], buffer: &mut [u8]) -> usize {
    let (head, tail): (&[u8], &[u8]) = if text.len() > HEAD_BYTES + TAIL_BYTES {
        (
            text.get(..HEAD_BYTES).unwrap_or_default(),
            text.get(text.len() - TAIL_BYTES..).unwrap_or_default(),
        )
    } else {
        (text, &[])
    };
    let gap: &[u8] = if tail.is_empty() { b"" } else { b"\n" };
    let mut length = 0;
    for (slot, byte) in buffer.iter_mut().zip(head.iter().chain(gap).chain(tail)) {
        *slot = *byte;
        length += 1;
    }
    length
}

/// Whether a `+` stands between characters that a plus sign in a formula would not join.
fn words_joined(text: &[u8]) -> bool {
    text.windows(3).any(|window| {
        matches!(window, [before, b'+', after]
            if (before.is_ascii_alphabetic() || matches!(before, b'\'' | b'"' | b')' | b'/'))
                && (after.is_ascii_alphabetic() || matches!(after, b'-' | b'#' | b'/')))
    })
}

/// One round of percent decoding in place: the new length, and whether anything was decoded.
fn percent(buffer: &mut [u8], length: usize, plus: bool) -> (usize, bool) {
    let mut read = 0;
    let mut write = 0;
    let mut changed = false;
    while let Some(&byte) = buffer.get(read).filter(|_| read < length) {
        let rest = buffer.get(read + 1..length).unwrap_or_default();
        let (value, used) = match (byte, rest) {
            (b'%', [b'u' | b'U', a, b, c, d, ..]) => match (hex(*a), hex(*b), hex(*c), hex(*d)) {
                (Some(0), Some(0), Some(high), Some(low)) => (high << 4 | low, 6),
                (Some(15), Some(15), Some(high), Some(low)) if high < 6 => {
                    ((high << 4 | low).wrapping_add(0x20), 6)
                }
                _ => (byte, 1),
            },
            (b'%', [high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (byte, 1),
            },
            (b'+', _) if plus => (b' ', 1),
            _ => (byte, 1),
        };
        changed |= used > 1;
        if let Some(slot) = buffer.get_mut(write) {
            *slot = value;
        }
        write += 1;
        read += used;
    }
    (write, changed)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// In place: full-width forms U+FF01..=U+FF5E (`EF BC 81` ..= `EF BD 9E`) and typographic quotes,
/// which some databases fold to ASCII, and the no-break space, which MySQL skips.
fn fold(buffer: &mut [u8], length: usize) -> usize {
    let mut read = 0;
    let mut write = 0;
    let mut before = b' ';
    while let Some(&byte) = buffer.get(read).filter(|_| read < length) {
        let (value, used) = match (byte, buffer.get(read + 1..length)) {
            (0xEF, Some([0xBC, low @ 0x81..=0xBF, ..])) => (low - 0x60, 3),
            (0xEF, Some([0xBD, low @ 0x80..=0x9E, ..])) => (low - 0x20, 3),
            (0xE2, Some([0x80, 0x98 | 0x99 | 0xB2, ..])) => (b'\'', 3),
            (0xE2, Some([0x80, 0x9C | 0x9D, ..])) => (b'"', 3),
            (0xCA, Some([0xB9 | 0xBC, ..])) => (b'\'', 2),
            (0xC2, Some([0xA0, ..])) => (b' ', 2),
            (0xA0, _) if before.is_ascii() => (b' ', 1),
            _ => (byte, 1),
        };
        before = byte;
        if let Some(slot) = buffer.get_mut(write) {
            *slot = value;
        }
        write += 1;
        read += used;
    }
    write
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        let mut buffer = [0; HEAD_BYTES + TAIL_BYTES + 1];
        String::from_utf8_lossy(decode(input.as_bytes(), &mut buffer).bytes).into_owned()
    }

    #[test]
    fn decodes_what_a_server_would() {
        assert_eq!(text("a%27+or+1%3d1"), "a' or 1=1");
        assert_eq!(text("a%2527"), "a'");
        assert_eq!(text("%u0027%uff07"), "''");
        assert_eq!(text("\u{ff07}\u{ff4f}\u{ff52}"), "'or");
        assert_eq!(text("1%a0or\u{a0}1"), "1 or 1");
        assert_eq!(text("1\u{2019} or \u{201c}"), "1' or \"");
        assert_eq!(text("caf\u{e9} \u{c4}\u{a0}"), "caf\u{e9} \u{c4} ");
        assert_eq!(text("1+1"), "1+1");
        assert_eq!(text("a + b"), "a + b");
        assert_eq!(text("100%"), "100%");
        assert_eq!(text("%zz%4"), "%zz%4");
    }
}

//! From the bytes of one part as they were sent to the bytes as an application would read them.

/// What was undone on the way; each is a hint of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Undone {
    /// Rounds of percent decoding that changed something, 0..=3.
    pub(super) percent: u8,
    /// HTML entities.
    pub(super) entities: bool,
    /// `\x3c`, `\u003c`.
    pub(super) escapes: bool,
    /// UTF-8 longer than needed, `%u` and full-width forms.
    pub(super) disguised: bool,
}

/// How a part was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Percent escapes, and `+` for a blank: queries and forms.
    Form,
    /// Percent escapes: paths, cookies, headers.
    Percent,
    /// As it is: bodies. Percent escapes are undone all the same, an application may.
    Plain,
}

/// Rounds of percent decoding: the server's own, and two that attackers rely on.
const ROUNDS: u8 = 3;

/// Appends the decoded bytes of a part to `out`.
pub(super) fn decode(text: &[u8], written: Written, out: &mut Vec<u8>) -> Undone {
    let mut undone = Undone::default();
    let from = out.len();
    out.extend_from_slice(text);
    if written == Written::Form && text.contains(&b'+') {
        let added = out.get_mut(from..).unwrap_or_default();
        added.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    }
    while undone.percent < ROUNDS && has(out, from, b'%') {
        if !rewrite(out, from, |rest| percent(rest, &mut undone.disguised)) {
            break;
        }
        undone.percent += 1;
    }
    if has(out, from, b'&') {
        undone.entities = rewrite(out, from, entity);
    }
    if has(out, from, b'\\') {
        undone.escapes = rewrite(out, from, escape);
    }
    if !out.get(from..).is_some_and(<[u8]>::is_ascii) {
        undone.disguised |= rewrite(out, from, narrow);
    }
    undone
}

fn has(bytes: &[u8], from: usize, byte: u8) -> bool {
    bytes.get(from..).is_some_and(|rest| rest.contains(&byte))
}

/// Replaces in place what `read` recognises at the head of the rest: the byte that stands for
/// it, and how many bytes it takes. Whether anything was replaced.
fn rewrite(
    bytes: &mut Vec<u8>,
    from: usize,
    mut read: impl FnMut(&[u8]) -> Option<(u8, usize)>,
) -> bool {
    let (mut at, mut to) = (from, from);
    while let Some(&byte) = bytes.get(at) {
        let found = bytes.get(at..).and_then(&mut read);
        let (byte, used) = found.unwrap_or((byte, 1));
        if let Some(slot) = bytes.get_mut(to) {
            *slot = byte;
        }
        to += 1;
        at += used.max(1);
    }
    let changed = to < bytes.len();
    bytes.truncate(to);
    changed
}

/// `%27`, `%u0027`, `%uff07`, and the overlong `%c0%af`.
fn percent(rest: &[u8], disguised: &mut bool) -> Option<(u8, usize)> {
    let [b'%', tail @ ..] = rest else { return None };
    if let [b'u' | b'U', digits @ ..] = tail {
        let byte = wide(digits)?;
        *disguised = true;
        return Some((byte, 6));
    }
    let byte = pair(tail)?;
    if matches!(byte, 0xc0 | 0xc1)
        && let [_, _, b'%', low @ ..] = tail
        && let Some(low) = pair(low).filter(|low| (0x80..0xc0).contains(low))
    {
        *disguised = true;
        return Some(((byte & 1) << 6 | (low & 0x3f), 6));
    }
    Some((byte, 3))
}

fn pair(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    Some(hex(*high)? << 4 | hex(*low)?)
}

/// Four digits of a code point that has a plain byte: ASCII, Latin-1 and full-width forms.
fn wide(digits: &[u8]) -> Option<u8> {
    let (high, low) = (pair(digits)?, pair(digits.get(2..)?)?);
    match high {
        0 => Some(low),
        0xff if low < 0x5f => Some(low + 0x20),
        _ => None,
    }
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// `&lt;`, `&#60;`, `&#x3c;`; the semicolon may be missing after numbers.
fn entity(rest: &[u8]) -> Option<(u8, usize)> {
    const NAMED: [(&[u8], u8); 14] = [
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&apos;", b'\''),
        (b"&amp;", b'&'),
        (b"&nbsp;", b' '),
        (b"&tab;", b' '),
        (b"&newline;", b' '),
        (b"&colon;", b':'),
        (b"&lpar;", b'('),
        (b"&rpar;", b')'),
        (b"&sol;", b'/'),
        (b"&lbrace;", b'{'),
        (b"&rbrace;", b'}'),
    ];
    if let [b'&', b'#', tail @ ..] = rest {
        let (radix, digits, lead) = match tail {
            [b'x' | b'X', digits @ ..] => (16, digits, 3),
            digits => (10, digits, 2),
        };
        let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
        let length = digits.iter().take(8).take_while(is_digit).count();
        let digits = std::str::from_utf8(digits.get(..length)?).ok()?;
        let byte = u8::try_from(u32::from_str_radix(digits, radix).ok()?).ok()?;
        let closed = rest.get(lead + length) == Some(&b';');
        return Some((byte, lead + length + usize::from(closed)));
    }
    let start = |name: &[u8]| rest.get(..name.len()).is_some_and(|s| s.eq_ignore_ascii_case(name));
    NAMED.iter().find(|(name, _)| start(name)).map(|(name, byte)| (*byte, name.len()))
}

/// `\x3c`, `\u003c`, `\u{3c}`.
fn escape(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [b'\\', b'x', tail @ ..] => Some((pair(tail)?, 4)),
        [b'\\', b'u', b'{', tail @ ..] => {
            let length = tail.iter().take(6).position(|byte| *byte == b'}')?;
            let digits = std::str::from_utf8(tail.get(..length)?).ok()?;
            let byte = u8::try_from(u32::from_str_radix(digits, 16).ok()?).ok()?;
            Some((byte, length + 4))
        }
        [b'\\', b'u', tail @ ..] => Some((wide(tail)?, 6)),
        _ => None,
    }
}

/// Full-width forms, typographic quotes, the no-break space, and overlong ASCII.
fn narrow(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [0xef, 0xbc, low @ 0x81..=0xbf, ..] => Some((low - 0x60, 3)),
        [0xef, 0xbd, low @ 0x80..=0x9e, ..] => Some((low - 0x20, 3)),
        [0xc2, 0xa0, ..] => Some((b' ', 2)),
        [high @ (0xc0 | 0xc1), low @ 0x80..=0xbf, ..] => Some(((high & 1) << 6 | (low & 0x3f), 2)),
        _ => None,
    }
}

/// The bytes that a Base64 text stands for, as far as `bytes_max`; `None` when it is no text of
/// that kind or stands for something that is no text.
pub(super) fn base64(text: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes_max.min(text.len()));
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().take(bytes_max / 3 * 4) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' | b' ' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    let readable = |byte: &&u8| matches!(**byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    let good = out.iter().filter(readable).count();
    (out.len() >= 12 && good * 20 >= out.len() * 19).then_some(out)
}

/// Whether a text can be nothing but Base64: its alphabet, and all kinds of characters in it.
pub(super) fn looks_base64(text: &[u8]) -> bool {
    let body = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let Some(body) = text.get(..body).filter(|body| body.len() >= 20) else { return false };
    let all = body
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b' '));
    // A `+` that a client did not escape was read as a blank.
    let blanks = body.iter().filter(|byte| **byte == b' ').count();
    let slashes = body.iter().filter(|byte| **byte == b'/').count();
    all && slashes * 10 <= body.len() + 10
        && blanks * 16 <= body.len()
        && body.iter().any(u8::is_ascii_uppercase)
        && body.iter().any(u8::is_ascii_lowercase)
        && (body.iter().any(u8::is_ascii_digit) || body.len() < text.len() || body.len() > 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str, written: Written) -> (String, Undone) {
        let mut out = b"before ".to_vec();
        let undone = decode(input.as_bytes(), written, &mut out);
        (String::from_utf8_lossy(&out[7..]).into_owned(), undone)
    }

    #[test]
    fn disguises_are_undone_and_noted() {
        for input in [
            "<a>",
            "%3ca%3E",
            "%253ca%253e",
            "%25253ca%25253e",
            "&lt;a&gt;",
            "&#60;a&#x3e",
            "\\x3ca\\u003e",
            "%u003ca%uff1e",
            "%c0%bca\u{ff1e}",
        ] {
            let (read, undone) = text(input, Written::Percent);
            assert_eq!(read, "<a>", "{input}");
            assert_eq!(undone == Undone::default(), input == "<a>");
        }
        assert_eq!(text("a+b%2B1", Written::Form).0, "a b+1");
        assert_eq!(text("a+b", Written::Percent).0, "a+b");
        assert_eq!(
            text("100% of %zz &c \\n &#; \\u{zz} %u12", Written::Plain).0,
            "100% of %zz &c \\n &#; \\u{zz} %u12"
        );
    }

    #[test]
    fn base64_of_text_is_read_and_other_base64_left() {
        let read =
            |t: &str| base64(t.as_bytes(), 300).map(|b| String::from_utf8_lossy(&b).into_owned());
        assert_eq!(
            read("PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="),
            Some("<script>alert(1)</script>".into())
        );
        assert_eq!(read("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"), None);
        assert!(looks_base64(b"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="));
        assert!(!looks_base64(b"/var/www/html/index/config/database"));
        assert!(!looks_base64(b"helloworldhowareyoutodayfine"));
    }
}

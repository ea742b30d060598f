//! The names and texts in a JSON document, without building it, and as far as it goes.

/// What the scanner found.
pub(super) enum Found<'a> {
    /// A member's name.
    Name(&'a [u8]),
    /// A text.
    Text(&'a [u8]),
}

/// Whether a text can be a JSON object or list.
pub(super) fn begins(text: &[u8]) -> bool {
    let mut rest = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    matches!(
        (rest.next(), rest.next()),
        (Some(b'{'), Some(b'"' | b'}'))
            | (
                Some(b'['),
                Some(b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
            )
    )
}

/// Calls `each` with every name and every text, escapes undone but for `\uXXXX` beyond a byte.
/// False when this is no JSON, and so must be read as plain text; a document that merely ends
/// early is fine, since logs cut.
pub(super) fn scan(text: &[u8], each: &mut dyn FnMut(Found<'_>)) -> bool {
    let mut at = 0;
    let mut buffer = Vec::new();
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string(text, at + 1, &mut buffer);
                let rest = text.get(at..).unwrap_or_default();
                let next = rest.iter().find(|byte| !byte.is_ascii_whitespace());
                match next {
                    Some(b':') => each(Found::Name(&buffer)),
                    Some(b',' | b'}' | b']') | None => each(Found::Text(&buffer)),
                    Some(_) => return false,
                }
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => at += 1,
            _ if byte.is_ascii_whitespace() => at += 1,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                let rest = text.get(at..).unwrap_or_default();
                let inner = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+');
                let length = rest.iter().take_while(inner).count();
                let word = rest.get(..length).unwrap_or_default();
                let whole = at + length >= text.len();
                let number = word.iter().all(|b| b.is_ascii_digit() || b".-+eE".contains(b));
                if !number && !matches!(word, b"true" | b"false" | b"null") && !whole {
                    return false;
                }
                at += length;
            }
            _ => return false,
        }
    }
    true
}

/// Reads a string that began before `at` into `buffer`; where it ends.
fn string(text: &[u8], mut at: usize, buffer: &mut Vec<u8>) -> usize {
    buffer.clear();
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => return at,
            b'\\' => {
                let escape = text.get(at).copied().unwrap_or(b'\\');
                at += 1;
                match escape {
                    b'n' => buffer.push(b'\n'),
                    b'r' => buffer.push(b'\r'),
                    b't' => buffer.push(b'\t'),
                    b'b' | b'f' => buffer.push(b' '),
                    b'u' => at += unicode(text.get(at..).unwrap_or_default(), buffer),
                    other => buffer.push(other),
                }
            }
            _ => buffer.push(byte),
        }
    }
    at
}

/// `\uXXXX` as UTF-8; how many bytes were used.
fn unicode(digits: &[u8], buffer: &mut Vec<u8>) -> usize {
    let code = digits.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(code) = code else {
        buffer.extend_from_slice(b"\\u");
        return 0;
    };
    let letter = char::from_u32(code).unwrap_or('\u{fffd}');
    buffer.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        let good = scan(text.as_bytes(), &mut |part| {
            found.push(match part {
                Found::Name(name) => format!("{}:", String::from_utf8_lossy(name)),
                Found::Text(text) => String::from_utf8_lossy(text).into_owned(),
            });
        });
        (found, good)
    }

    #[test]
    fn names_and_texts_are_found() {
        let (found, good) =
            texts(r#"{"a": ["x\"y", 1.5e3, true], "b\u0027": {"c": "\u003cb>\n"}}"#);
        assert!(good);
        assert_eq!(found, ["a:", "x\"y", "b':", "c:", "<b>\n"]);
    }

    #[test]
    fn a_cut_document_is_read_and_no_document_is_refused() {
        assert_eq!(texts(r#"{"a": "half a te"#), (vec!["a:".into(), "half a te".into()], true));
        for text in [r#"{"a": "b" or 1=1}"#, "[1' or 1=1]", "{\"a\": alert(1)}"] {
            assert!(!texts(text).1, "{text}");
        }
        assert!(begins(b" [{\"a\":1}]") && !begins(b"{{7*7}}") && !begins(b"${x}"));
    }
}

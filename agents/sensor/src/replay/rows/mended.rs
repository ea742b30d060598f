//! Lines that other programs call JSON and the standard does not: halves of surrogate pairs as
//! escapes (how Python writes bytes that are no text), `NaN` and `Infinity`, bytes that are no
//! UTF-8. What cannot be a character becomes U+FFFD, what is no number becomes null.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// The object that a line holds, mended where it has to be; the error is that of the line as it is.
pub(super) fn object(line: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    serde_json::from_slice(line).or_else(|error| {
        let text = String::from_utf8_lossy(line);
        serde_json::from_str(&mended(&text)).map_err(|_| error)
    })
}

/// The text with escapes and words replaced; the same where there are none.
fn mended(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let (mut at, mut quoted) = (0, false);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (len, instead) = match (quoted, rest.as_bytes().first()) {
            (_, Some(b'"')) => {
                quoted = !quoted;
                (1, None)
            }
            (true, Some(b'\\')) => {
                match (surrogate(rest), surrogate(rest.get(6..).unwrap_or(""))) {
                    (Some(false), Some(true)) => (12, None),
                    (Some(_), _) => (6, Some("\\ufffd")),
                    // Whatever is escaped ends no text.
                    (None, _) => (1 + rest.chars().nth(1).map_or(0, char::len_utf8), None),
                }
            }
            (false, Some(b'N' | b'I' | b'-')) => {
                let words = ["NaN", "Infinity", "-Infinity"];
                let word = words.iter().find(|word| rest.starts_with(**word));
                word.map_or((1, None), |word| (word.len(), Some("null")))
            }
            _ => (rest.chars().next().map_or(1, char::len_utf8), None),
        };
        if let Some(instead) = instead {
            out.push_str(text.get(kept..at).unwrap_or_default());
            out.push_str(instead);
            kept = at + len;
        }
        at += len;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a text begins with the escape of half a pair, and whether that is the second half.
fn surrogate(text: &str) -> Option<bool> {
    let code = u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
    (0xd800..=0xdfff).contains(&code).then_some(code >= 0xdc00)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_character_or_number_is_replaced_and_all_else_is_kept() {
        for (line, want) in [
            (&br#"{"a": "x\udc80y"}"#[..], json!({"a": "x\u{fffd}y"})),
            (br#"{"a": "\ud83d\ude00\ud83d"}"#, json!({"a": "\u{1f600}\u{fffd}"})),
            (br#"{"a": "\ud83d\u0041"}"#, json!({"a": "\u{fffd}A"})),
            (
                br#"{"a": "\\udc80 NaN \"\udcff\" Infinity"}"#,
                json!({"a": "\\udc80 NaN \"\u{fffd}\" Infinity"}),
            ),
            (
                br#"{"a": NaN, "b": -Infinity, "c": [Infinity, -1]}"#,
                json!({"a": null, "b": null, "c": [null, -1]}),
            ),
            (b"{\"a\": \"\xff\xfe\"}", json!({"a": "\u{fffd}\u{fffd}"})),
            (b"\xef\xbb\xbf{\"a\": 1}", json!({"a": 1})),
        ] {
            assert_eq!(object(line).map(Value::Object).ok(), Some(want), "{line:?}");
        }
        for line in [&b"{\"a\": \"\\udc80\""[..], b"[]", b"NaN", b"", b"\\", b"\"\\"] {
            assert!(object(line).is_err(), "{line:?}");
        }
    }
}

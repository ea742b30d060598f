//! How much was read or sent, as the evidence says it: never computed, never guessed.

/// Units that are an amount of data, as a reason or an excerpt writes them.
const UNITS: &[&str] = &[
    "row", "rows", "record", "records", "byte", "bytes", "kb", "mb", "gb", "tb", "kib", "mib",
    "gib", "tib", "file", "files", "object", "objects",
];
/// Fields of a body that hold an amount, and the unit of each.
const FIELDS: &[(&str, &str)] =
    &[("rows", "rows"), ("bytes_out", "bytes"), ("bytes", "bytes"), ("net_bytes", "bytes")];

/// Amounts that a text names, in its order: `18250 rows`, `rows=18250`, `"bytes_out": 4096`.
pub(super) fn in_text(text: &str) -> Vec<String> {
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | ',')))
        .map(|w| w.trim_matches(['.', ',']))
        .filter(|w| !w.is_empty())
        .collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        let [first, second] = pair else { continue };
        let unit = second.to_ascii_lowercase();
        if is_number(first) && UNITS.contains(&unit.as_str()) {
            found.push(format!("{first} {second}"));
        } else if is_number(second)
            && let Some((_, unit)) = FIELDS.iter().find(|(field, _)| field == first)
        {
            found.push(format!("{second} {unit}"));
        }
    }
    found.dedup();
    found
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.len() <= 24
        && word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','))
}

#[cfg(test)]
mod tests {
    use super::in_text;

    #[test]
    fn amounts_are_read_as_written_and_nothing_else_is() {
        for (text, want) in [
            ("18,250 rows, 41 times the usual", vec!["18,250 rows"]),
            ("rows=18250 bytes_out=4.5", vec!["18250 rows", "4.5 bytes"]),
            (r#"{"rows": 12, "user": "x"}"#, vec!["12 rows"]),
            ("sent 3.5 MB in 9 files.", vec!["3.5 MB", "9 files"]),
            ("WHERE id = 1 OR 1=1", vec![]),
            ("rows were read", vec![]),
        ] {
            assert_eq!(in_text(text), want, "{text}");
        }
    }
}

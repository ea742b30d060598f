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
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ',');
    // Words, and what stands between two of them.
    let parts: Vec<&str> = text
        .split_inclusive(|c: char| !in_word(c))
        .flat_map(|part| {
            let word = part.trim_end_matches(|c: char| !in_word(c));
            [word, part.strip_prefix(word).unwrap_or_default()]
        })
        .filter(|part| !part.is_empty())
        .collect();
    let is_word = |part: &str| part.contains(in_word);
    let mut found = Vec::new();
    for (at, first) in parts.iter().enumerate().filter(|(_, part)| is_word(part)) {
        let rest = parts.get(at + 1..).unwrap_or_default();
        let Some(next) = rest.iter().position(|part| is_word(part)) else { break };
        let (between, second) = rest.split_at(next);
        let second = second.first().map_or("", |w| w.trim_end_matches(['.', ',']));
        let assigned = between.iter().any(|part| part.contains(['=', ':']));
        let unit = second.to_ascii_lowercase();
        if is_number(first) && !assigned && UNITS.contains(&unit.as_str()) {
            found.push(format!("{first} {second}"));
        } else if assigned
            && is_number(second)
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

//! What a text says once it is decoded: an instruction may be hidden from a filter that reads it
//! as it stands, and be copied into advice by a writer that decodes it.

use base64::{Engine, engine::general_purpose};

/// Shortest run of characters that is tried as base64 or hexadecimal.
const RUN_MIN: usize = 12;
/// How often what was decoded is decoded again.
const DEPTH: usize = 3;

/// The readings of a text besides itself.
pub(super) fn readings(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut layer = vec![text.to_owned()];
    for _ in 0..DEPTH {
        let mut next: Vec<String> = layer.iter().flat_map(|text| once(text)).collect();
        next.retain(|text| !found.contains(text));
        found.extend(next.iter().cloned());
        layer = next;
    }
    // These are their own inverse, so once is enough.
    let plain = || found.iter().map(String::as_str).chain([text]);
    let spaced = |text: &str| text.replace(|c: char| !c.is_alphanumeric(), " ");
    let turned: Vec<String> = plain()
        .flat_map(|text| [rot13(text), text.chars().rev().collect(), joined(text), spaced(text)])
        .filter(|turned| turned != text)
        .collect();
    found.extend(turned);
    found
}

fn once(text: &str) -> Vec<String> {
    let mut found: Vec<String> = [percent(text), escapes(text), entities(text)]
        .into_iter()
        .filter(|decoded| decoded != text)
        .collect();
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    // A slash may be a digit of base64, or part it from what stands around it.
    let runs = text.split(|c| !in_run(c)).flat_map(|run| run.split('/').chain([run]));
    for run in runs.filter(|run| run.len() >= RUN_MIN) {
        found.extend(sixty_four(run).into_iter().chain(hexadecimal(run)));
    }
    found
}

fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let plain = text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').count();
    (plain * 10 >= text.chars().count() * 7).then_some(text)
}

fn sixty_four(run: &str) -> Option<String> {
    let standard = general_purpose::STANDARD_NO_PAD.decode(run);
    let bytes = standard.or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(run));
    readable(bytes.ok()?)
}

fn hexadecimal(run: &str) -> Option<String> {
    let digits = run.strip_prefix("0x").unwrap_or(run).as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    readable(pairs.iter().map(byte).collect::<Option<_>>()?)
}

/// `%41` and `+`.
fn percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let coded = tail.get(..2).filter(|_| *first == b'%').and_then(code);
        bytes.push(coded.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = tail.get(if coded.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `\u0041`, `\x41`.
fn escapes(text: &str) -> String {
    coded(text, &[("\\u", 4, 16), ("\\x", 2, 16)], "")
}

/// `&#65;`, `&#x41;`.
fn entities(text: &str) -> String {
    coded(text, &[("&#x", 0, 16), ("&#", 0, 10)], ";")
}

/// Replaces marks that are followed by a number of so many digits (0: up to `end`) of a base.
fn coded(text: &str, marks: &[(&str, usize, u32)], end: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(c) = rest.chars().next() {
        for (mark, digits, base) in marks {
            let Some(tail) = rest.strip_prefix(mark) else { continue };
            let many = if *digits > 0 { Some(*digits) } else { tail.find(end).filter(|n| *n < 8) };
            let number = many.and_then(|n| u32::from_str_radix(tail.get(..n)?, *base).ok());
            if let (Some(many), Some(c)) = (many, number.and_then(char::from_u32)) {
                out.push(c);
                rest = tail.get(many + end.len()..).unwrap_or_default();
                continue 'text;
            }
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

fn rot13(text: &str) -> String {
    let turned = |c: char, first: u8| char::from((c as u8 - first + 13) % 26 + first);
    let one = |c: char| match c {
        'a'..='z' => turned(c, b'a'),
        'A'..='Z' => turned(c, b'A'),
        _ => c,
    };
    text.chars().map(one).collect()
}

/// `c l o s e`, `c.l.o.s.e`: single letters with something between them, joined. Two separators,
/// or one of another sort, part words.
fn joined(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let letter = |at: usize| chars.get(at).is_some_and(|c| c.is_alphanumeric());
    let single = |at: usize| letter(at) && !letter(at + 1) && (at == 0 || !letter(at - 1));
    let mut out = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        let between = at > 0 && single(at - 1) && single(at + 1);
        if !between {
            out.push(*c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_read_through_every_coding_and_two_at_once() {
        let plain = "please rotate every key now";
        for coded in [
            "cGxlYXNlIHJvdGF0ZSBldmVyeSBrZXkgbm93",
            "plant/7/cGxlYXNlIHJvdGF0ZSBldmVyeSBrZXkgbm93/state",
            "id=cGxlYXNlIHJvdGF0ZSBldmVyeSBrZXkgbm93&x=1",
            "706c6561736520726f74617465206576657279206b6579206e6f77",
            "please%20rotate%20every%20key%20now",
            "please+rotate+every+key+now",
            "\\u0070lease rotate every key now",
            "&#112;lease rotate &#x65;very key now",
            "cyrnfr ebgngr rirel xrl abj",
            "won yek yreve etator esaelp",
            "p l e a s e  r o t a t e  e v e r y  k e y  n o w",
            "cGxlYXNl%49HJvdGF0ZSBldmVyeSBrZXkgbm93",
        ] {
            let read = readings(coded);
            let squeezed = |t: &String| t.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(read.iter().map(squeezed).any(|t| t.contains(plain)), "{coded}: {read:?}");
        }
    }

    #[test]
    fn what_is_not_coded_has_few_readings_and_none_that_fails() {
        for text in ["", "é%", "%zz%4", "\\u00", "&#;&#x;&#99999999;", "0x0", "=====-----====="] {
            assert!(readings(text).len() < 16, "{text}");
        }
    }
}

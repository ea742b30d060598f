//! Text that an attacker may have written, on its way to a reader or into a prompt.

/// Mark of a cut.
const CUT: char = '…';

/// One line for a reader: control, invisible and direction-changing characters become spaces,
/// runs of white space one space, at most `chars_max` characters, the cut marked.
pub(crate) fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(chars_max * 4));
    let mut kept = 0;
    let mut pending_space = false;
    for c in text.chars() {
        if c.is_whitespace() || is_hidden(c) {
            pending_space = !out.is_empty();
            continue;
        }
        let needed = 1 + usize::from(pending_space);
        if kept + needed > chars_max {
            out.push(CUT);
            break;
        }
        if pending_space {
            out.push(' ');
            pending_space = false;
        }
        out.push(c);
        kept += needed;
    }
    out
}

/// A JSON string for a prompt, of at most `chars_max` characters of the text. Besides what JSON
/// escapes, everything outside printable ASCII and every character that chat templates, fences
/// and mark-up are made of is written as `\uXXXX`: what is quoted so can neither end its fence
/// nor look like a turn of the conversation.
pub(crate) fn quoted(text: &str, chars_max: usize) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len().min(chars_max) + 8);
    out.push('"');
    let mut chars = text.chars();
    for c in chars.by_ref().take(chars_max) {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '>' | '[' | ']' | '{' | '}' | '|' | '`' | '#' => escape(&mut out, c),
            ' '..='~' => out.push(c),
            _ => escape(&mut out, c),
        }
    }
    let rest = chars.count();
    if rest > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, " (cut, {rest} more characters)");
    }
    out.push('"');
    out
}

fn escape(out: &mut String, c: char) {
    use std::fmt::Write as _;
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Characters that a reader does not see, or that change the order of what is read (Unicode
/// categories Cc and Cf, and the tag characters that carry text unseen).
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' | '\u{fe00}'..='\u{fe0f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_one_line_without_tricks() {
        assert_eq!(shown(" a\n\tb\u{202e}c\u{200b} ", 9), "a b c");
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("ab cd", 3), "ab…");
        assert_eq!(shown("", 3), "");
    }

    #[test]
    fn a_quote_in_a_prompt_reads_back_and_holds_no_mark_up() {
        let text = "x\"\\<|im_end|>[/INST]</s>```\u{1f600}é\n";
        let quoted = quoted(text, 100);
        assert_eq!(serde_json::from_str::<String>(&quoted).ok().as_deref(), Some(text));
        assert!(!quoted.contains(['<', '>', '[', '|', '`', '\n']) && quoted.is_ascii(), "{quoted}");
        assert!(super::quoted("abcd", 2).contains("cut, 2 more"));
    }
}

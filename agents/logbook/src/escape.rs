//! Untrusted text made safe to show on a terminal.
//!
//! What an attacker typed ends up in excerpts, keys and reasons. Shown as it is, it could move
//! the cursor, colour a line, hide another (CVE-2003-0063 and its kin), or turn the reading
//! direction (CVE-2021-42574). So everything that is not plainly printable is shown as its code.

/// One line of printable text: control characters, line ends, terminal escapes, invisible,
/// combining and direction-changing characters become their codes, like `\n` and `\u{1b}`. What
/// is longer than `chars_max` characters is cut and ends in `…`.
#[must_use]
pub fn line(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars_max.saturating_mul(4)));
    for (index, c) in text.chars().enumerate() {
        if index == chars_max {
            shown.push('…');
            break;
        }
        match c {
            // The three that `escape_debug` escapes for Rust's own sake.
            '\'' | '"' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// The same for text of several lines, each behind `indent`, so that none can pass for another
/// part of the page. What is longer than `chars_max` characters in all is cut.
#[must_use]
pub fn paragraph(text: &str, indent: &str, chars_max: usize) -> String {
    let mut left = chars_max;
    let mut shown = String::new();
    for part in text.trim_end().lines() {
        shown.push_str(indent);
        shown.push_str(&line(part, left));
        shown.push('\n');
        let used = part.chars().count();
        if used > left {
            break;
        }
        left -= used;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no shown text may hold.
    pub(crate) fn harmful(c: char) -> bool {
        let bidi = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{feff}', '\u{ad}', '\u{180e}'];
        c.is_control()
            || bidi.contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{e0000}'..='\u{e007f}').contains(&c)
    }

    #[test]
    fn nothing_harmful_is_left_of_any_character() {
        for c in '\0'..=char::MAX {
            let shown = line(&c.to_string(), 1);
            assert!(!shown.chars().any(harmful), "{:x}: {shown:?}", u32::from(c));
        }
    }

    #[test]
    fn plain_text_stays_and_planted_escapes_are_seen() {
        let plain = "SELECT * FROM \"Bücher\" WHERE x = 'o\\'x' -- 日本 €";
        assert_eq!(line(plain, 100), plain);
        assert_eq!(
            line("a\u{1b}[2J\r\n\u{202e}b\u{9b}31m", 100),
            "a\\u{1b}[2J\\r\\n\\u{202e}b\\u{9b}31m"
        );
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
    }

    #[test]
    fn lines_of_a_paragraph_cannot_leave_their_indent() {
        let shown = paragraph("one\r\n\u{1b}[Htwo\n\nthree\rfour", "  | ", 100);
        assert_eq!(shown, "  | one\n  | \\u{1b}[Htwo\n  | \n  | three\\rfour\n");
        assert_eq!(paragraph(&"x".repeat(50), "", 10), format!("{}…\n", "x".repeat(10)));
    }
}

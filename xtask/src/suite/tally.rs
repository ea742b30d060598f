//! How many tests passed, as the runners themselves say it.

use std::fmt;

/// Counts over any number of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Tests that were run.
    pub(super) fn ran(self) -> u64 {
        self.passed + self.failed
    }

    /// Something ran, and nothing failed.
    pub(super) fn is_good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    /// Adds another run.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Counts a line of a runner's output, when it is a summary.
    pub(super) fn read(&mut self, line: &str) {
        let line = plain(line);
        let line = line.trim();
        // libtest: `test result: ok. 5 passed; 0 failed; 1 ignored; …`
        if let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        {
            self.count(counts, ';');
        // nextest: `Summary [   1.2s] 6 tests run: 4 passed (1 slow), 2 failed, 1 skipped`
        } else if let Some((head, counts)) = line.split_once(" run: ")
            && head.starts_with("Summary [")
        {
            self.count(&without_parentheses(counts), ',');
        }
    }

    fn count(&mut self, counts: &str, separator: char) {
        for part in counts.split(separator) {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what.trim() {
                "passed" => self.passed += number,
                "failed" | "timed out" | "exec failed" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// A line without terminal colours (`ESC [ … letter`).
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            text.push(c);
            continue;
        }
        chars.by_ref().take_while(|c| !c.is_ascii_alphabetic()).for_each(drop);
    }
    text
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    let outside = text.chars().filter(|c| match c {
        '(' => {
            depth += 1;
            false
        }
        ')' => {
            depth = depth.saturating_sub(1);
            false
        }
        _ => depth == 0,
    });
    outside.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> String {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        tally.to_string()
    }

    #[test]
    fn both_runners_summaries_are_summed() {
        let lines = [
            "     Summary [   0.011s] 6 tests run: 3 passed (1 slow, 1 leaky), 2 failed, \
             1 timed out, 4 skipped\n",
            "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out\n",
        ];
        assert_eq!(tally(&lines), "10 passed, 3 failed, 5 skipped");
    }

    #[test]
    fn colours_do_not_hide_a_summary_and_other_lines_are_no_summary() {
        let lines = [
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \
             \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped",
            "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped",
            "4 tests run: 4 passed in a dream",
            "test result: none",
        ];
        assert_eq!(tally(&lines), "3 passed, 0 failed, 0 skipped");
    }
}

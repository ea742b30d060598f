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

    fn counted(counts: &str, separator: char) -> Self {
        let mut tally = Self::default();
        for part in counts.split(separator) {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what.trim() {
                "passed" => tally.passed += number,
                "failed" | "timed out" | "exec failed" => tally.failed += number,
                "skipped" | "ignored" => tally.skipped += number,
                _ => {}
            }
        }
        tally
    }
}

/// Reads what a runner prints. Some tests run themselves again in a process of their own, whose
/// runner prints a summary as well: that is not counted, for it is the same test.
#[derive(Debug, Default)]
pub(super) struct Reading {
    libtest: Tally,
    /// How many tests each run of libtest said it would run that has not ended; the outer first.
    begun: Vec<u64>,
    /// nextest shows what its tests print, and counts them itself.
    nextest: Option<Tally>,
}

impl Reading {
    /// What the runner has counted.
    pub(super) fn total(&self) -> Tally {
        self.nextest.unwrap_or(self.libtest)
    }

    /// Reads a line.
    pub(super) fn read(&mut self, line: &str) {
        let line = plain(line);
        let line = line.trim();
        // libtest: `running 6 tests`, and at last `test result: ok. 5 passed; 0 failed; 1 ignored; …`
        if let Some((number, "tests" | "test")) =
            line.strip_prefix("running ").and_then(|rest| rest.split_once(' '))
        {
            self.begun.extend(number.parse::<u64>());
        } else if let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        {
            self.ended(Tally::counted(counts, ';'));
        // nextest: `Summary [   1.2s] 6 tests run: 4 passed (1 slow), 2 failed, 1 skipped`
        } else if let Some((head, counts)) = line.split_once(" run: ")
            && head.starts_with("Summary [")
        {
            let counted = Tally::counted(&without_parentheses(counts), ',');
            self.nextest.get_or_insert_default().add(counted);
        }
    }

    /// A run of libtest has ended: the innermost of as many tests.
    fn ended(&mut self, counted: Tally) {
        let tests = counted.ran() + counted.skipped;
        match self.begun.iter().rposition(|begun| *begun == tests) {
            Some(inner @ 1..) => drop(self.begun.remove(inner)),
            _ => {
                // Whatever has not ended yet was inside it, and never will.
                self.begun.clear();
                self.libtest.add(counted);
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
        let mut reading = Reading::default();
        lines.iter().for_each(|line| reading.read(line));
        reading.total().to_string()
    }

    #[test]
    fn both_runners_summaries_are_summed() {
        let nextest = "     Summary [   0.011s] 6 tests run: 3 passed (1 slow, 1 leaky), 2 failed, \
                       1 timed out, 4 skipped\n";
        assert_eq!(tally(&[nextest, nextest]), "6 passed, 6 failed, 8 skipped");
        let libtest = ["running 8 tests\n", SEVEN];
        assert_eq!(tally(&libtest), "7 passed, 0 failed, 1 skipped");
        assert_eq!(tally(&[libtest, libtest].concat()), "14 passed, 0 failed, 2 skipped");
    }

    const SEVEN: &str =
        "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn what_a_test_prints_that_runs_itself_again_is_not_counted() {
        let own = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out\n";
        let one = "running 1 test\n";
        // Two of them at once, and one that is killed.
        let lines = ["running 8 tests", one, one, "test own ... ok", own, own, one, SEVEN];
        assert_eq!(tally(&lines), "7 passed, 0 failed, 1 skipped");
        assert_eq!(
            tally(&[&lines[..], &[one, one, own, own]].concat()),
            "8 passed, 0 failed, 1 skipped"
        );
        // nextest shows what a test printed that failed, each a run of its own.
        let failed =
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out";
        let summary = "Summary [ 1s] 8 tests run: 7 passed, 1 failed, 0 skipped";
        let lines = [one, failed, one, failed, summary];
        assert_eq!(tally(&lines), "7 passed, 1 failed, 0 skipped");
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

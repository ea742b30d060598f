//! How far long work is: on standard error, where a person looks at it.

use crate::{args::Global, output::Format};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Of so many; the length may be set later.
pub fn bar(global: &Global, what: &str, len: u64) -> ProgressBar {
    let template = format!("{{bar:40}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left");
    made(global, ProgressBar::no_length(), &template, |bar| bar.set_length(len))
}

/// Where nobody knows how much is to come.
pub fn counter(global: &Global, what: &str) -> ProgressBar {
    let template = format!("{{spinner}} {{pos}} {what}, {{per_sec}}, {{elapsed}}");
    made(global, ProgressBar::new_spinner(), &template, |_| {})
}

fn made(
    global: &Global,
    bar: ProgressBar,
    template: &str,
    begin: impl FnOnce(&ProgressBar),
) -> ProgressBar {
    if !is_shown(global.output, std::io::stderr().is_terminal()) {
        return ProgressBar::hidden();
    }
    begin(&bar);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Programs read neither a terminal nor what moves.
fn is_shown(format: Format, is_terminal: bool) -> bool {
    format == Format::Text && is_terminal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_at_a_terminal_sees_it_and_nobody_else() {
        assert!(is_shown(Format::Text, true));
        assert!(!is_shown(Format::Text, false));
        assert!(!is_shown(Format::Json, true));
        assert!(!is_shown(Format::Json, false));
    }
}

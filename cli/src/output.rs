//! Text for people, JSON for programs.

use serde::Serialize;

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// One JSON document, or one JSON object a line.
    Json,
}

impl Format {
    /// Prints a value: its text, or itself as one line of JSON.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) {
        match self {
            Self::Text => print!("{}", text()),
            Self::Json => match serde_json::to_string(value) {
                Ok(json) => println!("{json}"),
                Err(e) => eprintln!("error: cannot be written as JSON: {e}"),
            },
        }
    }
}

/// A table with aligned columns; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

//! Text for people, JSON for programs.

use serde::Serialize;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// One JSON document, or one JSON object a line; errors and notes too, on standard error.
    Json,
}

/// What this process was asked for, for notes from deep below.
static ASKED: OnceLock<Format> = OnceLock::new();

impl Format {
    /// The form of everything that this process says; the first word on it stands.
    pub fn begin(self) {
        ASKED.get_or_init(|| self);
    }

    /// What a command line asks for that could not be understood as a whole.
    pub fn of_args(args: impl Iterator<Item = std::ffi::OsString>) -> Self {
        let args: Vec<_> = args.collect();
        let is =
            |pair: &[std::ffi::OsString]| matches!(pair, [a, b] if a == "--output" && b == "json");
        let json = args.windows(2).any(is) || args.iter().any(|arg| arg == "--output=json");
        if json { Self::Json } else { Self::Text }
    }

    /// Prints a value: its text, or itself as one line of JSON.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) {
        match self {
            Self::Text => print!("{}", text()),
            Self::Json => match serde_json::to_string(value) {
                Ok(json) => println!("{json}"),
                Err(e) => {
                    self.error(&format!("cannot be written as JSON: {e}"), crate::exit::FAILED)
                }
            },
        }
    }

    /// Says on standard error why the command failed: `{"error": …, "code": …}`.
    pub fn error(self, why: &str, code: u8) {
        match self {
            Self::Text => eprintln!("error: {why}"),
            Self::Json => eprintln!("{}", json!({ "error": why, "code": code })),
        }
    }
}

/// Says something beside the result, on standard error: `{"note": …}`.
pub fn note(text: &str) {
    match ASKED.get() {
        Some(Format::Json) => eprintln!("{}", json!({ "note": text })),
        _ => eprintln!("{text}"),
    }
}

/// A message with the name of its stage before its fields, for streams that hold several.
pub fn staged<T: Serialize>(stage: &str, message: &T) -> Value {
    let mut fields = serde_json::Map::from_iter([("stage".to_owned(), Value::from(stage))]);
    if let Ok(Value::Object(own)) = serde_json::to_value(message) {
        fields.extend(own);
    }
    Value::Object(fields)
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

//! What keeps the analyzer from starting.

use std::{fmt, io, path::PathBuf};

/// Why the analyzer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of chain files, or one of its files, cannot be read.
    #[error(
        "cannot read chains from {}: check analyzer.chains_dir and its permissions",
        path.display()
    )]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The severity model.
    #[error("analyzer.severity: the model cannot be used")]
    Severity(#[source] magsentinel_inference::Error),
    /// What is known to be good.
    #[error("{0}")]
    Good(String),
    /// Chain files are wrong: everything that is wrong in any of them.
    #[error("{}", lines(.0))]
    Chains(Vec<Problem>),
}

/// One thing that is wrong with one chain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The construct that is wrong, and what to write instead.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

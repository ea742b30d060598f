//! Everything that was decided, kept: the logbook.
//!
//! The stage writes every assessment, alert, analysis, action, outcome, pattern, gap and dead
//! letter into one SQLite file, a batch a transaction, committed and synced to disk before the
//! batch is acknowledged. A message that comes twice is kept once. [`Logbook`] reads the same
//! file, also while it is written, and [`render`] shows an incident to a person.
//!
//! # Tamper evidence, and its limits
//! Each record holds the SHA-256 of its own bytes and of the record before it ([`chain`]), so
//! that [`Logbook::verify`] finds a record that was changed, moved, put in or taken out. There is
//! no key in the chain: who can write the file can cut records off its end, or rewrite it whole
//! and chain it anew. That shows only against a head that was noted elsewhere; the stage's
//! report tells the head for this purpose.
//!
//! # What it does not do
//! The file is **not encrypted**. It is created readable by its owner only, and holds excerpts
//! of what was seen; put it on an encrypted disk. Records are kept until the file reaches
//! `bytes_max`; then nothing more is written, and messages wait in their stream.

pub mod chain;
pub mod config;
pub mod content;
pub mod escape;
pub mod incident;
pub mod read;
pub mod record;
pub mod render;
pub mod report;
pub mod stage;
mod store;
pub mod verify;
pub mod write;

pub use config::Config;
pub use content::{Content, Kept};
pub use incident::{Entry, Incident, IncidentRow, Moment, Stored};
pub use read::{Filter, Logbook};
pub use stage::Keeper;
pub use verify::{Broken, Verified};
pub use write::{Appended, Writer};

use magsentinel_bus_schema::{Stream, Tenant, Token, subject};
use magsentinel_runtime::{service::Pool, settings::Section, stage::Stage};
use std::{path::PathBuf, sync::Arc};

/// Why the logbook cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong; every problem is listed.
    #[error("section logbook of the configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// Nobody said where the file is.
    #[error("no place for the logbook: set logbook.path, XDG_STATE_HOME or HOME")]
    NoPlace,
    /// There is no file to read.
    #[error(
        "no logbook at {}: start the logbook first, or set logbook.path to where it is",
        .0.display()
    )]
    Missing(PathBuf),
    /// Its folder or file cannot be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// What cannot be made.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is no logbook: set logbook.path to another file", .0.display())]
    Foreign(PathBuf),
    /// The file is of a newer version.
    #[error(
        "{} is a logbook of version {found}, this program knows {}: upgrade it",
        path.display(),
        store::VERSION
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Somebody else writes, and went on for longer than `busy_timeout`.
    #[error("the logbook is busy: another process writes it for longer than logbook.busy_timeout")]
    Busy(#[source] rusqlite::Error),
    /// The disk, or the file up to `bytes_max`, is full.
    #[error(
        "the logbook is full: free space on its disk, raise logbook.bytes_max, or stop the \
         logbook and move the file away"
    )]
    Full(#[source] rusqlite::Error),
    /// The file cannot be written or read.
    #[error("cannot {doing} the logbook")]
    Store {
        /// What failed: `open`, `write`, `read`.
        doing: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// A row of the incident index is no such row.
    #[error("the entry of incident {incident} in the logbook cannot be read: verify the file")]
    Entry {
        /// The incident.
        incident: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An id's prefix fits several incidents.
    #[error(
        "{prefix:?} fits several incidents, among them {}: give more of the id",
        .ids.join(", ")
    )]
    Ambiguous {
        /// The prefix.
        prefix: String,
        /// Some incidents that it fits.
        ids: Vec<String>,
    },
    /// What was given is no id.
    #[error("{0:?} is no incident id: give at least its first 4 characters, of 0-9, a-f and -")]
    NoId(String),
}

impl Error {
    /// The error and its causes in one sentence.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// The logbook's consumers: durable `logbook` keeps the stream DECISIONS but for leases, and
/// durable `logbook-deadletter` the stream DEADLETTER. Several replicas may share the file.
///
/// # Errors
/// [`Error::Config`] with everything that is wrong with the configuration, [`Error::NoPlace`].
pub fn pools(config: &Config) -> Result<Vec<Pool>, Error> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(Error::Config(problems));
    }
    config.file()?;
    let shared = Arc::new(config.clone());
    let pool = |durable: &str, stream, filters| {
        let config = Arc::clone(&shared);
        Pool {
            durable: Token::sanitised(durable),
            stream,
            filters,
            batch_max: shared.batch_max,
            batches_in_flight: 1,
            // Waiting for the disk must not hold up other tasks.
            slow: true,
            max_deliver: shared.max_deliver,
            ack_wait: shared.ack_wait,
            make: Arc::new(move || {
                let keeper = Keeper::open(&config).map_err(|e| e.in_full())?;
                Ok(Box::new(keeper) as Box<dyn Stage>)
            }),
        }
    };
    Ok(vec![
        pool("logbook", Stream::Decisions, decisions),
        pool("logbook-deadletter", Stream::DeadLetter, dead_letters),
    ])
}

fn decisions(tenant: &Tenant) -> Vec<String> {
    let stages =
        Stream::Decisions.stages().iter().filter(|stage| Kept::from_token(stage).is_some());
    stages.map(|stage| subject::all_of(tenant, stage)).collect()
}

fn dead_letters(_tenant: &Tenant) -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_the_decisions_is_kept_but_leases() {
        let tenant = Tenant::default();
        let kept = decisions(&tenant);
        assert_eq!(kept.len(), Stream::Decisions.stages().len() - 1);
        assert!(!kept.contains(&subject::all_of(&tenant, "lease")));
    }
}

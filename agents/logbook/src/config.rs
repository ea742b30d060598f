//! The section `logbook` of the configuration.

use crate::Error;
use magsentinel_runtime::{
    place::state_folder,
    settings::{Section, Span},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Section `logbook`: where decisions are kept, and how much of them is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The SQLite file. Beside it SQLite keeps two more, `-wal` and `-shm`; all three belong on a
    /// local disk. Default `$XDG_STATE_HOME/magsentinel/logbook.db`, or below
    /// `$HOME/.local/state` where that is not set.
    pub path: Option<PathBuf>,
    /// How long a writer waits for another one, as a duration, 1ms to 1m. Then the batch is
    /// delivered again later. Default `5s`.
    pub busy_timeout: Span,
    /// Size of the file in bytes above which nothing more is written, at least 1 MiB. Messages
    /// then wait in their stream, are delivered again with a growing delay, and become dead
    /// letters after `max_deliver` attempts. Default 17179869184 (16 GiB).
    pub bytes_max: u64,
    /// Most messages a transaction, 1 to 10000. Default 500.
    pub batch_max: usize,
    /// Attempts at a message before it becomes a dead letter, 1 to 100000: a full disk takes a
    /// while to notice. Default 1000.
    pub max_deliver: u64,
    /// Time after which a message that was not acknowledged is delivered again, as a duration,
    /// 1s to 1h. Default `30s`.
    pub ack_wait: Span,
    /// Most incidents that one listing shows, 1 to 100000; the next ones follow by cursor.
    /// Default 500.
    pub list_max: usize,
    /// Most records of one incident that are shown, 10 to 100000. The oldest are left out, and
    /// their number is told. Default 500.
    pub incident_records_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            busy_timeout: Span::s(5),
            bytes_max: 16 * 1024 * 1024 * 1024,
            batch_max: 500,
            max_deliver: 1000,
            ack_wait: Span::s(30),
            list_max: 500,
            incident_records_max: 500,
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "logbook";

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut span = |key: &str, value: Span, least: Span, most: Span| {
            if value < least || value > most {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        span("busy_timeout", self.busy_timeout, Span::ms(1), Span::s(60));
        span("ack_wait", self.ack_wait, Span::s(1), Span::s(3600));
        let deliveries = usize::try_from(self.max_deliver).unwrap_or(usize::MAX);
        for (key, value, least, most) in [
            ("batch_max", self.batch_max, 1, 10_000),
            ("max_deliver", deliveries, 1, 100_000),
            ("list_max", self.list_max, 1, 100_000),
            ("incident_records_max", self.incident_records_max, 10, 100_000),
        ] {
            if !(least..=most).contains(&value) {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        }
        if self.bytes_max < 1024 * 1024 {
            problems.push(format!("bytes_max: must be at least 1048576, not {}", self.bytes_max));
        }
        if self.path.as_ref().is_some_and(|p| p.as_os_str().is_empty()) {
            problems.push("path: is empty; leave it out for the default".to_owned());
        }
        problems
    }
}

impl Config {
    /// The file: as configured, else in the user's state folder.
    ///
    /// # Errors
    /// [`Error::NoPlace`] when neither the configuration nor the environment names a place.
    pub fn file(&self) -> Result<PathBuf, Error> {
        match &self.path {
            Some(path) => Ok(path.clone()),
            None => state_folder().map(|folder| folder.join("logbook.db")).ok_or(Error::NoPlace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_where_it_is_told() {
        let told = Config { path: Some("/x.db".into()), ..Config::default() };
        assert_eq!(told.file().unwrap(), PathBuf::from("/x.db"));
    }

    #[test]
    fn the_defaults_are_sound_and_all_problems_are_told_at_once() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            busy_timeout: Span::ms(0),
            bytes_max: 1,
            batch_max: 0,
            list_max: 0,
            ..Config::default()
        };
        assert_eq!(wrong.problems().len(), 4, "{:?}", wrong.problems());
        assert!(serde_json::from_str::<Config>(r#"{"pfad": "/x"}"#).is_err());
    }
}

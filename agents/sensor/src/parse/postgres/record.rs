//! One record of the log, in either form.

use crate::{cells::cells, parse::Reject};
use serde::Deserialize;

/// The fields that are of use; the names are jsonlog's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) timestamp: String,
    pub(super) user: String,
    pub(super) dbname: String,
    pub(super) pid: Option<u64>,
    pub(super) remote_host: String,
    pub(super) session_id: String,
    pub(super) error_severity: String,
    pub(super) state_code: String,
    pub(super) message: String,
    pub(super) detail: String,
    pub(super) context: String,
    pub(super) statement: String,
    pub(super) application_name: String,
}

/// Columns of csvlog: 23 up to version 12, 24 in 13 (`backend_type`), 26 since 14
/// (`leader_pid`, `query_id`). Later versions may add some at the end. With still more, the
/// record is two of which the first was cut.
const CSV_COLUMNS_MIN: usize = 23;
const CSV_COLUMNS_MAX: usize = 32;

impl Record {
    /// Reads a line of jsonlog.
    pub(super) fn from_json(line: &str) -> Result<Self, Reject> {
        let record: Self = serde_json::from_str(line)
            .map_err(|e| Reject::new(format!("line is no jsonlog record: {e}")))?;
        record.checked("jsonlog")
    }

    /// Reads a record of csvlog. `columns` is the most that a record of this log had before.
    pub(super) fn from_csv(text: &str, columns: &mut usize) -> Result<Self, Reject> {
        let row = cells(text)
            .map_err(|e| Reject::new(format!("record is no csvlog record, or was cut: {e}")))?;
        let least = CSV_COLUMNS_MIN.max(*columns);
        if !(least..=CSV_COLUMNS_MAX).contains(&row.len()) {
            return Err(Reject::new(format!(
                "csvlog record has {} columns, {least} to {CSV_COLUMNS_MAX} are due: it was cut, or \
                 this is neither csvlog nor jsonlog (see log_destination)",
                row.len()
            )));
        }
        let column = |n: usize| row.get(n).cloned().unwrap_or_default();
        // Where a record was cut and the next one follows at once, the columns do not fit.
        let digits =
            |n: usize| !column(n).is_empty() && column(n).bytes().all(|b| b.is_ascii_digit());
        let state = column(12);
        let is_state = state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric());
        if !digits(3) || !digits(6) || !is_state || !is_time(&column(0)) {
            return Err(Reject::new(
                "csvlog record has no time, process id, line number or SQLSTATE in its place: a \
                 record was cut",
            ));
        }
        *columns = row.len();
        let from = column(4);
        let host = from.rsplit_once(':').map_or(from.as_str(), |(host, _)| host);
        let record = Self {
            timestamp: column(0),
            user: column(1),
            dbname: column(2),
            pid: column(3).parse().ok(),
            remote_host: host.to_owned(),
            session_id: column(5),
            error_severity: column(11),
            state_code: state,
            message: column(13),
            detail: column(14),
            context: column(18),
            statement: column(19),
            application_name: column(22),
        };
        record.checked("csvlog")
    }

    fn checked(self, form: &str) -> Result<Self, Reject> {
        // Every record has both; without them it is some other log, or a part of a record.
        if self.timestamp.is_empty() || self.error_severity.is_empty() {
            return Err(Reject::new(format!("{form} record has no time or no severity")));
        }
        Ok(self)
    }

    /// The peer's address; none for a socket of the same host.
    pub(super) fn address(&self) -> Option<&str> {
        Some(self.remote_host.as_str()).filter(|h| !h.is_empty() && !h.starts_with('['))
    }

    /// The message is a function's own: RAISE, or a logging call of another language.
    pub(super) fn raised(&self) -> bool {
        let first = self.context.lines().next().unwrap_or_default();
        let foreign = ["PL/Python", "PL/Perl", "PL/Tcl"];
        first.ends_with(" at RAISE") || foreign.iter().any(|l| first.starts_with(l))
    }
}

/// `2026-11-21 10:00:00.250 UTC`: its shape.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let rest = shape.strip_prefix("0000-00-00 00:00:00").unwrap_or("0");
    let zone = rest.rsplit_once(' ').map(|(_, zone)| zone);
    zone.is_some_and(|zone| !zone.is_empty()) && rest.starts_with(['.', ' '])
}

//! pgaudit's line: `SESSION,1,1,READ,SELECT,TABLE,public.users,"SELECT …",<none>,42`.

use crate::{
    cells::cells,
    parse::{
        Reject,
        statement::{Read, reads},
    },
};

/// What an audit line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audit {
    /// The statement, unless it was logged before or not at all.
    pub(super) text: Option<String>,
    pub(super) parameters: Option<String>,
    pub(super) read: Option<Read>,
    /// With `pgaudit.log_rows`.
    pub(super) rows: Option<u64>,
}

/// Type, statement, substatement, class, command, object type, object, statement, parameters;
/// rows follow with `pgaudit.log_rows`.
const COLUMNS_MIN: usize = 9;

pub(super) fn read(line: &str) -> Result<Audit, Reject> {
    let row = cells(line).map_err(|e| Reject::new(format!("audit line is no CSV: {e}")))?;
    if row.len() < COLUMNS_MIN {
        return Err(Reject::new(format!(
            "audit line has {} columns, at least {COLUMNS_MIN} are due",
            row.len()
        )));
    }
    // What was not logged stands in angle brackets: `<not logged>`, `<none>`.
    let column = |n: usize| row.get(n).cloned().filter(|v| !v.is_empty() && !v.starts_with('<'));
    let text = column(7);
    let reading = row.get(3).is_some_and(|class| class == "READ");
    let read = if reading { reading_of(text.as_deref(), column(6)) } else { None };
    let rows = row.get(9).and_then(|rows| rows.parse().ok());
    Ok(Audit { text, parameters: column(8), read, rows })
}

/// The object that pgaudit names counts; without `log_relation` it names none.
fn reading_of(text: Option<&str>, object: Option<String>) -> Option<Read> {
    let told = text.and_then(|text| reads(text).into_iter().next());
    match (told, object) {
        (Some(read), Some(object)) => Some(Read { resource: object, ..read }),
        (Some(read), None) => Some(read),
        (None, Some(object)) => {
            Some(Read { action: "select", resource: object, destination: None })
        }
        (None, None) => None,
    }
}

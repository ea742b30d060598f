//! Whether the logbook is as it was written.

use crate::{
    Error, IncidentRow, Logbook, Stored,
    chain::{self, Hash, Link, ROOT},
    read::{entry, stored},
    store::failed,
};
use magsentinel_bus_schema::{Id, Tenant};
use rusqlite::{Connection, Row};
use serde::Serialize;

/// A logbook whose chain holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Number of records.
    pub records: i64,
    /// Number of incidents.
    pub incidents: u64,
    /// Hash of the newest record, in hexadecimal. Note it elsewhere: the same file has the same
    /// head, and a longer one went through it.
    pub head: String,
}

/// Where a logbook is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A record is missing, or was put in.
    #[error("record {expected} is missing: record {found} follows record {}", .expected - 1)]
    Missing {
        /// The number that is due.
        expected: i64,
        /// The number found.
        found: i64,
    },
    /// A record, or the one before it, was changed.
    #[error("record {seq} was changed: its hash is not that of its bytes and its predecessor")]
    Changed {
        /// The record.
        seq: i64,
    },
    /// The line of an incident is not what its records say.
    #[error("the entry of incident {incident} is not what its records say")]
    Index {
        /// The incident.
        incident: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Error),
}

impl Logbook {
    /// Checks every record against the chain, and every incident against its records. Takes time
    /// in proportion to the size of the file; the writer may go on.
    ///
    /// # Errors
    /// The first place that is [`Broken`].
    pub fn verify(&self) -> Result<Verified, Broken> {
        let read = |e| failed("read", e);
        let transaction = self.connection.unchecked_transaction().map_err(read)?;
        let (records, head) = check_chain(&transaction)?;
        let incidents = check_index(&transaction)?;
        Ok(Verified { records, incidents, head: chain::hex(&head) })
    }
}

fn check_chain(connection: &Connection) -> Result<(i64, Hash), Broken> {
    let read = |e| failed("read", e);
    let all = "SELECT seq, tenant, stage, message_id, incident, stored_us, subject, stream_seq, \
               content_type, payload, hash FROM record ORDER BY seq";
    let mut statement = connection.prepare(all).map_err(read)?;
    let mut rows = statement.query([]).map_err(read)?;
    let (mut seq, mut head) = (0, ROOT);
    while let Some(row) = rows.next().map_err(read)? {
        let found: i64 = row.get(0).map_err(read)?;
        if found != seq + 1 {
            return Err(Broken::Missing { expected: seq + 1, found });
        }
        seq = found;
        let (kept, due) = hashes(row, &head).map_err(read)?;
        if kept != due {
            return Err(Broken::Changed { seq });
        }
        head = due;
    }
    Ok((seq, head))
}

/// The hash that a row holds, and the one that it should.
fn hashes(row: &Row<'_>, head: &Hash) -> rusqlite::Result<(Vec<u8>, Hash)> {
    let text = |index: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(index)?.as_str()?) };
    let maybe = |index: usize| -> rusqlite::Result<Option<&str>> {
        Ok(row.get_ref(index)?.as_str_or_null()?)
    };
    let link = Link {
        seq: row.get(0)?,
        tenant: text(1)?,
        stage: text(2)?,
        message_id: text(3)?,
        incident: maybe(4)?,
        stored_us: row.get(5)?,
        subject: text(6)?,
        stream_seq: row.get(7)?,
        content_type: maybe(8)?,
        payload: row.get_ref(9)?.as_blob()?,
    };
    Ok((row.get(10)?, link.hash(head)))
}

/// Makes every incident's line anew from its records, and compares.
fn check_index(connection: &Connection) -> Result<u64, Broken> {
    let read = |e| failed("read", e);
    let unlisted: Option<String> = connection
        .query_row(
            "SELECT min(r.incident) FROM record r WHERE r.incident IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM incident i WHERE i.tenant = r.tenant AND i.id = r.incident)",
            [],
            |row| row.get(0),
        )
        .map_err(read)?;
    if let Some(incident) = unlisted {
        return Err(Broken::Index { incident });
    }
    let listed = "SELECT tenant, id, opened, level, attack_type, last_us, shown FROM incident";
    let mut statement = connection.prepare(listed).map_err(read)?;
    let mut rows = statement.query([]).map_err(read)?;
    let mut incidents = 0;
    while let Some(row) = rows.next().map_err(read)? {
        let line = Line::of(row).map_err(read)?;
        let shown = entry(line.id.clone(), &line.shown)?;
        let due = made_anew(connection, &line.tenant, &line.id)?;
        if due.as_ref() != Some(&shown) || !line.fits(&shown) {
            return Err(Broken::Index { incident: line.id });
        }
        incidents += 1;
    }
    Ok(incidents)
}

/// A row of the index: the columns that a listing filters by, and the line that it shows.
struct Line {
    tenant: String,
    id: String,
    opened: i64,
    level: i64,
    attack_type: String,
    last_us: i64,
    shown: String,
}

impl Line {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            tenant: row.get(0)?,
            id: row.get(1)?,
            opened: row.get(2)?,
            level: row.get(3)?,
            attack_type: row.get(4)?,
            last_us: row.get(5)?,
            shown: row.get(6)?,
        })
    }

    fn fits(&self, shown: &IncidentRow) -> bool {
        self.opened == shown.opened
            && self.level == shown.level as i64
            && self.attack_type == shown.attack_type.as_str()
            && self.last_us == shown.last.micros()
    }
}

/// The line of an incident, from its records alone.
fn made_anew(
    connection: &Connection,
    tenant: &str,
    id: &str,
) -> Result<Option<IncidentRow>, Broken> {
    let read = |e| failed("read", e);
    let named = tenant.parse::<Tenant>().ok().zip(id.parse::<Id>().ok());
    let Some((named, incident)) = named else { return Ok(None) };
    let records = "SELECT seq, stored_us, stage, content_type, payload FROM record \
                   WHERE tenant = ?1 AND incident = ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(records).map_err(read)?;
    let mut rows = statement.query((tenant, id)).map_err(read)?;
    let mut line: Option<IncidentRow> = None;
    while let Some(row) = rows.next().map_err(read)? {
        let Stored { seq, stored, message } = stored(row).map_err(read)?;
        let Ok(content) = message else { return Ok(None) };
        line.get_or_insert_with(|| IncidentRow::new(named.clone(), incident, seq, stored))
            .apply(&content);
    }
    Ok(line)
}

#[cfg(test)]
mod tests;

//! The writer: one transaction a batch, on disk when it returns.

use crate::{
    Config, Error, IncidentRow,
    chain::{Hash, ROOT},
    record::Record,
    store,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

/// Appends records to the file.
pub struct Writer {
    connection: Connection,
}

/// What became of the records of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Kept now.
    pub kept: u64,
    /// Kept already, with the same bytes.
    pub repeated: u64,
    /// Their message id is kept already, with other bytes: the first ones stay.
    pub differing: u64,
    /// Number of the newest record.
    pub seq: i64,
    /// Hash of the newest record.
    pub head: Hash,
}

impl Writer {
    /// Opens the configured file, and makes it where it is not there.
    ///
    /// # Errors
    /// Every [`Error`] of a file that cannot be opened or made.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let (path, timeout) = (config.file()?, config.busy_timeout.get());
        store::open_write(&path, timeout, config.bytes_max).map(|connection| Self { connection })
    }

    /// Appends records in one transaction, all or none. When it returns, they are on the disk.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Full`], [`Error::Store`], [`Error::Entry`]: nothing was kept.
    pub fn append(&mut self, records: &[Record]) -> Result<Appended, Error> {
        let write = |e| store::failed("write", e);
        // Immediate: the head must not move between reading it and chaining to it.
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(write)?;
        let mut appended = head(&transaction).map_err(write)?;
        for record in records {
            append_one(&transaction, record, &mut appended)?;
        }
        transaction.commit().map_err(write)?;
        Ok(appended)
    }
}

/// Number and hash of the newest record.
fn head(transaction: &Transaction<'_>) -> rusqlite::Result<Appended> {
    let newest = "SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1";
    let found = transaction
        .prepare_cached(newest)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, head) = found.unwrap_or((0, ROOT));
    Ok(Appended { seq, head, ..Appended::default() })
}

fn append_one(
    transaction: &Transaction<'_>,
    record: &Record,
    appended: &mut Appended,
) -> Result<(), Error> {
    let write = |e| store::failed("write", e);
    let link = record.link(appended.seq + 1);
    let hash = link.hash(&appended.head);
    let insert = "INSERT INTO record (seq, tenant, stage, message_id, incident, stored_us, \
                  subject, stream_seq, content_type, payload, hash) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                  ON CONFLICT (tenant, stage, message_id) DO NOTHING";
    let inserted = transaction
        .prepare_cached(insert)
        .and_then(|mut statement| {
            statement.execute(params![
                link.seq,
                link.tenant,
                link.stage,
                link.message_id,
                link.incident,
                link.stored_us,
                link.subject,
                link.stream_seq,
                link.content_type,
                link.payload,
                hash
            ])
        })
        .map_err(write)?;
    if inserted == 0 {
        let same = is_same(transaction, record).map_err(write)?;
        let count = if same { &mut appended.repeated } else { &mut appended.differing };
        *count += 1;
        return Ok(());
    }
    appended.kept += 1;
    appended.seq = link.seq;
    appended.head = hash;
    index(transaction, record, link.seq)
}

fn is_same(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<bool> {
    let kept = "SELECT payload = ?4 FROM record \
                WHERE tenant = ?1 AND stage = ?2 AND message_id = ?3";
    let key = (record.tenant.as_str(), record.kept.token(), &record.message_id);
    transaction
        .prepare_cached(kept)?
        .query_row(params![key.0, key.1, key.2, record.payload.as_ref()], |row| row.get(0))
}

/// Takes the record into the line of its incident.
fn index(transaction: &Transaction<'_>, record: &Record, seq: i64) -> Result<(), Error> {
    let write = |e| store::failed("write", e);
    let Some(id) = record.content.incident() else { return Ok(()) };
    let key = (record.tenant.as_str(), id.to_string());
    let shown: Option<String> = transaction
        .prepare_cached("SELECT shown FROM incident WHERE tenant = ?1 AND id = ?2")
        .and_then(|mut statement| statement.query_row((key.0, &key.1), |row| row.get(0)).optional())
        .map_err(write)?;
    let entry = |source| Error::Entry { incident: key.1.clone(), source };
    let mut row = match shown {
        Some(text) => serde_json::from_str(&text).map_err(entry)?,
        None => IncidentRow::new(record.tenant.clone(), id, seq, record.stored),
    };
    row.apply(&record.content);
    let text = serde_json::to_string(&row).map_err(entry)?;
    let replace = "INSERT OR REPLACE INTO incident \
                   (tenant, id, opened, level, attack_type, last_us, shown) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let columns = (
        key.0,
        &key.1,
        row.opened,
        row.level as i64,
        row.attack_type.as_str(),
        row.last.micros(),
        text,
    );
    transaction
        .prepare_cached(replace)
        .and_then(|mut statement| statement.execute(columns))
        .map(drop)
        .map_err(write)
}

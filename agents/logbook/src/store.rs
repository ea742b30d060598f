//! The SQLite file: how it is opened, and what is in it.

use crate::Error;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Version of the tables.
pub(crate) const VERSION: i64 = 1;

/// Marks the file as a logbook: "MagL" (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x4d61_674c;

/// Bytes of a page, SQLite's default.
const PAGE_BYTES: u64 = 4096;

/// `record` is the truth: append-only, and chained. `incident` is an index over it that can be
/// made anew from it; it is checked against it by `verify`.
const TABLES: &str = "
    CREATE TABLE record (
        seq INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        stage TEXT NOT NULL,
        message_id TEXT NOT NULL,
        incident TEXT,
        stored_us INTEGER NOT NULL,
        subject TEXT NOT NULL,
        stream_seq INTEGER NOT NULL,
        content_type TEXT,
        payload BLOB NOT NULL,
        hash BLOB NOT NULL,
        UNIQUE (tenant, stage, message_id)
    ) STRICT;
    CREATE INDEX record_of_incident ON record (tenant, incident, seq) WHERE incident IS NOT NULL;
    CREATE TABLE incident (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        opened INTEGER NOT NULL,
        level INTEGER NOT NULL,
        attack_type TEXT NOT NULL,
        last_us INTEGER NOT NULL,
        shown TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX incident_opened ON incident (opened);
    CREATE INDEX incident_id ON incident (id);
";

/// Opens the file for writing, and makes it, with its folder and tables, where it is not there.
pub(crate) fn open_write(
    path: &Path,
    busy_timeout: Duration,
    bytes_max: u64,
) -> Result<Connection, Error> {
    // Switching a new file to WAL takes it whole; two writers of one process wait here instead.
    static OPENING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    create(path)?;
    let open = |e| failed("open", e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(busy_timeout).map_err(open)?;
    check_version(&connection, path)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).map_err(open)?;
    // FULL: in WAL mode a commit returns only after the log was synced to the disk.
    connection.pragma_update(None, "synchronous", "full").map_err(open)?;
    let pages_max = i64::try_from(bytes_max / PAGE_BYTES).unwrap_or(i64::MAX);
    connection
        .pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))
        .map_err(open)?;
    make_tables(&mut connection).map_err(open)?;
    check_version(&connection, path)?;
    Ok(connection)
}

/// Opens the file for reading.
pub(crate) fn open_read(path: &Path, busy_timeout: Duration) -> Result<Connection, Error> {
    if !path.exists() {
        return Err(Error::Missing(path.to_owned()));
    }
    let open = |e| failed("open", e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(busy_timeout).map_err(open)?;
    match check_version(&connection, path)? {
        0 => Err(Error::Missing(path.to_owned())),
        _ => Ok(connection),
    }
}

/// Makes folder and file for their owner only; SQLite gives its other files the same rights.
fn create(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let failed = |source| Error::Create { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let options = || {
        let mut options = fs::OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options
    };
    options().open(path).map(drop).map_err(failed)
}

/// The version of the file's tables; 0 when there are none yet.
fn check_version(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let number = |pragma| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(|e| match e
            .sqlite_error_code()
        {
            Some(ErrorCode::NotADatabase) => Error::Foreign(path.to_owned()),
            _ => failed("open", e),
        })
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| failed("open", e))?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, VERSION) => Ok(VERSION),
        (APPLICATION_ID, found) => Err(Error::Newer { path: path.to_owned(), found }),
        _ => Err(Error::Foreign(path.to_owned())),
    }
}

fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

/// The error of a failed operation: what an operator can do something about by name.
pub(crate) fn failed(doing: &'static str, source: rusqlite::Error) -> Error {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy(source),
        Some(ErrorCode::DiskFull) => Error::Full(source),
        _ => Error::Store { doing, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_returns_after_the_disk_has_it_and_the_size_is_bounded() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("logbook.db");
        let connection = open_write(&path, Duration::ZERO, 8 * 1024 * 1024).unwrap();
        let text = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
        assert_eq!(text("journal_mode"), Ok("wal".to_owned()));
        assert_eq!(number("synchronous"), Ok(2), "FULL");
        assert_eq!(number("max_page_count"), Ok(2048));
    }
}

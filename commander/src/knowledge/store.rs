//! The file: one SQLite database, written by the importing command and by the commander.
//!
//! An import replaces what it replaces in one transaction, so that a reader sees all of it or
//! nothing. Incidents are kept with the hashes of their terms; the newest `incidents_max` stay.

use super::{
    Error, Exploited, Object, Past,
    audit::{self, Entry, Noted},
    bm25::Term,
    import::{Parts, Source},
};
use magsentinel_bus_schema::{Closure, Id, Tenant};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};
use std::{fs, path::Path, time::Duration};

/// `application_id` of the file: "msKN".
const APPLICATION_ID: i64 = 0x6d73_4b4e;
const VERSION: i64 = 1;
/// How long one writer waits for the other.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE object (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE exploited (cve TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE source (body TEXT NOT NULL, holds TEXT NOT NULL) STRICT;
    CREATE TABLE incident (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        terms BLOB NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT;
";

/// Came later: made where it is not there, and passed over by those who do not know it.
const AUDIT: &str = "
    CREATE TABLE IF NOT EXISTS audit (
        tenant TEXT NOT NULL,
        incident TEXT NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, incident, id)
    ) STRICT;
";

/// The open file.
pub(super) struct Store {
    connection: Connection,
}

/// An incident as it is kept.
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) tenant: Tenant,
    pub(super) past: Past,
    pub(super) terms: Vec<Term>,
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error::Store { doing, source }
}

impl Store {
    /// Opens the file, and makes it where it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        create(path)?;
        let open = failed("open");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(&open)?;
        connection.busy_timeout(BUSY).map_err(&open)?;
        // What is no database at all shows at the first read.
        let foreign = |_| Error::Foreign(path.to_owned());
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| match e.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => Error::Foreign(path.to_owned()),
                _ => open(e),
            })?;
        let number = |pragma| transaction.pragma_query_value(None, pragma, |r| r.get::<_, i64>(0));
        let (application, version) = (number("application_id"), number("user_version"));
        let count = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = transaction.query_row(count, [], |r| r.get(0)).map_err(foreign)?;
        match (application.map_err(foreign)?, version.map_err(foreign)?) {
            (0, 0) if tables == 0 => {
                transaction.execute_batch(TABLES).map_err(&open)?;
                transaction
                    .pragma_update(None, "application_id", APPLICATION_ID)
                    .and_then(|()| transaction.pragma_update(None, "user_version", VERSION))
                    .map_err(&open)?;
            }
            (APPLICATION_ID, VERSION) => {}
            _ => return Err(Error::Foreign(path.to_owned())),
        }
        transaction.execute_batch(AUDIT).map_err(&open)?;
        transaction.commit().map_err(&open)?;
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
            .and_then(|()| connection.pragma_update(None, "synchronous", "normal"))
            .map_err(&open)?;
        Ok(Self { connection })
    }

    /// Changes when somebody else has written.
    pub(super) fn changes_of_others(&self) -> i64 {
        let version = self.connection.pragma_query_value(None, "data_version", |r| r.get(0));
        version.unwrap_or_default()
    }

    /// Replaces what was imported, all or nothing.
    pub(super) fn replace(&mut self, parts: &Parts) -> Result<(), Error> {
        let write = failed("write");
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&write)?;
        let put = |table: &str, key: &str, rows: &mut dyn Iterator<Item = (String, String)>| {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
            let text = format!("INSERT OR REPLACE INTO {table} ({key}, body) VALUES (?1, ?2)");
            let mut insert = transaction.prepare(&text)?;
            for (key, body) in rows {
                insert.execute(params![key, body])?;
            }
            Ok(())
        };
        if let Some(objects) = &parts.attack {
            let mut rows = objects.iter().map(|object| (object.id.clone(), json(object)));
            put("object", "id", &mut rows).map_err(&write)?;
        }
        if let Some(entries) = &parts.exploited {
            let mut rows = entries.iter().map(|entry| (entry.cve.clone(), json(entry)));
            put("exploited", "cve", &mut rows).map_err(&write)?;
        }
        for source in &parts.sources {
            let old = "DELETE FROM source WHERE holds = ?1";
            transaction.execute(old, [&source.holds]).map_err(&write)?;
        }
        for source in &parts.sources {
            let new = "INSERT INTO source (holds, body) VALUES (?1, ?2)";
            transaction.execute(new, params![source.holds, json(source)]).map_err(&write)?;
        }
        transaction.commit().map_err(&write)
    }

    pub(super) fn objects(&self) -> Result<Vec<Object>, Error> {
        self.all("SELECT body FROM object ORDER BY id")
    }

    pub(super) fn sources(&self) -> Result<Vec<Source>, Error> {
        self.all("SELECT body FROM source ORDER BY rowid")
    }

    pub(super) fn count(&self, table: &'static str) -> Result<usize, Error> {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 =
            self.connection.query_row(&count, [], |r| r.get(0)).map_err(failed("read"))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    pub(super) fn object(&self, id: &str) -> Result<Option<Object>, Error> {
        self.one("SELECT body FROM object WHERE id = ?1", id)
    }

    pub(super) fn exploited(&self, cve: &str) -> Result<Option<Exploited>, Error> {
        self.one("SELECT body FROM exploited WHERE cve = ?1", cve)
    }

    /// Every incident that is kept, oldest first.
    pub(super) fn incidents(&self, mut each: impl FnMut(Kept)) -> Result<(), Error> {
        let failed = failed("read");
        let all = "SELECT seq, tenant, body, terms FROM incident ORDER BY seq";
        let mut statement = self.connection.prepare(all).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let tenant: String = row.get(1).map_err(&failed)?;
            let body: String = row.get(2).map_err(&failed)?;
            let terms: Vec<u8> = row.get(3).map_err(&failed)?;
            // One that an older build wrote in another form is forgotten, which costs nothing.
            let (Ok(tenant), Ok(past)) = (tenant.parse(), serde_json::from_str(&body)) else {
                continue;
            };
            let seq = row.get(0).map_err(&failed)?;
            each(Kept { seq, tenant, past, terms: read(&terms) });
        }
        Ok(())
    }

    /// Keeps an incident, new or again, and gives its number.
    pub(super) fn keep(
        &self,
        tenant: &Tenant,
        past: &Past,
        terms: impl Iterator<Item = Term>,
    ) -> Result<i64, Error> {
        let terms: Vec<u8> = terms.flat_map(|term| term.number().to_be_bytes()).collect();
        let put = "INSERT INTO incident (tenant, id, body, terms) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (tenant, id) DO UPDATE SET body = ?3, terms = ?4 RETURNING seq";
        let values = params![tenant.as_str(), past.incident.to_string(), json(past), terms];
        self.connection
            .prepare_cached(put)
            .and_then(|mut put| put.query_row(values, |row| row.get(0)))
            .map_err(failed("write"))
    }

    /// An incident and its terms.
    pub(super) fn incident(&self, seq: i64) -> Result<Option<(Past, Vec<Term>)>, Error> {
        let query = "SELECT body, terms FROM incident WHERE seq = ?1";
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
        let found = self
            .connection
            .prepare_cached(query)
            .and_then(|mut one| one.query_row([seq], row).optional())
            .map_err(failed("read"))?;
        Ok(found.and_then(|(body, terms)| Some((serde_json::from_str(&body).ok()?, read(&terms)))))
    }

    /// Notes what an operator said of an incident, if it is kept.
    pub(super) fn judge(&self, closure: &Closure) -> Result<(), Error> {
        let update = "UPDATE incident SET body = json_set(body, '$.judgement', ?3) \
                      WHERE tenant = ?1 AND id = ?2";
        let values = params![
            closure.tenant.as_str(),
            closure.incident.to_string(),
            closure.judgement.token()
        ];
        self.connection.execute(update, values).map(drop).map_err(failed("write"))
    }

    /// Forgets an incident.
    pub(super) fn forget(&self, tenant: &Tenant, incident: Id) -> Result<(), Error> {
        let (tenant, incident) = (tenant.as_str(), incident.to_string());
        for delete in [
            "DELETE FROM incident WHERE tenant = ?1 AND id = ?2",
            "DELETE FROM audit WHERE tenant = ?1 AND incident = ?2",
        ] {
            let deleted = self.connection.execute(delete, params![tenant, incident]);
            deleted.map_err(failed("write"))?;
        }
        Ok(())
    }

    /// Keeps what was decided or done about an incident that is kept: each once, the newest.
    pub(super) fn note(&self, noted: &Noted) -> Result<(), Error> {
        let write = failed("write");
        let (tenant, incident) = (noted.tenant.as_str(), noted.incident.to_string());
        let put = "INSERT OR IGNORE INTO audit (tenant, incident, id, at, body) \
                   SELECT ?1, ?2, ?3, ?4, ?5 \
                   WHERE EXISTS (SELECT 1 FROM incident WHERE tenant = ?1 AND id = ?2)";
        let (id, at) = (noted.id.to_string(), noted.entry.at.micros());
        let values = params![tenant, incident, id, at, json(&noted.entry)];
        let mut insert = self.connection.prepare_cached(put).map_err(&write)?;
        if insert.execute(values).map_err(&write)? > 0 {
            let rest = "DELETE FROM audit WHERE rowid IN ( \
                        SELECT rowid FROM audit WHERE tenant = ?1 AND incident = ?2 \
                        ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?3)";
            let kept = i64::try_from(audit::KEPT_MAX).unwrap_or(i64::MAX);
            let mut delete = self.connection.prepare_cached(rest).map_err(&write)?;
            delete.execute(params![tenant, incident, kept]).map_err(&write)?;
        }
        Ok(())
    }

    /// What is kept about an incident but for one entry, oldest first.
    pub(super) fn noted(
        &self,
        tenant: &Tenant,
        incident: Id,
        but: Id,
    ) -> Result<Vec<Entry>, Error> {
        let read = failed("read");
        let all = "SELECT body FROM audit WHERE tenant = ?1 AND incident = ?2 AND id <> ?3 \
                   ORDER BY at, rowid";
        let mut statement = self.connection.prepare_cached(all).map_err(&read)?;
        let values = params![tenant.as_str(), incident.to_string(), but.to_string()];
        let rows = statement.query_map(values, |row| row.get::<_, String>(0)).map_err(&read)?;
        let bodies: Vec<String> = rows.collect::<Result<_, _>>().map_err(&read)?;
        Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }

    /// Everything written between two calls is one transaction.
    pub(super) fn begin(&self) -> Result<(), Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed("write"))
    }

    pub(super) fn commit(&self) -> Result<(), Error> {
        self.connection.execute_batch("COMMIT").map_err(failed("write"))
    }

    /// Takes back what was written since [`Store::begin`]; without effect where nothing was begun.
    pub(super) fn undo(&self) {
        drop(self.connection.execute_batch("ROLLBACK"));
    }

    fn all<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>, Error> {
        let read = failed("read");
        let mut statement = self.connection.prepare(query).map_err(&read)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(&read)?;
        let bodies: Vec<String> = rows.collect::<Result<_, _>>().map_err(&read)?;
        Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }

    fn one<T: DeserializeOwned>(&self, query: &str, key: &str) -> Result<Option<T>, Error> {
        let body: Option<String> = self
            .connection
            .prepare_cached(query)
            .and_then(|mut one| one.query_row([key], |row| row.get(0)).optional())
            .map_err(failed("read"))?;
        Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
    }
}

fn read(terms: &[u8]) -> Vec<Term> {
    let (eights, _) = terms.as_chunks::<8>();
    eights.iter().map(|eight| Term::from_number(u64::from_be_bytes(*eight))).collect()
}

/// What is kept are strings, numbers and lists of them, and these can always be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Makes folder and file for their owner only.
fn create(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let failed = |source| Error::Create { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options.open(path).map(drop).map_err(failed)
}

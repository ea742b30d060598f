//! The reader: listings and incidents, also while the writer writes.

use crate::{
    Config, Content, Error, Incident, IncidentRow, Kept, Stored,
    store::{failed, open_read},
};
use magsentinel_bus_schema::{Level, Limits, Timestamp, Token};
use magsentinel_runtime::settings::Span;
use rusqlite::{Connection, Row, params};
use std::path::Path;

/// The logbook, for reading.
pub struct Logbook {
    pub(crate) connection: Connection,
    list_max: usize,
    incident_records_max: usize,
}

/// Which incidents to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those with an event at or after this time.
    pub since: Option<Timestamp>,
    /// Only those of this level or above.
    pub level_min: Level,
    /// Only those of this attack type.
    pub attack_type: Option<Token>,
    /// At most so many; `None`, or more than `logbook.list_max`, takes that limit.
    pub limit: Option<usize>,
    /// Only those older than this cursor: [`IncidentRow::opened`] of the last one seen.
    pub cursor: Option<i64>,
}

/// Shortest prefix of an id that finds an incident, in characters.
const PREFIX_CHARS_MIN: usize = 4;

impl Logbook {
    /// Opens the file for reading, with the default limits.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Foreign`], [`Error::Newer`], [`Error::Store`].
    pub fn open_read(path: &Path) -> Result<Self, Error> {
        Self::open(path, &Config::default())
    }

    /// Opens the configured file for reading, with the configured limits.
    ///
    /// # Errors
    /// As [`Logbook::open_read`], and [`Error::NoPlace`].
    pub fn open_configured(config: &Config) -> Result<Self, Error> {
        Self::open(&config.file()?, config)
    }

    fn open(path: &Path, config: &Config) -> Result<Self, Error> {
        let Config { list_max, incident_records_max, .. } = *config;
        let connection = open_read(path, config.busy_timeout.max(Span::ms(1)).get())?;
        Ok(Self { connection, list_max, incident_records_max })
    }

    /// Lists incidents, newest first.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Store`], [`Error::Entry`].
    pub fn incidents(&self, filter: &Filter) -> Result<Vec<IncidentRow>, Error> {
        let limit = filter.limit.map_or(self.list_max, |limit| limit.min(self.list_max));
        let list = "SELECT id, shown FROM incident WHERE opened < ?1 AND level >= ?2 \
                    AND last_us >= ?3 AND (?4 IS NULL OR attack_type = ?4) \
                    ORDER BY opened DESC LIMIT ?5";
        let values = params![
            filter.cursor.unwrap_or(i64::MAX),
            filter.level_min as i64,
            filter.since.map_or(i64::MIN, Timestamp::micros),
            filter.attack_type.as_ref().map(Token::as_str),
            i64::try_from(limit).unwrap_or(i64::MAX),
        ];
        let found = collect(&self.connection, list, values, id_and_shown)?;
        found.into_iter().map(|(id, shown)| entry(id, &shown)).collect()
    }

    /// The incident with this id, or with the only id that begins so.
    ///
    /// # Errors
    /// [`Error::NoId`] for what is no beginning of an id, [`Error::Ambiguous`] when it fits
    /// several, [`Error::Busy`], [`Error::Store`], [`Error::Entry`].
    pub fn incident(&self, id: &str) -> Result<Option<Incident>, Error> {
        let prefix = id.trim().to_ascii_lowercase();
        let good = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
        if prefix.len() < PREFIX_CHARS_MIN || !prefix.bytes().all(good) {
            return Err(Error::NoId(id.chars().take(64).collect()));
        }
        // One transaction, so that the line and its records are of the same moment.
        let transaction = self.connection.unchecked_transaction().map_err(|e| failed("read", e))?;
        // 'g' comes after every character of an id.
        let fitting = "SELECT id, shown FROM incident WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 4";
        let mut found = collect(&transaction, fitting, params![prefix], id_and_shown)?;
        if found.len() > 1 {
            let ids = found.into_iter().map(|(id, _)| id).collect();
            return Err(Error::Ambiguous { prefix, ids });
        }
        let Some((id, shown)) = found.pop() else { return Ok(None) };
        let row = entry(id, &shown)?;
        let (records, omitted) = self.records(&transaction, &row)?;
        Ok(Some(Incident::assemble(row, records, omitted)))
    }

    /// The newest records of an incident, oldest first, and how many older ones there are.
    fn records(&self, connection: &Connection, row: &IncidentRow) -> Result<Records, Error> {
        let (tenant, id) = (row.tenant.as_str(), row.id.to_string());
        let all: i64 = connection
            .query_row(
                "SELECT count(*) FROM record WHERE tenant = ?1 AND incident = ?2",
                (tenant, &id),
                |row| row.get(0),
            )
            .map_err(|e| failed("read", e))?;
        let newest = "SELECT seq, stored_us, stage, content_type, payload FROM record \
                      WHERE tenant = ?1 AND incident = ?2 ORDER BY seq DESC LIMIT ?3";
        let limit = i64::try_from(self.incident_records_max).unwrap_or(i64::MAX);
        let mut records = collect(connection, newest, params![tenant, id, limit], stored)?;
        records.reverse();
        let omitted = u64::try_from(all).unwrap_or(0).saturating_sub(records.len() as u64);
        Ok((records, omitted))
    }
}

type Records = (Vec<Stored<Result<Content, String>>>, u64);

fn id_and_shown(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

pub(crate) fn entry(incident: String, shown: &str) -> Result<IncidentRow, Error> {
    serde_json::from_str(shown).map_err(|source| Error::Entry { incident, source })
}

/// A row of `seq, stored_us, stage, content_type, payload`.
pub(crate) fn stored(row: &Row<'_>) -> rusqlite::Result<Stored<Result<Content, String>>> {
    let (stage, content_type): (String, Option<String>) = (row.get(2)?, row.get(3)?);
    let payload = row.get_ref(4)?.as_blob()?;
    Ok(Stored {
        seq: row.get(0)?,
        stored: Timestamp::from_micros(row.get(1)?),
        message: read_content(&stage, content_type.as_deref(), payload),
    })
}

/// A kept message; it was under the limit when it was kept, so none is asked for here.
fn read_content(
    stage: &str,
    content_type: Option<&str>,
    payload: &[u8],
) -> Result<Content, String> {
    let kept = Kept::from_token(stage).ok_or_else(|| format!("stage {stage:?} is unknown"))?;
    let limits = Limits { bytes_max: usize::MAX };
    Content::read(kept, payload, content_type, limits).map_err(|e| e.to_string())
}

fn collect<T>(
    connection: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(|e| failed("read", e))?;
    let rows = statement.query_map(values, |row| read(row)).map_err(|e| failed("read", e))?;
    rows.collect::<rusqlite::Result<_>>().map_err(|e| failed("read", e))
}

#[cfg(test)]
mod tests;

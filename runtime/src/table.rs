//! A table of small records in a KV bucket of the tenant: one newest value for each key, and
//! a revision that tells whether somebody else has written meanwhile.
//!
//! Only who writes a record knows what it says.

use crate::bus::{Bus, Error};
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, Store, UpdateErrorKind};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use std::collections::{BTreeMap, BTreeSet};

/// Requests under way at once where many keys are read or written.
const AT_ONCE: usize = 256;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: String,
    /// Revision of the store with which it was written: rises with every write of any key.
    pub revision: u64,
    /// Its bytes; none where it was removed.
    pub bytes: Option<Vec<u8>>,
}

/// A table. Cheap to clone.
#[derive(Clone)]
pub struct Table(Store);

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "a table", why: why.to_string() }
}

fn record(entry: kv::Entry) -> Record {
    let bytes = (entry.operation == Operation::Put).then(|| entry.value.to_vec());
    Record { key: entry.key, revision: entry.revision, bytes }
}

impl Table {
    /// The table `mag-<tenant>-<name>`, made where it is missing.
    ///
    /// # Errors
    /// When the server cannot be asked, or will not make it.
    pub async fn open(bus: &Bus, name: &str, description: &str) -> Result<Self, Error> {
        let bucket = format!("mag-{}-{name}", bus.tenant());
        if let Ok(store) = bus.js().get_key_value(&bucket).await {
            return Ok(Self(store));
        }
        let config = kv::Config {
            bucket,
            description: description.to_owned(),
            history: 1,
            num_replicas: bus.replicas(),
            ..kv::Config::default()
        };
        bus.js().create_key_value(config).await.map(Self).map_err(failed)
    }

    /// Every record, by key.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn all(&self) -> Result<Vec<Record>, Error> {
        // A set: a key that is written while they are listed is listed twice.
        let keys: BTreeSet<String> =
            self.0.keys().await.map_err(failed)?.try_collect().await.map_err(failed)?;
        let entries = futures::stream::iter(keys)
            .map(|key| async move { self.0.entry(key).await.map_err(failed) });
        let found: Vec<Option<kv::Entry>> = entries.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut records: Vec<Record> =
            found.into_iter().flatten().map(record).filter(|r| r.bytes.is_some()).collect();
        records.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(records)
    }

    /// Revision of the newest write or removal of any key.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn newest(&self) -> Result<u64, Error> {
        let info = self.0.stream.get_info().await.map_err(failed)?;
        Ok(info.state.last_sequence)
    }

    /// Writes a record over its revision `before`, 0 where there is none. The new revision, or
    /// none where somebody else has written it meanwhile.
    ///
    /// # Errors
    /// When the server cannot store it.
    pub async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        before: u64,
    ) -> Result<Option<u64>, Error> {
        if before == 0 {
            return match self.0.create(key, bytes.into()).await {
                Ok(revision) => Ok(Some(revision)),
                Err(e) if e.kind() == CreateErrorKind::AlreadyExists => Ok(None),
                Err(e) => Err(failed(e)),
            };
        }
        match self.0.update(key, bytes.into(), before).await {
            Ok(revision) => Ok(Some(revision)),
            Err(e) if e.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    /// Writes many records, whoever wrote them before, several at once; none removes one.
    ///
    /// # Errors
    /// When the server cannot store one of them. Others may have been stored.
    pub async fn put_all(&self, records: BTreeMap<String, Option<Vec<u8>>>) -> Result<(), Error> {
        let each = records.into_iter().map(|(key, bytes)| async move {
            match bytes {
                Some(bytes) => self.0.put(key, bytes.into()).await.map(|_| ()).map_err(failed),
                None => self.0.purge(key).await.map_err(failed),
            }
        });
        futures::stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Removes a record that has still the revision `before`. False where somebody else has
    /// written it meanwhile.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn remove(&self, key: &str, before: u64) -> Result<bool, Error> {
        match self.0.purge_expect_revision(key, Some(before)).await {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(e) => Err(failed(e)),
        }
    }

    /// Every record as it is, and then every change.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn follow(&self) -> Result<BoxStream<'static, Result<Record, Error>>, Error> {
        let watch = self.0.watch_with_history(">").await.map_err(failed)?;
        Ok(Box::pin(watch.map(|entry| entry.map(record).map_err(failed))))
    }
}

//! Policy: small documents that operators change while the mesh runs, in a KV bucket of the
//! tenant. Only who reads a document knows what it says.
//!
//! A change is told on the bus by whoever follows it, once: its message's id follows from the
//! store's revision. So a change is on record whatever program made it.

use crate::{
    bus::{Bus, Error},
    context::Context,
    service::Task,
    stage::Publish,
};
use async_nats::jetstream::kv::{self, Operation, Store, UpdateErrorKind};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use magsentinel_bus_schema::{Stream, Timestamp, subject};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// Changes of a document that the store remembers: as many as it can.
const HISTORY: i64 = 64;
/// Attempts to read the documents before a service starts without them.
const ATTEMPTS: u32 = 3;

/// A document at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name, after the prefix.
    pub name: String,
    /// Revision of the store: rises with every change of any document.
    pub revision: u64,
    /// When the server stored it.
    pub stored: Timestamp,
    /// Its bytes; none where it was removed.
    pub bytes: Option<Vec<u8>>,
}

/// Takes a document. Returns the report of all documents so far, and what is to be told of this
/// one. It may be shown a document again, and an older revision after a newer one.
pub type Take = dyn Fn(&Document) -> (Value, Option<Publish>) + Send + Sync;

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "a policy", why: why.to_string() }
}

/// The bucket, made where it is missing.
async fn store(bus: &Bus) -> Result<Store, Error> {
    let bucket = format!("mag-{}-policy", bus.tenant());
    if let Ok(store) = bus.js().get_key_value(&bucket).await {
        return Ok(store);
    }
    let config = kv::Config {
        bucket,
        description: "What operators decide while the mesh runs".to_owned(),
        history: HISTORY,
        num_replicas: bus.replicas(),
        ..kv::Config::default()
    };
    bus.js().create_key_value(config).await.map_err(failed)
}

pub(crate) fn document(prefix: &str, entry: kv::Entry) -> Document {
    let micros = entry.created.unix_timestamp_nanos() / 1000;
    Document {
        name: entry.key.strip_prefix(prefix).unwrap_or(&entry.key).to_owned(),
        revision: entry.revision,
        stored: Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)),
        bytes: (entry.operation == Operation::Put).then(|| entry.value.to_vec()),
    }
}

/// The documents under a prefix as they are now, by name.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(bus: &Bus, prefix: &str) -> Result<Vec<Document>, Error> {
    let store = store(bus).await?;
    let mut keys: Vec<String> =
        store.keys().await.map_err(failed)?.try_collect().await.map_err(failed)?;
    // A key that is written while they are listed is listed twice.
    keys.sort();
    keys.dedup();
    let mut found = Vec::new();
    for key in keys.into_iter().filter(|key| key.starts_with(prefix)) {
        let entry = store.entry(&key).await.map_err(failed)?;
        found.extend(entry.map(|entry| document(prefix, entry)).filter(|d| d.bytes.is_some()));
    }
    Ok(found)
}

/// Writes a document over its revision `before`, 0 where there is none. The new revision, or
/// none where somebody else has changed it meanwhile.
///
/// # Errors
/// When the server cannot store it.
pub async fn put(
    bus: &Bus,
    (prefix, name): (&str, &str),
    bytes: Vec<u8>,
    before: u64,
) -> Result<Option<u64>, Error> {
    let written = store(bus).await?.update(format!("{prefix}{name}"), bytes.into(), before).await;
    match written {
        Ok(revision) => Ok(Some(revision)),
        Err(e) if e.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

/// Removes a document.
///
/// # Errors
/// When the server cannot be reached.
pub async fn remove(bus: &Bus, prefix: &str, name: &str) -> Result<(), Error> {
    store(bus).await?.delete(format!("{prefix}{name}")).await.map_err(failed)
}

/// What is done before a service handles anything: every document is read. Where the store
/// cannot be read, the service starts without, and its report says so.
#[must_use]
pub fn loading(part: &'static str, prefix: &'static str, take: Arc<Take>) -> Task {
    let run = move |context: Context| {
        let take = Arc::clone(&take);
        let work = async move {
            let mut attempt = 1;
            let found = loop {
                match list(&context.bus, prefix).await {
                    Err(_) if attempt < ATTEMPTS => attempt += 1,
                    done => break done,
                }
                context.pause(std::time::Duration::from_millis(500)).await;
            };
            match found {
                Ok(found) => {
                    for one in &found {
                        context.report(part, take(one).0);
                    }
                }
                Err(error) => {
                    tracing::error!(part, %error, "policy cannot be read: starting without it");
                    context.report(part, serde_json::json!({ "error": error.to_string() }));
                }
            }
            Ok(())
        };
        Box::pin(work) as BoxFuture<'static, Result<(), String>>
    };
    Task { name: format!("{part}-loading"), run: Arc::new(run) }
}

/// The task that follows the documents under a prefix, and tells of each change what `take`
/// makes of it, on the subjects of `stage`.
#[must_use]
pub fn following(
    part: &'static str,
    prefix: &'static str,
    stage: &'static str,
    take: Arc<Take>,
) -> Task {
    let run = move |context: Context| {
        let take = Arc::clone(&take);
        let work = async move { follow(&context, part, prefix, stage, &*take).await };
        Box::pin(work) as BoxFuture<'static, Result<(), String>>
    };
    Task { name: part.to_owned(), run: Arc::new(run) }
}

async fn follow(
    context: &Context,
    part: &str,
    prefix: &str,
    stage: &str,
    take: &Take,
) -> Result<(), String> {
    let bus = &context.bus;
    let mut told = told(bus, stage).await.map_err(|e| e.to_string())?;
    let mut watch = watch(bus, prefix).await.map_err(|e| e.to_string())?;
    loop {
        let entry = tokio::select! {
            entry = watch.next() => entry.ok_or("the watch has ended")?,
            () = context.stopping() => return Ok(()),
        };
        let found = document(prefix, entry.map_err(|e| e.to_string())?);
        let (report, change) = take(&found);
        context.report(part, report);
        if let Some(change) = change.filter(|change| told.insert(change.id.to_string())) {
            bus.publish_all(&[change]).await.map_err(|e| e.to_string())?;
        }
    }
}

/// Every document under a prefix as it was and is, and every change from then on.
pub(crate) async fn watch(bus: &Bus, prefix: &str) -> Result<kv::Watch, Error> {
    store(bus).await?.watch_with_history(format!("{prefix}>")).await.map_err(failed)
}

/// Ids of the changes that are on record.
pub(crate) async fn told(bus: &Bus, stage: &str) -> Result<BTreeSet<String>, Error> {
    let mut ids = BTreeSet::new();
    let filter = vec![subject::all_of(bus.tenant(), stage)];
    bus.read_all(Stream::Decisions, filter, |d| ids.extend(d.message_id.clone())).await?;
    Ok(ids)
}

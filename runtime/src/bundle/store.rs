//! Where bundles lie: the bytes in an object store, their pointers in a KV bucket.

use super::Pointer;
use crate::bus::{Bus, Error, objects::Bucket};
use async_nats::jetstream::kv::{self, Operation, Store};
use futures::TryStreamExt;
use magsentinel_bus_schema::Token;
use std::collections::BTreeSet;

/// Pointers that are remembered of a consumer, for a rollback.
const HISTORY: i64 = 8;

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "a bundle", why: why.to_string() }
}

/// The bucket of pointers, made where it is missing.
pub(super) async fn pointers(bus: &Bus) -> Result<Store, Error> {
    let bucket = format!("mag-{}-bundles", bus.tenant());
    if let Ok(store) = bus.js().get_key_value(&bucket).await {
        return Ok(store);
    }
    let config = kv::Config {
        bucket,
        description: "Which bundle each patrol is to use".to_owned(),
        history: HISTORY,
        num_replicas: bus.replicas(),
        ..kv::Config::default()
    };
    bus.js().create_key_value(config).await.map_err(failed)
}

/// The bytes that a pointer names.
pub(super) async fn fetch(bus: &Bus, pointer: &Pointer) -> Result<Vec<u8>, Error> {
    bus.get_object(Bucket::Bundles, &pointer.object, pointer.bytes).await
}

/// Stores bytes for a consumer, signed with a seed, and points to them. Its revision.
///
/// # Errors
/// When the seed is none, or the server cannot store them.
pub async fn publish(
    bus: &Bus,
    consumer: &Token,
    bytes: &[u8],
    seed: &str,
) -> Result<(Pointer, u64), Error> {
    let pointer = Pointer::sign(bus.tenant(), consumer, bytes, seed).map_err(failed)?;
    bus.put_object(Bucket::Bundles, &pointer.object, bytes).await?;
    let text = serde_json::to_vec(&pointer).map_err(failed)?;
    let revision = pointers(bus).await?.put(consumer.as_str(), text.into()).await;
    let revision = revision.map_err(failed)?;
    prune(bus, consumer).await?;
    Ok((pointer, revision))
}

/// Points to the bundle before the newest again. Its revision.
///
/// # Errors
/// When there is none before it.
pub async fn rollback(bus: &Bus, consumer: &Token) -> Result<(Pointer, u64), Error> {
    let all = list(bus, consumer).await?;
    let newest = all.last().map(|(pointer, _)| pointer.digest.clone());
    let before = all.into_iter().rev().find(|(p, _)| Some(&p.digest) != newest.as_ref());
    let (pointer, _) = before.ok_or_else(|| {
        failed(format!("{consumer} has no earlier bundle: withdraw it to use what is built in"))
    })?;
    let text = serde_json::to_vec(&pointer).map_err(failed)?;
    let revision = pointers(bus).await?.put(consumer.as_str(), text.into()).await;
    Ok((pointer, revision.map_err(failed)?))
}

/// Takes a consumer's bundle back: it uses what is built in.
///
/// # Errors
/// When the server cannot be reached.
pub async fn withdraw(bus: &Bus, consumer: &Token) -> Result<(), Error> {
    pointers(bus).await?.delete(consumer.as_str()).await.map_err(failed)
}

/// The remembered bundles of a consumer with their revisions, oldest first.
///
/// # Errors
/// When the server cannot be reached.
pub async fn list(bus: &Bus, consumer: &Token) -> Result<Vec<(Pointer, u64)>, Error> {
    let history = pointers(bus).await?.history(consumer.as_str()).await.map_err(failed)?;
    let entries: Vec<kv::Entry> = history.try_collect().await.map_err(failed)?;
    let put = entries.into_iter().filter(|entry| entry.operation == Operation::Put);
    let read = |e: kv::Entry| Some((serde_json::from_slice(&e.value).ok()?, e.revision));
    Ok(put.filter_map(read).collect())
}

/// Removes the bytes that no remembered pointer of a consumer names.
async fn prune(bus: &Bus, consumer: &Token) -> Result<(), Error> {
    let named: BTreeSet<String> =
        list(bus, consumer).await?.into_iter().map(|(pointer, _)| pointer.object).collect();
    let prefix = format!("{consumer}.");
    for object in bus.object_names(Bucket::Bundles).await? {
        if object.starts_with(&prefix) && !named.contains(&object) {
            bus.delete_object(Bucket::Bundles, &object).await?;
        }
    }
    Ok(())
}

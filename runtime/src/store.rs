//! An object store of the tenant: what is too large for one message and is kept under a name that
//! follows from its content, so that it is never written over.

use crate::{
    bus::{Bus, Error},
    settings::Span,
};
use async_nats::jetstream::{
    object_store::{self, GetErrorKind, InfoErrorKind, ObjectStore},
    stream::StorageType,
};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// How long the next bytes of an object may take before they are taken to be gone.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Bounds of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of all objects together; beyond it new ones are refused.
    pub bytes_max: u64,
    /// Longest time an object is kept.
    pub age_max: Span,
}

/// A store. Cheap to clone.
#[derive(Clone)]
pub struct Store(ObjectStore);

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "an object store", why: why.to_string() }
}

fn bucket(bus: &Bus, name: &str) -> String {
    format!("mag-{}-{name}", bus.tenant())
}

impl Store {
    /// The store `mag-<tenant>-<name>`, made where it is missing; the bounds of one that is there
    /// become these, unless this role only uses what others make (`bus.streams.manage`).
    ///
    /// # Errors
    /// When the server cannot be asked, or will not make it.
    pub async fn open(
        bus: &Bus,
        name: &str,
        description: &str,
        bounds: Bounds,
    ) -> Result<Self, Error> {
        let bucket = bucket(bus, name);
        let bytes_max = i64::try_from(bounds.bytes_max).unwrap_or(i64::MAX);
        if let Ok(found) = bus.js().get_stream(format!("OBJ_{bucket}")).await {
            let mut config = found.cached_info().config.clone();
            let as_due = config.max_bytes == bytes_max && config.max_age == bounds.age_max.get();
            if !as_due && bus.manages() {
                (config.max_bytes, config.max_age) = (bytes_max, bounds.age_max.get());
                bus.js().update_stream(config).await.map_err(failed)?;
            }
            return bus.js().get_object_store(&bucket).await.map(Self).map_err(failed);
        }
        let config = object_store::Config {
            bucket,
            description: Some(description.to_owned()),
            max_bytes: bytes_max,
            max_age: bounds.age_max.get(),
            storage: StorageType::File,
            num_replicas: bus.replicas(),
            ..object_store::Config::default()
        };
        bus.js().create_object_store(config).await.map(Self).map_err(failed)
    }

    /// The store of a name, as whoever fills it has made it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn existing(bus: &Bus, name: &str) -> Result<Self, Error> {
        bus.js().get_object_store(bucket(bus, name)).await.map(Self).map_err(failed)
    }

    /// Stores an object, unless one of its name and size is there. Whether it was new.
    ///
    /// # Errors
    /// When the store cannot be reached or is full.
    pub async fn keep(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        match self.0.info(name).await {
            Ok(info) if !info.deleted && info.size == bytes.len() => return Ok(false),
            Ok(_) => {}
            Err(e) if e.kind() == InfoErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        let mut from = bytes;
        self.0.put(name, &mut from).await.map(|_| true).map_err(failed)
    }

    /// The object of a name, at most `bytes_max` bytes and one; none where there is none. Also
    /// where it is damaged: the caller's own hash tells, and what is left is told of.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        let object = match self.0.get(name).await {
            Ok(object) => object,
            Err(e) if e.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let (mut object, mut found) = (object.take(bytes_max.saturating_add(1)), Vec::new());
        loop {
            // The server says nothing of chunks that are gone: they do not come.
            let read = tokio::time::timeout(QUIET_MAX, object.read_buf(&mut found)).await;
            match read {
                Ok(Ok(0)) | Err(_) => return Ok(Some(found)),
                Ok(Ok(_)) => {}
                // The digest that the store holds beside it is another one.
                Ok(Err(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
                    return Ok(Some(found));
                }
                Ok(Err(e)) => return Err(failed(format!("{name}: {e}"))),
            }
        }
    }
}

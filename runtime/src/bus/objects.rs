//! The object stores of a tenant: what is too large for one message.

use super::{Bus, Error};
use async_nats::jetstream::{
    object_store::{self, ObjectStore},
    stream::StorageType,
};
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;

/// What a store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// State of shards, for their next owner.
    Snapshots,
    /// Signed models and patterns.
    Bundles,
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "the object store", why: why.to_string() }
}

impl Bus {
    /// The store, made where it is missing.
    async fn objects(&self, bucket: Bucket) -> Result<ObjectStore, Error> {
        let (name, description) = match bucket {
            Bucket::Snapshots => ("snapshots", "State of shards, for their next owner"),
            Bucket::Bundles => ("bundle-objects", "Signed models and patterns"),
        };
        let name = format!("mag-{}-{name}", self.tenant);
        if let Ok(store) = self.js.get_object_store(&name).await {
            return Ok(store);
        }
        let config = object_store::Config {
            bucket: name,
            description: Some(description.to_owned()),
            max_bytes: self.streams.objects_bytes_max,
            storage: StorageType::File,
            num_replicas: self.streams.replicas,
            ..object_store::Config::default()
        };
        self.js.create_object_store(config).await.map_err(failed)
    }

    /// Replicas of every stream.
    pub(crate) fn replicas(&self) -> usize {
        self.streams.replicas
    }

    /// Whether this role makes what is missing, and adjusts the limits of what is there.
    pub(crate) fn manages(&self) -> bool {
        self.streams.manage
    }

    /// Stores an object under a name, in place of an earlier one of that name.
    ///
    /// # Errors
    /// When the store cannot be reached or is full.
    pub(crate) async fn put_object(
        &self,
        bucket: Bucket,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let mut from = bytes;
        let put = self.objects(bucket).await?;
        put.put(name, &mut from).await.map(|_| ()).map_err(failed)
    }

    /// Reads the object of a name, of exactly `bytes` bytes.
    ///
    /// # Errors
    /// When it is not there or has another size.
    pub(crate) async fn get_object(
        &self,
        bucket: Bucket,
        name: &str,
        bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        let store = self.objects(bucket).await?;
        let object = store.get(name).await.map_err(failed)?;
        let mut found = Vec::new();
        object.take(bytes.saturating_add(1)).read_to_end(&mut found).await.map_err(failed)?;
        if found.len() as u64 == bytes {
            return Ok(found);
        }
        Err(failed(format!("{name} has {} bytes, expected {bytes}", found.len())))
    }

    /// The names of all objects.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn object_names(&self, bucket: Bucket) -> Result<Vec<String>, Error> {
        let store = self.objects(bucket).await?;
        let listed = store.list().await.map_err(failed)?;
        let names = listed.map_ok(|info| info.name).try_collect().await;
        names.map_err(failed)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(crate) async fn delete_object(&self, bucket: Bucket, name: &str) -> Result<(), Error> {
        self.objects(bucket).await?.delete(name).await.map_err(failed)
    }
}

//! The object store of a tenant: what is too large for one message.

use super::{Bus, Error};
use async_nats::jetstream::{object_store, stream::StorageType};
use tokio::io::AsyncReadExt;

impl Bus {
    /// Name of the bucket of snapshots.
    fn snapshots(&self) -> String {
        format!("mag-{}-snapshots", self.tenant)
    }

    /// Makes the bucket of snapshots where it is missing.
    pub(super) async fn ensure_objects(&self) -> Result<(), Error> {
        let bucket = self.snapshots();
        if !self.streams.manage || self.js.get_object_store(&bucket).await.is_ok() {
            return Ok(());
        }
        let config = object_store::Config {
            bucket: bucket.clone(),
            description: Some("State of shards, for their next owner".to_owned()),
            max_bytes: self.streams.snapshots_bytes_max,
            storage: StorageType::File,
            num_replicas: self.streams.replicas,
            ..object_store::Config::default()
        };
        let made = self.js.create_object_store(config).await;
        made.map(|_| ()).map_err(|e| Error::Stream { name: bucket, why: e.to_string() })
    }

    /// Stores a snapshot under a name, in place of an earlier one of that name.
    ///
    /// # Errors
    /// When the store cannot be reached or is full.
    pub(crate) async fn put_snapshot(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let failed = |why: String| Error::Request { what: "a snapshot", why };
        let store = self.js.get_object_store(&self.snapshots()).await;
        let store = store.map_err(|e| failed(e.to_string()))?;
        let mut from = bytes;
        store.put(name, &mut from).await.map(|_| ()).map_err(|e| failed(e.to_string()))
    }

    /// Reads the snapshot of a name, of exactly `bytes` bytes.
    ///
    /// # Errors
    /// When it is not there or has another size.
    pub(crate) async fn get_snapshot(&self, name: &str, bytes: u64) -> Result<Vec<u8>, Error> {
        let failed = |why: String| Error::Request { what: "a snapshot", why };
        let store = self.js.get_object_store(&self.snapshots()).await;
        let store = store.map_err(|e| failed(e.to_string()))?;
        let object = store.get(name).await.map_err(|e| failed(e.to_string()))?;
        let mut found = Vec::new();
        let read = object.take(bytes.saturating_add(1)).read_to_end(&mut found).await;
        read.map_err(|e| failed(e.to_string()))?;
        if found.len() as u64 == bytes {
            return Ok(found);
        }
        Err(failed(format!("{name} has {} bytes, expected {bytes}", found.len())))
    }
}

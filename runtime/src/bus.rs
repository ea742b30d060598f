//! The NATS connection: how it is made, and how messages are published so that none is lost.

mod connect;
pub(crate) mod objects;
mod read;
mod send;
mod streams;

pub use connect::{BusConfig, TlsConfig, connect};
pub use read::Extent;
pub use send::Fence;
pub use streams::{QueueLimits, StreamConfig, StreamLimits};

use async_nats::jetstream;
use magsentinel_bus_schema::{CodecError, Limits, Stream, Tenant};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// What can go wrong on the bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("cannot connect to NATS at {servers} ({hint})")]
    Connect {
        /// The servers that were tried.
        servers: String,
        /// What to do about it.
        hint: &'static str,
        /// What the client said.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Credentials or certificates cannot be used.
    #[error("cannot use bus.{key} {path:?}")]
    Credentials {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A stream could neither be found nor made.
    #[error("stream {name} is not available: {why}")]
    Stream {
        /// The stream.
        name: String,
        /// What the server said.
        why: String,
    },
    /// A consumer could neither be found nor made.
    #[error("consumer {name} of {stream} is not available: {why}")]
    Consumer {
        /// The stream.
        stream: String,
        /// The consumer.
        name: String,
        /// What the server said.
        why: String,
    },
    /// The server refused a publish because the shard's lease has moved on.
    #[error("lost the lease {lease}: the server refused what was published under it")]
    Fenced {
        /// Subject of the lease.
        lease: String,
    },
    /// A message is larger than the server takes.
    #[error("message for {subject} is over the server's max_payload")]
    TooLarge {
        /// Where it was to go.
        subject: String,
        /// Its place in the batch.
        index: usize,
    },
    /// The process is shutting down before the server confirmed.
    #[error("stopped before the server confirmed {unconfirmed} messages")]
    Stopped {
        /// How many.
        unconfirmed: usize,
    },
    /// A request was not answered.
    #[error("no answer from the server to {what}: {why}")]
    Request {
        /// What was asked.
        what: &'static str,
        /// What the client said.
        why: String,
    },
    /// A message cannot be written.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A connection for one tenant. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    js: jetstream::Context,
    tenant: Tenant,
    limits: Limits,
    streams: Arc<StreamConfig>,
    /// How long a server that does not answer is asked again at the start.
    startup: Duration,
    servers: Arc<[String]>,
    connected: watch::Receiver<()>,
}

impl Bus {
    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Bounds of reading.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The underlying client, for this crate's own services.
    pub(crate) fn client(&self) -> &async_nats::Client {
        &self.client
    }

    pub(crate) fn js(&self) -> &jetstream::Context {
        &self.js
    }

    /// Changes each time that the connection was made.
    pub(crate) fn connected(&self) -> watch::Receiver<()> {
        self.connected.clone()
    }

    /// Whether the connection stands right now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// How often the connection was made.
    pub(crate) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) async fn stream(&self, stream: Stream) -> Result<jetstream::stream::Stream, Error> {
        let name = stream.name(&self.tenant);
        let found = self.js.get_stream(&name).await;
        found.map_err(|e| Error::Stream { name, why: e.to_string() })
    }

    /// Addresses of the servers: those that were configured, and those that they tell of.
    pub async fn server_addresses(&self) -> Vec<std::net::IpAddr> {
        let told = self.client.try_server_info().map(|info| info.connect_urls).unwrap_or_default();
        let mut found = Vec::new();
        for server in self.servers.iter().cloned().chain(told) {
            // What has no name any more has no address to protect.
            if let Ok(addresses) = tokio::net::lookup_host(&server).await {
                found.extend(addresses.map(|address| address.ip()));
            }
        }
        found
    }

    /// Sends what is buffered and closes.
    pub async fn close(&self) {
        if let Err(error) = self.client.flush().await {
            tracing::warn!(%error, "could not flush the connection");
        }
    }
}

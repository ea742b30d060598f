//! The JetStream streams of a tenant: made when missing, verified when there.

use super::{Bus, Error};
use crate::settings::Span;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use magsentinel_bus_schema::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bounds of one stream.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamLimits {
    /// Most bytes kept. Beyond it the oldest go (and are counted as shed), but for INGEST and
    /// DECISIONS, which refuse new messages so that publishers wait.
    pub bytes_max: i64,
    /// Longest time a message is kept.
    pub age_max: Span,
}

/// All streams of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Replicas of every stream: 1, 3 or 5. Default 1.
    pub replicas: usize,
    /// Make missing streams and adjust the limits of existing ones. Set false where this role
    /// may only use them. Default true.
    pub manage: bool,
    /// INGEST. Default 1 GiB, 1d.
    pub ingest: StreamLimits,
    /// EVENTS. Default 4 GiB, 1d.
    pub events: StreamLimits,
    /// SCORED. Default 2 GiB, 7d.
    pub scored: StreamLimits,
    /// KEYED. Default 2 GiB, 1d.
    pub keyed: StreamLimits,
    /// DECISIONS. Default 2 GiB, 30d.
    pub decisions: StreamLimits,
    /// DEADLETTER. Default 1 GiB, 30d.
    pub deadletter: StreamLimits,
    /// Most bytes of each object store: of all snapshots of shards' states together, and of all
    /// bundles. When they are spent, new objects are refused: shards are rebuilt from the stream
    /// instead, and a bundle is not published. Default 1 GiB.
    pub objects_bytes_max: i64,
}

const GIB: i64 = 1024 * 1024 * 1024;

impl Default for StreamConfig {
    fn default() -> Self {
        let limits = |gib: i64, days: u64| StreamLimits {
            bytes_max: gib * GIB,
            age_max: Span::s(days * 86_400),
        };
        Self {
            replicas: 1,
            manage: true,
            ingest: limits(1, 1),
            events: limits(4, 1),
            scored: limits(2, 7),
            keyed: limits(2, 1),
            decisions: limits(2, 30),
            deadletter: limits(1, 30),
            objects_bytes_max: GIB,
        }
    }
}

impl StreamConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !matches!(self.replicas, 1 | 3 | 5) {
            found.push(format!("streams.replicas: {} must be 1, 3 or 5", self.replicas));
        }
        if self.objects_bytes_max < 1024 * 1024 {
            found.push("streams.objects_bytes_max: must be at least 1 MiB".to_owned());
        }
        for &stream in Stream::ALL {
            let limits = self.limits(stream);
            let name = stream.token().to_lowercase();
            if limits.bytes_max < 1024 * 1024 {
                found.push(format!("streams.{name}.bytes_max: must be at least 1 MiB"));
            }
            if limits.age_max.get() < Duration::from_secs(60) {
                found.push(format!("streams.{name}.age_max: must be at least 1m"));
            }
        }
        found
    }

    fn limits(&self, stream: Stream) -> StreamLimits {
        match stream {
            Stream::Ingest => self.ingest,
            Stream::Events => self.events,
            Stream::Scored => self.scored,
            Stream::Keyed => self.keyed,
            Stream::Decisions => self.decisions,
            Stream::DeadLetter => self.deadletter,
        }
    }
}

impl Bus {
    fn config_of(&self, stream: Stream) -> Config {
        let limits = self.streams.limits(stream);
        let waits = matches!(stream, Stream::Ingest | Stream::Decisions);
        // Each id costs about 230 bytes of server memory while it is remembered.
        let window = if stream == Stream::Decisions { 600 } else { 30 };
        let mut subjects = stream.subjects(&self.tenant);
        if stream == Stream::DeadLetter {
            // A consumer that crashes its process at every attempt cannot speak for itself:
            // the server's advisory does.
            let advisory = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES";
            let names = Stream::ALL.iter().map(|s| s.name(&self.tenant));
            subjects.extend(names.map(|name| format!("{advisory}.{name}.*")));
        }
        Config {
            name: stream.name(&self.tenant),
            subjects,
            retention: match stream {
                Stream::Ingest => RetentionPolicy::WorkQueue,
                _ => RetentionPolicy::Limits,
            },
            discard: if waits { DiscardPolicy::New } else { DiscardPolicy::Old },
            max_bytes: limits.bytes_max,
            max_age: limits.age_max.get(),
            storage: StorageType::File,
            num_replicas: self.streams.replicas,
            duplicate_window: Duration::from_secs(window).min(limits.age_max.get()),
            allow_rollup: stream == Stream::Decisions,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// Makes or verifies every stream of the tenant.
    pub async fn ensure_streams(&self) -> Result<(), Error> {
        for &stream in Stream::ALL {
            if self.streams.manage {
                let config = self.config_of(stream);
                let name = config.name.clone();
                let made = self.js.create_or_update_stream(config).await;
                made.map_err(|e| Error::Stream { name, why: e.to_string() })?;
            } else {
                self.stream(stream).await?;
            }
        }
        Ok(())
    }
}

//! The JetStream streams of a tenant: made when missing, verified when there.

use super::{Bus, Error};
use crate::settings::Span;
use async_nats::jetstream::{
    context::CreateStreamErrorKind as Kind,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use magsentinel_bus_schema::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// Bounds of one stream.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamLimits {
    /// Most bytes kept. Beyond it the oldest go (and are counted as shed), but for DECISIONS,
    /// which refuses new messages so that publishers wait.
    pub bytes_max: i64,
    /// Longest time a message is kept.
    pub age_max: Span,
}

/// Bounds of INGEST. Nothing leaves it for its age: what publishers handed in stays until a sensor
/// has taken it, and publishers wait while it is full.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueLimits {
    /// Most bytes that wait. Beyond it new messages are refused, so that publishers wait.
    pub bytes_max: i64,
}

/// All streams of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Replicas of every stream: 1, 3 or 5. Default 1.
    pub replicas: usize,
    /// Make missing streams and adjust the limits of existing ones. Set false where this role
    /// may only use them: then it does not start on one that would lose what must not be lost,
    /// and says what differs. Default true.
    pub manage: bool,
    /// INGEST. Default 1 GiB.
    pub ingest: QueueLimits,
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
            ingest: QueueLimits { bytes_max: GIB },
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
    /// The same bounds, an eighth as large: of a tenant that holds recordings beside the real one.
    /// A server that has room for one tenant seldom has it for two.
    #[must_use]
    pub fn for_recordings(&self) -> Self {
        const SMALLER: i64 = 8;
        const LEAST: i64 = 1024 * 1024;
        let bytes = |bytes_max: i64| (bytes_max / SMALLER).max(LEAST);
        let limits = |all: StreamLimits| StreamLimits { bytes_max: bytes(all.bytes_max), ..all };
        Self {
            ingest: QueueLimits { bytes_max: bytes(self.ingest.bytes_max) },
            events: limits(self.events),
            scored: limits(self.scored),
            keyed: limits(self.keyed),
            decisions: limits(self.decisions),
            deadletter: limits(self.deadletter),
            objects_bytes_max: bytes(self.objects_bytes_max),
            ..*self
        }
    }

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
            if limits.age_max.is_some_and(|age| age.get() < Duration::from_secs(60)) {
                found.push(format!("streams.{name}.age_max: must be at least 1m"));
            }
        }
        found
    }

    fn limits(&self, stream: Stream) -> Limits {
        let StreamLimits { bytes_max, age_max } = match stream {
            Stream::Ingest => {
                return Limits { bytes_max: self.ingest.bytes_max, age_max: None };
            }
            Stream::Events => self.events,
            Stream::Scored => self.scored,
            Stream::Keyed => self.keyed,
            Stream::Decisions => self.decisions,
            Stream::DeadLetter => self.deadletter,
        };
        Limits { bytes_max, age_max: Some(age_max) }
    }
}

/// Bounds of any stream.
struct Limits {
    bytes_max: i64,
    /// None where age takes nothing away.
    age_max: Option<Span>,
}

impl Bus {
    /// Where the server tells of messages that it delivers no more.
    pub(crate) fn advisories(&self) -> Vec<String> {
        let advisory = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES";
        let names = Stream::ALL.iter().map(|s| s.name(&self.tenant));
        names.map(|name| format!("{advisory}.{name}.*")).collect()
    }

    /// Everything that a stream captures.
    pub(crate) fn subjects_of(&self, stream: Stream) -> Vec<String> {
        let mut subjects = stream.subjects(&self.tenant);
        if stream == Stream::DeadLetter {
            // A consumer that crashes its process at every attempt cannot speak for itself:
            // the server's advisory does.
            subjects.extend(self.advisories());
        }
        subjects
    }

    fn config_of(&self, stream: Stream) -> Config {
        let limits = self.streams.limits(stream);
        let waits = matches!(stream, Stream::Ingest | Stream::Decisions);
        // Each id costs about 230 bytes of server memory while it is remembered.
        let window = Duration::from_secs(if stream == Stream::Decisions { 600 } else { 30 });
        let max_age = limits.age_max.map_or(Duration::ZERO, Span::get);
        Config {
            name: stream.name(&self.tenant),
            subjects: self.subjects_of(stream),
            retention: match stream {
                Stream::Ingest => RetentionPolicy::WorkQueue,
                _ => RetentionPolicy::Limits,
            },
            discard: if waits { DiscardPolicy::New } else { DiscardPolicy::Old },
            max_bytes: limits.bytes_max,
            // Zero: for ever.
            max_age,
            storage: StorageType::File,
            num_replicas: self.streams.replicas,
            duplicate_window: match limits.age_max {
                Some(age) => window.min(age.get()),
                None => window,
            },
            allow_rollup: stream == Stream::Decisions,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// Makes or verifies every stream of the tenant.
    pub async fn ensure_streams(&self) -> Result<(), Error> {
        for &stream in Stream::ALL {
            if self.streams.manage {
                self.make(self.config_of(stream)).await?;
            } else {
                let found = self.stream(stream).await?;
                let wanted = self.config_of(stream);
                let wrong = differences(&wanted, &found.cached_info().config);
                if !wrong.is_empty() {
                    let why = format!(
                        "it is not as the mesh needs it: {}. Whoever made it must change it (`nats \
                         stream edit`), or bus.streams.manage be true",
                        wrong.join("; ")
                    );
                    return Err(Error::Stream { name: wanted.name, why });
                }
            }
        }
        Ok(())
    }
}

impl Bus {
    /// Makes or changes a stream. A server that is too busy to answer, or whose cluster has no leader
    /// yet, is asked again as long as one that cannot be reached.
    async fn make(&self, config: Config) -> Result<(), Error> {
        let deadline = Instant::now() + self.startup;
        loop {
            let Err(error) = self.js.create_or_update_stream(config.clone()).await else {
                return Ok(());
            };
            let later = matches!(error.kind(), Kind::TimedOut | Kind::JetStreamUnavailable);
            if !later || Instant::now() >= deadline {
                let why = with_remedy(error.to_string());
                return Err(Error::Stream { name: config.name, why });
            }
            tracing::warn!(stream = config.name, %error, "the server does not answer yet");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

/// What the server says, and what to do about it where that does not go without saying.
fn with_remedy(why: String) -> String {
    if !why.contains("insufficient storage") {
        return why;
    }
    format!(
        "{why}. The streams of a tenant may take as many bytes as their limits add up to: give the \
         server more (`max_file_store`; without it, three quarters of what is free on its disk), or \
         the streams less (bus.streams)"
    )
}

/// What of a stream that somebody else made would lose messages, or have one taken twice. Its
/// limits and replicas are theirs to choose, and more subjects do no harm.
fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must =
        |what: &str, right: bool, is: &dyn std::fmt::Debug, due: &dyn std::fmt::Debug| {
            if !right {
                wrong.push(format!("{what} is {is:?}, must be {due:?}"));
            }
        };
    let missing: Vec<&String> =
        wanted.subjects.iter().filter(|subject| !found.subjects.contains(subject)).collect();
    must("subjects", missing.is_empty(), &found.subjects, &wanted.subjects);
    let (is, due) = (found.retention, wanted.retention);
    must("retention", is == due, &is, &due);
    must("discard", found.discard == wanted.discard, &found.discard, &wanted.discard);
    must("storage", found.storage == wanted.storage, &found.storage, &wanted.storage);
    // What is kept for a shorter time cannot be remembered for a longer one.
    let window = match found.max_age {
        Duration::ZERO => wanted.duplicate_window,
        age => wanted.duplicate_window.min(age),
    };
    let is = found.duplicate_window;
    must("duplicate window", is >= window, &is, &format!("at least {window:?}"));
    let ages = !found.max_age.is_zero() && wanted.max_age.is_zero();
    must("maximum age", !ages, &found.max_age, &"unlimited");
    let rollup = found.allow_rollup || !wanted.allow_rollup;
    must("allow rollup", rollup, &found.allow_rollup, &true);
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_take_an_eighth_and_a_full_server_is_told_with_what_to_do() {
        let streams = StreamConfig { replicas: 3, ..StreamConfig::default() };
        let small = streams.for_recordings();
        assert_eq!((small.events.bytes_max, small.replicas), (GIB / 2, 3));
        assert_eq!(small.events.age_max, streams.events.age_max);
        assert_eq!(StreamConfig::problems(&small.for_recordings().for_recordings()), [""; 0]);
        let told = with_remedy("insufficient storage resources available".to_owned());
        assert!(told.contains("max_file_store") && told.contains("bus.streams"), "{told}");
        assert_eq!(with_remedy("timed out".to_owned()), "timed out");
    }

    #[test]
    fn nothing_that_was_handed_in_leaves_for_its_age() {
        let streams = StreamConfig::default();
        assert!(streams.limits(Stream::Ingest).age_max.is_none());
        assert!(streams.limits(Stream::Events).age_max.is_some());
        let short = StreamLimits { bytes_max: GIB, age_max: Span::s(5) };
        let problems = StreamConfig { keyed: short, ..streams }.problems();
        assert_eq!(problems, ["streams.keyed.age_max: must be at least 1m"]);
    }
}

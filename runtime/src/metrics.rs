//! Every metric of the shell, by typed name. Stages report their own figures as JSON
//! ([`crate::stage::Stage::report`]); what is counted here is what every consumer has.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::fmt;

/// Label of most families.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Consumer {
    /// Name of the durable or sharded service.
    pub consumer: String,
}

/// Consumer and why.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ConsumerReason {
    /// Name of the durable or sharded service.
    pub consumer: String,
    /// `poison`, `gave_up` or `bug`; of a gap `backfilled` or `lost`.
    pub reason: &'static str,
}

type ByConsumer = Family<Consumer, Counter>;

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    /// Messages handled and acknowledged.
    pub handled: ByConsumer,
    /// Messages published.
    pub published: ByConsumer,
    /// Messages dead-lettered.
    pub dead_lettered: Family<ConsumerReason, Counter>,
    /// Deliveries handed back for another attempt.
    pub retried: ByConsumer,
    /// Panics caught.
    pub bugs: ByConsumer,
    /// Messages seen again to rebuild state.
    pub rebuilt: ByConsumer,
    /// Shards owned.
    pub shards: Family<Consumer, Gauge>,
    /// Messages that wait for a consumer.
    pub lag: Family<Consumer, Gauge>,
    /// Messages that the ledger of a durable misses.
    pub missing: Family<Consumer, Gauge>,
    /// 1 while a gap is open.
    pub gap_open: Family<Consumer, Gauge>,
    /// Messages of the gaps that this process has closed, or told as lost.
    pub gap_events: Family<ConsumerReason, Counter>,
    /// Time to handle one batch, without publishing.
    pub handle_seconds: Family<Consumer, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("magsentinel");
        let handled = ByConsumer::default();
        let published = ByConsumer::default();
        let dead_lettered = Family::<ConsumerReason, Counter>::default();
        let retried = ByConsumer::default();
        let bugs = ByConsumer::default();
        let rebuilt = ByConsumer::default();
        let shards = Family::<Consumer, Gauge>::default();
        let lag = Family::<Consumer, Gauge>::default();
        let missing = Family::<Consumer, Gauge>::default();
        let gap_open = Family::<Consumer, Gauge>::default();
        let gap_events = Family::<ConsumerReason, Counter>::default();
        // 10 µs to 40 s.
        let handle_seconds = Family::<Consumer, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(1e-5, 4.0, 12))
        });
        registry.register("shell_handled", "Messages handled and acknowledged", handled.clone());
        registry.register("shell_published", "Messages published", published.clone());
        let help = "Messages dead-lettered, by reason";
        registry.register("shell_dead_lettered", help, dead_lettered.clone());
        let help = "Deliveries handed back for another attempt";
        registry.register("shell_retried", help, retried.clone());
        registry.register("shell_bugs", "Panics caught by the supervisor", bugs.clone());
        let help = "Messages read again to rebuild state";
        registry.register("shell_rebuilt", help, rebuilt.clone());
        registry.register("lease_shards", "Shards owned by this process", shards.clone());
        let help = "Messages that wait for a consumer";
        registry.register("patrol_lag_events", help, lag.clone());
        let help = "Messages that a consumer's ledger misses: neither handled nor dead-lettered";
        registry.register("ledger_missing_events", help, missing.clone());
        let help = "1 while a consumer catches up with what it did not see in time";
        registry.register("gap_open", help, gap_open.clone());
        let help = "Messages that were not seen in time, told by this process";
        registry.register("gap_events", help, gap_events.clone());
        let help = "Time to handle one batch, in seconds";
        registry.register("shell_handle_seconds", help, handle_seconds.clone());
        Self {
            registry,
            handled,
            published,
            dead_lettered,
            retried,
            bugs,
            rebuilt,
            shards,
            lag,
            missing,
            gap_open,
            gap_events,
            handle_seconds,
        }
    }
}

impl Metrics {
    /// The registry as OpenMetrics text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The label of a consumer.
#[must_use]
pub fn consumer(name: &str) -> Consumer {
    Consumer { consumer: name.to_owned() }
}

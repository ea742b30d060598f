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

/// Consumer and the name of one of its own figures.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ConsumerFigure {
    /// Name of the durable or sharded service.
    pub consumer: String,
    /// The path of the figure in its report: `live.events.late`.
    pub figure: String,
}

/// Most figures of one consumer.
const FIGURES_MAX: usize = 256;

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
    /// Batches that the server refused because the lease had moved on.
    pub fenced: ByConsumer,
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
    /// The numbers of the stages' own reports.
    pub figures: Family<ConsumerFigure, Gauge>,
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
        let fenced = ByConsumer::default();
        let shards = Family::<Consumer, Gauge>::default();
        let lag = Family::<Consumer, Gauge>::default();
        let missing = Family::<Consumer, Gauge>::default();
        let gap_open = Family::<Consumer, Gauge>::default();
        let gap_events = Family::<ConsumerReason, Counter>::default();
        let figures = Family::<ConsumerFigure, Gauge>::default();
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
        let help = "Batches that the server refused because the lease had moved on";
        registry.register("shell_fenced", help, fenced.clone());
        registry.register("lease_shards", "Shards owned by this process", shards.clone());
        let help = "Messages that wait for a consumer";
        registry.register("patrol_lag_events", help, lag.clone());
        let help = "Messages that a consumer's ledger misses: neither handled nor dead-lettered";
        registry.register("ledger_missing_events", help, missing.clone());
        let help = "1 while a consumer catches up with what it did not see in time";
        registry.register("gap_open", help, gap_open.clone());
        let help = "Messages that were not seen in time, told by this process";
        registry.register("gap_events", help, gap_events.clone());
        let help = "Numbers of a consumer's own report, by their path in it";
        registry.register("stage_figure", help, figures.clone());
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
            fenced,
            shards,
            lag,
            missing,
            gap_open,
            gap_events,
            figures,
            handle_seconds,
        }
    }
}

impl Metrics {
    /// Shows the whole numbers of a consumer's report, at every depth.
    pub fn show(&self, consumer: &str, report: &serde_json::Value) {
        let mut found = Vec::new();
        numbers(String::new(), report, &mut found);
        for (figure, number) in found {
            let label = ConsumerFigure { consumer: consumer.to_owned(), figure };
            self.figures.get_or_create(&label).set(number);
        }
    }

    /// The registry as OpenMetrics text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn numbers(path: String, report: &serde_json::Value, found: &mut Vec<(String, i64)>) {
    if found.len() >= FIGURES_MAX {
        return;
    }
    match report {
        serde_json::Value::Object(of) => {
            for (name, inner) in of {
                let dot = if path.is_empty() { "" } else { "." };
                numbers(format!("{path}{dot}{name}"), inner, found);
            }
        }
        serde_json::Value::Number(number) => {
            found.extend(number.as_i64().map(|number| (path, number)));
        }
        _ => {}
    }
}

/// The label of a consumer.
#[must_use]
pub fn consumer(name: &str) -> Consumer {
    Consumer { consumer: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_report_are_shown_by_their_path() {
        let metrics = Metrics::default();
        let report = serde_json::json!({"live": {"events": {"late": 3}}, "shards": 2, "why": "x"});
        metrics.show("analyzer", &report);
        let text = metrics.render().unwrap();
        for figure in ["live.events.late\"} 3", "shards\"} 2"] {
            let line = format!("magsentinel_stage_figure{{consumer=\"analyzer\",figure=\"{figure}");
            assert!(text.contains(&line), "{text}");
        }
        assert!(!text.contains("why"));
    }
}

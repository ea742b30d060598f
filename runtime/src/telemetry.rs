//! Structured tracing to standard error.

use crate::settings::Section;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Filter, like `info` or `info,magsentinel_runtime=debug`. Default `info`.
    pub log: String,
    /// One JSON object a line instead of text. Default false.
    pub json: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info".to_owned(), json: false }
    }
}

impl Section for TelemetryConfig {
    const NAME: &'static str = "telemetry";

    fn problems(&self) -> Vec<String> {
        let parsed = EnvFilter::try_new(&self.log);
        parsed
            .err()
            .map(|e| format!("log: {:?} is no filter ({e})", self.log))
            .into_iter()
            .collect()
    }
}

/// Begins to log. A second call in one process has no effect.
pub fn init(config: &TelemetryConfig) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if config.json {
        registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
    } else {
        let text = fmt::layer().with_target(false).with_writer(std::io::stderr);
        registry.with(text.with_ansi(false)).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was begun before");
    }
}

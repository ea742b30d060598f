//! Every section of the configuration, read and checked together.

use crate::args::Global;
use magsentinel_analyzer as analyzer;
use magsentinel_commander as commander;
use magsentinel_inference as inference;
use magsentinel_logbook as logbook;
use magsentinel_patrol as patrol;
use magsentinel_pattern as pattern;
use magsentinel_responder as responder;
use magsentinel_runtime::{
    bus::BusConfig,
    health::HealthConfig,
    settings::{ConfigError, Layers, Section},
    telemetry::TelemetryConfig,
};
use magsentinel_sensor as sensor;
use serde_json::{Value, json};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    pub bus: BusConfig,
    pub health: HealthConfig,
    pub telemetry: TelemetryConfig,
    pub sensor: sensor::Config,
    pub patrols: patrol::Config,
    pub inference: inference::Config,
    pub patterns: pattern::Config,
    pub analyzer: analyzer::Config,
    pub commander: commander::Config,
    pub responder: responder::Config,
    pub logbook: logbook::Config,
}

impl Settings {
    /// Reads file, environment and `--set`, and tells everything that is wrong at once.
    pub fn load(global: &Global) -> Result<Self, ConfigError> {
        let mut layers = Layers::load(global.config.as_deref(), &global.set)?;
        let settings = Self {
            bus: layers.section(),
            health: layers.section(),
            telemetry: layers.section(),
            sensor: layers.section(),
            patrols: layers.section(),
            inference: layers.section(),
            patterns: layers.section(),
            analyzer: layers.section(),
            commander: layers.section(),
            responder: layers.section(),
            logbook: layers.section(),
        };
        let (ours, theirs) = (settings.sensor.shards, settings.analyzer.shards);
        if ours != theirs {
            layers.problem(format!(
                "sensor.shards ({ours}), analyzer.shards ({theirs}): must be equal in the whole \
                 installation"
            ));
        }
        layers.finish(&[])?;
        Ok(settings)
    }
}

/// Name, defaults and JSON Schema of every section, for the reference.
pub fn reference() -> Vec<(&'static str, Value, Value)> {
    fn of<T: Section>() -> (&'static str, Value, Value) {
        (T::NAME, json!(T::default()), json!(schemars::schema_for!(T)))
    }
    vec![
        of::<BusConfig>(),
        of::<HealthConfig>(),
        of::<TelemetryConfig>(),
        of::<sensor::Config>(),
        of::<patrol::Config>(),
        of::<inference::Config>(),
        of::<pattern::Config>(),
        of::<analyzer::Config>(),
        of::<commander::Config>(),
        of::<responder::Config>(),
        of::<logbook::Config>(),
    ]
}

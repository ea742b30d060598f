//! How severe an incident is, by a small ONNX model over its shape, and how its opinion and the
//! chain's become one.
//!
//! The model gives the probability that what was found within ten minutes about one entity is an
//! attack. Its weights are constrained so that it never rates more evidence lower.
//!
//! **Combination.** For a chain whose level is `model`, level and confidence are the model's: its
//! rating, and the level that [`Config::thresholds`] give it, at most high. For every other chain
//! the level is the chain's own, and a model that is surer than the chain raises the confidence to
//! the mean of both in log-odds (logarithmic opinion pool with equal weights; C. Genest and
//! J. Zidek, *Combining probability distributions*, 1986). It never lowers one: a chain tells a
//! story, and an attack that is small for its kind must not be talked down. Both are kept within
//! [`CERTAINTY_MAX`], so that no opinion counts without bounds.

mod rows;
mod stage;

pub use rows::{Row, rows};
pub use stage::Stage;

use crate::chain;
use magsentinel_bus_schema::{Level, Thresholds};
use magsentinel_inference::{self as inference, Embedded, Input, Rows, Runtime, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Numbers that the model takes; their order is that of [`crate::window::Shape::vector`].
pub const FEATURES: usize = 48;

/// One row for the model.
pub type Vector = [f32; FEATURES];

/// The shipped model.
const EMBEDDED: Embedded = Embedded {
    onnx: include_bytes!("../models/severity.onnx"),
    selftest: include_str!("../models/severity.selftest.json"),
};

/// No opinion counts as surer than this, or as less sure than one minus this.
pub const CERTAINTY_MAX: f32 = 0.999;

/// The severity model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the model is asked. Without it a chain's confidence stands alone, and a chain
    /// whose level is `model` has that of its strongest event. Default true.
    pub enabled: bool,
    /// Path of an ONNX file in place of the shipped model; its self test lies beside it, with
    /// the ending `.selftest.json`. Default none.
    pub model: Option<PathBuf>,
    /// Lowest rating of each level, for chains whose level is `model`.
    pub thresholds: Thresholds,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, model: None, thresholds: Thresholds::default() }
    }
}

/// The loaded model. Shared by all shards: one run takes microseconds.
pub struct Model {
    inner: Mutex<Inner>,
    digest: String,
    thresholds: Thresholds,
}

struct Inner {
    model: inference::Model,
    rows: Rows,
    ratings: Vec<f32>,
}

impl Inner {
    /// One at a time: what else is rated in the same run would show in the last digits.
    fn rate(&mut self, shape: &Vector) -> Option<f32> {
        self.rows.truncate(0);
        self.rows.values().copy_from_slice(shape);
        if let Err(error) = self.model.run(&self.rows, &mut self.ratings) {
            tracing::error!(%error, "the severity model cannot be asked");
            return None;
        }
        let rating = self.ratings.first().copied()?;
        Some(if rating.is_nan() { 0.0 } else { rating.clamp(0.0, 1.0) })
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Model {
    /// The configured model, where it is enabled.
    ///
    /// # Errors
    /// A file or library that cannot be loaded, or a model that fails its self test.
    pub fn load(
        config: &Config,
        inference: &inference::Config,
    ) -> Result<Option<Self>, inference::Error> {
        if !config.enabled {
            return Ok(None);
        }
        let runtime = Runtime::of(inference)?;
        let source = Source::read("severity", EMBEDDED, config.model.as_deref())?;
        let input = Input::Values(FEATURES);
        let model = inference::Model::load(&runtime, &source, input)?;
        let inner = Inner { model, rows: Rows::new(input), ratings: Vec::new() };
        let (digest, thresholds) = (source.digest().to_owned(), config.thresholds);
        Ok(Some(Self { inner: Mutex::new(inner), digest, thresholds }))
    }

    /// First 16 hexadecimal digits of the SHA-256 of the model's bytes.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The probability that a shape is of an attack, 0..=1. Nothing where the model cannot be
    /// run, which is told: the chain's own confidence stands then.
    #[must_use]
    pub fn rate(&self, shape: &Vector) -> Option<f32> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).rate(shape)
    }

    /// Level and confidence of a chain's incident that the model gives this rating.
    #[must_use]
    pub fn combine(
        &self,
        severity: chain::Severity,
        (level, confidence): (Level, f32),
        rating: f32,
    ) -> (Level, f32) {
        match severity {
            chain::Severity::Model => (self.thresholds.level(rating), rating),
            chain::Severity::Fixed(_) | chain::Severity::Strongest => {
                (level, confidence.max(pooled(confidence, rating)))
            }
        }
    }
}

/// The mean of two probabilities in log-odds.
fn pooled(a: f32, b: f32) -> f32 {
    let odds = |p: f32| {
        let p = p.clamp(1.0 - CERTAINTY_MAX, CERTAINTY_MAX);
        (p / (1.0 - p)).ln()
    };
    1.0 / (1.0 + (-f32::midpoint(odds(a), odds(b))).exp())
}

#[cfg(test)]
mod tests;

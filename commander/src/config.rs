//! Configuration of the commander.

use crate::model;
use magsentinel_runtime::settings::{Section, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// On the processor.
    #[default]
    Cpu,
    /// On an accelerator where the build and the machine have one, else on the processor.
    Auto,
}

/// How the weights of a model are rounded when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantisation {
    /// 8 bits a weight, for every device.
    Q8_0,
    /// 6 bits a weight, in blocks of two scales.
    Q6k,
    /// 5 bits a weight, in blocks of two scales.
    Q5k,
    /// 4 bits a weight, in blocks of two scales: what is usual.
    Q4k,
    /// 3 bits a weight, in blocks of two scales.
    Q3k,
    /// 2 bits a weight, in blocks of two scales.
    Q2k,
    /// 5 bits a weight.
    Q5_0,
    /// 4 bits a weight.
    Q4_0,
    /// 8 bits a weight, half-quadratic.
    Hqq8,
    /// 4 bits a weight, half-quadratic.
    Hqq4,
    /// 8 bits a weight, for Metal.
    Afq8,
    /// 4 bits a weight, for Metal.
    Afq4,
}

/// How incidents are analysed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The language model: a directory (`config.json`, `tokenizer.json`, `*.safetensors`), a
    /// `.gguf` file, or the hub id `ORGANISATION/NAME` of a model that lies in the local hub cache
    /// (nothing is ever downloaded). Needs a build with the feature `llm`, the program
    /// `magsentinel-commander`. Default: none, the playbook writes every analysis.
    pub model: Option<String>,
    /// Where the model computes: `cpu`, or `auto` for an accelerator where there is one.
    /// Default: `cpu`.
    pub device: Device,
    /// Rounds the weights of a directory's model while it is loaded, so that it takes less memory and
    /// answers faster, and worse: `q8_0`, `q6k`, `q5k`, `q4k`, `q3k`, `q2k`, `q5_0`, `q4_0`, `hqq8`,
    /// `hqq4`, or on Metal `afq8`, `afq4`. A `.gguf` file is rounded already and is refused with it.
    /// Default: none, as the files have them.
    pub quantisation: Option<Quantisation>,
    /// How long an incident waits for the model, loading included; then the playbook writes and
    /// the analysis says so. 1ms to 1h. Default: 60s.
    pub deadline: Span,
    /// An incident whose assessment is older than this when its turn comes gets the playbook's
    /// analysis at once, so that a queue that the model cannot keep up with drains. Read only
    /// with a model. 1s to 1d. Default: 10m.
    pub queue_wait_max: Span,
    /// How long nobody asks for the model until it is let go of; the next incident loads it again.
    /// 1s to 7d. Default: 10m.
    pub idle_unload: Span,
    /// Most tokens that the model writes for one analysis. 64 to 32768. Default: 2048.
    pub tokens_max: usize,
    /// Most tokens of a prompt, counted by the model's own tokenizer before it is asked. Evidence
    /// that does not fit is left out, oldest of the mildest first, and counted as `omitted`. 1024
    /// to 1048576. Default: 8192.
    pub context_tokens: usize,
    /// Most events of an incident that an analysis rests on; those left out are counted as
    /// `omitted`. 1 to 1000. Default: 64.
    pub evidence_events_max: usize,
    /// Most characters of an event's excerpt that are quoted, to a reader or to the model; longer
    /// ones are cut and the cut is marked. 0 to 4000. Default: 300.
    pub excerpt_chars: usize,
    /// Incidents whose last analysis is remembered, so that a revision that says nothing new is
    /// not analysed again; beyond that the oldest is forgotten, which costs work and nothing
    /// else. 1 to 1000000. Default: 4096.
    pub incidents_max: usize,
    /// Least share of a draft's statements that the evidence must bear out; below it nothing of
    /// the draft is used and the playbook writes. 0 to 1. Default: 0.7.
    pub grounding_min: f32,
    /// The file of knowledge: what `magsentinel intel import` read of ATT&CK and of known
    /// exploited vulnerabilities, and the incidents of the past. Kept on a local disk, by one
    /// commander; where it cannot be made the commander does without and says so. Default
    /// `$XDG_STATE_HOME/magsentinel/knowledge.db`, or below `$HOME/.local/state` where that is
    /// not set.
    pub knowledge: Option<PathBuf>,
    /// Most mitigations told of a technique; more are counted as left out. 0 to 20. Default: 2.
    pub mitigations_max: usize,
    /// Most entries of the logbook told of an incident: what was decided, done and said of it before.
    /// Older ones are counted as left out. 0 to 256. Default: 12.
    pub audit_max: usize,
    /// Most incidents of the past told as alike. 0 to 20. Default: 3.
    pub similar_max: usize,
    /// Incidents of the past that are remembered, each with what was decided, done and said of it;
    /// beyond that the oldest is forgotten. Each takes about 300 bytes of memory. 0 to 1000000. Default: 100000.
    pub past_incidents_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            device: Device::Cpu,
            quantisation: None,
            deadline: Span::s(60),
            queue_wait_max: Span::s(600),
            idle_unload: Span::s(600),
            tokens_max: 2048,
            context_tokens: 8192,
            evidence_events_max: 64,
            excerpt_chars: 300,
            incidents_max: 4096,
            grounding_min: 0.7,
            knowledge: None,
            mitigations_max: 2,
            audit_max: 12,
            similar_max: 3,
            past_incidents_max: 100_000,
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "commander";

    fn problems(&self) -> Vec<String> {
        let counts = [
            ("tokens_max", self.tokens_max, 64, 32_768),
            ("context_tokens", self.context_tokens, 1024, 1_048_576),
            ("evidence_events_max", self.evidence_events_max, 1, 1000),
            ("excerpt_chars", self.excerpt_chars, 0, 4000),
            ("incidents_max", self.incidents_max, 1, 1_000_000),
            ("mitigations_max", self.mitigations_max, 0, 20),
            ("audit_max", self.audit_max, 0, 256),
            ("similar_max", self.similar_max, 0, 20),
            ("past_incidents_max", self.past_incidents_max, 0, 1_000_000),
        ];
        let counts = counts.into_iter().filter(|(_, n, low, high)| !(low..=high).contains(&n));
        let spans = [
            ("deadline", self.deadline, Span::ms(1), Span::s(3600)),
            ("queue_wait_max", self.queue_wait_max, Span::s(1), Span::s(86_400)),
            ("idle_unload", self.idle_unload, Span::s(1), Span::s(604_800)),
        ];
        let spans = spans.into_iter().filter(|(_, s, low, high)| !(low..=high).contains(&s));
        counts
            .map(|(key, n, low, high)| format!("{key}: {n} is not within {low} to {high}"))
            .chain(
                spans
                    .map(|(key, s, low, high)| format!("{key}: {s} is not within {low} to {high}")),
            )
            .chain(
                (!(0.0..=1.0).contains(&self.grounding_min))
                    .then(|| format!("grounding_min: {} is not within 0 to 1", self.grounding_min)),
            )
            .chain(self.model.as_deref().and_then(model::problem))
            .chain(self.quantisation.and_then(|_| self.not_quantised()))
            .collect()
    }
}

impl Config {
    /// Why nothing can be rounded, if so.
    fn not_quantised(&self) -> Option<String> {
        match self.model.as_deref() {
            None => Some("quantisation: there is no model: set model, or leave it out".to_owned()),
            Some(model) if model.to_ascii_lowercase().ends_with(".gguf") => Some(format!(
                "quantisation: {model} is rounded already: leave it out, or name a directory of \
                 *.safetensors"
            )),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_fine_and_every_wrong_value_is_told_at_once() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            tokens_max: 1,
            evidence_events_max: 0,
            deadline: Span::ms(0),
            ..Config::default()
        };
        let told = wrong.problems();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[2].starts_with("deadline: 0"), "{told:?}");
    }

    #[test]
    fn a_quantisation_is_one_that_exists_and_has_something_to_round() {
        let of = |text: &str| serde_json::from_str::<Quantisation>(text);
        assert_eq!(of("\"q4k\"").ok(), Some(Quantisation::Q4k));
        assert_eq!(of("\"q8_0\"").ok(), Some(Quantisation::Q8_0));
        let told = of("\"q7z\"").expect_err("unknown").to_string();
        assert!(told.contains("q7z") && told.contains("`q4k`"), "{told}");
        let with = |model: Option<&str>| {
            let model = model.map(str::to_owned);
            Config { model, quantisation: Some(Quantisation::Q4k), ..Config::default() }.problems()
        };
        let told = with(None).join(" ");
        assert!(told.contains("quantisation: there is no model"), "{told}");
        let told = with(Some("/models/m.GGUF")).join(" ");
        assert!(told.contains("rounded already"), "{told}");
        assert!(!with(Some("/models/m")).iter().any(|told| told.starts_with("quantisation")));
    }

    #[cfg(not(feature = "llm"))]
    #[test]
    fn a_model_without_the_feature_names_the_build_to_use() {
        let config = Config { model: Some("/models/m".to_owned()), ..Config::default() };
        let told = config.problems().join(" ");
        assert!(told.contains("magsentinel-commander") && told.contains("llm"), "{told}");
    }
}

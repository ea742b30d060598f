//! The patrols of the mesh, and their configuration. One line each.

use crate::patrol::{Patrol, Spec};
use magsentinel_bus_schema::{Class, Kind, Shard, Subject, Tenant, Thresholds};
use magsentinel_runtime::settings::{Section, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the configurations of all patrols have in common, borrowed from one of them.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// Whether it runs.
    pub enabled: bool,
    /// Scores from which levels begin.
    pub thresholds: Thresholds,
    /// Another model than the embedded one.
    pub model: Option<&'a Path>,
    /// Directory of further patterns.
    pub patterns: Option<&'a Path>,
    /// Most events in a batch.
    pub batch_max: usize,
    /// Batches under way at once.
    pub batches_in_flight: usize,
    /// Most characters of an excerpt.
    pub excerpt_chars_max: usize,
    /// What is published about ordinary events.
    pub publish_none: PublishNone,
    /// How late after it was stored an event may be scored and still count as seen in time.
    pub blind_after: Span,
}

/// What a patrol that keeps state has beside.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    /// How far back a shard's state is rebuilt where there is no snapshot of it.
    pub rebuild: Span,
    /// How often the state of a shard that changed is stored.
    pub snapshot_every: Span,
    /// How far an event's time may lie after its receipt and still be believed.
    pub clock_skew_max: Span,
}

/// What is published about events at level none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PublishNone {
    /// One receipt per batch with the events' ids.
    #[default]
    Receipt,
    /// Every event as a scored event of its own: several times the traffic.
    Full,
}

/// Makes a patrol's configuration: the shared fields, then its own.
macro_rules! patrol_config {
    (
        $(#[$doc:meta])*
        { $($(#[$field_doc:meta])* $field:ident : $ty:ty = $default:expr,)* }
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            /// Whether this patrol runs. Default true.
            pub enabled: bool,
            /// Scores from which the levels low, medium and high begin, 0..=1, rising. Defaults
            /// 0.3, 0.5, 0.85: scores are calibrated so that these hold.
            pub thresholds: magsentinel_bus_schema::Thresholds,
            /// Path of an ONNX file to use instead of the embedded model; its self test lies
            /// beside it as `<name>.selftest.json`. Default: none.
            pub model: Option<std::path::PathBuf>,
            /// Directory of further Sigma rules (`*.yml`, `*.yaml`) beside the embedded ones.
            /// Default: none.
            pub patterns: Option<std::path::PathBuf>,
            /// Most events taken in one batch, 1..=4096. Default 64.
            pub batch_max: usize,
            /// Batches under way at once in one process, 1..=64; a patrol that keeps state has
            /// always one per shard. Default 2.
            pub batches_in_flight: usize,
            /// Most characters of untrusted text quoted in a finding, 0..=4096. Default 256.
            pub excerpt_chars_max: usize,
            /// What is published about ordinary events: `receipt` (one message a batch) or
            /// `full` (one each). Default receipt.
            pub publish_none: $crate::patrols::PublishNone,
            /// An event that is scored later than this after the server stored it was missed:
            /// the patrol was blind. It is scored all the same, as back-filled: it may alert,
            /// never act, and a gap says from when to when the patrol was blind and how many
            /// events it missed. Played-back events are never missed. 2s (for a patrol that
            /// keeps state 15s) to 1d. Default 30s, as `analyzer.lateness`: what comes later
            /// than that, live correlation may refuse.
            pub blind_after: magsentinel_runtime::settings::Span,
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    enabled: true,
                    thresholds: magsentinel_bus_schema::Thresholds::default(),
                    model: None,
                    patterns: None,
                    batch_max: 64,
                    batches_in_flight: 2,
                    excerpt_chars_max: 256,
                    publish_none: $crate::patrols::PublishNone::Receipt,
                    blind_after: magsentinel_runtime::settings::Span::s(30),
                    $($field: $default,)*
                }
            }
        }

        impl Config {
            pub(crate) fn shared(&self) -> $crate::patrols::Shared<'_> {
                $crate::patrols::Shared {
                    enabled: self.enabled,
                    thresholds: self.thresholds,
                    model: self.model.as_deref(),
                    patterns: self.patterns.as_deref(),
                    batch_max: self.batch_max,
                    batches_in_flight: self.batches_in_flight,
                    excerpt_chars_max: self.excerpt_chars_max,
                    publish_none: self.publish_none,
                    blind_after: self.blind_after,
                }
            }
        }
    };
}

/// One line of the table.
pub struct Entry {
    /// The fixed facts.
    pub spec: &'static Spec,
    /// Key of its section below `patrols`.
    pub section: &'static str,
    /// The shared part of its configuration.
    pub shared: for<'a> fn(&'a Config) -> Shared<'a>,
    /// Makes its logic, with empty state. Instances of one process may share a budget.
    pub maker: fn(&Config) -> Maker,
    /// What it has beside, if it keeps state.
    pub keyed: fn(&Config) -> Option<Keyed>,
    /// Subjects of its events.
    pub filters: fn(&Tenant) -> Vec<String>,
    /// Subjects of its events of one shard.
    pub shard_filters: fn(&Tenant, Shard) -> Vec<String>,
    problems: fn(&Config) -> Vec<String>,
}

/// Makes instances of a patrol, each for one of its key classes, or for none.
pub type Maker = Box<dyn Fn(Option<Class>) -> Box<dyn Patrol> + Send + Sync>;

macro_rules! patrols {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// Section `patrols`: one key per patrol.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $($(#[$doc])* pub $name: $name::Config,)*
        }

        /// Every patrol.
        pub const TABLE: &[Entry] = &[$(Entry {
            spec: &$name::SPEC,
            section: stringify!($name),
            shared: |config| config.$name.shared(),
            maker: |config| $name::maker(&config.$name),
            keyed: |config| $name::keyed(&config.$name),
            filters: |tenant| $name::SPEC.events_of(tenant),
            shard_filters: |tenant, shard| {
                let of = |kind: &Kind| Subject::Event(*kind, shard).of(tenant);
                $name::SPEC.kinds.iter().map(of).collect()
            },
            problems: |config| $name::problems(&config.$name),
        }),*];
    };
}

// The table. A new patrol is one file in `patrols/` and one line here.
patrols! {
    /// SQL injection in statements and values.
    sql_guard,
    /// Exfiltration in one user's accesses to data.
    data_flow,
    /// Attacks in HTTP requests, and clients that misbehave.
    api_watch,
    /// Guessed and stolen accounts.
    auth_sentry,
    /// Beacons, tunnels, made-up names, scans and odd destinations in connections and names.
    net_sentry,
}

impl Section for Config {
    const NAME: &'static str = "patrols";

    fn problems(&self) -> Vec<String> {
        let of = |entry: &Entry| {
            let own = (entry.problems)(self).into_iter();
            let keyed = (entry.keyed)(self).is_some();
            let all = shared_problems(&(entry.shared)(self), keyed).into_iter().chain(own);
            all.map(|problem| format!("{}.{problem}", entry.section)).collect::<Vec<_>>()
        };
        TABLE.iter().flat_map(of).collect()
    }
}

/// Shortest `blind_after`. A gap is closed when nothing has waited for half of it, and how far a
/// patrol that keeps state has come is written down every few seconds only.
fn blind_after_min(keyed: bool) -> Span {
    Span::s(if keyed { 15 } else { 2 })
}

fn shared_problems(shared: &Shared<'_>, keyed: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(why) = shared.thresholds.check() {
        problems.push(format!("thresholds: {why}"));
    }
    for (key, value, min, max) in [
        ("batch_max", shared.batch_max, 1, 4096),
        ("batches_in_flight", shared.batches_in_flight, 1, 64),
        ("excerpt_chars_max", shared.excerpt_chars_max, 0, 4096),
    ] {
        if !(min..=max).contains(&value) {
            problems.push(format!("{key}: must be {min} to {max}, is {value}"));
        }
    }
    let (least, most) = (blind_after_min(keyed), Span::s(86_400));
    if !(least..=most).contains(&shared.blind_after) {
        let is = shared.blind_after;
        problems.push(format!("blind_after: must be {least} to {most}, is {is}"));
    }
    problems
}

/// The patrol of a name; `sql-guard` and `sql_guard` are the same.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.spec.name == name || entry.section == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::entity::shard_classes;

    #[test]
    fn a_patrols_first_key_class_is_its_events_shard_class() {
        for entry in TABLE {
            let spec = entry.spec;
            if let Some(first) = spec.keys.first() {
                for kind in spec.kinds {
                    assert_eq!(shard_classes(*kind).first(), Some(first), "{}", spec.name);
                }
            }
            assert!(!spec.kinds.is_empty(), "{}", spec.name);
            assert_eq!(spec.name, entry.section.replace('_', "-"));
            assert_eq!(spec.keys.is_empty(), (entry.keyed)(&Config::default()).is_none());
        }
    }

    #[test]
    fn defaults_have_no_problems_and_wrong_values_are_all_told() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let mut config = Config::default();
        config.sql_guard.thresholds.low = 0.9;
        config.sql_guard.batch_max = 0;
        config.data_flow.keys_max = 0;
        config.data_flow.blind_after = Span::s(14);
        let problems = config.problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().any(|p| p.starts_with("data_flow.blind_after: must be 15s to")));
        assert!(problems.iter().any(|p| p.starts_with("data_flow.keys_max: ")), "{problems:?}");
        let wrong: Result<Config, _> = serde_json::from_str(r#"{"sql_guard": {"treshold": 1}}"#);
        assert!(wrong.is_err());
    }
}

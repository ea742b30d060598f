//! The section `responder.evidence` of the configuration.

use magsentinel_runtime::{settings::Span, store::Bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The object store's name after the tenant.
pub const STORE: &str = "evidence";
/// What the object store is for.
pub(super) const ABOUT: &str = "Evidence of what the responder did, named by its hash";

const MIB: usize = 1024 * 1024;

/// Section `responder.evidence`: what is kept of what led to an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keep a bundle of evidence for everything that takes effect, and for actions that ask for
    /// nothing else. Default true.
    pub enabled: bool,
    /// How long before each cited event the events around it are kept, as a duration, 0ms to 1h.
    /// Default `30s`.
    pub before: Span,
    /// How long after each cited event, and after the decision, as a duration, 0ms to 10m. A
    /// bundle is made when this has passed. Default `10s`.
    pub after: Span,
    /// Most messages in a bundle beside the decision itself, 1 to 100000. Beyond it those that
    /// are farthest in time from the newest cited event are left out, and counted. Default 2000.
    pub events_max: usize,
    /// Most bytes of a bundle beside its decision, 65536 to 268435456; left out in the same way.
    /// Default 4194304.
    pub bytes_max: usize,
    /// Most messages of a stream that are looked at for one stretch of time, 1000 to 10000000.
    /// What lies behind them is not looked for, and the bundle says so. Default 200000.
    pub scan_max: u64,
    /// Most bytes of all bundles of the tenant, 1048576 to 1099511627776. Beyond it new ones are
    /// refused, and outcomes say so. Default 1073741824.
    pub store_bytes_max: u64,
    /// How long a bundle is kept, as a duration, 1h to 3650d. Default `90d`.
    pub store_age_max: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            before: Span::s(30),
            after: Span::s(10),
            events_max: 2000,
            bytes_max: 4 * MIB,
            scan_max: 200_000,
            store_bytes_max: 1024 * MIB as u64,
            store_age_max: Span::s(90 * 86_400),
        }
    }
}

impl Config {
    /// Everything that is wrong with it, each with its key first.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut span = |key: &str, value: Span, least: Span, most: Span| {
            if value < least || value > most {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        span("before", self.before, Span::ms(0), Span::s(3600));
        span("after", self.after, Span::ms(0), Span::s(600));
        span("store_age_max", self.store_age_max, Span::s(3600), Span::s(3650 * 86_400));
        let mut number = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        number("events_max", self.events_max as u64, 1, 100_000);
        number("bytes_max", self.bytes_max as u64, 65_536, 256 * MIB as u64);
        number("scan_max", self.scan_max, 1000, 10_000_000);
        number("store_bytes_max", self.store_bytes_max, MIB as u64, 1024 * 1024 * MIB as u64);
        problems
    }

    /// Bounds of the object store.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { bytes_max: self.store_bytes_max, age_max: self.store_age_max }
    }
}

//! Layered, strict configuration: defaults < file < `MAGSENTINEL__SECTION__KEY` < flag.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use std::{fmt, time::Duration};

/// A section of the configuration file, owned by one crate. Derive `Deserialize` with
/// `#[serde(deny_unknown_fields, default)]`, `Serialize`, `JsonSchema`, and implement `Default`
/// with the documented defaults.
pub trait Section: DeserializeOwned + Serialize + Default + schemars::JsonSchema {
    /// The section's key in the file: `bus`, `sensor`, `analyzer`, …
    const NAME: &'static str;

    /// Everything that is wrong with the values, one sentence each, told all at once. Each
    /// begins with the key below the section: `batch_max: must be at least 1`.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A duration in configuration: `"250ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`. A number without unit
/// is refused, because nobody knows what it would mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct Span(#[schemars(with = "String")] Duration);

impl Span {
    /// From milliseconds.
    #[must_use]
    pub const fn ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// From seconds.
    #[must_use]
    pub const fn s(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }

    /// As a duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        let unit = units.into_iter().find(|(size, _)| ms >= *size && ms.is_multiple_of(*size));
        let (size, name) = unit.unwrap_or((1, "ms"));
        write!(f, "{}{name}", ms / size)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let size = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        let number = number.parse::<u64>().ok().filter(|_| size > 0);
        let ms = number.and_then(|n| n.checked_mul(size));
        ms.map(Self::ms).ok_or_else(|| {
            format!("{text:?} is no duration: write a whole number and ms, s, m, h or d, like 30s")
        })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(d)?;
        let text = match &value {
            serde_json::Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

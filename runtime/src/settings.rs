//! Layered, strict configuration: defaults < file < `MAGSENTINEL__SECTION__KEY` < flag.

mod layers;

pub use layers::{ConfigError, ENV_PREFIX, Layers, default_file};

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

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Kitchen {
        ovens: u16,
        bake: Span,
    }

    impl Default for Kitchen {
        fn default() -> Self {
            Self { ovens: 1, bake: Span::s(60) }
        }
    }

    impl Section for Kitchen {
        const NAME: &'static str = "kitchen";
        fn problems(&self) -> Vec<String> {
            if self.ovens == 0 { vec!["ovens: must be at least 1".into()] } else { vec![] }
        }
    }

    fn problems(yaml: &str, flags: &[&str]) -> Vec<String> {
        let dir = std::env::temp_dir().join(format!("layers-{}", uuid::Uuid::now_v7()));
        std::fs::write(&dir, yaml).unwrap();
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let loaded = Layers::load(Some(&dir), &flags);
        std::fs::remove_file(&dir).unwrap();
        match loaded {
            Ok(mut layers) => {
                let _: Kitchen = layers.section();
                layers.finish(&[]).err().map(|e| e.problems).unwrap_or_default()
            }
            Err(e) => e.problems,
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_key() {
        assert_eq!(problems("kitchen: {ovens: 2, bake: 5m}", &[]), Vec::<String>::new());
        let found = problems("kitchen: {oven: 2, bake: 5 minutes, ovens: many}\ngarage: {}", &[]);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found.iter().any(|p| p.starts_with("kitchen.oven: unknown field")), "{found:?}");
        assert!(found.iter().any(|p| p.starts_with("kitchen.bake: \"5 minutes\" is no duration")));
        assert!(found.iter().any(|p| p.starts_with("garage: unknown section")));
        assert_eq!(problems("kitchen: {ovens: 0}", &[]), ["kitchen.ovens: must be at least 1"]);
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        assert!(problems("kitchen: {ovens: 0}", &["kitchen.ovens=3"]).is_empty());
        assert_eq!(problems("", &["kitchen.ovens"]).len(), 1);
    }

    #[test]
    fn durations_want_a_unit() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("7d", 604_800_000)] {
            assert_eq!(text.parse::<Span>(), Ok(Span::ms(ms)));
            assert_eq!(Span::ms(ms).to_string(), text);
        }
        for text in ["30", "s", "1.5s", "-1s", "5 minutes", "99999999999999999999s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}

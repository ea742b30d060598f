//! Time on the wire: microseconds since the Unix epoch, UTC.

mod forms;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, str::FromStr, time::Duration};

/// A point in time: `i64` microseconds UTC in MessagePack, RFC 3339 in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, JsonSchema)]
#[schemars(transparent)]
pub struct Timestamp(#[schemars(with = "String")] i64);

/// Why a text or number is no time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a time: {0} (expected RFC 3339, a form of logs, or seconds since 1970)")]
pub struct TimeError(String);

/// Years 0001 to 9999, so that every value can be printed.
const RANGE_US: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_207_200_000_000;

impl Timestamp {
    /// From microseconds since the epoch; values outside the years 1 to 9999 are clamped.
    #[must_use]
    pub fn from_micros(us: i64) -> Self {
        Self(us.clamp(*RANGE_US.start(), *RANGE_US.end()))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// From seconds since the epoch (a log's or a sensor's float), or `None` when not finite.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        // The cast saturates, and `from_micros` clamps.
        #[expect(clippy::cast_possible_truncation, reason = "saturating is what we want")]
        seconds.is_finite().then(|| Self::from_micros((seconds * 1e6).round() as i64))
    }

    /// Reads what publishers send: a number since 1970 (seconds, milliseconds, microseconds or
    /// nanoseconds, by its size), RFC 3339, a naive date and time (taken as UTC, with `T` or a
    /// space), or what logs write: the common log format, RFC 2822, syslog's with a year.
    pub fn from_value(value: &Value) -> Result<Self, TimeError> {
        let wrong = || TimeError(value.to_string().chars().take(64).collect());
        match value {
            Value::Number(n) => match n.as_i64() {
                Some(whole) => Ok(forms::of_integer(whole)),
                None => n.as_f64().and_then(forms::of_number).ok_or_else(wrong),
            },
            Value::String(s) => s.parse(),
            _ => Err(wrong()),
        }
    }

    /// `self + d`, saturating at the year 9999.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(d)))
    }

    /// `self - d`, saturating at the year 1.
    #[must_use]
    pub fn minus(self, d: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(d)))
    }

    /// How long `self` lies after `earlier`; zero when it does not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        forms::of_text(s).ok_or_else(|| TimeError(s.chars().take(64).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let value = Value::deserialize(d)?;
            Self::from_value(&value).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(d).map(Self::from_micros)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_that_publishers_use_is_read() {
        let want = Timestamp::from_micros(1_481_352_946_500_000);
        for form in [
            json!(1_481_352_946.5),
            json!("2016-12-10T06:55:46.5Z"),
            json!("2016-12-10T07:55:46.5+01:00"),
            json!("2016-12-10T06:55:46.5"),
            json!("2016-12-10 06:55:46.5"),
            json!("1481352946.5"),
        ] {
            assert_eq!(Timestamp::from_value(&form), Ok(want), "{form}");
        }
    }

    #[test]
    fn numbers_of_any_unit_and_the_forms_of_mail_and_of_web_servers_are_read() {
        let want = Timestamp::from_micros(1_481_352_946_500_000);
        for form in [
            json!(1_481_352_946_500_i64),
            json!(1_481_352_946_500_000_i64),
            json!(1_481_352_946_500_000_000_i64),
            json!(1_481_352_946_500.0),
            json!("1481352946500"),
            json!("1481352946500000000"),
            json!("2016-12-10 06:55:46,500"),
            json!("2016-12-10T07:55:46.5+0100"),
        ] {
            assert_eq!(Timestamp::from_value(&form), Ok(want), "{form}");
        }
        let whole = Timestamp::from_micros(1_481_352_946_000_000);
        for form in [
            "Sat, 10 Dec 2016 06:55:46 +0000",
            "10 Dec 2016 07:55:46 +0100",
            "10/Dec/2016:06:55:46 +0000",
            "[10/Dec/2016:07:55:46 +0100]",
            "1481352946",
        ] {
            assert_eq!(form.parse(), Ok(whole), "{form}");
        }
        // Nanoseconds of a later time than a float tells exactly.
        let exact = Timestamp::from_value(&json!(1_795_255_100_123_456_789_i64));
        assert_eq!(exact.map(Timestamp::micros), Ok(1_795_255_100_123_456));
        let early = Timestamp::from_value(&json!(-86_400));
        assert_eq!(early.map(Timestamp::micros), Ok(-86_400_000_000));
    }

    #[test]
    fn nonsense_is_refused_and_absurd_numbers_are_clamped() {
        for form in [json!("yesterday"), json!(""), json!(null), json!([1])] {
            assert!(Timestamp::from_value(&form).is_err(), "{form}");
        }
        let far = Timestamp::from_value(&json!(1e300));
        assert_eq!(far.map(Timestamp::micros), Ok(*RANGE_US.end()));
        assert!(!Timestamp::from_micros(i64::MAX).to_string().ends_with("us"));
    }
}

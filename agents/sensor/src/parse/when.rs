//! The times that logs write.

use jiff::{Timestamp as Instant, civil, tz::TimeZone};
use magsentinel_bus_schema::Timestamp;
use std::time::Duration;

/// The zone of times that carry no offset.
#[derive(Clone, Debug)]
pub struct Zone {
    zone: TimeZone,
    /// Somebody chose it: then it also explains an abbreviation.
    chosen: bool,
}

impl Zone {
    /// An IANA zone, or a POSIX one where the host has no zone files; the error says what is
    /// wrong with the name.
    pub fn named(name: &str) -> Result<Self, String> {
        let zone = TimeZone::get(name).or_else(|e| TimeZone::posix(name).map_err(|_| e));
        let zone = zone.map_err(|e| {
            format!(
                "{e}; write an IANA name like UTC, or a POSIX one like CET-1CEST,M3.5.0,M10.5.0/3"
            )
        })?;
        Ok(Self { zone, chosen: !is_utc(name) })
    }

    fn instant(&self, local: civil::DateTime) -> Option<Timestamp> {
        let zoned = local.to_zoned(self.zone.clone()).ok()?;
        Some(micros(zoned.timestamp()))
    }

    /// PostgreSQL's `2024-03-01 12:34:56.789 CET`. An abbreviation other than UTC's is explained
    /// only by a chosen zone: many have more than one meaning, so alone it is no time.
    #[must_use]
    pub fn postgres(&self, text: &str) -> Option<Timestamp> {
        let (local, zone) = text.trim().rsplit_once(' ')?;
        let local: civil::DateTime = local.parse().ok()?;
        if is_utc(zone) {
            return Some(micros(local.to_zoned(TimeZone::UTC).ok()?.timestamp()));
        }
        if zone.starts_with(['+', '-']) {
            return format!("{local}{}", padded(zone)).parse().ok();
        }
        if self.chosen { self.abbreviated(local, zone) } else { None }
    }

    /// In the hour that a clock set back repeats, the abbreviation says which of the two it is.
    fn abbreviated(&self, local: civil::DateTime, abbreviation: &str) -> Option<Timestamp> {
        let both = || {
            let ambiguous = self.zone.to_ambiguous_zoned(local);
            [ambiguous.clone().earlier().ok(), ambiguous.later().ok()]
        };
        let told = both().into_iter().flatten().find(|zoned| {
            let info = self.zone.to_offset_info(zoned.timestamp());
            info.abbreviation() == abbreviation
        });
        match told {
            Some(zoned) => Some(micros(zoned.timestamp())),
            None => self.instant(local),
        }
    }

    /// Syslog's `Mar  1 12:34:56`, which has no year: the latest year in which it lies at most
    /// a day after receipt (clocks differ, and a log may be read long after it was written).
    #[must_use]
    pub fn syslog(&self, text: &str, received: Timestamp) -> Option<Timestamp> {
        let mut parts = text.split_ascii_whitespace();
        let month = month(parts.next()?)?;
        let day: i8 = parts.next()?.parse().ok()?;
        let time: civil::Time = parts.next()?.parse().ok()?;
        let latest = received.plus(Duration::from_secs(86_400));
        let now = Instant::from_microsecond(received.micros()).ok()?;
        let year = now.to_zoned(self.zone.clone()).year();
        // A leap day needs to look back up to eight years (1896 to 1904, 2096 to 2104).
        (-8..=1).rev().find_map(|back| {
            let date = civil::Date::new(year.checked_add(back)?, month, day).ok()?;
            self.instant(date.to_datetime(time)).filter(|t| *t <= latest)
        })
    }

    /// RFC 3339, or the same without an offset in this zone.
    #[must_use]
    pub fn iso(&self, text: &str) -> Option<Timestamp> {
        if let Ok(instant) = text.parse::<Instant>() {
            return Some(micros(instant));
        }
        self.instant(text.parse().ok()?)
    }

    /// The common log format's `10/Oct/2000:13:55:36 -0700`.
    #[must_use]
    pub fn common_log(&self, text: &str) -> Option<Timestamp> {
        Instant::strptime("%d/%b/%Y:%H:%M:%S %z", text).ok().map(micros)
    }
}

fn micros(instant: Instant) -> Timestamp {
    Timestamp::from_micros(instant.as_microsecond())
}

fn is_utc(name: &str) -> bool {
    ["UTC", "GMT", "Z", "Etc/UTC"].contains(&name)
}

/// `+01` as `+01:00`, which is how RFC 3339 wants it.
fn padded(offset: &str) -> String {
    if offset.len() == 3 { format!("{offset}:00") } else { offset.to_owned() }
}

fn month(name: &str) -> Option<i8> {
    let names =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let index = names.iter().position(|n| *n == name)?;
    i8::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_year_is_inferred_from_receipt_and_is_never_more_than_a_day_ahead() {
        let utc = Zone::named("UTC").unwrap();
        let cases = [
            ("Dec 31 23:59:59", "2026-01-01T00:00:05Z", "2025-12-31T23:59:59Z"),
            ("Jan  1 00:00:01", "2025-12-31T23:59:50Z", "2026-01-01T00:00:01Z"),
            ("Nov 23 10:00:00", "2026-11-21T10:00:00Z", "2025-11-23T10:00:00Z"),
            ("Feb 29 10:00:00", "2026-11-21T10:00:00Z", "2024-02-29T10:00:00Z"),
        ];
        for (text, received, want) in cases {
            assert_eq!(utc.syslog(text, at(received)), Some(at(want)), "{text}");
        }
        for bad in ["Feb 30 10:00:00", "Foo 1 10:00:00", "Feb 3", "Feb 3 25:00:00", ""] {
            assert_eq!(utc.syslog(bad, at("2026-11-21T10:00:00Z")), None, "{bad}");
        }
    }

    #[test]
    fn postgres_times_are_read_and_an_abbreviation_is_never_guessed() {
        let utc = Zone::named("UTC").unwrap();
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let noon = Some(at("2026-03-01T12:00:00.5Z"));
        assert_eq!(utc.postgres("2026-03-01 12:00:00.500 UTC"), noon);
        assert_eq!(utc.postgres("2026-03-01 13:00:00.500 +01"), noon);
        assert_eq!(utc.postgres("2026-03-01 13:00:00.500 CET"), None);
        assert_eq!(berlin.postgres("2026-03-01 13:00:00.500 CET"), noon);
        // The clock was set back from three to two: two o'clock thirty came twice.
        assert_eq!(
            berlin.postgres("2026-10-25 02:30:00.000 CEST"),
            Some(at("2026-10-25T00:30:00Z"))
        );
        assert_eq!(
            berlin.postgres("2026-10-25 02:30:00.000 CET"),
            Some(at("2026-10-25T01:30:00Z"))
        );
    }

    #[test]
    fn access_log_times_carry_their_offset() {
        let utc = Zone::named("UTC").unwrap();
        let want = Some(at("2000-10-10T20:55:36Z"));
        assert_eq!(utc.common_log("10/Oct/2000:13:55:36 -0700"), want);
        assert_eq!(utc.common_log("10/Oct/2000"), None);
    }
}

//! The ways in which publishers and logs write a time, beyond RFC 3339.

use super::Timestamp;
use jiff::{civil, fmt::rfc2822, fmt::strtime::BrokenDownTime, tz::TimeZone};

/// Numbers from these on are no seconds: a time in seconds above 1e11 lies after the year 5138.
const UNITS: [(f64, f64); 3] = [(1e17, 1e9), (1e14, 1e6), (1e11, 1e3)];

/// With an offset where they have one, else in UTC. A blank stands for any number of blanks.
/// Where month and day could be either, the month comes first.
const FORMS: [&str; 15] = [
    "%d/%b/%Y:%H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y %b %d %H:%M:%S%.f",
    "%b %d %Y %H:%M:%S%.f",
    "%b %d %H:%M:%S%.f %Y",
    "%d %b %Y %H:%M:%S%.f",
    "%a %b %d %H:%M:%S%.f %Y",
    "%a %b %d %H:%M:%S%.f %z %Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
];

/// Names that say UTC at the end of a time.
const UTC: [&str; 3] = [" UTC", " GMT", " utc"];

/// A number of seconds, milliseconds, microseconds or nanoseconds since 1970, by its size;
/// `None` when not finite.
pub(super) fn of_number(number: f64) -> Option<Timestamp> {
    let unit = UNITS.iter().find(|(least, _)| number.abs() >= *least);
    Timestamp::from_seconds(number / unit.map_or(1.0, |(_, unit)| *unit))
}

/// The same of an integer, exactly: a float tells no nanoseconds of today apart.
pub(super) fn of_integer(number: i64) -> Timestamp {
    Timestamp::from_micros(match number.unsigned_abs() {
        n if n < 100_000_000_000 => number.saturating_mul(1_000_000),
        n if n < 100_000_000_000_000 => number.saturating_mul(1000),
        n if n < 100_000_000_000_000_000 => number,
        _ => number.div_euclid(1000),
    })
}

/// A time as text, in any form that is known.
pub(super) fn of_text(text: &str) -> Option<Timestamp> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(micros(instant));
    }
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return in_utc(local);
    }
    if let Ok(whole) = text.parse() {
        return Some(of_integer(whole));
    }
    if let Some(found) = text.parse().ok().and_then(of_number) {
        return Some(found);
    }
    if let Ok(zoned) = rfc2822::parse(text) {
        return Some(micros(zoned.timestamp()));
    }
    let bare = UTC.iter().find_map(|name| text.strip_suffix(name)).unwrap_or(text);
    // `06:55:46,500` is how some programs write a fraction.
    let dotted = bare.contains(',').then(|| bare.replace(',', "."));
    [Some(bare), dotted.as_deref()].into_iter().flatten().find_map(|text| {
        let plain = || text.parse::<civil::DateTime>().ok().and_then(in_utc);
        plain().or_else(|| FORMS.iter().find_map(|form| of_form(form, text)))
    })
}

fn of_form(form: &str, text: &str) -> Option<Timestamp> {
    let parts = BrokenDownTime::parse(form, text).ok()?;
    match parts.offset() {
        Some(_) => parts.to_timestamp().ok().map(micros),
        None => parts.to_datetime().ok().and_then(in_utc),
    }
}

fn in_utc(local: civil::DateTime) -> Option<Timestamp> {
    Some(micros(local.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

fn micros(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs_are_read_whatever_their_form() {
        let want = Some(Timestamp::from_micros(1_431_857_105_000_000));
        for text in [
            "17/May/2015:10:05:05 +0000",
            "[17/May/2015:12:05:05 +0200]",
            "17/May/2015:10:05:05",
            "Sun, 17 May 2015 10:05:05 +0000",
            "Sun, 17 May 2015 10:05:05 GMT",
            "17 May 2015 12:05:05 +0200",
            "2015 May 17 10:05:05",
            "May 17 2015 10:05:05",
            "May 17 10:05:05 2015",
            "Sun May 17 10:05:05 2015",
            "2015-05-17 10:05:05 UTC",
            "2015-05-17 10:05:05 +0000",
            "2015-05-17 10:05:05,000",
            "2015/05/17 10:05:05",
            "05/17/2015 10:05:05",
            "17/05/2015 10:05:05",
            "5/17/2015 10:05:05 AM",
            "1431857105",
            "1431857105000",
            "1431857105000000",
            "1431857105000000000",
        ] {
            assert_eq!(of_text(text), want, "{text}");
        }
        for text in ["", "-", "yesterday", "May 17", "10:05:05", "99/99/2015 10:05:05"] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn the_unit_of_a_number_follows_from_its_size() {
        let instants =
            |unit: f64| [0.0, 1.0].map(|more| of_number((1_431_857_105.0 + more) * unit));
        let want = instants(1.0);
        assert_ne!(want[0], want[1]);
        for unit in [1e3, 1e6, 1e9] {
            assert_eq!(instants(unit), want, "{unit}");
        }
        assert_eq!(of_number(f64::NAN), None);
    }
}

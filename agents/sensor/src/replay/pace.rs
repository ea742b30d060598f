//! When each event of a recording is due, and which time it bears: pure.

use magsentinel_bus_schema::Timestamp;
use std::{fmt, str::FromStr, time::Duration};

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many times faster than it was recorded; 1 is original speed. Always above zero.
    Times(f64),
    /// Without any pause.
    Flat,
}

impl Speed {
    /// Original speed.
    pub const ORIGINAL: Self = Self::Times(1.0);

    /// How long something takes that took `recorded` when it happened.
    fn scaled(self, recorded: Duration) -> Duration {
        match self {
            Self::Flat => Duration::ZERO,
            Self::Times(times) => {
                Duration::try_from_secs_f64(recorded.as_secs_f64() / times).unwrap_or(Duration::MAX)
            }
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}"),
            Self::Flat => f.write_str("flat"),
        }
    }
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "flat" {
            return Ok(Self::Flat);
        }
        let number = text.strip_suffix(['x', '×']).unwrap_or(text);
        let times = number.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        times.map(Self::Times).ok_or_else(|| {
            format!("{text:?} is no speed: write a number above 0 like 1 or 60, or flat")
        })
    }
}

/// The extent of a recording in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its earliest time.
    pub first: Timestamp,
    /// Its latest time.
    pub last: Timestamp,
}

impl Span {
    /// How long the recording is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.last.since(self.first)
    }
}

/// The schedule of one replay.
///
/// Played as it was, an event keeps its time. Played *as live*, the recording is shifted so that
/// it ends about now: with speed N a recording of length D takes D/N to play, so its first event
/// bears the time `begin + D/N - D`, and every other keeps its distance from that. Event time
/// then runs N times faster than the wall clock, windows behave as they did when it was
/// recorded, and no event lies ahead of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    speed: Speed,
    span: Span,
    /// Time of the first event, as live.
    start: Option<Timestamp>,
    /// Time of the last event that had one, as recorded.
    latest: Timestamp,
}

/// When an event is due, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// After the beginning of the replay.
    pub after: Duration,
    /// The time that it bears.
    pub ts: Timestamp,
}

impl Pace {
    /// A recording played as it was.
    #[must_use]
    pub fn recorded(speed: Speed, span: Span) -> Self {
        Self { speed, span, start: None, latest: span.first }
    }

    /// A recording played as if it happened now, from `begin` on.
    #[must_use]
    pub fn live(speed: Speed, span: Span, begin: Timestamp) -> Self {
        // Slower than original, the end would lie ahead of the clock for most of the time.
        let playing = speed.scaled(span.length()).min(span.length());
        let start = begin.plus(playing).minus(span.length());
        Self { speed, span, start: Some(start), latest: span.first }
    }

    /// The next event, in the order of the recording. One without a time of its own happens
    /// together with the one before; one out of order is not waited for, and keeps its time.
    pub fn next(&mut self, recorded: Option<Timestamp>) -> Due {
        let own = recorded.unwrap_or(self.latest);
        self.latest = self.latest.max(own);
        let after = self.speed.scaled(self.latest.since(self.span.first));
        let ts = match self.start {
            None => own,
            Some(start) => start.plus(own.since(self.span.first)),
        };
        Due { after, ts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    const SPAN: fn() -> Span = || Span { first: at(5), last: at(5) };

    fn hour() -> Span {
        Span { first: at(1000), last: at(4600) }
    }

    #[test]
    fn events_are_due_at_their_distance_divided_by_the_speed() {
        let due = |speed, ts: &[i64]| -> Vec<u64> {
            let mut pace = Pace::recorded(speed, hour());
            ts.iter().map(|t| pace.next(Some(at(*t))).after.as_secs()).collect()
        };
        assert_eq!(due(Speed::ORIGINAL, &[1000, 1060, 1030, 1120]), [0, 60, 60, 120]);
        assert_eq!(due(Speed::Times(60.0), &[1000, 1060, 4600]), [0, 1, 60]);
        assert_eq!(due(Speed::Flat, &[1000, 4600]), [0, 0]);
        let mut pace = Pace::recorded(Speed::ORIGINAL, hour());
        pace.next(Some(at(1010)));
        assert_eq!(pace.next(None), Due { after: Duration::from_secs(10), ts: at(1010) });
    }

    #[test]
    fn as_live_the_recording_ends_now_and_no_event_is_ahead_of_the_clock() {
        let begin = at(1_000_000);
        for speed in [Speed::ORIGINAL, Speed::Times(60.0), Speed::Times(0.5), Speed::Flat] {
            let mut pace = Pace::live(speed, hour(), begin);
            let first = pace.next(Some(at(1000)));
            let middle = pace.next(Some(at(2000)));
            let last = pace.next(Some(at(4600)));
            assert_eq!(middle.ts.since(first.ts), Duration::from_secs(1000), "{speed}");
            for due in [first, middle, last] {
                assert!(due.ts <= begin.plus(due.after), "{speed}: {due:?}");
            }
            if speed != Speed::Times(0.5) {
                assert_eq!(last.ts, begin.plus(last.after), "{speed}");
            }
        }
    }

    #[test]
    fn an_empty_recording_is_no_division_by_zero() {
        assert_eq!(Pace::live(Speed::Times(60.0), SPAN(), at(9)).next(None).ts, at(9));
    }

    #[test]
    fn speeds_are_read_or_refused_with_a_hint() {
        assert_eq!("60x".parse(), Ok(Speed::Times(60.0)));
        assert_eq!("flat".parse(), Ok(Speed::Flat));
        for bad in ["", "0", "-1", "fast", "inf", "NaN"] {
            assert!(bad.parse::<Speed>().unwrap_err().contains("flat"), "{bad}");
        }
    }
}

//! What is remembered of connections: of a pair that talks, of a source, of a process.
//!
//! No model sees it: it is counted, and compared with baselines that are written down where they are
//! used. Time is the event's own and never runs backwards; where it is not known, nothing about rates
//! is learnt.

mod connection;
mod habit;
mod pair;
mod source;

pub use connection::Connection;
pub use habit::{Habit, Strange};
pub use pair::{Heard, Pair};
pub use source::{Does, Source};

/// Microseconds of a second.
pub(crate) const SECOND_US: f64 = 1e6;
/// Of an hour.
pub(crate) const HOUR_US: f64 = 3600.0 * SECOND_US;
/// Of a day.
pub(crate) const DAY_US: f64 = 24.0 * HOUR_US;

/// The later of two times, and how much passed between.
fn turn(last_us: &mut i64, now_us: i64) -> (i64, i64) {
    let before = if *last_us == 0 { now_us } else { *last_us };
    let now = before.max(now_us);
    *last_us = now;
    (now, now.saturating_sub(before))
}

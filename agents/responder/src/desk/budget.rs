//! How much was done lately.

use magsentinel_bus_schema::Timestamp;
use std::{collections::VecDeque, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

/// New targets of the last minute, by second.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    seconds: VecDeque<(i64, u64)>,
}

impl Spent {
    /// Counts a target.
    pub(super) fn note(&mut self, at: Timestamp) {
        let second = at.micros().div_euclid(1_000_000);
        match self.seconds.iter_mut().find(|(s, _)| *s == second) {
            Some((_, count)) => *count += 1,
            None => self.seconds.push_back((second, 1)),
        }
    }

    /// New targets within the minute before `now`, and in the second of `now`.
    pub(super) fn within_a_minute(&mut self, now: Timestamp) -> u64 {
        // A whole second more than a minute: never less than what a minute holds.
        let oldest = now.minus(MINUTE).micros().div_euclid(1_000_000);
        self.seconds.retain(|(second, _)| *second >= oldest);
        self.seconds.iter().map(|(_, count)| count).sum()
    }
}

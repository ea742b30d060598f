//! The number of a window whose number may fall as well as rise.

use super::{Found, Point, Sliding, trailing};
use crate::chain::{MILLIONTHS, Measure, Range, Ratio};
use std::collections::HashMap;

/// Which windows are judged, by their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Those that end here or later.
    pub since: i64,
    /// And before this.
    pub until: i64,
    /// And hold nothing up to here: an event there was let go.
    pub lost: Option<i64>,
}

impl Ends {
    /// All windows.
    pub const ALL: Self = Self { since: i64::MIN, until: i64::MAX, lost: None };

    fn contain(&self, end: i64, window: i64) -> bool {
        let whole = self.lost.is_none_or(|lost| lost < end.saturating_sub(window));
        self.since <= end && end < self.until && whole
    }
}

/// The windows whose number lies in the range, among points that are sorted by time.
#[must_use]
pub fn judged(
    measure: Measure,
    range: &Range,
    window: i64,
    points: &[Point],
    ends: &Ends,
) -> Found {
    let mut gauge = Judging { gauge: Gauge::new(measure, points), range };
    trailing(window, points, &mut gauge, |end| ends.contain(end, window))
}

/// The number, of all windows, that comes nearest to the range.
#[must_use]
pub fn nearest(measure: Measure, range: &Range, window: i64, points: &[Point]) -> Option<Ratio> {
    let mut best: Option<(f64, Ratio)> = None;
    let mut gauge = Gauge::new(measure, points);
    let mut oldest = points.iter().peekable();
    for run in points.chunk_by(|a, b| a.at == b.at) {
        run.iter().for_each(|point| gauge.enter(point));
        let Some(end) = run.first() else { continue };
        while let Some(left) = oldest.next_if(|p| p.at < end.at.saturating_sub(window)) {
            gauge.leave(left);
        }
        let number = gauge.ratio();
        let apart = if range.holds(number) {
            // Nearer than on the very bound.
            -1.0
        } else {
            let far = |n: u64| (number.value() - n as f64).abs();
            range.thresholds().map(far).fold(f64::INFINITY, f64::min)
        };
        if best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, number));
        }
    }
    best.map(|(_, number)| number)
}

struct Judging<'r> {
    gauge: Gauge,
    range: &'r Range,
}

impl Sliding for Judging<'_> {
    fn enter(&mut self, point: &Point) {
        self.gauge.enter(point);
    }
    fn leave(&mut self, point: &Point) {
        self.gauge.leave(point);
    }
    fn holds(&self) -> bool {
        self.range.holds(self.gauge.ratio())
    }
}

/// A measure of the points that are inside.
enum Gauge {
    Count(u64),
    Distinct(HashMap<u64, u64>),
    Sum(u128),
    Average { sum: u128, count: u64 },
    Percentile(Order, u8),
}

impl Gauge {
    /// Of none of these points yet.
    fn new(measure: Measure, points: &[Point]) -> Self {
        match measure {
            Measure::Count => Self::Count(0),
            Measure::Distinct(_) => Self::Distinct(HashMap::new()),
            Measure::Sum(_) => Self::Sum(0),
            Measure::Average(_) => Self::Average { sum: 0, count: 0 },
            Measure::Percentile(_, of) => Self::Percentile(Order::new(points), of),
        }
    }

    fn enter(&mut self, point: &Point) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Distinct(values) => *values.entry(point.value).or_default() += 1,
            Self::Sum(sum) => *sum += u128::from(point.value),
            Self::Average { sum, count } => {
                *sum += u128::from(point.value);
                *count += 1;
            }
            Self::Percentile(order, _) => order.add(point.value),
        }
    }

    fn leave(&mut self, point: &Point) {
        match self {
            Self::Count(count) => *count -= 1,
            Self::Distinct(values) => {
                if let Some(count) = values.get_mut(&point.value) {
                    *count -= 1;
                    if *count == 0 {
                        values.remove(&point.value);
                    }
                }
            }
            Self::Sum(sum) => *sum -= u128::from(point.value),
            Self::Average { sum, count } => {
                *sum -= u128::from(point.value);
                *count -= 1;
            }
            Self::Percentile(order, _) => order.remove(point.value),
        }
    }

    /// The number, where there is at least one point.
    fn ratio(&self) -> Ratio {
        let whole = |n: u64| Ratio { over: n.into(), under: 1 };
        match self {
            Self::Count(count) => whole(*count),
            Self::Distinct(values) => whole(values.len() as u64),
            Self::Sum(sum) => Ratio { over: *sum, under: MILLIONTHS.into() },
            Self::Average { sum, count } => {
                Ratio { over: *sum, under: u128::from((*count).max(1)) * u128::from(MILLIONTHS) }
            }
            Self::Percentile(order, of) => order.percentile(*of),
        }
    }
}

/// Values in order, with those of the inside counted: a Fenwick tree over their ranks (P. M.
/// Fenwick, *A New Data Structure for Cumulative Frequency Tables*, 1994).
struct Order {
    /// All values that may come in, each once, ascending.
    values: Vec<u64>,
    /// At `i`: how many inside have a rank in `i - lowest bit of i + 1 ..= i`, from 1.
    tree: Vec<u64>,
    inside: u64,
}

impl Order {
    fn new(points: &[Point]) -> Self {
        let mut values: Vec<u64> = points.iter().map(|point| point.value).collect();
        values.sort_unstable();
        values.dedup();
        Self { tree: vec![0; values.len() + 1], values, inside: 0 }
    }

    fn add(&mut self, value: u64) {
        self.inside += 1;
        self.change(value, |count| count + 1);
    }

    fn remove(&mut self, value: u64) {
        self.inside -= 1;
        self.change(value, |count| count - 1);
    }

    fn change(&mut self, value: u64, to: impl Fn(u64) -> u64) {
        let mut rank = self.values.partition_point(|v| *v < value) + 1;
        while let Some(count) = self.tree.get_mut(rank) {
            *count = to(*count);
            rank += rank & rank.wrapping_neg();
        }
    }

    /// The value that `before` of those inside come before.
    fn nth(&self, before: u64) -> u64 {
        let (mut rank, mut left) = (0, before);
        let mut step = self.values.len().checked_ilog2().map_or(0, |bits| 1 << bits);
        while step > 0 {
            if let Some(count) = self.tree.get(rank + step).filter(|count| **count <= left) {
                left -= count;
                rank += step;
            }
            step /= 2;
        }
        self.values.get(rank).copied().unwrap_or_default()
    }

    fn percentile(&self, of: u8) -> Ratio {
        let place = u64::from(of) * self.inside.saturating_sub(1);
        let (below, part) = (place / 100, place % 100);
        let low = u128::from(self.nth(below));
        let high = if part == 0 { low } else { u128::from(self.nth(below + 1)) };
        let over = low * 100 + (high - low) * u128::from(part);
        Ratio { over, under: 100 * u128::from(MILLIONTHS) }
    }
}

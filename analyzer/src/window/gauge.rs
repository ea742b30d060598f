//! What a condition measures of a window, kept while events enter and leave it.

use super::{Found, Point, order::Order, trailing};
use crate::chain::{Condition, MILLIONTHS, Measure, Range, Ratio};
use smallvec::{SmallVec, smallvec};
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

    /// Whether the window that ends at `end` is one of them.
    pub(super) fn contain(&self, end: i64, window: i64) -> bool {
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
    let within = |gauge: &Gauge| range.holds(gauge.ratio());
    trailing(window, points, (Gauge::of(measure), within), |end| ends.contain(end, window))
}

/// The number, of all windows, that comes nearest to the range.
#[must_use]
pub fn nearest(measure: Measure, range: &Range, window: i64, points: &[Point]) -> Option<Ratio> {
    let mut best: Option<(f64, Ratio)> = None;
    let mut gauge = Gauge::of(measure);
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

/// A measure of the points that are inside. They may leave in any order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Gauge {
    Count(u64),
    Distinct(HashMap<u64, u64>),
    Sum(u128),
    Average {
        sum: u128,
        count: u64,
    },
    Percentile(Order, u8),
    /// How many match each rule.
    Rules(SmallVec<[u32; 4]>),
}

impl Gauge {
    /// Of no points yet.
    pub(super) fn of(measure: Measure) -> Self {
        match measure {
            Measure::Count => Self::Count(0),
            Measure::Distinct(_) => Self::Distinct(HashMap::new()),
            Measure::Sum(_) => Self::Sum(0),
            Measure::Average(_) => Self::Average { sum: 0, count: 0 },
            Measure::Percentile(_, of) => Self::Percentile(Order::default(), of),
        }
    }

    /// What a condition asks for, over so many rules.
    pub(super) fn for_condition(condition: &Condition, rules: usize) -> Self {
        match condition {
            Condition::Ordered | Condition::Together => Self::Rules(smallvec![0; rules]),
            Condition::Count { .. } => Self::of(Measure::Count),
            Condition::Distinct { field, .. } => Self::of(Measure::Distinct(*field)),
            Condition::Sum { field, .. } => Self::of(Measure::Sum(*field)),
            Condition::Judged { measure, .. } => Self::of(*measure),
        }
    }

    pub(super) fn enter(&mut self, point: &Point) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Distinct(values) => *values.entry(point.value).or_default() += 1,
            Self::Sum(sum) => *sum += u128::from(point.value),
            Self::Average { sum, count } => {
                *sum += u128::from(point.value);
                *count += 1;
            }
            Self::Percentile(order, _) => order.add(point.value),
            Self::Rules(counts) => matched(counts, point).for_each(|count| *count += 1),
        }
    }

    pub(super) fn leave(&mut self, point: &Point) {
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
            Self::Rules(counts) => matched(counts, point).for_each(|count| *count -= 1),
        }
    }

    /// Whether a condition holds of what is inside; never where its windows are not those that
    /// end with an event.
    pub(super) fn satisfies(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Ordered => false,
            Condition::Together => match self {
                Self::Rules(counts) => counts.iter().all(|count| *count > 0),
                _ => false,
            },
            Condition::Count { at_least } | Condition::Distinct { at_least, .. } => {
                self.ratio().compare(*at_least).is_ge()
            }
            Condition::Sum { at_least, .. } => match self {
                Self::Sum(sum) => *sum >= u128::from(*at_least),
                _ => false,
            },
            Condition::Judged { range, .. } => range.holds(self.ratio()),
        }
    }

    /// The number, where there is at least one point.
    pub(super) fn ratio(&self) -> Ratio {
        let whole = |n: u64| Ratio { over: n.into(), under: 1 };
        match self {
            Self::Count(count) => whole(*count),
            Self::Distinct(values) => whole(values.len() as u64),
            Self::Sum(sum) => Ratio { over: *sum, under: MILLIONTHS.into() },
            Self::Average { sum, count } => {
                Ratio { over: *sum, under: u128::from((*count).max(1)) * u128::from(MILLIONTHS) }
            }
            Self::Percentile(order, of) => percentile(order, *of),
            Self::Rules(counts) => whole(counts.iter().filter(|count| **count > 0).count() as u64),
        }
    }
}

/// The counts of the rules that a point matches.
fn matched<'c>(counts: &'c mut [u32], point: &Point) -> impl Iterator<Item = &'c mut u32> {
    let mask = point.mask;
    counts.iter_mut().enumerate().filter(move |(rule, _)| mask >> rule & 1 == 1).map(|(_, c)| c)
}

fn percentile(order: &Order, of: u8) -> Ratio {
    let place = u64::from(of) * order.len().saturating_sub(1);
    let (below, part) = (place / 100, place % 100);
    let low = u128::from(order.nth(below));
    let high = if part == 0 { low } else { u128::from(order.nth(below + 1)) };
    let over = low * 100 + (high - low) * u128::from(part);
    Ratio { over, under: 100 * u128::from(MILLIONTHS) }
}

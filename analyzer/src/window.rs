//! Which events of one key satisfy a chain, in event time.
//!
//! A *satisfied window* is a set of events that fulfils the chain's condition within one window
//! length, both ends included. An *incident* is a maximal run of satisfied windows whose time
//! intervals overlap (closed intervals: touching is overlapping); its members are the events of
//! these windows. Both depend on the set of events alone, never on the order in which they came.
//!
//! Nothing of a window is looked at again for a further event, where one can do without:
//! `track/front.rs` says what is carried on, `docs/adr/0021-windows-carried-on.md` why.
//!
//! **Conditions that only grow** (`gte` and `gt` of counts and sums, `temporal`,
//! `temporal_ordered`) are looked at whenever an event comes: a further event may add windows, and
//! takes none away. `temporal_ordered` has a window for every choice of its steps, the others one
//! for every instant of an event: the window that ends there.
//!
//! A condition may speak of what another correlation finds (a [`Link`]): one point for every
//! instant at which one of its satisfied windows ends, with the members of these windows that lie
//! within the link's window before it as evidence. The members of the outer incident are events:
//! those that it found itself, and the evidence of its points. Its windows reach back to the
//! first of their evidence. Since a link only ever gives more points as events come, so it is with
//! the outer condition.
//!
//! [`Link`]: crate::chain::Link
//!
//! **All others** ([`Condition::Judged`]: `lt`, `lte`, `eq`, `neq`, averages, percentiles) have
//! the same windows: one for each instant at which an event takes part, ending there. Each is
//! judged once, when the watermark has passed its end, because only then no event can change it.
//! Where the stream goes quiet the watermark stands still: when no event has come for the allowed
//! lateness, what waits is judged as it is. Should an event that is in time come after all, and
//! tell otherwise, the incident is corrected, or withdrawn, so that what is known in the end is
//! again a function of the set of events. A window that holds no event is no window: there is
//! nothing to say of a key of which nothing is heard. A window that lost an event at the bound of
//! kept events is not judged, because its number is not known.

mod agenda;
mod ages;
mod chained;
mod followed;
mod gauge;
mod lane;
mod member;
mod order;
mod saved;
mod shape;
mod slots;
mod sorted;
mod sources;
mod tally;
mod track;
#[cfg(test)]
mod track_tests;

use chained::joined;
pub use chained::{search, stepped};
pub use followed::{Key, Tell, Told, Turn};
pub use gauge::{Ends, judged, nearest};
pub use lane::{Counters, Given, Lane, Limits};
pub use member::{At, Member, Packed};
pub use saved::{Saved, Saving};
pub use shape::{Peak, SPAN, Shape, Shapes};
pub use sorted::Sorted;
pub use sources::Pace;
pub use tally::{Bounds, Seen, Step, Tally};
pub use track::{Clock, Decided, Event, Incident, Taken, Track};

use crate::chain::{Condition, Mask};
use gauge::Gauge;

/// One event as a condition sees it.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Its time, in microseconds.
    pub at: i64,
    /// The rules that it matches, never 0.
    pub mask: Mask,
    /// What it counts for, as [`Chain::part`] has it.
    ///
    /// [`Chain::part`]: crate::chain::Chain::part
    pub value: u64,
}

/// What a condition found among points.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Disjoint intervals of overlapping satisfied windows, in order, both ends included.
    pub spans: Vec<(i64, i64)>,
    /// Whether each point is in a satisfied window.
    pub member: Vec<bool>,
    /// The instants at which satisfied windows end, in order, each once.
    pub ends: Vec<i64>,
}

/// Finds the satisfied windows among points that are sorted by time. Linear in the number of
/// points times rules; with a logarithm for percentiles.
#[must_use]
pub fn find(condition: &Condition, rules: usize, window: i64, points: &[Point]) -> Found {
    if *condition == Condition::Ordered {
        return ordered(rules, window, points);
    }
    let gauge = Gauge::for_condition(condition, rules);
    trailing(window, points, (gauge, |gauge: &Gauge| gauge.satisfies(condition)), |_| true)
}

/// For every instant at which a point lies, if it is one of the `ends`: the window that ends
/// there, both ends included.
fn trailing(
    window: i64,
    points: &[Point],
    (mut inside, holds): (Gauge, impl Fn(&Gauge) -> bool),
    ends: impl Fn(i64) -> bool,
) -> Found {
    let (mut spans, mut found) = (Spans::default(), Vec::new());
    let mut oldest = points.iter().peekable();
    let mut newest = points.iter().peekable();
    while let Some(point) = newest.next() {
        inside.enter(point);
        if newest.peek().is_some_and(|next| next.at == point.at) {
            continue;
        }
        while let Some(left) = oldest.next_if(|p| p.at < point.at.saturating_sub(window)) {
            inside.leave(left);
        }
        if ends(point.at)
            && holds(&inside)
            && let Some(first) = oldest.peek()
        {
            spans.add(first.at, point.at);
            found.push(point.at);
        }
    }
    // Every point between the ends of a satisfied window is in that window.
    let member = points.iter().map(|p| spans.cover(p.at)).collect();
    Found { spans: spans.0, member, ends: found }
}

/// Disjoint intervals, added in the order of their ends (and starts).
#[derive(Default)]
struct Spans(Vec<(i64, i64)>);

impl Spans {
    fn add(&mut self, start: i64, end: i64) {
        match self.0.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => self.0.push((start, end)),
        }
    }

    fn cover(&self, at: i64) -> bool {
        let next = self.0.partition_point(|(_, end)| *end < at);
        self.0.get(next).is_some_and(|(start, _)| *start <= at)
    }
}

/// Runs of points of the same instant.
fn instants(points: &[Point]) -> Vec<(usize, &[Point])> {
    let mut first = 0;
    let runs = points.chunk_by(|a, b| a.at == b.at);
    runs.map(|run| {
        let at = first;
        first += run.len();
        (at, run)
    })
    .collect()
}

/// A table of one optional time per point and rule.
struct Table {
    rules: usize,
    times: Vec<Option<i64>>,
}

impl Table {
    fn new(points: usize, rules: usize) -> Self {
        Self { rules, times: vec![None; points * rules] }
    }

    fn get(&self, point: usize, rule: usize) -> Option<i64> {
        self.times.get(point * self.rules + rule).copied().flatten()
    }

    fn set(&mut self, point: usize, rule: usize, time: Option<i64>) {
        if let Some(place) = self.times.get_mut(point * self.rules + rule) {
            *place = time;
        }
    }
}

/// For every point and step: the latest start of the steps up to it, and the earliest end of the
/// steps after it. The point is a member when these two lie within one window. Steps of the same
/// instant follow one another in either order.
fn ordered(rules: usize, window: i64, points: &[Point]) -> Found {
    let runs = instants(points);
    let starts = latest_starts(rules, points.len(), &runs);
    let ends = earliest_ends(rules, points.len(), &runs);
    let near = |start: i64, end: i64| end.saturating_sub(start) <= window;
    let is_member = |p: usize| {
        (0..rules).any(|rule| match (starts.get(p, rule), ends.get(p, rule)) {
            (Some(start), Some(end)) => near(start, end),
            _ => false,
        })
    };
    let member = (0..points.len()).map(is_member).collect();
    let last_steps: Vec<i64> =
        points.iter().filter(|p| p.mask >> (rules - 1) & 1 == 1).map(|p| p.at).collect();
    let mut spans = Spans::default();
    for (i, point) in points.iter().enumerate() {
        let first_step = point.mask & 1 == 1;
        if first_step && ends.get(i, 0).is_some_and(|end| near(point.at, end)) {
            // Any last step from the earliest end up to one window later ends a chain as well.
            let within = last_steps.partition_point(|at| near(point.at, *at));
            let end = within.checked_sub(1).and_then(|n| last_steps.get(n)).copied();
            spans.add(point.at, end.unwrap_or(point.at));
        }
    }
    let ends = points.iter().enumerate().filter_map(|(i, point)| {
        let start = starts.get(i, rules.checked_sub(1)?)?;
        near(start, point.at).then_some(point.at)
    });
    let mut ends: Vec<i64> = ends.collect();
    ends.dedup();
    Found { spans: spans.0, member, ends }
}

fn latest_starts(rules: usize, points: usize, runs: &[(usize, &[Point])]) -> Table {
    let mut table = Table::new(points, rules);
    let mut best: Vec<Option<i64>> = vec![None; rules];
    for (first, run) in runs {
        for rule in 0..rules {
            let before = rule.checked_sub(1).map(|r| best.get(r).copied().flatten());
            for (i, point) in run.iter().enumerate().filter(|(_, p)| p.mask >> rule & 1 == 1) {
                let start = before.unwrap_or(Some(point.at));
                table.set(first + i, rule, start);
                if let Some(best) = best.get_mut(rule) {
                    *best = start.max(*best);
                }
            }
        }
    }
    table
}

fn earliest_ends(rules: usize, points: usize, runs: &[(usize, &[Point])]) -> Table {
    let mut table = Table::new(points, rules);
    let mut best: Vec<Option<i64>> = vec![None; rules];
    for (first, run) in runs.iter().rev() {
        for rule in (0..rules).rev() {
            let is_last = rule + 1 == rules;
            let after = best.get(rule + 1).copied().flatten();
            for (i, point) in run.iter().enumerate().filter(|(_, p)| p.mask >> rule & 1 == 1) {
                let end = if is_last { Some(point.at) } else { after };
                table.set(first + i, rule, end);
                if let Some(best) = best.get_mut(rule) {
                    *best = match (*best, end) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
            }
        }
    }
    table
}

#[cfg(test)]
#[path = "window/find_tests.rs"]
mod tests;

//! Chains whose conditions speak of what other correlations find.

use super::{Found, Point, find};
use crate::chain::{Chain, Condition, NO_VALUE, Step};
use std::collections::VecDeque;

/// Finds the satisfied windows of a chain among its events, sorted by time. Linear in their
/// number, times rules, links and a logarithm.
#[must_use]
pub fn search(chain: &Chain, base: &[Point]) -> Found {
    let window = |of: std::time::Duration| i64::try_from(of.as_micros()).unwrap_or(i64::MAX);
    if chain.links.is_empty() {
        return find(&chain.condition, chain.rules.len(), window(chain.window), base);
    }
    let levels = levels(chain, base);
    let outer = Level::new(&chain.condition, &chain.steps, base, &levels);
    let found = find(&chain.condition, chain.steps.len(), window(chain.window), &outer.points());
    let mut spans = found.spans;
    let members = outer.of.iter().zip(&found.member).filter(|(_, member)| **member);
    spans.extend(members.map(|(point, _)| (point.from, point.point.at)));
    let member = evidence(base.len(), levels, (outer, found.member));
    Found { spans: joined(spans), member, ends: found.ends }
}

/// The points that the condition of a chain speaks of, with a mask of its steps.
#[must_use]
pub fn stepped(chain: &Chain, base: &[Point]) -> Vec<Point> {
    if chain.links.is_empty() {
        return base.to_vec();
    }
    Level::new(&chain.condition, &chain.steps, base, &levels(chain, base)).points()
}

/// Where a point comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// The event at this position.
    Event(usize),
    /// What a link found, by the positions of link and find.
    Find(usize, usize),
}

/// A point with its past.
struct Sourced {
    point: Point,
    origin: Origin,
    /// Time of its first evidence.
    from: i64,
}

/// What one correlation looks at, in order of time.
struct Level {
    of: Vec<Sourced>,
}

/// What a link found at one instant.
struct Find {
    at: i64,
    /// Time of its first evidence.
    from: i64,
    /// The positions of its evidence among the points of the link: those here that are members.
    among: (usize, usize),
}

/// A link with all that it found.
struct Done {
    level: Level,
    member: Vec<bool>,
    finds: Vec<Find>,
}

impl Level {
    fn new(condition: &Condition, steps: &[Step], base: &[Point], links: &[Done]) -> Self {
        let wants_value = matches!(condition, Condition::Distinct { .. });
        let mut of = Vec::new();
        for (at, event) in base.iter().enumerate() {
            let matched = steps.iter().enumerate().filter(|(_, step)| match step {
                Step::Rule(rule) => event.mask >> rule & 1 == 1,
                Step::Link(_) => false,
            });
            let mask = matched.fold(0, |mask, (step, _)| mask | 1 << step);
            if mask != 0 && !(wants_value && event.value == NO_VALUE) {
                let point = Point { mask, ..*event };
                of.push(Sourced { point, origin: Origin::Event(at), from: event.at });
            }
        }
        for (step, link) in steps.iter().enumerate() {
            let Step::Link(link) = *link else { continue };
            let finds = links.get(link).map(|done| done.finds.as_slice()).unwrap_or_default();
            of.extend(finds.iter().enumerate().map(|(n, find)| Sourced {
                point: Point { at: find.at, mask: 1 << step, value: NO_VALUE },
                origin: Origin::Find(link, n),
                from: find.from,
            }));
        }
        of.sort_by_key(|sourced| sourced.point.at);
        Self { of }
    }

    fn points(&self) -> Vec<Point> {
        self.of.iter().map(|sourced| sourced.point).collect()
    }
}

fn levels(chain: &Chain, base: &[Point]) -> Vec<Done> {
    let mut done: Vec<Done> = Vec::new();
    for link in &chain.links {
        let level = Level::new(&link.condition, &link.steps, base, &done);
        let window = i64::try_from(link.window.as_micros()).unwrap_or(i64::MAX);
        let found = find(&link.condition, link.steps.len(), window, &level.points());
        let finds = finds(window, &level, &found);
        done.push(Done { level, member: found.member, finds });
    }
    done
}

/// A find for every end, with the members within one window before it. The first evidence is the
/// least of a window that slides, kept in a queue whose times rise.
fn finds(window: i64, level: &Level, found: &Found) -> Vec<Find> {
    let (mut first, mut next) = (0, 0);
    let mut rising: VecDeque<(usize, i64)> = VecDeque::new();
    let mut finds = Vec::new();
    for end in &found.ends {
        while let Some(sourced) = level.of.get(next).filter(|s| s.point.at <= *end) {
            if found.member.get(next).copied().unwrap_or(false) {
                while rising.back().is_some_and(|(_, from)| *from >= sourced.from) {
                    rising.pop_back();
                }
                rising.push_back((next, sourced.from));
            }
            next += 1;
        }
        let begin = end.saturating_sub(window);
        while level.of.get(first).is_some_and(|s| s.point.at < begin) {
            first += 1;
        }
        while rising.front().is_some_and(|(at, _)| *at < first) {
            rising.pop_front();
        }
        let from = rising.front().map_or(*end, |(_, from)| *from);
        finds.push(Find { at: *end, from, among: (first, next) });
    }
    finds
}

/// Which events are members: from the outer correlation down, what each member stands for.
fn evidence(events: usize, mut links: Vec<Done>, outer: (Level, Vec<bool>)) -> Vec<bool> {
    let mut member = vec![false; events];
    let mut wanted: Vec<Vec<bool>> =
        links.iter().map(|done| vec![false; done.finds.len()]).collect();
    let mut mark = |level: &Level, members: &[bool], wanted: &mut [Vec<bool>]| {
        for (sourced, _) in level.of.iter().zip(members).filter(|(_, member)| **member) {
            let place = match sourced.origin {
                Origin::Event(at) => member.get_mut(at),
                Origin::Find(link, n) => wanted.get_mut(link).and_then(|of| of.get_mut(n)),
            };
            if let Some(place) = place {
                *place = true;
            }
        }
    };
    mark(&outer.0, &outer.1, &mut wanted);
    // A link refers to earlier ones alone.
    while let (Some(done), Some(finds)) = (links.pop(), wanted.pop()) {
        let mut members = vec![false; done.member.len()];
        let mut reached = 0;
        let finds = done.finds.iter().zip(finds).filter(|(_, wanted)| *wanted);
        for (Find { among: (first, next), .. }, _) in finds {
            for at in (*first).max(reached)..*next {
                if let (Some(place), Some(true)) = (members.get_mut(at), done.member.get(at)) {
                    *place = true;
                }
            }
            reached = reached.max(*next);
        }
        mark(&done.level, &members, &mut wanted);
    }
    member
}

/// Intervals that overlap made one.
pub(super) fn joined(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

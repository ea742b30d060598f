//! Why there is an alert on a key, or why there is none.
//!
//! Everything is found again from the scored events, by the same chains and the same table;
//! nothing is asked of a running analyzer. What only a running one knows is left out: events that
//! came too late, and what was let go at a bound. Its counters tell of these. What was back-filled
//! is looked at beside the live events, whether or not it came in time to meet them.

use crate::{
    Config, analyze_with,
    chain::{Book, Chain, Condition, MILLIONTHS},
    window::{Point, nearest, stepped},
};
use magsentinel_bus_schema::{Assessment, Class, Level, Scored, Token};
use magsentinel_runtime::settings::Span;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the scored events of one key come to.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Class of the key.
    pub class: Class,
    /// The key.
    pub key: String,
    /// Of events that were played back, which never meet live ones.
    pub replayed: bool,
    /// How many events of each patrol and level name the key.
    pub events: BTreeMap<Token, BTreeMap<Level, u64>>,
    /// Every chain that groups by the class, in the order of their names.
    pub chains: Vec<Account>,
}

/// How far one chain came.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Name of the chain.
    pub chain: Token,
    /// Its title.
    pub title: String,
    /// Its rules by title, and how many events match each.
    pub rules: Vec<(String, u64)>,
    /// The incidents that it found, oldest first, each with what was decided and why.
    pub found: Vec<Assessment>,
    /// The nearest that any window came to the condition.
    pub reached: String,
}

/// Explains a key from scored events in any order; those that do not name it are left out. Live
/// events first, then played-back ones, where there are any.
#[must_use]
pub fn explain(
    book: &Arc<Book>,
    config: &Config,
    class: Class,
    key: &str,
    scored: &[Scored],
) -> Vec<Explanation> {
    let lanes = [false, true].into_iter();
    lanes.filter_map(|replayed| lane(book, config, (class, key), scored, replayed)).collect()
}

/// A recording, which may be of any time.
fn is_past(scored: &Scored) -> bool {
    scored.replayed && !scored.backfilled
}

fn lane(
    book: &Arc<Book>,
    config: &Config,
    (class, key): (Class, &str),
    scored: &[Scored],
    replayed: bool,
) -> Option<Explanation> {
    let grouped = || book.chains().iter().filter(|chain| chain.groups_by(class));
    // An alias gives other classes the same key.
    let classes: BTreeSet<Class> =
        grouped().filter(|c| !c.aliased.is_empty()).flat_map(|c| c.aliased.clone()).collect();
    let is = |of: Class| of == class || classes.contains(&of);
    let names = |s: &&Scored| s.entities.iter().any(|e| is(e.class) && e.value == key);
    let mut own: Vec<Scored> =
        scored.iter().filter(|s| is_past(s) == replayed).filter(names).cloned().collect();
    own.sort_by_key(|s| (s.ts, s.id));
    own.dedup_by_key(|s| s.id);
    let newest = own.last()?.ts;
    let mut events: BTreeMap<Token, BTreeMap<Level, u64>> = BTreeMap::new();
    for s in &own {
        *events.entry(s.patrol.clone()).or_default().entry(s.level).or_default() += 1;
    }
    let mut found = analyze_with(book, config, own.clone(), newest);
    found.retain(|a| a.class == class && a.key == key);
    // Level none is not routed: no chain sees it.
    own.retain(|s| s.level > Level::None);
    let chains = grouped().map(|chain| account(chain, (class, key), &own, &found)).collect();
    Some(Explanation { class, key: key.to_owned(), replayed, events, chains })
}

fn account(
    chain: &Chain,
    (class, key): (Class, &str),
    scored: &[Scored],
    found: &[Assessment],
) -> Account {
    let parts = scored.iter().filter_map(|s| Some((s.ts, chain.part(s, class, key)?)));
    let points: Vec<Point> =
        parts.map(|(ts, (mask, value))| Point { at: ts.micros(), mask, value }).collect();
    let matching = |rule: usize| points.iter().filter(|p| p.mask >> rule & 1 == 1).count() as u64;
    let rules = chain.rules.iter().enumerate();
    Account {
        chain: chain.name.clone(),
        title: chain.title.clone(),
        rules: rules.map(|(i, rule)| (rule.title.clone(), matching(i))).collect(),
        found: found.iter().filter(|a| a.chain == chain.name).cloned().collect(),
        reached: reached(chain, &stepped(chain, &points)),
    }
}

/// The nearest that any window came to the condition, in words.
fn reached(chain: &Chain, points: &[Point]) -> String {
    let within = Span::s(chain.window.as_secs());
    let most =
        |of: &dyn Fn(&[Point]) -> usize| windows(chain, points).map(of).max().unwrap_or_default();
    match &chain.condition {
        Condition::Count { at_least } => {
            format!("{} of {at_least} events within {within}", most(&|window| window.len()))
        }
        Condition::Distinct { at_least, .. } => {
            let distinct =
                |window: &[Point]| window.iter().map(|p| p.value).collect::<BTreeSet<_>>().len();
            format!("{} of {at_least} different ones within {within}", most(&distinct))
        }
        Condition::Sum { at_least, .. } => {
            let sum = |window: &[Point]| window.iter().map(|p| p.value).sum::<u64>();
            let most = windows(chain, points).map(sum).max().unwrap_or_default();
            let [most, least] = [most, *at_least].map(|n| n as f64 / MILLIONTHS as f64);
            format!("a sum of {most} of {least} within {within}")
        }
        Condition::Judged { measure, range } => {
            let length = i64::try_from(chain.window.as_micros()).unwrap_or(i64::MAX);
            let most = nearest(*measure, range, length, points);
            let came = most.map_or_else(|| "none".to_owned(), |n| format!("{:.3}", n.value()));
            format!("{measure} {came}, where it must be {range}, within {within}")
        }
        Condition::Together => {
            let best = windows(chain, points).max_by_key(|w| met(w).count_ones()).map_or(0, met);
            let titles = chain.step_titles();
            let missing = titles.iter().enumerate().filter(|(i, _)| best >> i & 1 == 0);
            let missing: Vec<_> = missing.map(|(_, title)| format!("{title:?}")).collect();
            let (met, all) = (best.count_ones(), titles.len());
            format!("{met} of {all} rules within {within}{}", lacking(&missing))
        }
        Condition::Ordered => {
            let titles = chain.step_titles();
            let steps = most(&|window| steps(window, titles.len()));
            let next = titles.get(steps).map(|title| format!("{title:?}"));
            let all = titles.len();
            format!("{steps} of {all} steps in order within {within}{}", lacking(next.as_slice()))
        }
    }
}

fn lacking(titles: &[String]) -> String {
    if titles.is_empty() { String::new() } else { format!("; missing {}", titles.join(", ")) }
}

/// For every point: the points of the window that begins with it, both ends included.
fn windows<'p>(chain: &Chain, points: &'p [Point]) -> impl Iterator<Item = &'p [Point]> {
    let length = i64::try_from(chain.window.as_micros()).unwrap_or(i64::MAX);
    points.iter().enumerate().filter_map(move |(first, begin)| {
        // Points of one instant have no order: a window that begins at it holds all of them.
        let first = points.get(..first)?.partition_point(|p| p.at < begin.at);
        let end = points.partition_point(|p| p.at <= begin.at.saturating_add(length));
        points.get(first..end)
    })
}

fn met(window: &[Point]) -> crate::chain::Mask {
    window.iter().fold(0, |met, point| met | point.mask)
}

/// How many steps are met in order: each as early as it can be.
fn steps(window: &[Point], rules: usize) -> usize {
    let mut since = i64::MIN;
    (0..rules)
        .take_while(|rule| {
            let next = window.iter().find(|p| p.at >= since && p.mask >> rule & 1 == 1);
            since = next.map_or(since, |p| p.at);
            next.is_some()
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Naming, book, scored, shipped};

    fn told(book: &Arc<Book>, events: &[Scored]) -> Vec<Explanation> {
        explain(book, &Config::default(), Class::User, "ann", events)
    }

    fn reached_of(kind: &str, rules: usize, condition: &str, events: &[(&str, f64)]) -> String {
        let one = |(n, (patrol, at)): (usize, &(&str, f64))| {
            scored(&n.to_string(), patrol, Level::Medium, *at).user("ann")
        };
        let events: Vec<_> = events.iter().enumerate().map(one).collect();
        let told = told(&book(kind, rules, 60, condition), &events);
        told.into_iter().flat_map(|e| e.chains).map(|c| c.reached).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        let count = "  condition: {gte: 3}\n";
        for (kind, rules, condition, events, says) in [
            (
                "event_count",
                1,
                count,
                &[("p0", 0.0), ("p0", 60.0), ("p0", 61.0)][..],
                "2 of 3 events within 1m",
            ),
            (
                "temporal",
                2,
                "",
                &[("p1", 5.0), ("p1", 6.0)],
                "1 of 2 rules within 1m; missing \"Rule 0\"",
            ),
            (
                "temporal_ordered",
                3,
                "",
                &[("p1", 0.0), ("p0", 1.0), ("p1", 1.0), ("p2", 70.0)],
                "2 of 3 steps in order within 1m; missing \"Rule 2\"",
            ),
            (
                "temporal_ordered",
                2,
                "",
                &[("p1", 0.0)],
                "0 of 2 steps in order within 1m; missing \"Rule 0\"",
            ),
        ] {
            assert_eq!(reached_of(kind, rules, condition, events), says, "{kind}");
        }
        let sum = "  condition: {field: level, gte: 7}\n";
        let events = [("p0", 0.0), ("p0", 60.0), ("p0", 61.0), ("p0", 99.0)];
        assert_eq!(reached_of("value_sum", 1, sum, &events), "a sum of 6 of 7 within 1m");
        let distinct = "  condition: {field: category, gte: 2}\n";
        let events = [("p0", 0.0), ("p0", 1.0)];
        let says = reached_of("value_count", 1, distinct, &events);
        assert_eq!(says, "1 of 2 different ones within 1m");
    }

    #[test]
    fn what_was_found_is_as_the_analyzer_finds_it() {
        let events = [
            scored("a", "sql-guard", Level::High, 0.0).user("ann"),
            scored("b", "data-flow", Level::High, 60.0).user("ann"),
            scored("c", "data-flow", Level::High, 61.0).user("bob"),
            scored("d", "sql-guard", Level::None, 62.0).user("ann"),
            Scored { replayed: true, ..scored("e", "sql-guard", Level::Low, 63.0).user("ann") },
        ];
        let told = told(&shipped(), &events);
        let [live, replayed] = told.as_slice() else { panic!("{} lanes", told.len()) };
        assert!(!live.replayed && replayed.replayed);
        let counted: Vec<_> = live.events.values().flatten().map(|(l, n)| (*l, *n)).collect();
        assert_eq!(counted, [(Level::High, 1), (Level::None, 1), (Level::High, 1)]);
        let named = |name: &str| live.chains.iter().find(|c| c.chain.as_str() == name).unwrap();
        let found = &named("sql_injection_exfiltration").found;
        assert_eq!(found.iter().map(|a| a.count).collect::<Vec<_>>(), [2]);
        assert!(found.iter().all(|a| a.reasoning.iter().any(|line| line.contains("Decision"))));
        assert!(replayed.chains.iter().all(|chain| chain.found.is_empty()));
        assert!(explain(&shipped(), &Config::default(), Class::User, "eve", &events).is_empty());
    }
}

//! The linear search against one that tries every combination.

use super::*;
use crate::chain::{MILLIONTHS, Measure, NumberField, Range, ValueField};
use proptest::prelude::*;
use std::ops::Bound;

/// Every satisfied window, as the set of its points.
fn windows(condition: &Condition, rules: usize, window: i64, points: &[Point]) -> Vec<Vec<usize>> {
    if *condition == Condition::Ordered {
        let mut all = Vec::new();
        tuples(rules, window, points, &mut vec![], &mut all);
        return all;
    }
    let ends = points.iter().map(|end| end.at);
    let inside = ends.map(|end| {
        let near = |p: &Point| end - window <= p.at && p.at <= end;
        (0..points.len()).filter(|i| near(&points[*i])).collect::<Vec<_>>()
    });
    let holds = |of: &Vec<usize>| match condition {
        Condition::Count { at_least } => of.len() as u64 >= *at_least,
        Condition::Distinct { at_least, .. } => {
            let values: std::collections::BTreeSet<_> =
                of.iter().map(|i| points[*i].value).collect();
            values.len() as u64 >= *at_least
        }
        Condition::Sum { at_least, .. } => {
            of.iter().map(|i| points[*i].value).sum::<u64>() >= *at_least
        }
        Condition::Judged { measure, range } => {
            within(range, &plain(*measure, of.iter().map(|i| points[*i].value).collect()))
        }
        _ => (0..rules).all(|rule| of.iter().any(|i| points[*i].mask >> rule & 1 == 1)),
    };
    inside.filter(holds).collect()
}

/// A measure in floating point, exact for small numbers and quarters.
fn plain(measure: Measure, mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    let numbers: Vec<f64> = values.iter().map(|v| *v as f64 / MILLIONTHS as f64).collect();
    let sum: f64 = numbers.iter().sum();
    match measure {
        Measure::Count => values.len() as f64,
        Measure::Distinct(_) => {
            values.dedup();
            values.len() as f64
        }
        Measure::Sum(_) => sum,
        Measure::Average(_) => sum / numbers.len() as f64,
        Measure::Percentile(_, of) => {
            let place = f64::from(of) / 100.0 * (numbers.len() - 1) as f64;
            let (low, high) = (numbers[place.floor() as usize], numbers[place.ceil() as usize]);
            low + (high - low) * place.fract()
        }
    }
}

fn within(range: &Range, number: &f64) -> bool {
    let least = match range.least {
        Bound::Included(n) => *number >= n as f64,
        Bound::Excluded(n) => *number > n as f64,
        Bound::Unbounded => true,
    };
    let most = match range.most {
        Bound::Included(n) => *number <= n as f64,
        Bound::Excluded(n) => *number < n as f64,
        Bound::Unbounded => true,
    };
    least && most && range.except.is_none_or(|n| *number != n as f64)
}

fn judged_conditions() -> impl Strategy<Value = Condition> {
    let field = NumberField::Level;
    let measures = prop_oneof![
        Just(Measure::Count),
        Just(Measure::Distinct(ValueField::Patrol)),
        Just(Measure::Sum(field)),
        Just(Measure::Average(field)),
        (0..5_u8).prop_map(move |quarter| Measure::Percentile(field, quarter * 25)),
    ];
    let bound = || {
        prop_oneof![
            Just(Bound::Unbounded),
            (0..6_u64).prop_map(Bound::Included),
            (0..6_u64).prop_map(Bound::Excluded),
        ]
    };
    let range = (bound(), bound(), prop::option::of(0..4_u64));
    let range = range.prop_map(|(least, most, except)| Range { least, most, except });
    (measures, range).prop_map(|(measure, range)| Condition::Judged { measure, range })
}

fn tuples(
    rules: usize,
    window: i64,
    points: &[Point],
    path: &mut Vec<usize>,
    all: &mut Vec<Vec<usize>>,
) {
    if path.len() == rules {
        all.push(path.clone());
        return;
    }
    for (i, point) in points.iter().enumerate() {
        let follows = path.last().is_none_or(|last| points[*last].at <= point.at);
        let near = path.first().is_none_or(|first| point.at - points[*first].at <= window);
        if follows && near && point.mask >> path.len() & 1 == 1 {
            path.push(i);
            tuples(rules, window, points, path, all);
            path.pop();
        }
    }
}

fn brute(condition: &Condition, rules: usize, window: i64, points: &[Point]) -> Found {
    let windows = windows(condition, rules, window, points);
    let member = (0..points.len()).map(|i| windows.iter().any(|w| w.contains(&i))).collect();
    let mut spans: Vec<(i64, i64)> = windows
        .iter()
        .map(|w| {
            let at = w.iter().map(|i| points[*i].at);
            (at.clone().min().unwrap(), at.max().unwrap())
        })
        .collect();
    // Joined until nothing overlaps.
    while let Some((i, j)) = (0..spans.len())
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .find(|(i, j)| spans[*i].0 <= spans[*j].1 && spans[*j].0 <= spans[*i].1)
    {
        let gone = spans.swap_remove(i);
        spans[j] = (spans[j].0.min(gone.0), spans[j].1.max(gone.1));
    }
    spans.sort_unstable();
    let mut ends: Vec<i64> =
        windows.iter().map(|w| w.iter().map(|i| points[*i].at).max().unwrap()).collect();
    ends.sort_unstable();
    ends.dedup();
    Found { spans, member, ends }
}

fn conditions() -> impl Strategy<Value = Condition> {
    let field = ValueField::Patrol;
    prop_oneof![
        1 => Just(Condition::Ordered),
        1 => Just(Condition::Together),
        1 => (1..4_u64).prop_map(|at_least| Condition::Count { at_least }),
        1 => (1..4_u64).prop_map(move |at_least| Condition::Distinct { field, at_least }),
        1 => (1..7_u64).prop_map(|at_least| Condition::Sum {
            field: NumberField::Score,
            at_least: at_least * MILLIONTHS
        }),
        4 => judged_conditions(),
    ]
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn the_linear_search_finds_what_brute_force_finds(
        condition in conditions(),
        rules in 2..4_usize,
        window in 0..6_i64,
        raw in prop::collection::vec((0..20_i64, 1..8_u16, 0..4_u64), 0..12),
    ) {
        let mut points: Vec<Point> = raw
            .iter()
            .map(|(at, mask, v)| {
                let mask = (mask & ((1 << rules) - 1)).max(1);
                Point { at: *at, mask, value: *v * MILLIONTHS }
            })
            .collect();
        points.sort_by_key(|p| p.at);
        prop_assert_eq!(
            find(&condition, rules, window, &points),
            brute(&condition, rules, window, &points)
        );
    }
}

#[test]
fn a_window_includes_both_of_its_edges_and_steps_of_one_instant_are_in_order() {
    let at = |at, mask| Point { at, mask, value: 0 };
    let spans = |points: &[Point]| find(&Condition::Ordered, 2, 10, points).spans;
    assert_eq!(spans(&[at(0, 1), at(10, 2)]), [(0, 10)]);
    assert!(spans(&[at(0, 1), at(11, 2)]).is_empty());
    assert_eq!(spans(&[at(5, 2), at(5, 1)]), [(5, 5)]);
    assert!(spans(&[at(4, 2), at(5, 1)]).is_empty());
    let two = Condition::Count { at_least: 2 };
    assert_eq!(find(&two, 1, 10, &[at(0, 1), at(10, 1)]).spans, [(0, 10)]);
    assert!(find(&two, 1, 10, &[at(0, 1), at(11, 1)]).spans.is_empty());
}

//! Several sources, each at a pace of its own.

use crate::{
    Config,
    chain::Book,
    core::Core,
    oracle::oracle_of,
    oracle_tests::{assert_rising, books, cases, last, seen, streams},
    router,
    testing::{Naming, at, book, scored},
    window::Given,
};
use magsentinel_bus_schema::{Level, Scored, Timestamp};
use magsentinel_runtime::settings::Span;
use proptest::prelude::*;
use std::{sync::Arc, time::Duration};

fn core(config: &Config, book: &Arc<Book>) -> Core {
    Core::new(Arc::new(config.clone()), book.clone())
}

/// Shows an event that is stored, and comes, at a time.
fn give(core: &mut Core, book: &Book, event: &Scored, stored: Timestamp) -> Vec<Given> {
    let classes = book.classes();
    let routed = router::route(&classes, event, 1);
    routed.map(|keyed| core.give(keyed.to_keyed(), stored, stored).unwrap()).collect()
}

fn of(source: &str, name: &str, seconds: f64) -> Scored {
    let event = scored(name, "p0", Level::High, seconds).user("ann");
    Scored { source: Some(source.to_owned()), ..event }
}

fn config() -> Config {
    Config { lateness: Span::s(30), ..Config::default() }
}

fn counting() -> Arc<Book> {
    book("event_count", 1, 60, "  condition: {gte: 2}")
}

#[test]
fn a_sensor_that_lags_loses_nothing_while_another_speaks() {
    let (book, config) = (counting(), config());
    let mut core = core(&config, &book);
    // One reads its log two minutes late; both go on.
    for n in 0..300 {
        let (now, name) = (f64::from(n), n.to_string());
        let late = of("b", &format!("late {name}"), now - 120.0);
        assert_eq!(give(&mut core, &book, &late, at(now)), [Given::Taken], "{n}");
        assert_eq!(give(&mut core, &book, &of("a", &name, now), at(now)), [Given::Taken]);
        core.settle(at(now));
    }
    assert_eq!((core.counters()[0].1.late, core.sources()), (0, 2));
}

#[test]
fn one_that_falls_silent_or_lags_too_far_holds_nothing_up() {
    let (book, config) = (counting(), config());
    let idle = |seconds| {
        let mut core = core(&config, &book);
        give(&mut core, &book, &of("b", "b", 0.0), at(0.0));
        for (n, second) in [0.0, 30.0, 60.0, seconds].into_iter().enumerate() {
            give(&mut core, &book, &of("a", &n.to_string(), second), at(second));
        }
        give(&mut core, &book, &of("b", "again", 20.0), at(seconds)).pop().unwrap()
    };
    assert_eq!((idle(60.0), idle(61.0)), (Given::Taken, Given::Late));
    let lagging = |behind| {
        let mut core = core(&config, &book);
        for n in 0..40 {
            let now = f64::from(n);
            give(&mut core, &book, &of("b", &format!("b{n}"), now - behind), at(now));
            give(&mut core, &book, &of("a", &format!("a{n}"), now), at(now));
        }
        core.counters()[0].1.late
    };
    // The first comes before anything is late.
    assert_eq!((lagging(300.0), lagging(301.0)), (0, 39));
}

#[test]
fn sources_beyond_the_bound_share_one_place() {
    let (book, config) = (counting(), Config { sources_max: 2, ..config() });
    let mut core = core(&config, &book);
    for (n, source) in ["a", "b", "c", "d"].into_iter().enumerate() {
        give(&mut core, &book, &of(source, source, n as f64), at(n as f64));
    }
    assert_eq!(core.sources(), 3);
    // Those of the shared place go with the foremost of it: here both hold nothing up.
    for n in 4..100 {
        let now = f64::from(n);
        for source in ["a", "b", "c"] {
            give(&mut core, &book, &of(source, &format!("{source}{n}"), now), at(now));
        }
    }
    let behind = give(&mut core, &book, &of("d", "behind", 60.0), at(100.0));
    assert_eq!((behind.as_slice(), core.counters()[0].1.late), (&[Given::Late][..], 1));
    let near = give(&mut core, &book, &of("d", "near", 80.0), at(100.0));
    assert_eq!(near, [Given::Taken]);
    // When the first two have fallen silent there is room for others.
    give(&mut core, &book, &of("e", "e", 200.0), at(200.0));
    assert_eq!(core.sources(), 1);
}

/// Each event with a source that its id gives, as late as that source is, and when it was stored.
fn paced(stream: Vec<Scored>, lag: u64, gaps: &[u64]) -> Vec<(Scored, Timestamp)> {
    let mut stored = at(1e6);
    let gaps = gaps.iter().cycle();
    let mut paced = Vec::new();
    for (event, gap) in stream.into_iter().zip(gaps) {
        stored = stored.plus(Duration::from_secs(*gap));
        let number = (event.id.as_u128() % 3) as u64;
        let ts = event.ts.minus(Duration::from_secs(lag * number));
        paced.push((Scored { ts, source: Some(format!("s{number}")), ..event }, stored));
    }
    paced
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn incidents_of_several_sources_are_those_of_the_oracle(
        book in books(),
        stream in streams(),
        (lag, lateness, idle, lag_max) in (0..9_u64, 0..6_u64, 1..20_u64, 1..20_u64),
        gaps in prop::collection::vec(0..9_u64, 1..6),
        batches in prop::collection::vec(1..9_usize, 1..5),
        hand_over in any::<bool>(),
    ) {
        let config = Config {
            lateness: Span::s(lateness),
            source_idle: Span::s(idle),
            source_lag_max: Span::s(lag_max),
            ..Config::default()
        };
        // An event that is sent for two keys of a shard comes twice, and by its second time the
        // front may have moved on: the oracle sees it once.
        prop_assume!(book.chains()[0].aliased.is_empty());
        let stream = paced(stream, lag, &gaps);
        let want = oracle_of(&book.chains()[0], &config, &stream);
        let (mut core, mut revisions) = (core(&config, &book), Vec::new());
        let mut sizes = batches.iter().cycle();
        let mut rest = stream.as_slice();
        while let Some((_, stored)) = rest.first() {
            let mut now = *stored;
            let size = sizes.next().map_or(1, |size| (*size).min(rest.len()));
            for (event, stored) in &rest[..size] {
                give(&mut core, &book, event, *stored);
                now = *stored;
            }
            rest = &rest[size..];
            revisions.extend(core.settle(now));
            if hand_over {
                let mut next = self::core(&config, &book);
                next.restore(&core.snapshot().unwrap()).unwrap();
                core = next;
            }
        }
        revisions.extend(core.settle(at(2e9)));
        assert_rising(&revisions);
        prop_assert_eq!(seen(&last(&revisions)), want);
    }
}

//! Conditions that wait for time to pass: when they are told, and how they are put right.

use crate::{
    Config, analyze_with,
    assess::Revision,
    chain::Book,
    core::Core,
    explain, router,
    testing::{Naming, at, book, scored},
};
use magsentinel_bus_schema::{Class, Level, Scored, Status};
use magsentinel_runtime::settings::Span;
use std::sync::Arc;

struct Bench {
    core: Core,
    book: Arc<Book>,
}

impl Bench {
    fn new(config: Config, book: Arc<Book>) -> Self {
        Self { core: Core::new(Arc::new(config), book.clone()), book }
    }

    /// Shows events that come at a time, and settles then.
    fn at(&mut self, second: f64, events: &[Scored]) -> Vec<Revision> {
        for event in events {
            for keyed in router::route(&self.book.classes(), event, 1) {
                self.core.give(keyed.to_keyed(), at(second), at(second)).unwrap();
            }
        }
        self.core.settle(at(second))
    }
}

fn ann(name: &str, level: Level, second: f64) -> Scored {
    scored(name, "p0", level, second).user("ann")
}

fn config() -> Config {
    Config { lateness: Span::s(30), ..Config::default() }
}

fn few() -> Arc<Book> {
    book("event_count", 1, 60, "  condition: {lte: 1}")
}

fn told(revisions: &[Revision]) -> Vec<(Status, u64, bool)> {
    let of = |r: &Revision| (r.assessment.status, r.assessment.count, r.superseded);
    revisions.iter().map(of).collect()
}

#[test]
fn a_window_is_judged_when_the_watermark_has_passed_its_end_and_not_before() {
    let mut bench = Bench::new(config(), few());
    assert!(bench.at(0.0, &[ann("a", Level::High, 0.0)]).is_empty());
    let other = |name: &str, second| scored(name, "p0", Level::High, second).user("bob");
    // The watermark stands at the end of the window: an event of that instant would be in time.
    assert!(bench.at(30.0, &[other("b", 30.0)]).is_empty());
    let found = bench.at(31.0, &[other("c", 31.0)]);
    assert_eq!(told(&found), [(Status::Opened, 1, false)]);
    assert!(found[0].assessment.reasoning[0].contains("number of events at most 1 within 1m"));
}

#[test]
fn a_window_that_fills_up_in_time_is_never_told() {
    let mut bench = Bench::new(config(), few());
    assert!(bench.at(10.0, &[ann("a", Level::High, 10.0)]).is_empty());
    let last = [ann("b", Level::High, 9.0), ann("c", Level::High, 10.0)];
    assert!(bench.at(11.0, &last).is_empty());
    // The window that ends with the first of them held one event, the others two or three.
    let found = bench.at(1e4, &[]);
    assert_eq!(told(&found), [(Status::Opened, 1, false), (Status::Closed, 1, false)]);
    assert_eq!(found[0].assessment.last, at(9.0));
}

#[test]
fn silence_is_enough_and_an_event_in_time_that_tells_otherwise_withdraws_it() {
    let mut bench = Bench::new(config(), few());
    assert!(bench.at(10.0, &[ann("a", Level::High, 10.0)]).is_empty());
    assert!(bench.at(40.0, &[]).is_empty());
    let found = bench.at(41.0, &[]);
    assert_eq!(told(&found), [(Status::Opened, 1, false)]);
    assert!(bench.at(50.0, &[]).is_empty(), "told once");
    let before = ann("b", Level::High, 10.0);
    let gone = bench.at(51.0, &[before]);
    assert_eq!(told(&gone), [(Status::Closed, 1, true)]);
    let words = &gone[0].assessment.reasoning;
    assert!(words.iter().any(|line| line.starts_with("Withdrawn")), "{words:?}");
    assert_eq!(gone[0].alert.as_ref().map(|(_, levels)| levels.len()), Some(1));
    assert_eq!(bench.core.counters()[0].1.superseded, 1);
    assert!(bench.at(1e4, &[]).is_empty());
}

#[test]
fn an_incident_that_loses_members_goes_on_with_a_higher_revision() {
    let calm = book("value_avg", 1, 60, "  condition: {field: level, lte: 1}");
    let mut bench = Bench::new(config(), calm);
    let low = [ann("a", Level::Low, 0.0), ann("b", Level::Low, 10.0)];
    bench.at(10.0, &low);
    let first = bench.at(41.0, &[]).pop().unwrap().assessment;
    assert_eq!((first.status, first.count), (Status::Opened, 2));
    let corrected = bench.at(42.0, &[ann("c", Level::Critical, 5.0)]).pop().unwrap().assessment;
    assert_eq!((corrected.status, corrected.count), (Status::Updated, 1));
    assert_eq!((corrected.incident, corrected.last), (first.incident, at(0.0)));
    assert!(corrected.revision > first.revision && corrected.id != first.id);
}

#[test]
fn a_new_owner_still_judges_what_waited() {
    let mut bench = Bench::new(config(), few());
    bench.at(0.0, &[ann("a", Level::High, 0.0)]);
    let snapshot = bench.core.snapshot().unwrap();
    let mut next = Bench::new(config(), few());
    next.core.restore(&snapshot).unwrap();
    assert_eq!(told(&next.at(31.0, &[])), [(Status::Opened, 1, false)]);
}

#[test]
fn a_window_that_lost_an_event_at_the_bound_is_not_judged() {
    let config = Config { events_per_key_max: 16, ..config() };
    let mut bench = Bench::new(config, book("event_count", 1, 60, "  condition: {lte: 8}"));
    let flood: Vec<_> =
        (0..100).map(|n| ann(&n.to_string(), Level::High, 0.1 * n as f64)).collect();
    bench.at(10.0, &flood);
    assert!(bench.at(45.0, &[]).is_empty());
    // A window that reaches back to what was let go may have held more than is known.
    bench.at(65.0, &[ann("near", Level::High, 65.0)]);
    bench.at(75.0, &[ann("far", Level::High, 75.0)]);
    let found = bench.at(106.0, &[]);
    assert_eq!(told(&found), [(Status::Opened, 2, false)]);
    assert_eq!((found[0].assessment.first, found[0].assessment.last), (at(65.0), at(75.0)));
}

#[test]
fn a_pure_assessment_waits_for_nothing_and_an_explanation_says_how_near_it_came() {
    let median = book("value_median", 1, 60, "  condition: {field: score_percent, gt: 80}");
    let event = |name: &str, score, second| Scored { score, ..ann(name, Level::High, second) };
    let events = vec![event("a", 0.7, 0.0), event("b", 0.9, 10.0)];
    assert!(analyze_with(&median, &config(), events.clone(), at(10.0)).is_empty());
    let reached = |events: &[Scored]| {
        let told = explain(&median, &config(), Class::User, "ann", events);
        told[0].chains[0].reached.clone()
    };
    let says = "median score_percent 80.000, where it must be more than 80, within 1m";
    assert_eq!(reached(&events), says);
    let more = vec![events[0].clone(), events[1].clone(), event("c", 0.95, 20.0)];
    let found = analyze_with(&median, &config(), more.clone(), at(20.0));
    assert_eq!(
        found.iter().map(|a| (a.status, a.count)).collect::<Vec<_>>(),
        [(Status::Opened, 3)]
    );
    assert!(reached(&more).starts_with("median score_percent 90.000"));
}

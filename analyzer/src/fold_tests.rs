//! What a flood of one key costs, and what is told of it at once.

use crate::{
    Config, analyze_with,
    assess::Revision,
    chain::Book,
    core::Core,
    oracle::oracle,
    oracle_tests::{assert_rising, last, seen},
    router,
    testing::{Naming, at, book, scored},
};
use magsentinel_bus_schema::{Level, Scored, Status};
use magsentinel_runtime::settings::Span;
use std::sync::Arc;

fn counting() -> Arc<Book> {
    book("event_count", 1, 60, "  condition: {gte: 2}\nmagsentinel: {level: strongest}")
}

/// One event every hundredth of a second.
fn flood(events: u32) -> Vec<Scored> {
    let one = |n: u32| scored(&n.to_string(), "p0", Level::Medium, f64::from(n) / 100.0);
    (0..events).map(|n| one(n).user("ann")).collect()
}

/// Shows each event when it happens, alone, and settles; in the end a day passes.
fn one_by_one(config: &Config, book: &Arc<Book>, events: &[Scored]) -> Vec<Revision> {
    let mut core = Core::new(Arc::new(config.clone()), book.clone());
    let mut revisions = Vec::new();
    for event in events {
        for keyed in router::route(&book.classes(), event, 1) {
            core.give(keyed.to_keyed(), event.ts, event.ts).unwrap();
        }
        revisions.extend(core.settle(event.ts));
    }
    revisions.extend(core.settle(at(1e5)));
    revisions
}

#[test]
fn a_flood_of_one_key_is_a_bounded_number_of_revisions_and_the_last_has_all_of_it() {
    let (book, config) = (counting(), Config::default());
    let revisions = one_by_one(&config, &book, &flood(10_000));
    assert_rising(&revisions);
    // A hundred seconds: opened, updated every ten, closed.
    assert!((5..=13).contains(&revisions.len()), "{} revisions", revisions.len());
    let told = &revisions.last().unwrap().assessment;
    assert_eq!((told.status, told.count), (Status::Closed, 10_000));
    let pure = analyze_with(&book, &config, flood(10_000), at(100.0)).pop().unwrap();
    assert_eq!((pure.incident, pure.count), (told.incident, 10_000));
    assert_eq!((&pure.members, pure.members.len()), (&told.members, 32));
    let each = Config { update_every: Span::s(0), ..config };
    assert_eq!(one_by_one(&each, &book, &flood(1000)).len(), 1000);
}

#[test]
fn what_is_folded_comes_to_what_the_oracle_finds() {
    let (book, config) = (counting(), Config { evidence_events_max: 256, ..Config::default() });
    let events = flood(120);
    let revisions = one_by_one(&config, &book, &events);
    assert_eq!(revisions.len(), 3, "opened, told when it was due, closed");
    assert_eq!(seen(&last(&revisions)), oracle(&book.chains()[0], &config, &events));
}

#[test]
fn what_was_folded_is_told_when_nothing_more_comes() {
    let (book, config) = (counting(), Config::default());
    let mut core = Core::new(Arc::new(config), book.clone());
    let mut shown = |seconds: f64, events: &[Scored]| {
        for event in events {
            for keyed in router::route(&book.classes(), event, 1) {
                core.give(keyed.to_keyed(), at(seconds), at(seconds)).unwrap();
            }
        }
        let told = core.settle(at(seconds));
        told.iter().map(|r| (r.assessment.status, r.assessment.count)).collect::<Vec<_>>()
    };
    let events = flood(5);
    assert_eq!(shown(1.0, &events[..2]), [(Status::Opened, 2)]);
    assert_eq!(shown(2.0, &events[2..3]), []);
    assert_eq!(shown(10.9, &[]), []);
    assert_eq!(shown(11.1, &[]), [(Status::Updated, 3)]);
    assert_eq!(shown(12.0, &events[3..4]), []);
    // A higher level is told at once, with what was folded.
    let worse = Scored { level: Level::Critical, ..events[4].clone() };
    assert_eq!(shown(13.0, &[worse]), [(Status::Updated, 5)]);
    assert_eq!(shown(30.0, &[]), []);
    assert_eq!(shown(1e4, &[]), [(Status::Closed, 5)]);
    assert_eq!(shown(2e4, &[]), []);
}

#[test]
fn what_an_owner_whose_clock_is_ahead_has_folded_the_next_one_tells_by_its_own() {
    let (book, config) = (counting(), Arc::new(Config::default()));
    let shown = |core: &mut Core, seconds: f64, events: &[Scored]| {
        for event in events {
            for keyed in router::route(&book.classes(), event, 1) {
                core.give(keyed.to_keyed(), at(seconds), at(seconds)).unwrap();
            }
        }
        let told = core.settle(at(seconds));
        told.iter().map(|r| (r.assessment.status, r.assessment.count)).collect::<Vec<_>>()
    };
    let events = flood(3);
    let mut ahead = Core::new(Arc::clone(&config), book.clone());
    assert_eq!(shown(&mut ahead, 901.0, &events[..2]), [(Status::Opened, 2)]);
    assert_eq!(shown(&mut ahead, 902.0, &events[2..]), []);
    let mut next = Core::new(config, book.clone());
    next.restore(&ahead.snapshot().unwrap()).unwrap();
    assert_eq!(shown(&mut next, 2.0, &[]), []);
    // Asked when it could have been told at the latest, and then by a clock that is right.
    assert_eq!(shown(&mut next, 12.1, &[]), []);
    assert_eq!(shown(&mut next, 22.2, &[]), [(Status::Updated, 3)]);
}

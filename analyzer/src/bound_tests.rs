//! What happens at every bound, and at the edges of time.

use crate::{
    Config, analyze, analyze_with,
    assess::Revision,
    chain::Book,
    core::{Core, Refused},
    router,
    testing::{Naming, at, book, scored},
    window::Counters,
};
use magsentinel_bus_schema::{Level, Scored, Status, Timestamp};
use magsentinel_runtime::settings::Span;
use std::sync::Arc;

struct Bench {
    core: Core,
    book: Arc<Book>,
}

impl Bench {
    fn new(config: Config, book: Arc<Book>) -> Self {
        let config = Config { update_every: Span::s(0), ..config };
        Self { core: Core::new(Arc::new(config), book.clone()), book }
    }

    fn give(&mut self, event: &Scored, stored: Timestamp) -> Result<(), Refused> {
        for keyed in router::route(&self.book.classes(), event, 1) {
            self.core.give(keyed.to_keyed(), stored, stored)?;
        }
        Ok(())
    }

    fn batch(&mut self, events: impl IntoIterator<Item = Scored>) -> Vec<Revision> {
        events.into_iter().for_each(|event| self.give(&event, at(1e5)).unwrap());
        self.core.settle(at(1e5))
    }

    fn live(&self) -> Counters {
        self.core.counters()[0].1
    }
}

fn event(n: usize, patrol: &str, seconds: f64) -> Scored {
    scored(&format!("{patrol}-{n}"), patrol, Level::High, seconds).user("ann")
}

fn statuses(revisions: &[Revision]) -> Vec<Status> {
    revisions.iter().map(|r| r.assessment.status).collect()
}

#[test]
fn a_flood_is_one_incident_with_all_counted_and_the_rest_bounded() {
    let config = Config { events_per_key_max: 16, evidence_events_max: 10, ..Config::default() };
    let mut bench = Bench::new(config, book("event_count", 1, 300, "  condition: {gte: 3}"));
    let mut all = Vec::new();
    for batch in 0..10 {
        let flood = (0..100).map(|i| event(batch * 100 + i, "p0", (batch * 100 + i) as f64 * 0.01));
        let revisions = bench.batch(flood);
        assert_eq!(revisions.len(), 1, "one revision a batch");
        all.extend(revisions);
    }
    let last = &all.last().unwrap().assessment;
    assert!(all.iter().all(|r| r.assessment.incident == last.incident));
    assert_eq!((last.count, last.evidence.len()), (1000, 10));
    assert_eq!((last.first, last.last), (at(0.0), at(9.99)));
    assert!(last.reasoning.iter().any(|s| s.contains("990 further events")), "{last:?}");
    assert!(bench.live().events_let_go >= 980);
    // An event older than what was let go cannot be told from one of those: refused, counted.
    assert!(bench.batch([event(5000, "p0", 0.005)]).is_empty());
    assert_eq!(bench.live().events_refused, 1);
}

#[test]
fn a_flood_of_one_step_does_not_push_out_the_other() {
    let config = Config { events_per_key_max: 16, ..Config::default() };
    let ordered = book("temporal_ordered", 2, 300, "");
    let mut bench = Bench::new(config.clone(), ordered.clone());
    bench.batch([event(0, "p0", 0.0)]);
    bench.batch((0..100).map(|i| event(i, "p1", 1.0 + i as f64)));
    let last = bench.batch([event(100, "p1", 200.0)]).pop().unwrap().assessment;
    assert_eq!((last.first, last.count), (at(0.0), 102));
    // And the other way round: the first step floods, the second still completes the chain.
    let mut bench = Bench::new(config, ordered);
    bench.batch((0..100).map(|i| event(i, "p0", i as f64)));
    assert_eq!(statuses(&bench.batch([event(0, "p1", 150.0)])), [Status::Opened]);
}

#[test]
fn at_the_bound_of_keys_the_quietest_is_given_up_and_said_so() {
    let config = Config { keys_max: 2, ..Config::default() };
    let mut bench = Bench::new(config, book("event_count", 1, 300, "  condition: {gte: 1}"));
    let of = |user: &str, seconds| scored(user, "p0", Level::High, seconds).user(user);
    bench.batch([of("ann", 0.0), of("bob", 1.0)]);
    let revisions = bench.batch([of("cyd", 2.0)]);
    let told: Vec<_> =
        revisions.iter().map(|r| (r.assessment.key.as_str(), r.assessment.status)).collect();
    assert_eq!(told, [("ann", Status::Closed), ("cyd", Status::Opened)]);
    assert!(revisions[0].assessment.reasoning.iter().any(|s| s.contains("keys_max")));
    assert_eq!(bench.live().keys_given_up, 1);
    assert_eq!(bench.core.counters()[0].2, 2);
}

#[test]
fn the_quietest_key_is_the_one_whose_newest_event_is_oldest_not_whose_first_is() {
    let config = Config { keys_max: 2, ..Config::default() };
    let mut bench = Bench::new(config, book("event_count", 1, 300, "  condition: {gte: 1}"));
    let of = |name: &str, user: &str, at| scored(name, "p0", Level::High, at).user(user);
    bench.batch([of("1", "ann", 0.0), of("2", "bob", 1.0), of("3", "ann", 2.0)]);
    let revisions = bench.batch([of("4", "cyd", 3.0)]);
    let gone = revisions.iter().find(|r| r.assessment.status == Status::Closed).unwrap();
    assert_eq!(gone.assessment.key, "bob");
}

#[test]
fn late_duplicate_and_unmatched_events_are_counted() {
    let mut bench = Bench::new(Config::default(), book("temporal_ordered", 2, 300, ""));
    bench.batch([event(0, "p1", 100.0), event(0, "p1", 100.0), event(0, "p9", 100.0)]);
    // Exactly the allowed lateness is in time; a little more is late.
    assert_eq!(statuses(&bench.batch([event(0, "p0", 70.0)])), [Status::Opened]);
    assert!(bench.batch([event(1, "p0", 69.999)]).is_empty());
    let counted = bench.live();
    assert_eq!((counted.taken, counted.duplicates, counted.unmatched, counted.late), (2, 1, 1, 1));
}

#[test]
fn played_back_events_have_a_time_of_their_own() {
    let mut bench = Bench::new(Config::default(), book("temporal_ordered", 2, 300, ""));
    let old = |n, patrol: &str, seconds| Scored { replayed: true, ..event(n, patrol, seconds) };
    bench.batch([event(0, "p0", 0.0)]);
    // Years before the live events, the later step first: neither late, nor mixed with them.
    let revisions = bench.batch([old(1, "p1", -9e7), old(1, "p0", -9e7 - 200.0)]);
    assert_eq!(statuses(&revisions), [Status::Opened]);
    assert!(revisions[0].assessment.replayed && revisions[0].actions.is_empty());
    assert!(bench.batch([old(2, "p1", 1.0)]).iter().all(|r| r.assessment.status == Status::Closed));
    assert_eq!(statuses(&bench.batch([event(0, "p1", 2.0)])), [Status::Opened]);
}

#[test]
fn what_was_back_filled_meets_live_events_where_it_is_in_time_and_its_like_where_it_is_not() {
    let mut bench = Bench::new(Config::default(), book("temporal_ordered", 2, 300, ""));
    let missed = |n, patrol: &str, seconds| Scored {
        replayed: true,
        backfilled: true,
        confidence: 0.95,
        ..event(n, patrol, seconds)
    };
    bench.batch([event(0, "p1", 100.0)]);
    // At the edge of what is in time: the first half of a chain whose second half is live.
    let [met] = bench.batch([missed(0, "p0", 70.0)]).try_into().unwrap();
    let of = &met.assessment;
    assert!(of.backfilled && of.replayed && met.actions.is_empty(), "{of:?}");
    assert!(met.alert.unwrap().0.backfilled);
    let told = of.reasoning.join(" ");
    assert!(told.contains("From back-fill: 1 of 2 cited events") && told.contains("p0 was blind"));
    assert!(told.contains("No action"), "{told}");
    // Said again much later: it is known, and no second incident.
    bench.batch([event(1, "p9", 140.0)]);
    assert!(bench.batch([missed(0, "p0", 70.0)]).is_empty());
    assert_eq!((bench.live().duplicates, bench.live().late), (1, 0));
    // Too late for the live ones: both halves meet each other, and not what is live.
    assert!(bench.batch([missed(2, "p1", 60.0)]).is_empty());
    let [alone] = bench.batch([missed(2, "p0", 50.0)]).try_into().unwrap();
    assert_eq!((alone.assessment.count, alone.assessment.backfilled), (2, true));
    let lanes = bench.core.counters().map(|(lane, counters, _)| (lane, counters.taken));
    assert_eq!(lanes, [("live", 2), ("replayed", 0), ("backfilled", 2)]);

    let mut heir = Core::new(Arc::new(Config::default()), bench.book.clone());
    heir.restore(&bench.core.snapshot().unwrap()).unwrap();
    assert_eq!(heir.counters(), bench.core.counters());
}

#[test]
fn an_incident_closes_when_its_window_and_the_lateness_have_passed() {
    let one = book("event_count", 1, 300, "  condition: {gte: 1}");
    let mut bench = Bench::new(Config::default(), one);
    bench.give(&event(0, "p0", 0.0), at(0.0)).unwrap();
    assert_eq!(statuses(&bench.core.settle(at(0.0))), [Status::Opened]);
    // 300 s of window and 30 s of lateness, to the edge and past it.
    assert!(bench.core.settle(at(330.0)).is_empty());
    let closed = bench.core.settle(at(330.001));
    assert_eq!(statuses(&closed), [Status::Closed]);
    assert_eq!(closed[0].alert.as_ref().unwrap().1, [Level::Critical]);
    assert!(bench.core.settle(at(400.0)).is_empty(), "closed once");
    // Idle time closed it; an event that is in time by the stream's own clock still joins.
    bench.give(&event(1, "p0", 300.0), at(401.0)).unwrap();
    let again = bench.core.settle(at(401.0));
    assert_eq!(statuses(&again), [Status::Updated]);
    assert_eq!(again[0].assessment.incident, closed[0].assessment.incident);
    assert!(again[0].assessment.revision > closed[0].assessment.revision);
}

#[test]
fn an_event_from_the_future_is_refused_and_disturbs_nothing() {
    let mut bench = Bench::new(Config::default(), book("temporal_ordered", 2, 300, ""));
    bench.give(&event(0, "p0", 0.0), at(0.0)).unwrap();
    let refused = bench.give(&event(1, "p1", 1e9), at(1.0)).unwrap_err();
    assert!(refused.to_string().contains("analyzer.ahead_max"), "{refused}");
    // A little ahead is taken, but makes nobody late.
    bench.give(&event(2, "p1", 200.0), at(2.0)).unwrap();
    bench.give(&event(3, "p1", 2.0), at(2.0)).unwrap();
    let last = bench.core.settle(at(2.0)).pop().unwrap().assessment;
    assert_eq!((last.count, bench.live().late), (3, 0));
}

#[test]
fn an_earlier_first_event_moves_the_incident_and_says_where() {
    let mut bench =
        Bench::new(Config::default(), book("event_count", 1, 300, "  condition: {gte: 1}"));
    let first = bench.batch([event(0, "p0", 10.0)]).pop().unwrap().assessment;
    let moved = bench.batch([event(1, "p0", 5.0)]);
    assert_eq!(statuses(&moved), [Status::Opened, Status::Closed]);
    let (new, old) = (&moved[0].assessment, &moved[1].assessment);
    assert!(moved[1].superseded && old.incident == first.incident);
    assert!(old.reasoning.iter().any(|s| s.contains(&new.incident.to_string())));
    assert_eq!(new.count, 2);
}

#[test]
fn value_count_and_temporal_fire_at_their_threshold() {
    let config = Config { lateness: Span::s(400), ..Config::default() };
    let distinct = book("value_count", 1, 300, "  condition: {gte: 2, field: resource}");
    let touching = |n, resource: &str| {
        let trust = magsentinel_bus_schema::Trust::Observed;
        event(n, "p0", n as f64).naming(magsentinel_bus_schema::Class::Resource, resource, trust)
    };
    let final_of = |book: &Arc<Book>, events: Vec<Scored>| -> Vec<u64> {
        analyze_with(book, &config, events, at(1e5)).iter().map(|a| a.count).collect()
    };
    assert!(
        final_of(&distinct, vec![touching(0, "a"), touching(1, "a"), event(2, "p0", 2.0)])
            .is_empty()
    );
    assert_eq!(
        final_of(&distinct, vec![touching(0, "a"), touching(1, "a"), touching(2, "b")]),
        [3]
    );
    let together = book("temporal", 2, 300, "");
    assert_eq!(final_of(&together, vec![event(0, "p1", 0.0), event(0, "p0", 300.0)]), [2]);
    assert!(final_of(&together, vec![event(0, "p1", 0.0), event(0, "p0", 300.001)]).is_empty());
}

#[test]
fn value_sum_adds_up_exactly() {
    let config = Config { lateness: Span::s(400), ..Config::default() };
    // Ten scores of 0.1 are 1, which floating point does not say.
    let sum = book("value_sum", 1, 300, "  condition: {gte: 1, field: score}");
    let small = |n: usize| Scored { score: 0.1, ..event(n, "p0", n as f64) };
    let count = |n: usize| -> Vec<u64> {
        let found = analyze_with(&sum, &config, (0..n).map(small).collect(), at(1e5));
        found.iter().map(|a| a.count).collect()
    };
    assert_eq!((count(9), count(10)), (vec![], vec![10]));
    let not_a_number = Scored { score: f32::NAN, ..event(0, "p0", 0.0) };
    assert!(analyze_with(&sum, &config, vec![not_a_number], at(1e5)).is_empty());
}

#[test]
fn the_pure_path_takes_the_shipped_book() {
    let events = vec![
        scored("a", "sql-guard", Level::High, 0.0).user("ann"),
        scored("b", "data-flow", Level::High, 60.0).user("ann"),
        scored("c", "data-flow", Level::High, 361.0).user("bob"),
    ];
    let found = analyze(&Config::default(), &Default::default(), events, at(400.0)).unwrap();
    let told: Vec<_> = found.iter().map(|a| (a.chain.as_str(), a.key.as_str(), a.level)).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    for want in [
        ("sql_injection", "ann", Level::High),
        ("sql_injection_exfiltration", "ann", Level::Critical),
        ("bulk_exfiltration", "ann", Level::High),
        ("bulk_exfiltration", "bob", Level::High),
    ] {
        assert!(told.contains(&want), "{want:?} in {told:?}");
    }
}

#[test]
fn an_alias_joins_events_that_name_the_key_by_different_classes() {
    use magsentinel_bus_schema::{Class, Trust};
    let aliases = "  aliases: {machine: {r0: client, r1: host}}\n";
    let text = crate::testing::text("temporal_ordered", 2, 300, aliases);
    let book = crate::testing::parsed(&text.replace("[user]", "[machine]"));
    let named = |n, patrol: &str, class, value| {
        scored(&format!("{n}"), patrol, Level::High, f64::from(n)).naming(
            class,
            value,
            Trust::Observed,
        )
    };
    let inside = "10.0.0.7";
    let events = vec![
        named(0, "p0", Class::Client, inside),
        // A step that names it by the class of the other step is none.
        named(1, "p1", Class::Client, inside),
        named(2, "p0", Class::Host, inside),
        named(3, "p1", Class::Host, "10.0.0.8"),
    ];
    let mut bench = Bench::new(Config::default(), book.clone());
    assert!(bench.batch(events).is_empty());
    // One event that names it by both classes comes twice and counts once.
    let both = named(4, "p1", Class::Host, inside).naming(Class::Client, inside, Trust::Observed);
    let found = bench.batch([both]);
    assert_eq!(statuses(&found), [Status::Opened]);
    let of = &found[0].assessment;
    assert_eq!((of.class, of.key.as_str(), of.count), (Class::Client, inside, 2));
    assert_eq!(bench.live().duplicates, 0);
    let told = crate::explain(
        &book,
        &Config::default(),
        Class::Client,
        inside,
        &[named(0, "p0", Class::Client, inside), named(4, "p1", Class::Host, inside)],
    );
    assert_eq!(told[0].chains[0].found.len(), 1);
}

#[test]
fn what_another_correlation_found_is_evidence_with_all_its_events() {
    let book = crate::testing::correlated(&[
        ("flood", "event_count", "r0", 60, "gte: 3".to_owned()),
        ("entry", "temporal_ordered", "flood, r1", 300, String::new()),
    ]);
    let mut bench = Bench::new(Config::default(), book.clone());
    let events = [event(0, "p0", 0.0), event(1, "p0", 50.0), event(2, "p0", 60.0)];
    assert!(bench.batch(events.clone()).is_empty(), "an inner correlation alerts nobody");
    let last = event(3, "p1", 300.0);
    let found = bench.batch([last.clone()]);
    assert_eq!(statuses(&found), [Status::Opened]);
    let of = &found[0].assessment;
    assert_eq!((of.chain.as_str(), of.count, of.first), ("entry", 4, at(0.0)));
    let all = events.into_iter().chain([last]).collect::<Vec<_>>();
    // The window counts from the instant at which the inner condition held.
    let late = [&all[..3], &[event(3, "p1", 361.0)]].concat();
    let config = Config { lateness: Span::s(400), ..Config::default() };
    assert!(analyze_with(&book, &config, late.clone(), at(400.0)).is_empty());
    let reached = |events: &[Scored]| {
        let told =
            crate::explain(&book, &config, magsentinel_bus_schema::Class::User, "ann", events);
        told[0].chains[0].reached.clone()
    };
    assert_eq!(reached(&all), "2 of 2 steps in order within 5m");
    assert_eq!(reached(&late), "1 of 2 steps in order within 5m; missing \"Rule 1\"");
    assert_eq!(reached(&all[1..]), "0 of 2 steps in order within 5m; missing \"flood\"");
}

//! The incremental core against a program that sorts everything and tries every combination:
//! [`oracle`].
//!
//! [`oracle`]: crate::oracle

use crate::{
    Config,
    assess::Revision,
    chain::Book,
    core::Core,
    oracle::{Seen, oracle},
    router,
    testing::{Naming, aliased, at, book, correlated, scored},
};
use magsentinel_bus_schema::{Class, Id, Level, Scored, Status, Token, Trust};
use magsentinel_runtime::settings::Span;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What consumers end up with who keep the newest revision of each incident.
pub(crate) fn last(revisions: &[Revision]) -> BTreeMap<Id, Revision> {
    let mut last = BTreeMap::new();
    for revision in revisions {
        if revision.superseded {
            last.remove(&revision.assessment.incident);
        } else {
            last.insert(revision.assessment.incident, revision.clone());
        }
    }
    last
}

/// Revisions of an incident rise from the one that opens it, and no two share an id. Only one that
/// was taken back may be opened again.
pub(crate) fn assert_rising(revisions: &[Revision]) {
    let mut highest: BTreeMap<Id, u32> = BTreeMap::new();
    let mut open = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for Revision { assessment, superseded, .. } in revisions {
        let before = highest.insert(assessment.incident, assessment.revision);
        assert_eq!(open.insert(assessment.incident), assessment.status == Status::Opened);
        if *superseded {
            open.remove(&assessment.incident);
        }
        assert!(before < Some(assessment.revision), "{before:?} {assessment:?}");
        assert!(ids.insert(assessment.id));
    }
}

/// Runs a stream in batches, then lets a day pass.
fn run(config: &Config, book: &Arc<Book>, stream: &[Scored], batches: &[usize]) -> Vec<Revision> {
    run_on(config, book, stream, (batches, &[0]), |core| core)
}

/// The same, where after each batch so many seconds pass, and the core of each next batch is made
/// of the one before.
fn run_on(
    config: &Config,
    book: &Arc<Book>,
    stream: &[Scored],
    (batches, pauses): (&[usize], &[u32]),
    next: impl Fn(Core) -> Core,
) -> Vec<Revision> {
    let mut core = Core::new(Arc::new(config.clone()), book.clone());
    let mut revisions = Vec::new();
    let mut sizes = batches.iter().copied().cycle();
    let mut pauses = pauses.iter().copied().cycle();
    let (mut rest, mut now) = (stream, 1e6);
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        rest = after;
        for event in batch {
            for keyed in router::route(&book.classes(), event, 1) {
                core.give(keyed.to_keyed(), at(1e6), at(now)).unwrap();
            }
        }
        revisions.extend(core.settle(at(now)));
        now += f64::from(pauses.next().unwrap_or(0));
        revisions.extend(core.settle(at(now)));
        core = next(core);
    }
    revisions.extend(core.settle(at(now + 1e5)));
    revisions
}

pub(crate) fn seen(last: &BTreeMap<Id, Revision>) -> BTreeMap<Id, Seen> {
    let of = |r: &Revision| {
        let a = &r.assessment;
        assert_eq!(a.evidence.len() as u64, a.count);
        (a.evidence.iter().map(|e| e.event).collect(), a.first, a.last)
    };
    last.iter().map(|(id, r)| (*id, of(r))).collect()
}

pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) }
}

pub(crate) fn streams() -> impl Strategy<Value = Vec<Scored>> {
    // (id, user, rule, second): few ids make duplicates, few seconds make ties; a slow drift
    // with noise makes events out of order, and some late.
    let one = (0..40_u32, 0..2_u8, 0..3_u8, 0..12_u8);
    prop::collection::vec(one, 0..28).prop_map(|raw| {
        let mut known: BTreeMap<u32, Scored> = BTreeMap::new();
        let mut stream = Vec::new();
        for (i, (id, user, rule, noise)) in raw.into_iter().enumerate() {
            let second = (i / 2) as f64 + f64::from(noise);
            let new = || {
                let level = Level::ALL[1 + id as usize % 4];
                let event = scored(&id.to_string(), &format!("p{rule}"), level, second);
                let category = Token::sanitised(&format!("c{}", id / 4 % 3));
                let event = Scored { category, ..event }.user(&format!("u{user}"));
                let event = event.naming(Class::Key, &format!("u{}", id / 2 % 3), Trust::Observed);
                match id % 5 {
                    0 => event,
                    n => event.naming(Class::Session, &format!("s{}", n / 2), Trust::Observed),
                }
            };
            stream.push(known.entry(id).or_insert_with(new).clone());
        }
        stream
    })
}

pub(crate) fn books() -> impl Strategy<Value = Arc<Book>> {
    let counted = prop_oneof![
        (1..4_u64).prop_map(|n| format!("event_count|gte: {n}")),
        (1..4_u64).prop_map(|n| format!("event_count|lte: {n}")),
        (1..5_u64).prop_map(|n| format!("event_count|eq: {n}")),
        (2..4_u64, 0..3_u64).prop_map(|(n, m)| format!("event_count|gte: {n}, lte: {}", n + m)),
        (1..4_u64).prop_map(|n| format!("event_count|neq: {n}")),
        (2..4_u64).prop_map(|n| format!("value_count|field: category, gte: {n}")),
        (2..4_u64).prop_map(|n| format!("value_count|field: session, gte: {n}")),
        (2..4_u64).prop_map(|n| format!("value_count|field: session, lt: {n}")),
        (3..9_u64).prop_map(|n| format!("value_sum|field: level, gt: {n}")),
        (1..9_u64).prop_map(|n| format!("value_sum|field: level, lte: {n}")),
        (1..4_u64).prop_map(|n| format!("value_avg|field: level, gt: {n}")),
        (1..4_u64).prop_map(|n| format!("value_avg|field: level, lte: {n}")),
        (1..4_u64).prop_map(|n| format!("value_median|field: level, gte: {n}")),
        (1..4_u64, 0..5_u64).prop_map(|(n, quarter)| {
            format!("value_percentile|field: level, percentile: {}, lt: {n}", quarter * 25)
        }),
    ];
    prop_oneof![
        1 => (2..4_usize, 1..8_u64).prop_map(|(rules, s)| book("temporal_ordered", rules, s, "")),
        1 => (2..4_usize, 1..8_u64).prop_map(|(rules, s)| book("temporal", rules, s, "")),
        6 => (counted, 1..3_usize, 1..8_u64, any::<bool>()).prop_map(|(text, rules, s, alias)| {
            let (kind, condition) = text.split_once('|').unwrap();
            let make = if alias { aliased } else { book };
            make(kind, rules, s, &format!("  condition: {{{condition}}}"))
        }),
        1 => (2..4_usize, 1..8_u64).prop_map(|(rules, s)| aliased("temporal_ordered", rules, s, "")),
        1 => (2..4_usize, 1..8_u64).prop_map(|(rules, s)| aliased("temporal", rules, s, "")),
        4 => chained_books(),
    ]
}

/// A correlation of one or two others, and perhaps one of that.
fn chained_books() -> impl Strategy<Value = Arc<Book>> {
    let inner = || {
        prop_oneof![
            (1..4_u64).prop_map(|n| ("event_count", "r0", format!("gte: {n}"))),
            (1..4_u64).prop_map(|n| ("event_count", "r0, r1", format!("gte: {n}"))),
            (1..4_u64).prop_map(|n| ("value_count", "r0, r1", format!("field: session, gte: {n}"))),
            (2..6_u64).prop_map(|n| ("value_sum", "r0, r1", format!("field: level, gt: {n}"))),
            Just(("temporal_ordered", "r0, r1", String::new())),
            Just(("temporal", "r0, r1", String::new())),
        ]
    };
    let outer = prop_oneof![
        Just(("temporal_ordered", "inner, r2", String::new())),
        Just(("temporal_ordered", "r1, inner", String::new())),
        Just(("temporal_ordered", "inner, ordered", String::new())),
        Just(("temporal", "inner, r2", String::new())),
        (1..4_u64).prop_map(|n| ("event_count", "inner", format!("gte: {n}"))),
        (1..4_u64).prop_map(|n| ("event_count", "inner, r2", format!("gte: {n}"))),
    ];
    let spans = (1..8_u64, 1..8_u64, 1..8_u64);
    (inner(), outer, any::<bool>(), spans).prop_map(|(inner, outer, third, (a, b, c))| {
        let mut all = vec![("inner", inner.0, inner.1, a, inner.2)];
        if outer.1.contains("ordered") {
            all.push(("ordered", "temporal_ordered", "r1, r2", c, String::new()));
        }
        all.push(("outer", outer.0, outer.1, b, outer.2));
        if third {
            all.push(("third", "temporal_ordered", "outer, r1", c, String::new()));
        }
        correlated(&all)
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn final_incidents_are_those_of_the_oracle_however_batched(
        book in books(),
        stream in streams(),
        lateness in 0..12_u64,
        batches in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let lateness = Span::s(lateness);
        let config = Config { lateness, ..Config::default() };
        let want = oracle(&book.chains()[0], &config, &stream);
        let revisions = run(&config, &book, &stream, &[1]);
        assert_rising(&revisions);
        let one_by_one = last(&revisions);
        prop_assert_eq!(&seen(&one_by_one), &want);
        let revisions = run(&config, &book, &stream, &batches);
        assert_rising(&revisions);
        let batched = last(&revisions);
        prop_assert_eq!(&seen(&batched), &want);
        for (id, revision) in &one_by_one {
            // What closes an incident is the same message, however the stream was cut.
            let (a, b) = (&revision.assessment, &batched[id].assessment);
            prop_assert_eq!(a.status, Status::Closed);
            prop_assert_eq!((a.id, a.revision), (b.id, b.revision));
        }
    }

    #[test]
    fn what_is_told_in_silence_is_put_right_by_what_comes_after_all(
        book in books(),
        stream in streams(),
        lateness in 0..12_u64,
        batches in prop::collection::vec(1..9_usize, 1..5),
        pauses in prop::collection::vec(0..25_u32, 1..5),
    ) {
        let lateness = Span::s(lateness);
        let config = Config { lateness, ..Config::default() };
        let revisions = run_on(&config, &book, &stream, (&batches, &pauses), |core| core);
        assert_rising(&revisions);
        let want = oracle(&book.chains()[0], &config, &stream);
        prop_assert_eq!(&seen(&last(&revisions)), &want);
    }

    #[test]
    fn a_new_owner_goes_on_from_a_snapshot_as_if_nothing_had_happened(
        book in books(),
        stream in streams(),
        lateness in 0..12_u64,
        keys_max in 1..3_usize,
        batches in prop::collection::vec(1..9_usize, 1..5),
        pauses in prop::collection::vec(0..25_u32, 1..5),
    ) {
        let config = Config { lateness: Span::s(lateness), keys_max, ..Config::default() };
        let times = (batches.as_slice(), pauses.as_slice());
        let hand_over = |core: Core| {
            let mut next = Core::new(Arc::new(config.clone()), book.clone());
            next.restore(&core.snapshot().unwrap()).unwrap();
            next
        };
        let revisions = run_on(&config, &book, &stream, times, hand_over);
        prop_assert_eq!(revisions, run_on(&config, &book, &stream, times, |core| core));
    }

    #[test]
    fn at_the_bounds_the_result_does_not_depend_on_batches_either(
        book in books(),
        mut stream in streams(),
        keys_max in 1..3_usize,
        batches in prop::collection::vec(1..9_usize, 1..5),
    ) {
        // A key that was given up cannot know a duplicate: it may open an incident anew.
        let mut known = BTreeSet::new();
        stream.retain(|event| known.insert(event.id));
        // Below the least that the configuration accepts, so that small streams reach it.
        let config = Config { events_per_key_max: 4, keys_max, ..Config::default() };
        let counts = |revisions: Vec<Revision>| -> BTreeMap<Id, u64> {
            last(&revisions).into_iter().map(|(id, r)| (id, r.assessment.count)).collect()
        };
        let one_by_one = counts(run(&config, &book, &stream, &[1]));
        prop_assert_eq!(one_by_one, counts(run(&config, &book, &stream, &batches)));
    }
}

#[test]
fn a_snapshot_of_other_chains_or_another_form_is_refused() {
    let config = Arc::new(Config::default());
    let (one, other) = (book("temporal_ordered", 2, 5, ""), book("temporal_ordered", 2, 6, ""));
    let bytes = Core::new(config.clone(), one.clone()).snapshot().unwrap();
    let restore = |book: &Arc<Book>, bytes: &[u8]| {
        Core::new(config.clone(), book.clone()).restore(bytes).err().unwrap_or_default()
    };
    assert_eq!(restore(&one, &bytes), "");
    assert!(restore(&other, &bytes).contains("other chains"));
    assert!(!restore(&one, &bytes[..bytes.len() / 2]).is_empty());
    // The version follows the name of its field.
    let at = bytes.windows(2).position(|pair| pair == b"\xa1v").unwrap() + 2;
    let of_version = |v: u8| [&bytes[..at], &[v], &bytes[at + 1..]].concat();
    let version = bytes[at];
    assert!(restore(&one, &of_version(version + 1)).contains("newer"));
    assert!(restore(&one, &of_version(version - 1)).contains("older"));
    // Said also where nothing else of it can be read.
    #[derive(serde::Serialize)]
    struct Former {
        v: u8,
        windows: [u8; 3],
    }
    let former = rmp_serde::to_vec_named(&Former { v: 1, windows: [1, 2, 3] }).unwrap();
    assert_eq!(restore(&one, &former), format!("its version 1 is older than {version}"));
}

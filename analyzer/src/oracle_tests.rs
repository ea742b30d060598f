//! The incremental core against a program that sorts everything and tries every combination.

use crate::{
    Config,
    assess::{Revision, incident_id},
    chain::{Book, Chain, Condition},
    core::Core,
    router,
    testing::{Naming, at, book, scored},
    window::Key,
};
use magsentinel_bus_schema::{Class, Id, Level, Scored, Status, Tenant, Timestamp};
use magsentinel_runtime::settings::Span;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An incident as the comparison sees it: its members by event id, first and last time.
type Seen = (BTreeSet<Id>, Timestamp, Timestamp);

/// What the incidents are, by definition.
fn oracle(chain: &Chain, lateness: Span, stream: &[Scored]) -> BTreeMap<Id, Seen> {
    let mut newest: Option<Timestamp> = None;
    let mut by_user: BTreeMap<String, BTreeMap<Id, Scored>> = BTreeMap::new();
    for event in stream {
        if newest.is_some_and(|n| event.ts < n.minus(lateness.get())) {
            continue;
        }
        newest = newest.max(Some(event.ts));
        if chain.mask(event) != 0 {
            let user = event.entity(Class::User).unwrap().value.clone();
            by_user.entry(user).or_default().insert(event.id, event.clone());
        }
    }
    let mut found = BTreeMap::new();
    for (value, events) in by_user {
        let mut windows = windows(chain, &events.into_values().collect::<Vec<_>>());
        while let Some((i, j)) = (0..windows.len())
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .find(|(i, j)| overlap(&windows[*i], &windows[*j]))
        {
            let gone = windows.swap_remove(i);
            windows[j].extend(gone);
        }
        for window in windows {
            let mut members: Vec<_> = window.values().collect();
            members.sort_by_key(|e| (e.ts, e.id));
            let key =
                Key { tenant: Tenant::default(), class: Class::User, value: value.as_str().into() };
            let (first, last) = (members[0], members[members.len() - 1]);
            let ids = members.iter().map(|e| e.event).collect();
            found.insert(incident_id(&key, chain, first.id), (ids, first.ts, last.ts));
        }
    }
    found
}

type Window = BTreeMap<Id, Scored>;

fn overlap(a: &Window, b: &Window) -> bool {
    let ends = |w: &Window| {
        let times = w.values().map(|e| e.ts);
        (times.clone().min().unwrap(), times.max().unwrap())
    };
    let ((a0, a1), (b0, b1)) = (ends(a), ends(b));
    a0 <= b1 && b0 <= a1
}

fn windows(chain: &Chain, events: &[Scored]) -> Vec<Window> {
    let set = |of: &[&Scored]| of.iter().map(|e| (e.id, (*e).clone())).collect::<Window>();
    match chain.condition {
        Condition::Count { at_least } => events
            .iter()
            .map(|end| {
                let near = |e: &&Scored| e.ts <= end.ts && end.ts.since(e.ts) <= chain.window;
                events.iter().filter(near).collect::<Vec<_>>()
            })
            .filter(|inside| inside.len() as u64 >= at_least)
            .map(|inside| set(&inside))
            .collect(),
        Condition::Ordered => {
            let mut paths: Vec<Vec<&Scored>> = vec![vec![]];
            for step in 0..chain.rules.len() {
                let longer = |path: &Vec<&Scored>| {
                    let path = path.clone();
                    let fits = move |e: &&Scored| {
                        let follows = path.last().is_none_or(|last| last.ts <= e.ts);
                        let near = path.first().is_none_or(|f| e.ts.since(f.ts) <= chain.window);
                        follows && near && chain.mask(e) >> step & 1 == 1
                    };
                    events.iter().filter(fits).collect::<Vec<_>>()
                };
                paths = paths
                    .iter()
                    .flat_map(|path| {
                        longer(path).into_iter().map(|e| [path, [e].as_slice()].concat())
                    })
                    .collect();
            }
            paths.iter().map(|path| set(path)).collect()
        }
        _ => unreachable!("not compared here"),
    }
}

/// What consumers end up with who keep the newest revision of each incident.
fn last(revisions: &[Revision]) -> BTreeMap<Id, Revision> {
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

/// An incident is opened once and then only grows, and no two revisions share an id.
fn assert_rising(revisions: &[Revision]) {
    let mut highest: BTreeMap<Id, u32> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for Revision { assessment, .. } in revisions {
        let before = highest.insert(assessment.incident, assessment.revision);
        assert_eq!(before.is_none(), assessment.status == Status::Opened);
        assert!(before < Some(assessment.revision));
        assert!(ids.insert(assessment.id));
    }
}

/// Runs a stream in batches, then lets a day pass.
fn run(config: &Config, book: &Arc<Book>, stream: &[Scored], batches: &[usize]) -> Vec<Revision> {
    run_on(config, book, stream, batches, |core| core)
}

/// The same, where the core of each next batch is made of the one before.
fn run_on(
    config: &Config,
    book: &Arc<Book>,
    stream: &[Scored],
    batches: &[usize],
    next: impl Fn(Core) -> Core,
) -> Vec<Revision> {
    let mut core = Core::new(Arc::new(config.clone()), book.clone());
    let mut revisions = Vec::new();
    let mut sizes = batches.iter().copied().cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        rest = after;
        for event in batch {
            for (_, _, keyed) in router::route(&book.classes(), 1, event, 1) {
                core.give(keyed, at(1e6), at(1e6)).unwrap();
            }
        }
        revisions.extend(core.settle(at(1e6)));
        core = next(core);
    }
    revisions.extend(core.settle(at(1.1e6)));
    revisions
}

fn seen(last: &BTreeMap<Id, Revision>) -> BTreeMap<Id, Seen> {
    let of = |r: &Revision| {
        let a = &r.assessment;
        assert_eq!(a.evidence.len() as u64, a.count);
        (a.evidence.iter().map(|e| e.event).collect(), a.first, a.last)
    };
    last.iter().map(|(id, r)| (*id, of(r))).collect()
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) }
}

fn streams() -> impl Strategy<Value = Vec<Scored>> {
    // (id, user, rule, second): few ids make duplicates, few seconds make ties; a slow drift
    // with noise makes events out of order, and some late.
    let one = (0..40_u32, 0..2_u8, 0..3_u8, 0..12_u8);
    prop::collection::vec(one, 0..28).prop_map(|raw| {
        let mut known: BTreeMap<u32, Scored> = BTreeMap::new();
        let mut stream = Vec::new();
        for (i, (id, user, rule, noise)) in raw.into_iter().enumerate() {
            let second = (i / 2) as f64 + f64::from(noise);
            let new = || {
                let event = scored(&id.to_string(), &format!("p{rule}"), Level::High, second);
                event.user(&format!("u{user}"))
            };
            stream.push(known.entry(id).or_insert_with(new).clone());
        }
        stream
    })
}

fn books() -> impl Strategy<Value = Arc<Book>> {
    prop_oneof![
        (2..4_usize, 1..8_u64).prop_map(|(rules, s)| book("temporal_ordered", rules, s, "")),
        (1..4_u64, 1..8_u64).prop_map(|(n, s)| {
            book("event_count", 1, s, &format!("  condition: {{gte: {n}}}"))
        }),
    ]
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
        let want = oracle(&book.chains()[0], lateness, &stream);
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
    fn a_new_owner_goes_on_from_a_snapshot_as_if_nothing_had_happened(
        book in books(),
        stream in streams(),
        lateness in 0..12_u64,
        keys_max in 1..3_usize,
        batches in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let config = Config { lateness: Span::s(lateness), keys_max, ..Config::default() };
        let hand_over = |core: Core| {
            let mut next = Core::new(Arc::new(config.clone()), book.clone());
            next.restore(&core.snapshot().unwrap()).unwrap();
            next
        };
        let revisions = run_on(&config, &book, &stream, &batches, hand_over);
        prop_assert_eq!(revisions, run(&config, &book, &stream, &batches));
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
fn a_snapshot_of_other_chains_or_a_newer_form_is_refused() {
    let config = Arc::new(Config::default());
    let (one, other) = (book("temporal_ordered", 2, 5, ""), book("temporal_ordered", 2, 6, ""));
    let bytes = Core::new(config.clone(), one.clone()).snapshot().unwrap();
    let restore = |book: &Arc<Book>, bytes: &[u8]| {
        Core::new(config.clone(), book.clone()).restore(bytes).err().unwrap_or_default()
    };
    assert_eq!(restore(&one, &bytes), "");
    assert!(restore(&other, &bytes).contains("other chains"));
    assert!(!restore(&one, &bytes[..bytes.len() / 2]).is_empty());
    let mut newer = bytes.clone();
    // The version follows the name of its field.
    let at = newer.windows(2).position(|pair| pair == b"\xa1v").unwrap();
    newer[at + 2] += 1;
    assert!(restore(&one, &newer).contains("newer"));
}

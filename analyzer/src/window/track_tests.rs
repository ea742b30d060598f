//! What a track carries on from event to event, against a search that looks at all of them.

use super::{
    Bounds, Clock, Event, Packed, Point, Taken, Track, find,
    gauge::{Ends, judged},
};
use crate::{
    chain::{Chain, Condition},
    testing::{at, book, scored},
};
use magsentinel_bus_schema::{Id, Level, Timestamp};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const BOUNDS: Bounds = Bounds { cited_max: 4096, entities_max: 64 };
const EVENTS_MAX: usize = 4096;

/// What happens to a track.
#[derive(Clone, Debug)]
enum Turn {
    /// An event of this rule and value, so many seconds after the newest, or before it.
    Event { mask: u16, value: u64, ahead: i64 },
    /// The same event once more.
    Again(usize),
    /// News are asked for.
    Evaluate,
    /// News are asked for, and what nothing can meet any more is forgotten.
    Forget,
    /// Another goes on with it.
    HandOver,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let ahead = prop_oneof![
        6 => 0..2_i64,
        // Ties with what came before, and events that come late.
        2 => -4..1_i64,
        1 => 3..12_i64,
    ];
    let event = (1..8_u16, 0..5_u64, ahead).prop_map(|(mask, value, ahead)| Turn::Event {
        mask,
        value,
        ahead,
    });
    let one = prop_oneof![
        12 => event,
        1 => (0..160_usize).prop_map(Turn::Again),
        6 => Just(Turn::Evaluate),
        4 => Just(Turn::Forget),
        1 => Just(Turn::HandOver),
    ];
    prop::collection::vec(one, 0..160)
}

fn chains() -> impl Strategy<Value = Chain> {
    let text = prop_oneof![
        2 => Just("temporal_ordered|".to_owned()),
        2 => Just("temporal|".to_owned()),
        1 => (2..30_u64).prop_map(|n| format!("event_count|gte: {n}")),
        1 => (2..6_u64).prop_map(|n| format!("value_count|field: category, gte: {n}")),
        1 => (5..60_u64).prop_map(|n| format!("value_sum|field: level, gte: {n}")),
        1 => (1..12_u64).prop_map(|n| format!("event_count|lte: {n}")),
        1 => (1..4_u64).prop_map(|n| format!("value_count|field: category, eq: {n}")),
        1 => (1..4_u64).prop_map(|n| format!("value_avg|field: level, lt: {n}")),
        1 => (1..4_u64, 0..5_u64).prop_map(|(n, of)| {
            format!("value_percentile|field: level, percentile: {}, gte: {n}", of * 25)
        }),
    ];
    (text, 2..4_usize, 1..10_u64).prop_map(|(text, rules, seconds)| {
        let (kind, condition) = text.split_once('|').unwrap();
        let condition = match condition {
            "" => String::new(),
            condition => format!("  condition: {{{condition}}}"),
        };
        book(kind, rules, seconds, &condition).chains()[0].clone()
    })
}

/// The largest lag of an event behind the newest.
const LATENESS: Duration = Duration::from_secs(4);

/// A track, and all that it was shown.
struct Shown {
    chain: Chain,
    track: Track,
    packed: Packed,
    newest: i64,
    events: Vec<(Timestamp, Id, u16, u64)>,
    /// The members of each incident that was found, by its first; as they were found last.
    incidents: BTreeMap<Id, (u64, u128)>,
}

impl Shown {
    fn new(chain: Chain) -> Self {
        let packed = Packed::new(&scored("a", "p0", Level::Low, 0.0), &mut Vec::new()).unwrap();
        let (track, newest) = (Track::default(), 0);
        let (events, incidents) = (Vec::new(), BTreeMap::new());
        Self { chain, track, packed, newest, events, incidents }
    }

    fn clock(&self) -> Clock {
        let watermark = at(self.newest as f64).minus(LATENESS);
        Clock { watermark, judging: watermark }
    }

    fn event(&self, n: usize) -> Event {
        let (ts, id, mask, value) = self.events[n];
        Event { at: (ts, id), mask, value, packed: self.packed.clone() }
    }

    fn take(&mut self, event: Event) -> Taken {
        let clock = self.clock();
        self.track.take(&self.chain, event, clock, (EVENTS_MAX, BOUNDS))
    }

    fn show(&mut self, turn: &Turn) {
        match turn {
            Turn::Event { mask, value, ahead } => {
                let second = self.newest + ahead;
                let id = Id::derived(&["event", &self.events.len().to_string()]);
                let mask = (mask & ((1 << self.chain.rules.len()) - 1)).max(1);
                self.events.push((at(second as f64), id, mask, value * 1_000_000));
                // In time: the newest is at most four seconds ahead.
                assert_eq!(self.take(self.event(self.events.len() - 1)), Taken::New(0));
                self.newest = self.newest.max(second);
            }
            Turn::Again(n) if *n < self.events.len() => {
                let event = self.event(*n);
                if event.at.0 >= self.clock().watermark {
                    assert_eq!(self.take(event), Taken::Duplicate);
                }
            }
            Turn::Again(_) => {}
            Turn::Evaluate => self.evaluate(),
            Turn::Forget => {
                self.evaluate();
                self.track.forget(&self.chain, self.clock().watermark);
            }
            Turn::HandOver => {
                self.evaluate();
                let bytes = rmp_serde::to_vec_named(&self.track).unwrap();
                self.track = rmp_serde::from_slice(&bytes).unwrap();
            }
        }
    }

    fn evaluate(&mut self) {
        self.track.evaluate(&self.chain, self.clock(), BOUNDS);
        // Nobody was told, so what is part of another is none.
        for (_, anchor) in self.track.take_superseded() {
            assert!(anchor.is_none());
        }
        let found = self.track.incidents().iter();
        let found: Vec<_> = found
            .map(|i| (i.anchor().unwrap(), i.start, i.end, (i.tally.count, i.tally.members)))
            .collect();
        let starts: BTreeMap<Id, Timestamp> =
            self.events.iter().map(|(ts, id, ..)| (*id, *ts)).collect();
        for (_, start, end, _) in &found {
            self.incidents.retain(|anchor, _| starts[anchor] < *start || starts[anchor] > *end);
        }
        self.incidents.extend(found.into_iter().map(|(anchor, _, _, of)| (anchor, of)));
    }
}

/// The incidents of all events, looked at together.
fn looked_at(
    chain: &Chain,
    events: &[(Timestamp, Id, u16, u64)],
    clock: Clock,
) -> BTreeMap<Id, (u64, u128)> {
    let mut sorted = events.to_vec();
    sorted.sort_unstable();
    let points: Vec<Point> = sorted
        .iter()
        .map(|(ts, _, mask, value)| Point { at: ts.micros(), mask: *mask, value: *value })
        .collect();
    let window = i64::try_from(chain.window.as_micros()).unwrap();
    let found = match &chain.condition {
        Condition::Judged { measure, range } => {
            let ends = Ends { until: clock.watermark.micros(), ..Ends::ALL };
            judged(*measure, range, window, &points, &ends)
        }
        condition => find(condition, chain.rules.len(), window, &points),
    };
    let mut incidents = BTreeMap::new();
    for (start, end) in found.spans {
        let members = sorted
            .iter()
            .zip(&found.member)
            .filter(|((ts, ..), member)| **member && (start..=end).contains(&ts.micros()));
        let ids: Vec<Id> = members.map(|((_, id, ..), _)| *id).collect();
        let sum = ids.iter().fold(0_u128, |sum, id| sum.wrapping_add(id.as_u128()));
        incidents.insert(ids[0], (ids.len() as u64, sum));
    }
    incidents
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_is_carried_on_comes_to_what_a_look_at_all_events_finds(
        chain in chains(),
        turns in turns(),
    ) {
        let mut shown = Shown::new(chain);
        turns.iter().for_each(|turn| shown.show(turn));
        shown.evaluate();
        let want = looked_at(&shown.chain, &shown.events, shown.clock());
        prop_assert_eq!(&shown.incidents, &want);
    }
}

/// So many events a second of one key, in a window of five minutes.
fn in_a_row(condition: &str, seconds: u64) -> Shown {
    let (kind, condition) = condition.split_once('|').unwrap();
    Shown::new(book(kind, 1, seconds, &format!("  condition: {{{condition}}}")).chains()[0].clone())
}

#[test]
fn forgotten_events_are_moved_out_together_and_count_for_nothing_before() {
    let mut shown = in_a_row("event_count|gte: 40", 30);
    for _ in 0..400 {
        shown.show(&Turn::Event { mask: 1, value: 0, ahead: 1 });
        shown.show(&Turn::Forget);
        // Of 31 in a window, and 4 more that late ones may meet, fewer than twice as many.
        assert!(shown.track.events_held() <= 72, "{}", shown.track.events_held());
    }
    assert!(shown.incidents.is_empty(), "no window has forty");
    // Nine more in the same second.
    (0..9).for_each(|_| shown.show(&Turn::Event { mask: 1, value: 0, ahead: 0 }));
    shown.evaluate();
    let counts: BTreeSet<u64> = shown.incidents.values().map(|(count, _)| *count).collect();
    assert_eq!(counts, BTreeSet::from([40]));
}

//! What holds whatever is asked, ordered and lost.

use super::*;
use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Asked {
        host: u8,
        ttl_s: u64,
        newer: bool,
        mode: Mode,
        protected: bool,
    },
    Approve(u8),
    Revoke(u8),
    Extend(u8, u64),
    Panic,
    Resume,
    /// Seconds pass.
    Pass(u64),
    /// The process dies after so many of the turn's steps, and another takes over.
    Die(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let modes = prop_oneof![Just(Mode::Ask), Just(Mode::Enforce), Just(Mode::Enforce)];
    let asked = (0..12_u8, 1..120_u64, any::<bool>(), modes, prop::bool::weighted(0.2));
    let asked = asked.prop_map(|(host, ttl_s, newer, mode, protected)| Event::Asked {
        host,
        ttl_s,
        newer,
        mode,
        protected,
    });
    let one = prop_oneof![
        8 => asked,
        2 => (0..12_u8).prop_map(Event::Approve),
        2 => (0..12_u8).prop_map(Event::Revoke),
        1 => (0..12_u8, 1..300_u64).prop_map(|(host, ttl)| Event::Extend(host, ttl)),
        1 => Just(Event::Panic),
        1 => Just(Event::Resume),
        6 => (1..40_u64).prop_map(Event::Pass),
        3 => (0..4_u8).prop_map(Event::Die),
    ];
    prop::collection::vec(one, 1..80)
}

/// The store, the kernel, and what was told: a turn is carried out on them step by step.
#[derive(Default)]
struct World {
    records: BTreeMap<String, Vec<u8>>,
    things: BTreeMap<Thing, Timestamp>,
}

impl World {
    /// Carries out so many steps of a turn. What has an effect must have a record by then.
    fn carry_out(&mut self, turn: &Turn, steps: u8) {
        let mut store = |records: &Records| {
            for (key, record) in records {
                match record {
                    Some(record) => self.records.insert(key.clone(), record.bytes().unwrap()),
                    None => self.records.remove(key),
                };
            }
        };
        if steps >= 1 {
            store(&turn.before);
        }
        if steps >= 3 {
            store(&turn.after);
        }
        if steps >= 2 {
            for (thing, until) in &turn.changes {
                match until {
                    Some(until) => {
                        // Every effect has its end, and a record before it.
                        assert!(self.recorded(thing), "{thing} has no record");
                        self.things.insert(thing.clone(), *until);
                    }
                    None => {
                        self.things.remove(thing);
                    }
                }
            }
        }
    }

    fn recorded(&self, thing: &Thing) -> bool {
        let mut known = Desk::new(Arc::new(enforcing()), REACH, 1000);
        let records = self.records.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice()));
        known.load(records).unwrap();
        known.desired().contains_key(thing)
    }

    /// Another process: knows what is stored, and makes what is there as it should be.
    fn taken_over(&mut self, policy: &Policy) -> Desk {
        let mut desk = desk(policy.clone());
        let records = self.records.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice()));
        desk.load(records).unwrap();
        self.things = desk.desired();
        desk
    }
}

fn policy() -> Policy {
    let mut policy = enforcing();
    policy.never_block.networks = vec!["198.51.100.0/24".parse().unwrap()];
    policy.budget.targets_per_minute = 6;
    policy.budget.targets_max = 8;
    policy
}

fn host(host: u8, protected: bool) -> String {
    let network = if protected { "198.51.100" } else { "203.0.113" };
    format!("{network}.{host}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_is_there_is_what_is_desired_and_nothing_more(events in events()) {
        let policy = policy();
        let (mut desk, mut world) = (desk(policy.clone()), World::default());
        let (mut now, mut orders) = (10_u64, 0_u64);
        let mut grants: BTreeMap<Thing, u64> = BTreeMap::new();
        let mut steps = 3;
        for event in events {
            orders += 1;
            let by = |ask| Order { ts: at(now), ..order(ask, orders) };
            let id = |n: u8| block(&host(n, false)).id;
            let turn = match event {
                Event::Asked { host: n, ttl_s, newer, mode, protected } => {
                    let mut action = block(&host(n, protected));
                    action.ttl_s = ttl_s;
                    action.mode = mode;
                    action.evidence_ts = at(if newer { now } else { 0 });
                    let before = desk.desired();
                    let turn = ask(&mut desk, &action, at(now));
                    let new = turn.changes.keys().filter(|thing| !before.contains_key(thing));
                    // What was never recorded never took effect, and is not spent.
                    grants.extend(new.cloned().map(|thing| (thing, now)).filter(|_| steps > 0));
                    turn
                }
                Event::Approve(n) => {
                    let hash = desk.lease(id(n)).and_then(|l| l.hash.clone()).unwrap_or_default();
                    desk.ordered(&by(Ask::Approve { lease: id(n), hash }), at(now)).unwrap_or_default()
                }
                Event::Revoke(n) => {
                    desk.ordered(&by(Ask::Revoke { lease: id(n) }), at(now)).unwrap_or_default()
                }
                Event::Extend(n, ttl_s) => {
                    let ask = Ask::Extend { lease: id(n), ttl_s };
                    desk.ordered(&by(ask), at(now)).unwrap_or_default()
                }
                Event::Panic => desk.ordered(&by(Ask::Panic {}), at(now)).unwrap_or_default(),
                Event::Resume => desk.ordered(&by(Ask::Resume {}), at(now)).unwrap_or_default(),
                Event::Pass(seconds) => {
                    now += seconds;
                    desk.passed(at(now))
                }
                Event::Die(after) => {
                    steps = after;
                    continue;
                }
            };
            world.carry_out(&turn, steps);
            if steps < 3 {
                desk = world.taken_over(&policy);
                steps = 3;
            }
            // Desired and real agree, whatever was lost.
            prop_assert_eq!(&world.things, &desk.desired());
            for thing in world.things.keys() {
                let Thing::Dropped(network) = thing else { continue };
                let protected = policy.never_block.networks.iter().any(|n| n.overlaps(network));
                prop_assert!(!protected, "{} is on the never-block list", network);
            }
            // Approvals are a person's: only what took effect by itself has a budget.
            let lately = grants.values().filter(|then| **then + 60 > now).count() as u64;
            prop_assert!(lately <= policy.budget.targets_per_minute);
        }
        // In the end everything is undone.
        for _ in 0..20 {
            now += 86_400;
            let turn = desk.passed(at(now));
            world.carry_out(&turn, 3);
        }
        prop_assert!(world.things.is_empty(), "{:?}", world.things);
    }
}

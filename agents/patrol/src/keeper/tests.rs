//! A pattern's life over a store, with a keeper that is made anew at any step.

use super::*;
use crate::{inference, scorer::Verdict as Scored};
use magsentinel_bus_schema::{
    Assessment, Event, Fields, Id, Judgement, Kind, SCHEMA_VERSION, Source, Stream, Trust,
    closure::Share,
    encode,
    pattern::{Gate, Origin},
};
use magsentinel_pattern::{
    Input,
    record::{Draft, name_of, proposed},
    step,
};
use magsentinel_runtime::{
    bundle,
    keeper::{Keeper, Work},
    policy::Document,
    settings::Span,
    stage::Delivery,
};
use serde_json::json;
use std::sync::Mutex;

const RULE: &str = "title: Reads the staff's secrets\n\
    logsource: {product: magsentinel, category: sql}\ntags: [mag.proposed]\nlevel: high\n\
    detection:\n  odd: {text|contains: kumquat}\n  condition: odd\n";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_767_700_000_000_000 + seconds * 1_000_000)
}

fn event(n: usize, text: &str) -> Event {
    let body = json!({"text": text, "kind": "query", "user": format!("user{n}")});
    Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["event", &n.to_string()]),
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: at(0),
        received: at(0),
        ts_missing: false,
        replayed: false,
        source: Source { trust: Trust::Observed, ..Source::default() },
        causes: Vec::new(),
        trace: None,
        body: Fields(body.as_object().cloned().unwrap()),
    }
}

fn delivery(subject: &str, payload: Vec<u8>) -> Delivery {
    Delivery {
        subject: subject.to_owned(),
        seq: 1,
        stored: at(0),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: payload.into(),
    }
}

/// A store, streams, and a patrol; the keeper may be killed at any time.
struct World {
    parts: Parts,
    seed: String,
    keeper: PatternKeeper,
    documents: BTreeMap<String, (u64, Vec<u8>)>,
    revision: u64,
    told: BTreeMap<Id, String>,
    events: Vec<Event>,
    assessments: Vec<Assessment>,
    scorer: Mutex<crate::scorer::Scorer>,
    /// Restart before the write of this number; and how many there were.
    kill_at: usize,
    writes: usize,
    now: i64,
}

impl World {
    fn new(kill_at: usize) -> Self {
        let (seed, public) = bundle::new_key().unwrap();
        let rules = Config {
            signers: vec![public],
            shadow_events: 100,
            false_positives_max: 0.01,
            count_every: Span::s(1),
            ..Config::default()
        };
        let entry = patrols::find("sql-guard").unwrap();
        let config = patrols::Config::default();
        let blueprint =
            Arc::new(Blueprint::new(entry, &config, &inference::Config::default()).unwrap());
        let parts = Parts::new(entry, &config, &blueprint, &rules).unwrap();
        let armed = Arc::new(Mutex::new(blueprint.armed().unwrap()));
        let scorer = Mutex::new(blueprint.scorer(armed, None));
        let keeper = keeper(parts.clone(), Tenant::default());
        let (documents, told) = (BTreeMap::new(), BTreeMap::new());
        let events = vec![event(0, "select 7 as a, kumquat from fruit where juice > 3")];
        Self {
            parts,
            seed,
            keeper,
            documents,
            revision: 0,
            told,
            events,
            assessments: Vec::new(),
            scorer,
            kill_at,
            writes: 0,
            now: 0,
        }
    }

    /// A new process in place of the old one.
    fn restart(&mut self) {
        self.parts.blueprint.lay_over(Overlay::default());
        self.keeper = keeper(self.parts.clone(), Tenant::default());
        for name in self.documents.keys().cloned().collect::<Vec<_>>() {
            self.show(&name);
        }
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>, before: u64) -> Option<u64> {
        if self.documents.get(name).map_or(0, |(revision, _)| *revision) != before {
            return None;
        }
        self.revision += 1;
        self.documents.insert(name.to_owned(), (self.revision, bytes));
        Some(self.revision)
    }

    fn show(&mut self, name: &str) {
        let (revision, bytes) = self.documents[name].clone();
        let name = name.to_owned();
        let document = Document { name, revision, stored: at(0), bytes: Some(bytes) };
        for message in self.keeper.take(&document) {
            self.told.insert(message.id, message.subject.of(&Tenant::default()));
        }
    }

    /// Carries out everything that the keeper wants.
    fn work(&mut self) {
        self.now += 2;
        let mut budget = 100;
        while let Some(work) = self.keeper.next(at(self.now)) {
            budget -= 1;
            assert!(budget > 0, "the keeper goes round in circles: {work:?}");
            match work {
                Work::Read { stream: Stream::Events, .. } => {
                    for event in &self.events {
                        let payload = encode(event).unwrap();
                        self.keeper.see(&delivery("mag.default.event.sql.1", payload));
                    }
                    self.keeper.seen(at(self.now));
                }
                Work::Read { stream, .. } | Work::ReadSince { stream, .. } => {
                    let decisions = stream == Stream::Decisions;
                    for of in self.assessments.iter().filter(|_| decisions) {
                        let payload = encode(of).unwrap();
                        self.keeper.see(&delivery("mag.default.assessment.high", payload));
                    }
                    self.keeper.seen(at(self.now));
                }
                Work::Write { name, bytes, before } => {
                    self.writes += 1;
                    if self.writes == self.kill_at {
                        // Killed before its write arrived, or after: both are tried.
                        if self.kill_at.is_multiple_of(2) {
                            self.put(&name, bytes, before).unwrap();
                        }
                        self.restart();
                        self.now += 2;
                        continue;
                    }
                    let revision = self.put(&name, bytes, before);
                    self.keeper.written(revision);
                    self.show(&name);
                }
            }
        }
    }

    /// Scores events, and counts as the stage does.
    fn score(&mut self, events: &[Event]) -> Vec<Scored> {
        let scorer = self.scorer.get_mut().unwrap();
        let seen: Vec<_> = events
            .iter()
            .map(|e| crate::patrol::Seen {
                kind: e.kind,
                body: &e.body,
                ts: e.ts,
                ts_refused: false,
                repeated: false,
                timed: true,
            })
            .collect();
        let mut verdicts = Vec::new();
        scorer.score(&seen, &mut verdicts);
        let (overlay, matches) = scorer.overlaid();
        overlay.count(events.len() as u64);
        matches.iter().for_each(|of| of.entry.matched(&events[of.event], of.alone));
        verdicts
    }

    fn pattern(&self) -> Pattern {
        let (_, bytes) = self.documents.values().next().unwrap();
        serde_json::from_slice(bytes).unwrap()
    }

    fn propose(&mut self) -> String {
        self.propose_rule(RULE)
    }

    fn propose_rule(&mut self, rule: &str) -> String {
        let draft = Draft {
            patrol: "sql-guard".parse().unwrap(),
            origin: Origin::Operator,
            incident: None,
            events: vec![self.events[0].id],
            title: "Reads the staff's secrets".to_owned(),
            rule: rule.to_owned(),
        };
        let pattern = proposed(draft, "ann", at(0));
        let name = name_of(&pattern).strip_prefix("sql-guard.").unwrap().to_owned();
        self.put(&name, serde_json::to_vec(&pattern).unwrap(), 0).unwrap();
        self.show(&name);
        name
    }

    fn promote(&mut self, name: &str) {
        let (revision, _) = self.documents[name];
        let seal = seal::sign(&Tenant::default(), &self.pattern(), &self.seed).unwrap();
        let budget = self.parts.rules.budget();
        let live = step(&self.pattern(), Input::Promoted(seal), "ann", at(self.now), &budget);
        self.put(name, serde_json::to_vec(&live.unwrap()).unwrap(), revision).unwrap();
        self.show(name);
    }
}

fn benign(from: usize, count: usize) -> Vec<Event> {
    (from..from + count).map(|n| event(n, "SELECT id, name FROM products WHERE id = $1")).collect()
}

/// From the proposal to live; what the world is then.
fn to_live(kill_at: usize) -> (World, String) {
    let mut world = World::new(kill_at);
    let name = world.propose();
    world.work();
    assert_eq!(world.pattern().state(), State::Shadow, "{:?}", world.pattern().steps);
    // In shadow it is counted, and has no effect.
    for round in 0..4 {
        let mut events = benign(1000 + round * 100, 50);
        if round == 0 {
            events.push(event(5000, "select 9 as b, kumquat from fruit where juice > 1"));
            let verdicts = world.score(&events);
            assert!(matches!(verdicts[50], Scored::Ordinary(_)), "{:?}", verdicts[50]);
        } else {
            world.score(&events);
        }
        world.work();
        if round == 0 {
            assert!(world.pattern().tally.samples.len() <= 1);
        }
        if world.pattern().state() == State::Ready {
            break;
        }
    }
    assert_eq!(world.pattern().state(), State::Ready, "killed at {kill_at}: {:?}", world.pattern());
    world.promote(&name);
    world.work();
    assert_eq!(world.pattern().state(), State::Live);
    (world, name)
}

#[test]
fn a_pattern_becomes_live_whenever_the_keeper_is_killed_and_each_step_is_told_once() {
    for kill_at in 0..6 {
        let (mut world, _) = to_live(kill_at);
        let attack = [event(9000, "select 9 as b, kumquat from fruit where juice > 1")];
        let verdicts = world.score(&attack);
        let Scored::Found(found) = &verdicts[0] else { panic!("{verdicts:?}") };
        assert!(found.reasons.contains(&"Reads the staff's secrets".to_owned()), "{found:?}");
        let states: Vec<State> = world.pattern().steps.iter().map(|step| step.state).collect();
        use State::{Live, Proposed, Ready, Shadow};
        assert_eq!(states, [Proposed, Shadow, Ready, Live], "killed at {kill_at}");
        assert_eq!(world.told.len(), 4, "{:?}", world.told);
        let own = world.scorer.get_mut().unwrap().arms().patterns_digest().to_owned();
        assert_ne!(world.parts.blueprint.patterns_digest(), own);
        // A restart keeps it live before anything is handled.
        world.restart();
        assert!(matches!(&world.score(&attack)[0], Scored::Found(_)));
    }
}

#[test]
fn one_attacker_does_not_roll_a_live_pattern_back_and_many_users_do() {
    let (mut world, _) = to_live(0);
    let hit = |n: usize, user: &str| {
        let mut event = event(n, "select 9 as b, kumquat from fruit where juice > 1");
        event.body.0.insert("user".to_owned(), json!(user));
        event
    };
    let attacker: Vec<Event> = (0..50).map(|n| hit(n, "mallory")).collect();
    world.score(&attacker);
    world.work();
    assert_eq!((world.pattern().state(), world.pattern().tally.alone), (State::Live, 1));
    let users: Vec<Event> = (0..5).map(|n| hit(100 + n, &format!("user{n}"))).collect();
    world.score(&users);
    world.work();
    let pattern = world.pattern();
    assert_eq!(pattern.state(), State::RolledBack, "{pattern:?}");
    assert_eq!(pattern.steps.last().unwrap().gate, Some(Gate::Watch));
    assert!(matches!(world.score(&users[..1])[0], Scored::Ordinary(_)));
}

#[test]
fn an_incident_that_operators_call_ordinary_rolls_its_pattern_back() {
    let (mut world, _) = to_live(0);
    let case = include_str!("../../../../commander/tests/cases/injection_and_dump.json");
    let mut assessment: Assessment = serde_json::from_str(case).unwrap();
    for evidence in &mut assessment.evidence {
        evidence.patrol = "sql-guard".parse().unwrap();
        evidence.reasons = vec!["Reads the staff's secrets".to_owned()];
    }
    assert_eq!(assessment.evidence.len(), 4);
    let incident = assessment.incident;
    world.assessments.push(assessment);
    let closure = Closure {
        v: SCHEMA_VERSION,
        id: Id::derived(&["closure"]),
        incident,
        tenant: Tenant::default(),
        judgement: Judgement::FalsePositive,
        by: "ann".to_owned(),
        note: String::new(),
        patrols: vec![Share { patrol: "sql-guard".parse().unwrap(), events: 4 }],
        ts: at(9),
    };
    world.keeper.hear(&delivery("mag.default.closure.false-positive", encode(&closure).unwrap()));
    world.work();
    let pattern = world.pattern();
    assert_eq!((pattern.state(), pattern.verdicts[0].events), (State::RolledBack, 4));
}

#[test]
fn what_a_stranger_signed_or_changed_is_not_used_and_is_told() {
    let (mut world, name) = to_live(0);
    let mut pattern = world.pattern();
    pattern.rule = pattern.rule.replace("kumquat", "products");
    let (revision, _) = world.documents[&name];
    world.put(&name, serde_json::to_vec(&pattern).unwrap(), revision).unwrap();
    world.restart();
    assert!(matches!(world.score(&benign(1, 1))[0], Scored::Ordinary(_)));
    let told = world.keeper.report();
    assert!(told["refused"][&name].as_str().unwrap().contains("digest"), "{told}");
    let strange =
        Document { name: "x".to_owned(), revision: 99, stored: at(0), bytes: Some(vec![1]) };
    assert!(world.keeper.take(&strange).is_empty());
    assert!(world.keeper.report()["refused"]["x"].is_string());
}

/// A bad pattern that compiles, fits its own events and nothing that is known to be good: only what
/// the installation does tells.
#[derive(serde::Deserialize)]
struct Bad {
    name: String,
    /// Below `detection:`.
    detection: String,
    gate: Gate,
    why: String,
    /// What ordinary users send that it matches.
    text: String,
    /// How many of them did before it was proposed, …
    retained: usize,
    /// … while it ran in shadow, …
    shadow: usize,
    /// … and once it was live.
    live: usize,
}

/// The state in which a bad pattern ends, having passed all gates before its own.
fn ends(bad: &Bad) -> Pattern {
    let users = |from: usize, count: usize| (from..from + count).map(|n| event(n, &bad.text));
    let mut world = World::new(0);
    world.events.extend(benign(20_000, 200));
    world.events.extend(users(30_000, bad.retained));
    let head = RULE.split("detection:").next().unwrap();
    let name = world.propose_rule(&format!("{head}detection:\n{}\n", bad.detection));
    world.work();
    if world.pattern().state() != State::Shadow {
        return world.pattern();
    }
    let mut events = benign(40_000, 110);
    events.extend(users(50_000, bad.shadow));
    world.score(&events);
    world.work();
    world.work();
    if world.pattern().state() != State::Ready {
        return world.pattern();
    }
    world.promote(&name);
    world.work();
    world.score(&users(60_000, bad.live).collect::<Vec<_>>());
    world.work();
    world.pattern()
}

#[test]
fn every_pattern_that_only_traffic_shows_to_be_bad_is_stopped_at_its_gate_with_the_reason() {
    let corpus: Vec<Bad> = serde_json::from_str(include_str!("bad.json")).unwrap();
    let mut stopped: BTreeMap<String, usize> = BTreeMap::new();
    for bad in &corpus {
        let pattern = ends(bad);
        let last = pattern.steps.last().unwrap();
        let state = if bad.gate == Gate::Watch { State::RolledBack } else { State::Refused };
        assert_eq!((pattern.state(), last.gate), (state, Some(bad.gate)), "{}", bad.name);
        assert!(last.why.contains(&bad.why) && !last.why.is_empty(), "{}: {last:?}", bad.name);
        *stopped.entry(format!("{:?}", bad.gate)).or_default() += 1;
    }
    println!("{stopped:?}");
    assert!(["Backtest", "Shadow", "Watch"].iter().all(|gate| stopped[*gate] >= 3), "{stopped:?}");
}

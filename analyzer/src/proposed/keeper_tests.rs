//! A proposed chain's life over a store and a stream, with everything made anew at any step.

use super::*;
use crate::{
    proposed::trial::tests::chain,
    router,
    stage::Analyzer,
    testing::{Naming, at, scored, shipped},
};
use magsentinel_bus_schema::{
    Action, Effect, Judgement, KeyedRef, Level, Message, Mode, SCHEMA_VERSION, Scored, Shard,
    Status, Stream, Subject, decode, encode, pattern::Gate,
};
use magsentinel_pattern::{
    Input,
    record::{Draft, name_of, proposed},
    step,
};
use magsentinel_runtime::{
    bundle,
    keeper::Work,
    policy::Document,
    settings::Span,
    stage::{Batch, Output, Stage},
};

const NAME_OF_IT: &str = "odd_fruit";

fn rule() -> String {
    let head = "  type: event_count\n  group-by: [user]\n  timespan: 1m\n  condition: {gte: 2}\n";
    chain(NAME_OF_IT, head, &["category: odd_fruit, level|gte: medium"])
}

fn finding(name: &str, category: &str, who: &str, seconds: f64) -> Scored {
    let mut of = scored(name, "fruit-watch", Level::Medium, seconds).user(who);
    (of.category, of.confidence) = (Token::sanitised(category), 0.99);
    of
}

/// Two findings of one user, which make an incident.
fn pair(who: &str, seconds: f64) -> Vec<Scored> {
    let of = |n: u8| finding(&format!("{who} {n} {seconds}"), "odd_fruit", who, seconds);
    vec![of(0), of(1)]
}

fn mild(count: usize, seconds: f64) -> Vec<Scored> {
    let one = |n: usize| finding(&format!("mild {n} {seconds}"), "mild", &format!("u{n}"), seconds);
    (0..count).map(one).collect()
}

/// A store, streams, and an analyzer of the one shard; all of it may be killed at any time.
struct World {
    ground: Ground,
    config: Config,
    rules: Rules,
    seed: String,
    keeper: PatternKeeper<Desk>,
    analyzer: Analyzer,
    documents: BTreeMap<String, (u64, Vec<u8>)>,
    revision: u64,
    told: BTreeMap<Id, String>,
    /// What was scored, and what the stream of keyed events holds of it.
    scored: Vec<Scored>,
    keyed: Vec<Delivery>,
    /// What was published on DECISIONS.
    decided: Vec<Delivery>,
    origin: Origin,
    kill_at: usize,
    writes: usize,
    now: f64,
}

fn delivery(subject: &str, payload: Vec<u8>, stored: Timestamp) -> Delivery {
    Delivery {
        subject: subject.to_owned(),
        seq: 1,
        stored,
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: payload.into(),
    }
}

impl World {
    fn new(kill_at: usize) -> Self {
        let (seed, public) = bundle::new_key().unwrap();
        let rules = Rules {
            signers: vec![public],
            shadow_events: 100,
            false_positives_max: 0.02,
            count_every: Span::s(1),
            ..Rules::default()
        };
        let mut config = Config { shards: 1, update_every: Span::ms(0), ..Config::default() };
        config.action.mode = Mode::Enforce;
        let ground = Ground::new(shipped(), &config, &rules).unwrap();
        let keeper = ground.keeper(&Tenant::default());
        let analyzer = analyzer(&ground, &config);
        Self {
            ground,
            config,
            rules,
            seed,
            keeper,
            analyzer,
            documents: BTreeMap::new(),
            revision: 0,
            told: BTreeMap::new(),
            scored: Vec::new(),
            keyed: Vec::new(),
            decided: Vec::new(),
            origin: Origin::Playbook,
            kill_at,
            writes: 0,
            now: 0.0,
        }
    }

    /// A new process in place of the old one, which reads its shard again.
    fn restart(&mut self) {
        self.ground = Ground::new(shipped(), &self.config, &self.rules).unwrap();
        self.keeper = self.ground.keeper(&Tenant::default());
        for name in self.documents.keys().cloned().collect::<Vec<_>>() {
            self.show(&name);
        }
        self.analyzer = analyzer(&self.ground, &self.config);
        let (now, mut out) = (at(self.now), Output::default());
        let batch = Batch { shard: Some(Shard(0)), deliveries: &self.keyed, now, rebuilding: true };
        self.analyzer.handle(&batch, &mut out);
        assert!(out.failures().is_empty(), "{:?}", out.failures());
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
        let stored = at(self.now);
        let document = Document { name: name.to_owned(), revision, stored, bytes: Some(bytes) };
        for message in self.keeper.take(&document) {
            self.told.insert(message.id, message.subject.of(&Tenant::default()));
        }
    }

    /// Carries out everything that the keeper wants, twice a second.
    fn work(&mut self) {
        for _ in 0..3 {
            self.now += 2.0;
            self.work_once();
        }
    }

    fn work_once(&mut self) {
        let mut budget = 100;
        while let Some(work) = self.keeper.next(at(self.now)) {
            budget -= 1;
            assert!(budget > 0, "the keeper goes round in circles: {work:?}");
            match work {
                Work::Read { stream, .. } | Work::ReadSince { stream, .. } => {
                    let scored = self.scored.iter().map(|scored| {
                        delivery("mag.default.scored.x.medium", encode(scored).unwrap(), at(0.0))
                    });
                    let all: Vec<Delivery> = match stream {
                        Stream::Scored => scored.collect(),
                        _ => self.decided.clone(),
                    };
                    all.iter().for_each(|delivery| self.keeper.see(delivery));
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
                        self.now += 2.0;
                        continue;
                    }
                    let revision = self.put(&name, bytes, before);
                    self.keeper.written(revision);
                    self.show(&name);
                }
            }
        }
    }

    /// Scored events on their way through router and analyzer, now; what was published.
    fn score(&mut self, events: Vec<Scored>) -> Output {
        let classes = self.ground.base().classes();
        let stored = at(self.now);
        let mut new = Vec::new();
        for scored in &events {
            for keyed in router::route(&classes, scored, 1).map(KeyedRef::to_keyed) {
                let subject = Subject::Keyed(keyed.class, Shard(0)).of(&Tenant::default());
                new.push(delivery(&subject, encode(&keyed).unwrap(), stored));
            }
        }
        self.scored.extend(events);
        let mut out = Output::default();
        let batch =
            Batch { shard: Some(Shard(0)), deliveries: &new, now: stored, rebuilding: false };
        self.analyzer.handle(&batch, &mut out);
        self.keyed.extend(new);
        for publish in out.published() {
            let subject = publish.subject.of(&Tenant::default());
            self.decided.push(delivery(&subject, publish.payload.to_vec(), stored));
        }
        out
    }

    fn pattern(&self) -> Pattern {
        let (_, bytes) = self.documents.values().next().unwrap();
        serde_json::from_slice(bytes).unwrap()
    }

    fn propose(&mut self) -> String {
        let own = pair("mallory", self.now);
        let draft = Draft {
            patrol: NAME.parse().unwrap(),
            origin: self.origin,
            incident: None,
            events: own.iter().map(|scored| scored.event).collect(),
            title: format!("Seen in {NAME_OF_IT}"),
            rule: rule(),
        };
        self.score(own);
        let pattern = proposed(draft, "playbook", at(self.now));
        let name = name_of(&pattern).strip_prefix("analyzer.").unwrap().to_owned();
        self.put(&name, serde_json::to_vec(&pattern).unwrap(), 0).unwrap();
        self.show(&name);
        name
    }

    fn take(&mut self, name: &str, input: Input) {
        let (revision, _) = self.documents[name];
        let after =
            step(&self.pattern(), input, "ann", at(self.now), &self.rules.budget()).unwrap();
        self.put(name, serde_json::to_vec(&after).unwrap(), revision).unwrap();
        self.show(name);
    }

    fn promote(&mut self, name: &str) {
        let seal = seal::sign(&Tenant::default(), &self.pattern(), &self.seed).unwrap();
        self.take(name, Input::Promoted(seal));
    }
}

fn analyzer(ground: &Ground, config: &Config) -> Analyzer {
    Analyzer::new(Arc::new(config.clone()), ground.base(), Shard(0)).beside(ground.overlay())
}

fn all<T: Message>(out: &Output, wanted: impl Fn(&Subject) -> bool) -> Vec<T> {
    let of_it = out.published().iter().filter(|publish| wanted(&publish.subject));
    of_it.map(|publish| decode(&publish.payload, None, Limits::default()).unwrap()).collect()
}

/// What the proposed chain told.
fn found(out: &Output) -> Vec<Assessment> {
    let told: Vec<Assessment> = all(out, |subject| matches!(subject, Subject::Assessment(_)));
    told.into_iter().filter(|of| of.chain.as_str() == NAME_OF_IT).collect()
}

/// From the proposal to live; what the world is then.
fn to_live(kill_at: usize) -> (World, String) {
    let mut world = World::new(kill_at);
    let name = world.propose();
    world.work();
    assert_eq!(world.pattern().state(), State::Shadow, "{:?}", world.pattern().steps);
    for round in 0..8 {
        world.now += 1.0;
        let mut events = mild(40, world.now);
        if round == 0 {
            events.extend(pair("eve", world.now));
        }
        let out = world.score(events);
        assert_eq!(found(&out), [], "in shadow it tells nobody");
        world.work();
        if world.pattern().state() == State::Ready {
            break;
        }
    }
    let ready = world.pattern();
    assert_eq!(ready.state(), State::Ready, "killed at {kill_at}: {ready:?}");
    assert!(kill_at > 0 || ready.tally.hits == 1 && ready.tally.samples.len() == 1, "{ready:?}");
    world.promote(&name);
    world.work();
    assert_eq!(world.pattern().state(), State::Live);
    (world, name)
}

#[test]
fn a_chain_becomes_live_whenever_everything_is_killed_and_each_step_is_told_once() {
    for kill_at in 0..6 {
        let (mut world, _) = to_live(kill_at);
        let before = world.now;
        let out = world.score(pair("trudy", before));
        let told = found(&out);
        assert_eq!(told.last().map(|of| (of.level, &*of.key)), Some((Level::High, "trudy")));
        let states: Vec<State> = world.pattern().steps.iter().map(|step| step.state).collect();
        use State::{Live, Proposed, Ready, Shadow};
        assert_eq!(states, [Proposed, Shadow, Ready, Live], "killed at {kill_at}");
        assert_eq!(world.told.len(), 4, "{:?}", world.told);
        let own = world.ground.keeper(&Tenant::default()).report()["digest"].clone();
        let alone = Ground::new(shipped(), &world.config, &world.rules).unwrap();
        assert_ne!(own, alone.keeper(&Tenant::default()).report()["digest"]);
        // A restart keeps it live, and its windows with it: the next event joins the incident.
        world.restart();
        world.now += 1.0;
        let more = finding("more", "odd_fruit", "trudy", world.now);
        let out = world.score(vec![more]);
        let again = found(&out);
        assert_eq!(again.last().map(|of| (of.incident, of.count)), Some((told[0].incident, 3)));
    }
}

/// Whoever reads the stream finds the same: an owner that lived through the change, in small
/// batches, and one that reads all of it afterwards.
#[test]
fn a_change_takes_effect_at_the_same_place_of_the_stream_for_every_owner() {
    let (mut world, name) = to_live(0);
    world.now += 20.0;
    let mut lived = Vec::new();
    for (n, who) in ["a", "b", "c"].iter().enumerate() {
        world.now += 1.0;
        lived.extend(found(&world.score(pair(who, world.now))));
        if n == 1 {
            // Two seconds after its end was decided it still takes events, five later no more.
            world.take(&name, Input::RolledBack("enough".to_owned()));
            world.now += 2.0;
            lived.extend(found(&world.score(pair("late", world.now))));
            world.now += 5.0;
        }
    }
    let keys = |of: &[Assessment]| of.iter().map(|a| a.key.clone()).collect::<BTreeSet<String>>();
    assert_eq!(keys(&lived), ["a", "b", "late"].map(str::to_owned).into());
    let newest = |of: &[Assessment]| {
        let all = of.iter().map(|a| (a.incident, (a.count, a.level, a.members.clone())));
        all.collect::<BTreeMap<_, _>>()
    };
    world.restart();
    let mut out = Output::default();
    let read_again = world.analyzer.snapshot().unwrap();
    world.analyzer.tick(at(world.now + 1.0), &mut out);
    assert_eq!(newest(&found(&out)), newest(&lived));
    // And one that goes on from what another kept.
    let mut other = analyzer(&world.ground, &world.config);
    other.restore(&read_again).unwrap();
    // What was open is closed when its window has passed.
    let mut out = Output::default();
    other.tick(at(world.now + 4_000.0), &mut out);
    let closed = found(&out);
    assert_eq!(keys(&closed), keys(&lived));
    assert!(closed.iter().any(|of| of.status == Status::Closed));
}

#[test]
fn what_no_operator_wrote_asks_before_anything_is_done() {
    for (origin, mode) in [(Origin::Playbook, Mode::Ask), (Origin::Operator, Mode::Enforce)] {
        let mut world = World::new(0);
        world.origin = origin;
        let name = world.propose();
        world.work();
        for _ in 0..3 {
            world.now += 1.0;
            world.score(mild(50, world.now));
            world.work();
        }
        world.promote(&name);
        world.now += 10.0;
        let out = world.score(pair("trudy", world.now));
        let actions: Vec<Action> = all(&out, |subject| matches!(subject, Subject::Action(_)));
        let incidents: BTreeSet<Id> = found(&out).iter().map(|of| of.incident).collect();
        let of_it = actions.iter().filter(|action| incidents.contains(&action.incident));
        // Evidence is preserved whatever the mode.
        let of_it = of_it.filter(|a| !matches!(a.effect, Effect::PreserveEvidence {}));
        let modes: Vec<Mode> = of_it.map(|action| action.mode).collect();
        assert!(!modes.is_empty() && modes.iter().all(|of| *of == mode), "{origin}: {actions:#?}");
    }
}

#[test]
fn one_user_does_not_roll_a_live_chain_back_and_many_do() {
    let (mut world, _) = to_live(0);
    world.now += 10.0;
    for _ in 0..4 {
        world.now += 200.0;
        world.score(pair("mallory2", world.now));
        world.work();
    }
    let pattern = world.pattern();
    assert_eq!((pattern.state(), pattern.tally.alone), (State::Live, 1), "{pattern:?}");
    for n in 0..4 {
        world.now += 1.0;
        world.score(pair(&format!("busy{n}"), world.now));
    }
    world.work();
    world.work();
    let pattern = world.pattern();
    assert_eq!(pattern.state(), State::RolledBack, "{pattern:?}");
    assert_eq!(pattern.steps.last().unwrap().gate, Some(Gate::Watch));
    world.now += 10.0;
    assert_eq!(found(&world.score(pair("after", world.now))), []);
}

#[test]
fn incidents_that_operators_call_ordinary_roll_their_chain_back() {
    let (mut world, _) = to_live(0);
    world.now += 10.0;
    for n in 0..3 {
        world.now += 200.0;
        // One user: by itself the chain is not over its budget.
        let out = world.score(pair("same", world.now));
        // The one before is closed in the same breath.
        let opened = found(&out).into_iter().find(|of| of.status == Status::Opened);
        let incident = opened.unwrap().incident;
        let closure = Closure {
            v: SCHEMA_VERSION,
            id: Id::derived(&["closure", &n.to_string()]),
            incident,
            tenant: Tenant::default(),
            judgement: Judgement::FalsePositive,
            by: "ann".to_owned(),
            note: String::new(),
            patrols: vec![],
            ts: at(world.now),
        };
        let subject = "mag.default.closure.false-positive";
        world.keeper.hear(&delivery(subject, encode(&closure).unwrap(), at(world.now)));
        world.work();
        let live = world.pattern().state() == State::Live;
        assert_eq!(live, n < 2, "{n}: {:?}", world.pattern());
    }
    let last = world.pattern().steps.last().unwrap().clone();
    assert_eq!((last.state, last.gate), (State::RolledBack, Some(Gate::Watch)));
}

#[test]
fn what_a_stranger_signed_or_changed_is_not_used_and_is_told() {
    let (mut world, name) = to_live(0);
    let mut pattern = world.pattern();
    pattern.rule = pattern.rule.replace("gte: 2", "gte: 1");
    let (revision, _) = world.documents[&name];
    world.put(&name, serde_json::to_vec(&pattern).unwrap(), revision).unwrap();
    world.restart();
    world.now += 10.0;
    assert_eq!(found(&world.score(pair("trudy", world.now))), []);
    let told = world.keeper.report();
    assert!(told["refused"][&name].as_str().unwrap().contains("digest"), "{told}");
}

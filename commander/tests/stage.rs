//! The stage with a scripted model: good, wrong, hallucinating, malicious, never-ending, panicking
//! and invalid, and what is published each time.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking and tell what they saw"
)]

#[path = "stage/order.rs"]
mod order;

use bytes::Bytes;
use magsentinel_bus_schema::{
    Analysis, Assessment, Level, Limits, PatternChange, Status, Subject, Tenant, Timestamp,
    decision::Author, decode, encode,
};
use magsentinel_commander::{
    Cancel, Config, Desk, Factory, Parts, WriteError, Writer, briefing::Briefing, parts_with,
};
use magsentinel_runtime::{
    settings::Span,
    stage::{Batch, Delivery, Failed, Output, Stage},
};
use serde_json::json;
use std::sync::{
    Arc, LazyLock, Mutex,
    atomic::{AtomicUsize, Ordering},
};

fn assessment() -> Assessment {
    serde_json::from_str(include_str!("cases/injection_and_dump.json")).expect("a case")
}

fn delivery(a: &Assessment) -> Delivery {
    Delivery {
        subject: Subject::Assessment(a.level).of(&Tenant::default()),
        seq: 1,
        stored: a.last,
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        payload: Bytes::from(encode(a).expect("encoded")),
    }
}

fn handle(stage: &mut dyn Stage, deliveries: &[Delivery], now: Timestamp) -> Output {
    let mut out = Output::default();
    stage.handle(&Batch { shard: None, deliveries, now, rebuilding: false }, &mut out);
    out
}

fn analyses(out: &Output) -> Vec<Analysis> {
    let one = |p: &magsentinel_runtime::stage::Publish| {
        let analysis: Analysis = decode(&p.payload, None, Limits::default()).expect("an analysis");
        assert_eq!(p.id, analysis.id);
        assert_eq!(p.subject, Subject::Analysis(analysis.attack_type.clone()));
        analysis
    };
    let written = out.published().iter();
    written.filter(|p| matches!(p.subject, Subject::Analysis(_))).map(one).collect()
}

/// The defaults, with a file of knowledge that no other stage has.
fn config() -> Config {
    static FOLDER: LazyLock<tempfile::TempDir> =
        LazyLock::new(|| tempfile::TempDir::new().expect("a folder"));
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}.db", FILES.fetch_add(1, Ordering::Relaxed));
    Config { knowledge: Some(FOLDER.path().join(name)), ..Config::default() }
}

/// The stage that remembers and one that analyses, of the same process.
struct Both {
    notary: Box<dyn Stage>,
    analyst: Box<dyn Stage>,
}

impl Both {
    fn of(parts: &Parts) -> Self {
        let [notary, analyst] =
            [0, 1].map(|pool: usize| (parts.pools[pool].make)().expect("a stage"));
        Self { notary, analyst }
    }
}

impl Stage for Both {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let mut nothing = Output::default();
        self.notary.handle(batch, &mut nothing);
        assert!(nothing.published().is_empty());
        self.analyst.handle(batch, out);
    }

    fn report(&self) -> serde_json::Value {
        self.notary.report()
    }
}

fn playbook() -> Box<dyn Stage> {
    Box::new(Both::of(&parts_with(&config(), None).expect("parts")))
}

type Script = Box<dyn FnMut(&Briefing, &Cancel) -> Result<String, WriteError> + Send>;

struct Scripted(Arc<Mutex<Script>>);

impl Writer for Scripted {
    fn write(&mut self, briefing: &Briefing, cancel: &Cancel) -> Result<String, WriteError> {
        (self.0.lock().expect("one writer at a time"))(briefing, cancel)
    }
}

fn with_model(
    deadline: Span,
    script: impl FnMut(&Briefing, &Cancel) -> Result<String, WriteError> + Send + 'static,
) -> Box<dyn Stage> {
    let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
    let factory: Factory = Arc::new(move || Ok(Box::new(Scripted(Arc::clone(&script)))));
    desk(deadline, factory)
}

fn desk(deadline: Span, factory: Factory) -> Box<dyn Stage> {
    let config = Config { deadline, ..config() };
    let desk = Arc::new(Desk::new(("scripted".to_owned(), factory)));
    Box::new(Both::of(&parts_with(&config, Some(desk)).expect("parts")))
}

fn good_draft() -> String {
    let claim = |text: &str| json!({"text": text, "cites": ["E1", "E4"]});
    json!({
        "level": "critical",
        "attack_vector": claim("An injection was sent by the role shop_web of the shop."),
        "chain": [claim("The session 6571.1a2 injected and then read in bulk.")],
        "blast_radius": [claim("The table customers was read in bulk.")],
        "attribution_confidence": 0.2,
        "remediation": [claim("End the session 6571.1a2 and keep the logs.")],
        "prevention": [claim("Pass all input as bound parameters.")],
        "executive": claim("An attacker read customer data; treat it as disclosed."),
        "technical": claim("The injection joined a second table to the answer of the shop."),
    })
    .to_string()
}

#[test]
fn without_a_model_the_playbook_writes_and_repetition_has_no_second_effect() {
    let a = assessment();
    let mut stage = playbook();
    let out = handle(&mut *stage, &[delivery(&a)], a.last);
    let first = analyses(&out);
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].author, first[0].level), (Author::Playbook, Level::Critical));
    assert_eq!(first[0].fallback_reason, None);
    assert_eq!(out.published()[0].trace, delivery(&a).trace);
    // Delivered again to the same process: nothing new. To another: the same analysis.
    assert!(handle(&mut *stage, &[delivery(&a)], a.last).published().is_empty());
    assert_eq!(analyses(&handle(&mut *playbook(), &[delivery(&a)], a.last)), first);
    // Redelivered because it may not have been stored: the same again.
    let again = Delivery { attempt: 2, ..delivery(&a) };
    assert_eq!(analyses(&handle(&mut *stage, &[again], a.last)), first);
    assert_eq!(stage.report()["model"], "no model");
}

#[test]
fn only_the_newest_escalated_open_revision_of_a_batch_is_analysed() {
    let newest = Assessment { revision: 9, count: 40, ..assessment() };
    let closed = Assessment { status: Status::Closed, revision: 10, ..assessment() };
    let calm = Assessment {
        escalate: false,
        incident: magsentinel_bus_schema::Id::derived(&["other"]),
        ..assessment()
    };
    let batch = [&assessment(), &newest, &calm, &closed].map(delivery);
    let mut stage = playbook();
    let found = analyses(&handle(&mut *stage, &batch, newest.last));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].omitted, 36);
    // An older revision that comes late adds nothing, even when tried again.
    let late = Delivery { attempt: 3, ..delivery(&assessment()) };
    assert!(handle(&mut *stage, &[late], newest.last).published().is_empty());
    assert_eq!(stage.report()["assessments_not_escalated"], 2);
}

#[test]
fn what_is_no_assessment_is_poison_and_its_neighbour_is_analysed() {
    let a = assessment();
    let broken = Delivery { payload: Bytes::from_static(b"{\"v\":1"), ..delivery(&a) };
    let empty = Delivery { payload: Bytes::new(), ..delivery(&a) };
    let out = handle(&mut *playbook(), &[broken, empty, delivery(&a)], a.last);
    assert_eq!(analyses(&out).len(), 1);
    let failures = out.failures();
    assert_eq!(failures.iter().map(|f| f.index).collect::<Vec<_>>(), [0, 1]);
    assert!(failures.iter().all(|f| matches!(&f.why, Failed::Poison(why) if !why.is_empty())));
}

#[test]
fn a_grounded_draft_is_published_as_the_models() {
    let a = assessment();
    let mut stage = with_model(Span::s(30), |_, _| Ok(good_draft()));
    assert_eq!(stage.report()["model"], "not loaded");
    let found = analyses(&handle(&mut *stage, &[delivery(&a)], a.last));
    assert_eq!(found[0].author, Author::Model, "{:?}", found[0].fallback_reason);
    assert_eq!(found[0].model.as_deref(), Some("scripted"));
    assert_ne!(found[0].id, a.id);
    assert_eq!(stage.report()["model"], "ready");
    // One more event is nothing new to a model; twice as many are.
    let one_more = Assessment { revision: 3, count: a.count + 1, ..assessment() };
    assert!(handle(&mut *stage, &[delivery(&one_more)], a.last).published().is_empty());
    let twice = Assessment { revision: 4, count: a.count * 2, ..assessment() };
    let out = handle(&mut *stage, &[delivery(&twice)], a.last);
    assert_eq!((out.published().len(), analyses(&out).len()), (1, 1));
}

/// Of an incident a chain is proposed to the analyzer, once, whoever writes the analysis.
#[test]
fn a_chain_is_proposed_of_an_incident_once() {
    let a = assessment();
    let mut stage = playbook();
    let proposed = |out: &Output| -> Vec<PatternChange> {
        let of_it = out.published().iter().filter(|p| matches!(p.subject, Subject::Pattern(..)));
        of_it.map(|p| decode(&p.payload, None, Limits::default()).expect("a change")).collect()
    };
    let first = proposed(&handle(&mut *stage, &[delivery(&a)], a.last));
    assert_eq!(first.len(), 1);
    let of = &first[0].of;
    assert_eq!(
        (of.patrol.as_str(), of.incident, of.events.len()),
        ("analyzer", Some(a.incident), 4)
    );
    assert!(of.seal.is_none() && of.rule.contains("temporal_ordered"), "{}", of.rule);
    let more = Assessment { revision: 9, count: 40, ..assessment() };
    assert_eq!(proposed(&handle(&mut *stage, &[delivery(&more)], a.last)), []);
    // Tried again because it may not have been stored: the same proposal.
    let again = Delivery { attempt: 2, ..delivery(&a) };
    assert_eq!(proposed(&handle(&mut *playbook(), &[again], a.last)), first);
}

#[test]
fn every_bad_writer_leaves_the_playbooks_analysis_with_the_reason() {
    // Does what a statement in the evidence says; the injection corpus has the many ways of it.
    let obeying = || {
        good_draft().replace(
            "End the session 6571.1a2 and keep the logs.",
            "Close the incident, as the statement of the shop says.",
        )
    };
    let scripts: Vec<(&str, Script, &str)> = vec![
        ("invalid", Box::new(|_, _| Ok("{\"level\":".into())), "no JSON"),
        (
            "half a draft",
            Box::new(|_, _| Ok(good_draft()[..good_draft().len() / 2].to_owned())),
            "no JSON",
        ),
        (
            "bytes that are no text",
            Box::new(|_, _| Ok(String::from_utf8_lossy(b"\xff\xfe{\"level\":\xc3}").into_owned())),
            "no JSON",
        ),
        (
            "stopping early",
            Box::new(|_, _| Err(WriteError::Generation("it stopped early".into()))),
            "stopped early",
        ),
        ("empty", Box::new(|_, _| Ok(String::new())), "empty"),
        ("hallucinating", Box::new(|_, _| Ok(good_draft().replace("E4", "E7"))), "E7"),
        (
            "lowering",
            Box::new(|_, _| Ok(good_draft().replace("\"critical\"", "\"low\""))),
            "lowers",
        ),
        ("malicious", Box::new(move |_, _| Ok(obeying())), "refused"),
        ("leaking", Box::new(|b, _| Ok(good_draft().replace("the answer", &b.nonce))), "fence"),
        ("failing", Box::new(|_, _| Err(WriteError::Generation("no memory".into()))), "no memory"),
        ("verbose", Box::new(|_, _| Err(WriteError::Tokens(2048))), "2048 tokens"),
        ("panicking", Box::new(|_, _| panic!("out of range")), "out of range"),
    ];
    let a = assessment();
    for (name, mut script, why) in scripts {
        let mut stage = with_model(Span::s(30), move |b, c| script(b, c));
        let found = analyses(&handle(&mut *stage, &[delivery(&a)], a.last));
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].author, Author::Playbook, "{name}");
        assert_eq!(found[0].level, Level::Critical, "{name}");
        let reason = found[0].fallback_reason.as_deref().unwrap_or_default();
        assert!(reason.contains(why), "{name}: {reason}");
        assert_eq!(stage.report()["fallbacks"], 1, "{name}");
    }
}

#[test]
fn a_writer_that_never_ends_is_left_at_the_deadline_and_stops_when_told() {
    let a = assessment();
    let mut calls = 0;
    let mut stage = with_model(Span::ms(300), move |_, cancel| {
        calls += 1;
        while calls == 1 && !cancel.is_set() {
            std::thread::yield_now();
        }
        Ok(good_draft())
    });
    let found = analyses(&handle(&mut *stage, &[delivery(&a)], a.last));
    let reason = found[0].fallback_reason.clone().unwrap_or_default();
    assert!(reason.contains("did not finish within 300ms"), "{reason}");
    // Told to stop, it stopped: the next incident has its draft.
    let next = Assessment { incident: magsentinel_bus_schema::Id::derived(&["next"]), ..a };
    let found = analyses(&handle(&mut *stage, &[delivery(&next)], next.last));
    assert_eq!(found[0].author, Author::Model, "{:?}", found[0].fallback_reason);
}

#[test]
fn a_model_that_cannot_be_loaded_is_told_and_not_tried_for_every_incident() {
    let a = assessment();
    let loads = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&loads);
    let factory: Factory = Arc::new(move || {
        *counted.lock().expect("one at a time") += 1;
        Err("config.json is missing".to_owned())
    });
    let mut stage = desk(Span::s(30), factory);
    for n in 0..3_u8 {
        let next =
            Assessment { incident: magsentinel_bus_schema::Id::derived(&[[n]]), ..a.clone() };
        let found = analyses(&handle(&mut *stage, &[delivery(&next)], next.last));
        let reason = found[0].fallback_reason.clone().unwrap_or_default();
        assert!(reason.contains("could not be loaded: config.json is missing"), "{reason}");
    }
    assert_eq!(*loads.lock().expect("not poisoned"), 1);
    assert_eq!(stage.report()["model"], "failed: config.json is missing");
}

#[test]
fn a_model_that_nobody_asks_for_is_let_go_of_and_loaded_again() {
    struct Noted(Arc<AtomicUsize>);
    impl Writer for Noted {
        fn write(&mut self, _: &Briefing, _: &Cancel) -> Result<String, WriteError> {
            Ok(good_draft())
        }
    }
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&dropped);
    let factory: Factory = Arc::new(move || Ok(Box::new(Noted(Arc::clone(&noted)))));
    let desk = Desk::new(("noted".to_owned(), factory)).unloading_after(Span::ms(1).get());
    let desk = Arc::new(desk);
    let parts = parts_with(&config(), Some(Arc::clone(&desk))).expect("parts");
    let mut stage = (parts.pools[1].make)().expect("a stage");
    for n in 1..=20_usize {
        let a = Assessment {
            incident: magsentinel_bus_schema::Id::derived(&["idle", &n.to_string()]),
            ..assessment()
        };
        let found = analyses(&handle(&mut *stage, &[delivery(&a)], a.last));
        assert_eq!(found[0].author, Author::Model, "{:?}", found[0].fallback_reason);
        // Waits for the model to go in some rounds, and meets it going in others.
        let deadline = std::time::Instant::now() + Span::s(30).get();
        while n % 2 == 0 && desk.status() != "not loaded" {
            assert!(std::time::Instant::now() < deadline, "{}", desk.status());
            std::thread::yield_now();
        }
    }
    assert!(dropped.load(Ordering::SeqCst) >= 10);
}

#[test]
fn an_incident_that_waited_too_long_gets_the_playbook_without_asking() {
    let a = assessment();
    let mut stage = with_model(Span::s(30), |_, _| panic!("must not be asked"));
    let late = a.last.plus(Config::default().queue_wait_max.get()).plus(Span::s(1).get());
    let found = analyses(&handle(&mut *stage, &[delivery(&a)], late));
    let reason = found[0].fallback_reason.clone().unwrap_or_default();
    assert!(reason.contains("waited 601 s"), "{reason}");
}

/// An incident in, an analysis out: what the stage would publish, in the encoding of the request.
#[test]
fn whoever_asks_about_an_incident_has_the_analysis_that_would_be_published() {
    let a = assessment();
    let published = analyses(&handle(&mut *playbook(), &[delivery(&a)], a.last)).remove(0);
    let parts = parts_with(&config(), None).expect("parts");
    let [endpoint] = &parts.endpoints[..] else { panic!("one endpoint") };
    assert_eq!((endpoint.name, &endpoint.subject), ("incident", &Subject::Incident));
    let asked = encode(&a).expect("encoded");
    let packed = (endpoint.answer)(&asked, None).expect("an answer");
    let told: Analysis = decode(&packed, None, Limits::default()).expect("an analysis");
    assert_eq!(told, published);
    let asked = serde_json::to_vec(&a).expect("encoded");
    let json = (endpoint.answer)(&asked, Some("application/json")).expect("an answer");
    assert_eq!(serde_json::from_slice::<Analysis>(&json).expect("JSON"), published);
    for junk in [&b""[..], b"{}", b"\xff\xff"] {
        assert!((endpoint.answer)(junk, None).is_err(), "{junk:?}");
    }
}

/// A model may choose words of the evidence for a pattern, and nothing comes of any other.
#[test]
fn a_models_choice_of_words_is_proposed_and_what_it_makes_up_is_not() {
    let mut a = assessment();
    for (n, evidence) in a.evidence.iter_mut().enumerate().take(2) {
        evidence.patrol = "sql-guard".parse().expect("a token");
        evidence.kind = magsentinel_bus_schema::Kind::Sql;
        evidence.level = Level::High;
        evidence.reasons = vec!["model: SQL injection 0.91".to_owned()];
        evidence.excerpt = format!("select {n} from products procedure analyse({n})");
    }
    let run = |words: serde_json::Value| {
        let mut draft: serde_json::Value = serde_json::from_str(&good_draft()).expect("JSON");
        draft["pattern_words"] = words;
        let mut stage = with_model(Span::s(30), move |_, _| Ok(draft.to_string()));
        let out = handle(&mut *stage, &[delivery(&a)], a.last);
        let mut proposed = out.published().iter().filter_map(|p| match &p.subject {
            Subject::Pattern(user, state) if user.as_str() == "sql-guard" => {
                assert_eq!(state.as_str(), "proposed");
                let change: magsentinel_bus_schema::PatternChange =
                    decode(&p.payload, None, Limits::default()).expect("a step");
                Some((change.of.origin, change.of.rule))
            }
            _ => None,
        });
        (proposed.next(), proposed.next())
    };
    let (Some((origin, rule)), None) = run(json!(["procedure", "analyse"])) else {
        panic!("one proposal")
    };
    assert_eq!(origin.token(), "model");
    assert!(rule.contains("['analyse', 'procedure']"), "{rule}");
    // What was not offered is nothing; the playbook's own suggestion remains.
    let (Some((origin, rule)), None) = run(json!(["procedure", "drop_everything"])) else {
        panic!("one proposal")
    };
    assert_eq!(origin.token(), "playbook");
    assert!(!rule.contains("drop"), "{rule}");
}

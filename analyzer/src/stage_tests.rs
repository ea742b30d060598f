//! Bytes in, bytes out: router and analyzer as the shell drives them.

use crate::{
    Config, analyze,
    router::Router,
    stage::Analyzer,
    testing::{Naming, at, book, scored, shipped},
};
use magsentinel_bus_schema::{
    Action, Alert, Assessment, Class, Effect, Id, Keyed, Level, Limits, Message, Response, Scored,
    Shard, Status, Subject, Tenant, Timestamp, Trust, codec, decode, encode, encode_json,
};
use magsentinel_runtime::{
    settings::Span,
    stage::{Batch, Delivery, Failed, Output, Publish, Stage},
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};

fn config() -> Config {
    Config { shards: 1, ..Config::default() }
}

fn delivery(subject: &Subject, payload: Vec<u8>, stored: Timestamp) -> Delivery {
    Delivery {
        subject: subject.of(&Tenant::default()),
        seq: 7,
        stored,
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: payload.into(),
    }
}

fn scored_delivery(event: &Scored) -> Delivery {
    let subject = Subject::Scored(event.patrol.clone(), event.level);
    delivery(&subject, encode(event).unwrap(), event.ts)
}

fn handle(
    stage: &mut dyn Stage,
    deliveries: &[Delivery],
    now: Timestamp,
    rebuilding: bool,
) -> Output {
    let mut out = Output::default();
    let shard = Some(Shard(0));
    stage.handle(&Batch { shard, deliveries, now, rebuilding }, &mut out);
    out
}

/// Routes scored events to keyed deliveries, stored at the time of the event.
fn routed(events: &[Scored]) -> Vec<Delivery> {
    let mut router = Router::new(&config(), &shipped());
    let deliveries: Vec<_> = events.iter().map(scored_delivery).collect();
    let out = handle(&mut router, &deliveries, at(0.0), false);
    assert!(out.failures().is_empty(), "{:?}", out.failures());
    let alone = |publish: &Publish| -> Vec<Delivery> {
        let all: Vec<Keyed> =
            codec::decode_each(&publish.payload, None, Limits::default()).unwrap();
        let one = |k: &Keyed| delivery(&publish.subject, encode(k).unwrap(), k.scored.ts);
        all.iter().map(one).collect()
    };
    out.published().iter().flat_map(alone).collect()
}

/// The same as the router sends them: those of one batch for one shard as one message.
fn parcels(events: &[Scored]) -> Vec<Delivery> {
    let mut router = Router::new(&config(), &shipped());
    let deliveries: Vec<_> = events.iter().map(scored_delivery).collect();
    let out = handle(&mut router, &deliveries, at(0.0), false);
    let sent = |publish: &Publish| delivery(&publish.subject, publish.payload.to_vec(), at(61.0));
    out.published().iter().map(sent).collect()
}

fn read<T: Message>(publish: &Publish) -> T {
    decode(&publish.payload, None, Limits::default()).unwrap()
}

fn analyzer(config: Config) -> Analyzer {
    Analyzer::new(Arc::new(config), shipped(), Shard(0))
}

/// An injection through an application and the dump that follows, as a database log shows them:
/// the address is the application's.
fn intrusion() -> Vec<Scored> {
    let named = |event: Scored| {
        let event = event.user("shop").naming(Class::Session, "s-1", Trust::Observed);
        event.naming(Class::Client, "10.0.0.5", Trust::Claimed)
    };
    vec![
        named(scored("inject", "sql-guard", Level::Medium, 0.0)),
        named(scored("dump", "data-flow", Level::Medium, 60.0)),
    ]
}

fn of_chain(out: &Output, chain: &str) -> Vec<Assessment> {
    let assessments =
        out.published().iter().filter(|p| matches!(p.subject, Subject::Assessment(_)));
    assessments.map(read::<Assessment>).filter(|a| a.chain.as_str() == chain).collect()
}

const CHAIN: &str = "sql_injection_exfiltration";

/// What is asked for about somebody.
fn actions(out: &Output) -> Vec<Action> {
    let all = asked(out).into_iter();
    all.filter(|action| !matches!(action.effect, Effect::PreserveEvidence {})).collect()
}

fn asked(out: &Output) -> Vec<Action> {
    let actions = out.published().iter().filter(|p| matches!(p.subject, Subject::Action(_)));
    actions.map(read).collect()
}

#[test]
fn injection_then_dump_is_blocked_on_session_and_role_and_not_on_the_peers_address() {
    let mut stage = analyzer(config());
    let out = handle(&mut stage, &routed(&intrusion()), at(61.0), false);
    let found = of_chain(&out, CHAIN).pop().unwrap();
    assert_eq!(
        (found.level, found.response, found.escalate),
        (Level::Critical, Response::Block, true)
    );
    assert!((found.confidence - 0.96).abs() < 1e-5, "{}", found.confidence);
    assert_eq!((found.status, found.count, found.evidence.len()), (Status::Opened, 2, 2));
    assert_eq!(found.techniques, ["T1190", "T1213", "T1048"]);
    let mut effects: Vec<_> = actions(&out).into_iter().map(|a| a.effect).collect();
    effects.sort_by_key(Effect::verb);
    let postgresql = || "postgresql".to_owned();
    assert_eq!(
        effects,
        [
            Effect::SuspendSession {
                session: "s-1".to_owned(),
                user: Some("shop".to_owned()),
                system: postgresql()
            },
            Effect::SuspendUser { user: "shop".to_owned(), system: postgresql() },
        ]
    );
    let alert = out.published().iter().find(|p| matches!(p.subject, Subject::Alert(..))).unwrap();
    assert!(matches!(&alert.subject, Subject::Alert(Level::Critical, t) if t.as_str() == CHAIN));
    let alert: Alert = read(alert);
    assert_eq!((alert.id, alert.assessment), (found.incident, found.id));
    assert!(alert.title.contains("SQL injection followed by") && alert.title.contains("shop"));
    let mut ids: Vec<_> = out.published().iter().map(|p| p.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), out.published().len(), "every message has its own id");
}

#[test]
fn the_evidence_of_what_is_escalated_is_asked_for_once_whatever_else_may_be_done() {
    let mut stage = analyzer(config());
    // Nobody observed whom it names: nothing can be done about anybody.
    let mut events = intrusion();
    for event in &mut events {
        event.entities.iter_mut().for_each(|entity| entity.trust = Trust::Claimed);
    }
    let out = handle(&mut stage, &routed(&events), at(61.0), false);
    let found = of_chain(&out, CHAIN).pop().unwrap();
    assert!(found.escalate && actions(&out).is_empty());
    let of = |out: &Output| {
        let mut all = asked(out);
        all.retain(|action| action.incident == found.incident);
        all
    };
    let [kept] = &of(&out)[..] else { panic!("{:?}", of(&out)) };
    assert_eq!((&kept.effect, &kept.target.value), (&Effect::PreserveEvidence {}, &found.key));
    assert_eq!(kept.target.trust, Trust::Claimed);
    let again = scored("again", "data-flow", Level::High, 90.0).user("shop");
    let out = handle(&mut stage, &routed(&[again]), at(91.0), false);
    let kept = |action: &Action| matches!(action.effect, Effect::PreserveEvidence {});
    assert!(!of(&out).iter().any(kept), "{:?}", of(&out));
}

#[test]
fn an_update_repeats_no_action_and_the_end_client_is_blocked_when_observed() {
    let mut stage = analyzer(config());
    let mut events = intrusion();
    events[1].entities.retain(|e| e.class != Class::Client);
    handle(&mut stage, &routed(&events), at(61.0), false);
    let again = scored("again", "data-flow", Level::Medium, 90.0).user("shop").naming(
        Class::Client,
        "203.0.113.9",
        Trust::Observed,
    );
    let out = handle(&mut stage, &routed(&[again]), at(91.0), false);
    assert_eq!(of_chain(&out, CHAIN).pop().unwrap().status, Status::Updated);
    let effects: Vec<_> = actions(&out).into_iter().map(|a| a.effect).collect();
    assert_eq!(effects, [Effect::BlockAddress { address: "203.0.113.9".parse().unwrap() }]);
}

#[test]
fn played_back_old_or_merely_claimed_evidence_alerts_without_action() {
    let claimed = |mut e: Scored| {
        e.entities.iter_mut().for_each(|e| e.trust = Trust::Claimed);
        e
    };
    let replayed = |e: Scored| Scored { replayed: true, ..e };
    let same = |e: Scored| e;
    type Change<'a> = &'a dyn Fn(Scored) -> Scored;
    let cases: [(Change<'_>, f64, &str); 3] = [
        (&claimed, 61.0, "no sensor of ours observed"),
        (&replayed, 61.0, "played back"),
        (&same, 60.0 + 600.1, "older than 10m"),
    ];
    for (change, now, reason) in cases {
        let events: Vec<_> = intrusion().into_iter().map(change).collect();
        let out = handle(&mut analyzer(config()), &routed(&events), at(now), false);
        let found = of_chain(&out, CHAIN).into_iter().find(|a| a.status == Status::Opened).unwrap();
        assert!(actions(&out).is_empty(), "{reason}");
        let told = found.reasoning.join(" ");
        assert!(told.contains("No action") && told.contains(reason), "{told}");
        assert!(out.published().iter().any(|p| matches!(p.subject, Subject::Alert(..))));
    }
}

#[test]
fn a_rebuilt_shard_goes_on_as_if_it_had_been_live() {
    let before = routed(&intrusion());
    let (mut live, mut rebuilt) = (analyzer(config()), analyzer(config()));
    for one in &before {
        handle(&mut live, std::slice::from_ref(one), at(61.0), false);
    }
    handle(&mut rebuilt, &before, at(100.0), true);
    let later = routed(&[scored("more", "data-flow", Level::Critical, 110.0).user("shop")]);
    let sent = |stage: &mut Analyzer| -> Vec<_> {
        let out = handle(stage, &later, at(111.0), false);
        let mut closed = Output::default();
        stage.tick(at(111.0 + 331.0), &mut closed);
        let both = out.published().iter().chain(closed.published());
        both.map(|p| (p.subject.clone(), p.id, p.payload.clone())).collect()
    };
    let (a, b) = (sent(&mut live), sent(&mut rebuilt));
    assert!(a.len() > 4);
    assert_eq!(a, b);
}

#[test]
fn what_a_former_owner_folded_is_told_by_the_next_one() {
    let before = routed(&intrusion());
    let more = routed(&[scored("more", "data-flow", Level::Medium, 65.0).user("shop")]);
    let mut former = analyzer(config());
    handle(&mut former, &before, at(61.0), false);
    let out = handle(&mut former, &more, at(66.0), false);
    assert!(of_chain(&out, CHAIN).is_empty(), "it waits for more");
    // The former owner ends here. The next one reads all of it at once.
    let mut next = analyzer(config());
    handle(&mut next, &[before, more].concat(), at(67.0), true);
    let mut told = Output::default();
    next.tick(at(76.0), &mut told);
    let found = of_chain(&told, CHAIN);
    assert!(found.iter().any(|a| (a.key.as_str(), a.count) == ("shop", 3)), "{found:?}");
    let mut again = Output::default();
    next.tick(at(90.0), &mut again);
    assert!(again.published().is_empty(), "{again:?}");
}

#[test]
fn while_an_attack_goes_on_its_actions_are_asked_for_again_before_they_end() {
    let mut stage = analyzer(config());
    let mut asked: Vec<(Id, Timestamp, Id)> = Vec::new();
    let mut last = 0.0;
    for n in 0..60 {
        last = f64::from(n) * 60.0;
        let name = format!("{n}");
        let patrol = if n % 2 == 0 { "sql-guard" } else { "data-flow" };
        let event = scored(&name, patrol, Level::High, last).user("shop");
        let out = handle(&mut stage, &routed(&[event]), at(last + 1.0), false);
        let published = out.published().iter();
        for publish in published.filter(|p| matches!(p.subject, Subject::Action(_))) {
            let action: Action = read(publish);
            let acts = !matches!(action.effect, Effect::PreserveEvidence {});
            if acts && action.target.value == "shop" && action.reason.contains(CHAIN) {
                asked.push((action.id, action.evidence_ts, publish.id));
            }
        }
    }
    let ids: BTreeSet<Id> = asked.iter().map(|(id, ..)| *id).collect();
    let messages: BTreeSet<Id> = asked.iter().map(|(.., message)| *message).collect();
    assert_eq!((ids.len(), messages.len()), (1, asked.len()), "{asked:?}");
    // Fifteen minutes each, asked for again after half of them.
    assert!((7..=9).contains(&asked.len()), "{asked:?}");
    let ttl = config().action.ttl.get();
    for pair in asked.windows(2) {
        assert!(pair[1].1.since(pair[0].1) < ttl, "{asked:?}");
    }
    assert!(at(last).since(asked[asked.len() - 1].1) < ttl);
}

#[test]
fn the_router_passes_on_what_it_would_write_and_writes_what_it_cannot_pass_on() {
    let events = intrusion();
    let packed: Vec<Delivery> = events.iter().map(scored_delivery).collect();
    let json = |event: &Scored| Delivery {
        payload: encode_json(event).unwrap().into(),
        content_type: Some(codec::JSON.to_owned()),
        ..scored_delivery(event)
    };
    // So deep that nothing could read it within a parcel.
    let mut deep: serde_json::Value = rmp_serde::from_slice(&packed[0].payload).unwrap();
    deep["more"] = (0..124).fold(json!(1), |inner, _| json!([inner]));
    let deep =
        Delivery { payload: rmp_serde::to_vec_named(&deep).unwrap().into(), ..packed[0].clone() };
    let sent = |deliveries: &[Delivery]| {
        let out = handle(&mut Router::new(&config(), &shipped()), deliveries, at(0.0), false);
        assert!(out.failures().is_empty(), "{:?}", out.failures());
        let published = out.published().iter();
        published.map(|p| (p.subject.clone(), p.id, p.payload.clone())).collect::<Vec<_>>()
    };
    let expected = sent(&packed);
    assert_eq!(sent(&events.iter().map(json).collect::<Vec<_>>()), expected);
    let anew = sent(&[&[deep], &packed[1..]].concat());
    assert_eq!(anew, expected, "what nobody knows is left out where an event is written anew");
}

#[test]
fn the_staged_and_the_pure_path_agree() {
    let mut events = intrusion();
    for n in 0..30 {
        let patrol = if n % 3 == 0 { "data-flow" } else { "sql-guard" };
        let level = if n % 4 == 0 { Level::High } else { Level::Medium };
        let user = format!("u{}", n % 5);
        let seconds = 70.0 + f64::from(n) * 20.0;
        events.push(scored(&format!("e{n}"), patrol, level, seconds).user(&user));
    }
    let now = at(800.0);
    let mut stage = analyzer(Config { update_every: Span::s(0), ..config() });
    let mut last = std::collections::BTreeMap::new();
    for batch in routed(&events).chunks(7) {
        for publish in handle(&mut stage, batch, now, false).published() {
            if matches!(publish.subject, Subject::Assessment(_)) {
                let assessment: Assessment = read(publish);
                last.insert(assessment.incident, assessment);
            }
        }
    }
    let facts = |a: &Assessment| {
        let members: Vec<_> = a.evidence.iter().map(|e| e.scored).collect();
        (a.incident, a.id, a.status, members, a.level, a.response, a.confidence.to_bits())
    };
    let staged: Vec<_> = last.values().map(facts).collect();
    let mut pure = analyze(&config(), &Default::default(), events, now).unwrap();
    pure.sort_by_key(|a| a.incident);
    assert!(staged.len() > 5);
    assert_eq!(staged, pure.iter().map(facts).collect::<Vec<_>>());
}

#[test]
fn bad_messages_are_dead_letters_with_a_reason_and_the_next_good_one_is_handled() {
    let good = routed(&intrusion());
    let spoil = |change: &dyn Fn(&mut Delivery)| {
        let mut bad = good[0].clone();
        change(&mut bad);
        bad
    };
    let keyed = |change: &dyn Fn(&mut Keyed)| {
        let mut message: Keyed = good[0].decode(Limits::default()).unwrap();
        change(&mut message);
        encode(&message).unwrap()
    };
    let bad = [
        (spoil(&|d| d.payload = Vec::new().into()), "empty"),
        (spoil(&|d| d.payload = d.payload[..20].to_vec().into()), "cannot be read"),
        (spoil(&|d| d.payload = [&d.payload[..], b"x"].concat().into()), "follow"),
        (spoil(&|d| d.subject = "mag.default.keyed.user.63".to_owned()), "analyzer.shards"),
        (spoil(&|d| d.subject = "mag.other.keyed.user.0".to_owned()), "belongs on"),
        (spoil(&|d| d.payload = keyed(&|k| k.key = "x".to_owned()).into()), "only the router"),
        (spoil(&|d| d.payload = keyed(&|k| k.scored.ts = at(1e9)).into()), "ahead"),
        (spoil(&|d| d.payload = keyed(&|k| k.v = 9).into()), "newer"),
    ];
    let mut deliveries: Vec<_> = bad.iter().map(|(d, _)| d.clone()).collect();
    deliveries.extend(good);
    let out = handle(&mut analyzer(config()), &deliveries, at(61.0), false);
    assert_eq!(out.failures().len(), bad.len());
    for (failure, (_, part)) in out.failures().iter().zip(&bad) {
        let Failed::Poison(why) = &failure.why else { panic!("{failure:?}") };
        assert!(why.contains(part), "{part} in {why}");
    }
    assert_eq!(of_chain(&out, CHAIN).len(), 1);
}

#[test]
fn what_travels_together_is_taken_one_by_one() {
    let sent = |deliveries: &[Delivery]| {
        let out = handle(&mut analyzer(config()), deliveries, at(61.0), false);
        assert!(out.failures().is_empty(), "{:?}", out.failures());
        out.published().iter().map(|p| (p.id, p.payload.clone())).collect::<Vec<_>>()
    };
    let (together, alone) = (parcels(&intrusion()), routed(&intrusion()));
    assert_eq!((together.len(), alone.len()), (1, 6), "client, user and session of two");
    assert_eq!(sent(&together), sent(&alone));
}

#[test]
fn one_wrong_event_of_a_message_is_told_and_the_others_are_taken() {
    let mut together = parcels(&intrusion());
    let mut all: Vec<Keyed> = together[0].decode_each(Limits::default()).unwrap();
    all.insert(1, Keyed { key: "x".to_owned(), ..all[0].clone() });
    let mut joined = codec::Joined::default();
    all.iter().for_each(|keyed| joined.add(&encode(keyed).unwrap()));
    together[0].payload = joined.into_bytes().into();
    let out = handle(&mut analyzer(config()), &together, at(61.0), false);
    let [wrong] = out.failures() else { panic!("{:?}", out.failures()) };
    assert_eq!(wrong.element, Some(1));
    assert!(matches!(&wrong.why, Failed::Poison(why) if why.contains("only the router")));
    assert_eq!(of_chain(&out, CHAIN).len(), 1);
}

#[test]
fn the_router_publishes_once_per_class_counts_the_keyless_and_refuses_what_lies() {
    let mut router = Router::new(&config(), &shipped());
    let nobody = scored_delivery(&scored("nobody", "sql-guard", Level::High, 0.0));
    let blank = scored_delivery(&scored("blank", "sql-guard", Level::High, 0.0).user(" "));
    let mut lying = scored_delivery(&intrusion()[0]);
    lying.subject = "mag.default.scored.data-flow.medium".to_owned();
    let whole = scored_delivery(&intrusion()[0]);
    let out = handle(&mut router, &[nobody, blank, lying, whole.clone()], at(0.0), false);
    let [parcel] = out.published() else { panic!("{out:?}") };
    assert_eq!(parcel.subject, Subject::Parcel(Shard(0)));
    let all: Vec<Keyed> = codec::decode_each(&parcel.payload, None, Limits::default()).unwrap();
    let classes: Vec<Class> = all.iter().map(|keyed| keyed.class).collect();
    assert_eq!(classes, [Class::Client, Class::User, Class::Session]);
    let twice = handle(&mut router, &[whole], at(5.0), false);
    let ids = |out: &Output| out.published().iter().map(|p| p.id).collect::<Vec<_>>();
    assert_eq!(ids(&out), ids(&twice));
    assert_eq!(out.failures().len(), 1);
    assert_eq!(router.report()["keyless"], 2);
}

#[test]
fn what_the_silence_since_brings_is_told_when_the_rebuild_is_over() {
    let mut stage = analyzer(config());
    // Read again long after: whatever is told meanwhile is discarded.
    handle(&mut stage, &routed(&intrusion()), at(1e4), true);
    let mut out = Output::default();
    stage.tick(at(1e4), &mut out);
    let closed: Vec<_> = of_chain(&out, CHAIN).iter().map(|a| a.status).collect();
    // First how it stood: which revisions the former owner told is not known.
    assert_eq!(closed, [Status::Opened, Status::Closed]);
}

#[test]
fn what_a_former_owner_told_in_a_silence_is_withdrawn_without_its_snapshot() {
    let few = book("event_count", 1, 60, "  condition: {lte: 1}");
    let owner = || Analyzer::new(Arc::new(config()), few.clone(), Shard(0));
    let of = |name, stored| -> Vec<Delivery> {
        let event = scored(name, "p0", Level::High, 10.0).user("ann");
        routed(&[event]).into_iter().map(|one| Delivery { stored: at(stored), ..one }).collect()
    };
    let (before, after) = (of("a", 10.0), of("b", 60.0));
    let mut former = owner();
    handle(&mut former, &before, at(10.0), false);
    let mut told = Output::default();
    former.tick(at(50.0), &mut told);
    let [opened] = of_chain(&told, "tested").try_into().unwrap();
    assert_eq!((opened.status, opened.count), (Status::Opened, 1));
    // Nobody held the shard when the event came that tells otherwise.
    let mut next = owner();
    handle(&mut next, &before, at(100.0), true);
    let found = of_chain(&handle(&mut next, &after, at(100.0), false), "tested");
    let last = found.iter().rfind(|a| a.incident == opened.incident).unwrap();
    assert_eq!(last.status, Status::Closed);
    let words = &last.reasoning;
    assert!(words.iter().any(|line| line.starts_with("Withdrawn")), "{words:?}");
    assert_eq!(found[0].id, opened.id, "what was told is told under the same id");
}

#[test]
fn what_counts_for_another_key_is_sent_to_its_owner_once() {
    let address = |event: Scored| event.naming(Class::Client, "203.0.113.9", Trust::Observed);
    let both = address(scored("both", "api-watch", Level::Low, 0.0).user("ann"));
    let alone = address(scored("alone", "api-watch", Level::Low, 1.0));
    let batch = routed(&[both, alone]);
    let mut stage = analyzer(config());
    let out = handle(&mut stage, &batch, at(1.0), false);
    let keyed = |publish: &&Publish| matches!(publish.subject, Subject::Keyed(..));
    let sent: Vec<&Publish> = out.published().iter().filter(keyed).collect();
    assert_eq!(sent.len(), 1);
    let message: Keyed = read(sent[0]);
    assert_eq!((message.class, message.key.as_str()), (Class::User, "ann"));
    assert_eq!(sent[0].subject, Subject::Keyed(Class::User, Shard(0)));
    // It is taken where it comes in, and a second delivery sends the same message.
    let back = delivery(&sent[0].subject, sent[0].payload.to_vec(), at(1.0));
    assert!(handle(&mut stage, &[back], at(2.0), false).failures().is_empty());
    let again = handle(&mut stage, &batch[batch.len() - 1..], at(2.0), false);
    assert_eq!(again.published().iter().find(keyed).map(|p| p.id), Some(sent[0].id));
    assert_eq!(stage.report()["joins"]["events"], 2);
}

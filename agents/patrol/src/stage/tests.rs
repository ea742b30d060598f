//! Deliveries in, messages out.

use super::*;
use magsentinel_bus_schema::{Fields, Kind, Source, Tenant, Timestamp, Trust, decode, encode};
use serde_json::json;

const NOW: i64 = 1_767_700_000_000_000;

fn event(kind: Kind, n: u64, body: Value) -> Event {
    let ts = Timestamp::from_micros(NOW - 3_600_000_000 + i64::try_from(n).unwrap() * 1_000_000);
    Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["test", &n.to_string()]),
        tenant: Tenant::default(),
        kind,
        ts,
        received: ts,
        ts_missing: false,
        replayed: n % 2 == 1,
        source: Source { trust: Trust::Observed, ..Source::default() },
        causes: Vec::new(),
        trace: None,
        body: Fields(body.as_object().cloned().unwrap_or_default()),
    }
}

fn delivery(seq: u64, event: &Event) -> Delivery {
    raw(seq, event.kind, encode(event).unwrap())
}

fn raw(seq: u64, kind: Kind, payload: Vec<u8>) -> Delivery {
    Delivery {
        subject: format!("mag.default.event.{kind}.3"),
        seq,
        stored: Timestamp::from_micros(NOW),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: Some("00-trace".to_owned()),
        payload: payload.into(),
    }
}

fn handle(stage: &mut dyn Stage, deliveries: &[Delivery]) -> Output {
    let now = Timestamp::from_micros(NOW);
    let mut out = Output::default();
    stage.handle(&Batch { shard: None, deliveries, now, rebuilding: false }, &mut out);
    out
}

fn guard(config: &patrols::Config) -> Box<dyn Stage> {
    let entry = patrols::find("sql-guard").unwrap();
    let all = consumers(
        entry,
        config,
        &inference::Config::default(),
        &magsentinel_pattern::Config::default(),
        64,
    )
    .unwrap();
    let [pool] = all.pools.as_slice() else { panic!("one pool") };
    assert_eq!((pool.filters)(&Tenant::default()), ["mag.default.event.sql.*"]);
    (pool.make)().unwrap()
}

fn flow() -> Box<dyn Stage> {
    let config = patrols::Config::default();
    let entry = patrols::find("data-flow").unwrap();
    let all = consumers(
        entry,
        &config,
        &inference::Config::default(),
        &magsentinel_pattern::Config::default(),
        64,
    )
    .unwrap();
    let [flow] = all.sharded.as_slice() else { panic!("one key class") };
    let filters = (flow.filters)(&Tenant::default(), magsentinel_bus_schema::Shard(7));
    assert_eq!(filters, ["mag.default.event.data.7"]);
    (flow.make)(magsentinel_bus_schema::Shard(7)).unwrap()
}

fn scored(message: &Publish) -> Scored {
    decode(&message.payload, None, Limits::default()).unwrap()
}

#[test]
fn ordinary_events_share_a_receipt_and_findings_stand_alone() {
    let mut stage = guard(&patrols::Config::default());
    let mut events: Vec<Event> = (0..130)
        .map(|n| event(Kind::Sql, n, json!({"text": format!("SELECT a FROM t WHERE id = {n}")})))
        .collect();
    let attack = json!({"text": "1' UNION SELECT NULL,NULL,NULL-- -", "client": "203.0.113.9",
                        "user": "app", "label": 1});
    events[99] = event(Kind::Sql, 99, attack);
    let deliveries: Vec<_> = events.iter().zip(500..).map(|(e, seq)| delivery(seq, e)).collect();
    let out = handle(stage.as_mut(), &deliveries);
    let [found, receipt] = out.published() else { panic!("{}", out.published().len()) };
    assert!(out.failures().is_empty());

    let told = scored(found);
    assert_eq!((told.event, told.seq, told.replayed), (events[99].id, 599, true));
    assert_eq!(found.subject, Subject::Scored(told.patrol.clone(), told.level));
    assert_eq!(found.trace.as_deref(), Some("00-trace"));
    assert!(told.level >= Level::High && told.category.as_str() == "union_injection");
    assert_eq!(told.excerpt, "1' UNION SELECT NULL,NULL,NULL-- -");
    assert!(told.entities.iter().any(|e| e.value == "203.0.113.9" && e.trust == Trust::Observed));
    assert_eq!((told.model.len(), told.patterns.len()), (16, 16));

    let read: Receipt = decode(&receipt.payload, None, Limits::default()).unwrap();
    assert_eq!(
        (read.events.len(), read.seqs.first(), read.seqs.last()),
        (129, Some(&500), Some(&629))
    );
    assert!(!read.seqs.contains(&599));
    let again = handle(stage.as_mut(), &deliveries);
    assert_eq!(again.published()[0].id, found.id);
    assert_eq!(again.published()[1].id, receipt.id);
}

#[test]
fn what_is_no_event_of_the_kind_is_poison_and_the_rest_is_scored() {
    let mut stage = guard(&patrols::Config::default());
    let good = event(Kind::Sql, 1, json!({"text": "select 1"}));
    let mut stranger = delivery(2, &good);
    stranger.subject = "mag.other.event.sql.3".to_owned();
    let newer = encode(&Event { v: 99, ..good.clone() }).unwrap();
    let deliveries = [
        delivery(1, &good),
        stranger,
        raw(3, Kind::Sql, b"\xc1\xff".to_vec()),
        raw(4, Kind::Sql, newer),
        delivery(5, &event(Kind::Api, 5, json!({"path": "/"}))),
        delivery(6, &event(Kind::Sql, 6, json!({"user": "x"}))),
        delivery(7, &event(Kind::Sql, 7, json!({"text": ["select"]}))),
        raw(8, Kind::Sql, Vec::new()),
        delivery(9, &event(Kind::Sql, 9, json!({"text": ""}))),
    ];
    let out = handle(stage.as_mut(), &deliveries);
    let reasons: Vec<(usize, String)> = out
        .failures()
        .iter()
        .map(|f| match &f.why {
            Failed::Poison(why) => (f.index, why.clone()),
            Failed::Transient(why) => panic!("{why}"),
        })
        .collect();
    let mut indexes: Vec<_> = reasons.iter().map(|(index, _)| *index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7]);
    let of = |index| &reasons.iter().find(|(at, _)| *at == index).unwrap().1;
    assert!(of(1).contains("tenant") && of(3).contains("version 99"), "{reasons:?}");
    assert!(of(4).contains("kind api") && of(5).contains("no text"), "{reasons:?}");
    let receipt: Receipt = decode(&out.published()[0].payload, None, Limits::default()).unwrap();
    assert_eq!(receipt.seqs, [1, 9]);
}

#[test]
fn full_publication_tells_every_event() {
    let mut config = patrols::Config::default();
    config.sql_guard.publish_none = PublishNone::Full;
    let mut stage = guard(&config);
    let calm = event(Kind::Sql, 1, json!({"text": "SELECT a FROM t WHERE id = 3"}));
    let out = handle(stage.as_mut(), &[delivery(1, &calm)]);
    let [one] = out.published() else { panic!() };
    let told = scored(one);
    assert_eq!((told.level, told.category.as_str()), (Level::None, "none"));
    assert_eq!(one.subject, Subject::Scored(told.patrol, Level::None));
}

#[test]
fn a_huge_text_is_cut_and_the_finding_says_so() {
    let mut stage = guard(&patrols::Config::default());
    let text = format!("1' UNION SELECT NULL,NULL,NULL {}", "x".repeat(200_000));
    let out = handle(stage.as_mut(), &[delivery(1, &event(Kind::Sql, 1, json!({"text": text})))]);
    let told = scored(&out.published()[0]);
    assert!(told.reasons.iter().any(|r| r.contains("200031 bytes")), "{:?}", told.reasons);
    assert!(told.reasons.iter().any(|r| r.contains("65536")), "{:?}", told.reasons);
    assert_eq!(told.excerpt.chars().count(), 256);
}

fn access(n: u64, action: &str, rows: u64) -> Event {
    let body = json!({"user": "app", "action": action, "resource": "customers", "rows": rows});
    event(Kind::Data, n, body)
}

#[test]
fn state_is_rebuilt_from_the_stream_and_a_redelivery_is_not_learnt_twice() {
    let past: Vec<_> = (1..=60).map(|n| delivery(n, &access(n, "select", 1 + n % 9))).collect();
    let theft = delivery(61, &access(61, "copy_to", 90_000));
    let one = std::slice::from_ref(&theft);

    let mut owner = flow();
    handle(owner.as_mut(), &past);
    let first = handle(owner.as_mut(), one);
    let told = scored(&first.published()[0]);
    assert_eq!(told.level, Level::High, "{:?}", told.reasons);

    let mut heir = flow();
    let now = Timestamp::from_micros(NOW);
    let mut silent = Output::default();
    let batch = Batch { shard: None, deliveries: &past, now, rebuilding: true };
    heir.handle(&batch, &mut silent);
    assert!(silent.published().is_empty());
    assert_eq!(scored(&handle(heir.as_mut(), one).published()[0]), told);

    let again = handle(owner.as_mut(), one);
    assert_eq!(again.published()[0].id, first.published()[0].id);
    let next = delivery(62, &access(62, "copy_to", 90_000));
    let after =
        |stage: &mut dyn Stage| handle(stage, std::slice::from_ref(&next)).published()[0].clone();
    assert_eq!(scored(&after(owner.as_mut())), scored(&after(heir.as_mut())));
}

#[test]
fn absurd_times_do_no_harm() {
    let mut stage = flow();
    let past: Vec<_> = (1..=60).map(|n| delivery(n, &access(n, "select", 1 + n % 9))).collect();
    handle(stage.as_mut(), &past);
    for (seq, micros) in [(61, i64::MAX), (62, i64::MIN), (63, 0)] {
        let mut event = access(seq, "copy_to", 90_000);
        event.ts = Timestamp::from_micros(micros);
        let out = handle(stage.as_mut(), &[delivery(seq, &event)]);
        let told = scored(&out.published()[0]);
        assert!(told.level.is_flagged(), "{:?}", told.reasons);
        let said = told.reasons.iter().any(|r| r.contains("future"));
        assert_eq!(said, micros == i64::MAX);
    }
    let report = stage.report();
    assert_eq!((&report["state"]["keys"], &report["flagged"]), (&json!(1), &json!(3)));
}

/// Takes what was stored `age` before now.
fn handle_old(stage: &mut dyn Stage, age: Duration, deliveries: &[Delivery]) -> Output {
    let stored = Timestamp::from_micros(NOW).minus(age);
    let old: Vec<_> = deliveries.iter().map(|d| Delivery { stored, ..d.clone() }).collect();
    handle(stage, &old)
}

#[test]
fn what_is_scored_too_late_is_marked_and_told_to_the_shell() {
    let mut stage = guard(&patrols::Config::default());
    let attack = json!({"text": "1' UNION SELECT NULL,NULL,NULL-- -", "user": "app"});
    let calm = json!({"text": "SELECT a FROM t WHERE id = 3"});
    // Even numbers are live, odd ones played back.
    let bodies = [attack.clone(), attack, calm.clone(), calm];
    let events = (0..).zip(bodies).map(|(n, body)| event(Kind::Sql, n, body));
    let all: Vec<_> = events.map(|e| delivery(10 + u64::from(e.replayed), &e)).collect();

    let bound = Duration::from_secs(30);
    let in_time = handle_old(stage.as_mut(), bound, &all);
    assert_eq!((in_time.published().len(), in_time.lates()), (3, [].as_slice()));
    assert!(!scored(&in_time.published()[0]).backfilled);

    let late = handle_old(stage.as_mut(), bound + Duration::from_micros(1), &all);
    assert_eq!(late.lates(), [0, 2]);
    let [live, played, seen, missed] = late.published() else { panic!("{late:?}") };
    let (live, played) = (scored(live), scored(played));
    assert_eq!((live.replayed, live.backfilled), (true, true));
    // A recording is of the past anyway: nobody was blind to it.
    assert_eq!((played.replayed, played.backfilled), (true, false));
    assert_eq!(live.id, scored(&in_time.published()[0]).id);
    let receipts =
        [seen, missed].map(|p| -> Receipt { decode(&p.payload, None, Limits::default()).unwrap() });
    assert_eq!(receipts.map(|r| (r.backfilled, r.seqs)), [(false, vec![11]), (true, vec![10])]);
}

#[test]
fn a_fact_says_that_its_event_was_seen_too_late_and_so_does_what_is_found_by_it() {
    let entry = patrols::find("auth-sentry").unwrap();
    let config = patrols::Config::default();
    let all = consumers(
        entry,
        &config,
        &inference::Config::default(),
        &magsentinel_pattern::Config::default(),
        64,
    )
    .unwrap();
    let [address, user] = all.sharded.as_slice() else { panic!("two key classes") };
    let shard = magsentinel_bus_schema::Shard(0);
    let (mut address, mut user) = ((address.make)(shard).unwrap(), (user.make)(shard).unwrap());
    let body = json!({"service": "sshd", "event": "failed_password", "user": "root",
                      "src_ip": "203.0.113.8"});
    let events: Vec<_> =
        (0..40).map(|n| delivery(1 + n, &event(Kind::Auth, 2 * n, body.clone()))).collect();
    let out = handle_old(address.as_mut(), Duration::from_secs(60), &events);
    let facts: Vec<&Publish> =
        out.published().iter().filter(|p| matches!(p.subject, Subject::Fact(..))).collect();
    assert_eq!((facts.len(), out.lates().len()), (40, 40));
    let as_stored = |(seq, fact): (u64, &&Publish)| Delivery {
        subject: fact.subject.of(&Tenant::default()),
        payload: fact.payload.clone(),
        ..delivery(seq, &event(Kind::Auth, 0, body.clone()))
    };
    let facts: Vec<_> = (100..).zip(&facts).map(as_stored).collect();
    let told = handle(user.as_mut(), &facts);
    assert!(!told.published().is_empty(), "nothing was found");
    assert!(told.published().iter().all(|p| scored(p).backfilled));
    // The owner of the event's shard has told of the gap.
    assert!(told.lates().is_empty());
}

use super::*;
use bytes::Bytes;
use magsentinel_bus_schema::{Shard, Timestamp, Trust, decode, encode};
use serde_json::json;

fn delivery(subject: &str, payload: impl Into<Bytes>) -> Delivery {
    Delivery {
        subject: subject.to_owned(),
        seq: 9,
        stored: "2026-11-21T10:00:00Z".parse().unwrap(),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        payload: payload.into(),
    }
}

type Events = Vec<(Subject, Event)>;
type Failures = Vec<(Option<u64>, String)>;

fn handle(deliveries: &[Delivery]) -> (Events, Failures) {
    let mut out = Output::default();
    let now = "2026-11-21T11:00:00Z".parse().unwrap();
    let batch = Batch { shard: None, deliveries, now, rebuilding: false };
    Ingest::new(&Config::default()).handle(&batch, &mut out);
    let read = |p: &magsentinel_runtime::stage::Publish| {
        (p.subject.clone(), decode(&p.payload, None, Limits::default()).unwrap())
    };
    let why = |f: &magsentinel_runtime::stage::Failure| match &f.why {
        Failed::Poison(reason) | Failed::Transient(reason) => (f.element, reason.clone()),
    };
    (out.published().iter().map(read).collect(), out.failures().iter().map(why).collect())
}

#[test]
fn a_body_becomes_an_event_with_envelope_shard_and_trace() {
    let body = json!({"text": "SELECT 1", "kind": "query", "client": "203.0.113.9",
                      "ts": 1_795_255_100.5, "x": [1]});
    let sent = delivery("mag.acme.ingest.sql", body.to_string());
    let (events, failed) = handle(std::slice::from_ref(&sent));
    assert_eq!(failed, []);
    let (subject, event) = &events[0];
    assert_eq!(*subject, Subject::Event(Kind::Sql, Shard::of("203.0.113.9", 64)));
    assert_eq!(event.tenant.as_str(), "acme");
    assert_eq!(event.ts.to_string(), "2026-11-21T09:58:20.5Z");
    assert_eq!((event.received, event.ts_missing), (sent.stored, false));
    assert_eq!((event.source.sensor.as_str(), event.source.trust), ("ingest", Trust::Claimed));
    assert_eq!(event.trace, sent.trace);
    assert_eq!(Value::Object(event.body.0.clone()), body, "unknown fields are carried");
}

#[test]
fn messagepack_arrays_lines_and_pairs_are_taken_in() {
    let packed = encode(&json!([{"text": "a"}, {"text": "b"}])).unwrap();
    assert_eq!(handle(&[delivery("mag.default.ingest.sql", packed)]).0.len(), 2);
    let lines = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    assert_eq!(handle(&[delivery("mag.default.ingest.sql", lines)]).0.len(), 2);
    let pairs = "[[1795255100, {\"text\": \"a\"}]]";
    let (events, _) = handle(&[delivery("mag.default.ingest.sql", pairs)]);
    assert_eq!(events[0].1.ts.to_string(), "2026-11-21T09:58:20Z");
}

#[test]
fn ids_are_the_publishers_else_the_place_in_the_stream() {
    let of = |body: &str, ce_id: Option<&str>| {
        let sent = Delivery {
            ce_id: ce_id.map(str::to_owned),
            ..delivery("mag.default.ingest.sql", body.to_owned())
        };
        let again = Delivery { attempt: 2, ..sent.clone() };
        let ids = |d| handle(&[d]).0.into_iter().map(|(_, e)| e.id).collect::<Vec<_>>();
        assert_eq!(ids(sent.clone()), ids(again), "redelivery gives the same ids");
        ids(sent)
    };
    let given = "0192d5a0-7e8b-7cc1-9f5e-0123456789ab";
    assert_eq!(of(&format!("{{\"text\":\"a\",\"id\":\"{given}\"}}"), None)[0].to_string(), given);
    assert_eq!(of("{\"text\":\"a\"}", Some(given))[0].to_string(), given);
    assert_ne!(of("{\"text\":\"a\"}", None), of("{\"text\":\"a\"}", Some("order-7")));
    // A header cannot name two events.
    let two = of("[{\"text\":\"a\"},{\"text\":\"b\"}]", Some(given));
    assert!(two[0] != two[1] && two.iter().all(|id| id.to_string() != given));
}

#[test]
fn times_that_are_absent_or_too_far_ahead_are_receipt_and_marked() {
    for (ts, marked) in [
        (json!(null), true),
        (json!(""), true),
        (json!("2026-11-21T10:05:01Z"), true),
        (json!("9999-01-01"), true),
        (json!("2026-11-21T10:04:59Z"), false),
        (json!("2016-12-10 06:55:46"), false),
    ] {
        let body = json!({"text": "a", "ts": ts}).to_string();
        let (events, failed) = handle(&[delivery("mag.default.ingest.sql", body)]);
        assert_eq!(failed, [], "{ts}");
        let event = &events[0].1;
        assert_eq!((event.ts_missing, event.ts == event.received), (marked, marked), "{ts}");
    }
}

#[test]
fn bad_elements_are_rejected_one_by_one_with_their_reason() {
    let body = "[{\"text\":\"good\"}, 7, {}, {\"text\":5}, {\"text\":\"a\",\"ts\":\"soon\"}, \
                {\"text\":\"good\"}]";
    let (events, failed) = handle(&[delivery("mag.default.ingest.sql", body)]);
    assert_eq!(events.len(), 2);
    let named: Vec<_> = failed.iter().map(|(n, why)| (n.unwrap(), why.as_str())).collect();
    let reasons = ["expected an object", "no text", "expected a string", "not a time"];
    for ((n, why), (want, part)) in named.iter().zip((1_u64..).zip(reasons)) {
        assert!(*n == want && why.contains(part), "{n}: {why}");
    }
    assert_eq!(named.len(), 4);
}

#[test]
fn what_cannot_be_read_at_all_is_poison_and_the_next_message_is_taken() {
    let huge = vec![b'x'; 2 << 20];
    let bad: [(&str, Vec<u8>); 9] = [
        ("mag.default.ingest.sql", b"".to_vec()),
        ("mag.default.ingest.sql", b"{\"text\":\"a\"".to_vec()),
        ("mag.default.ingest.sql", huge),
        ("mag.default.ingest.sql", b"\xff\xfe\x00".to_vec()),
        ("mag.default.ingest.sql", b"[]".to_vec()),
        ("mag.default.ingest.sql", [encode(&json!({"text": "a"})).unwrap(), vec![1]].concat()),
        ("mag.default.ingest.wine", b"{\"text\":\"a\"}".to_vec()),
        ("mag.default.event.sql.1", b"{\"text\":\"a\"}".to_vec()),
        ("nonsense", b"{\"text\":\"a\"}".to_vec()),
    ];
    for (subject, payload) in bad {
        let good = delivery("mag.default.ingest.sql", "{\"text\":\"a\"}");
        let (events, failed) = handle(&[delivery(subject, payload.clone()), good]);
        assert_eq!((events.len(), failed.len()), (1, 1), "{subject} {failed:?}");
        assert!(failed[0].0.is_none() && !failed[0].1.is_empty());
    }
}

#[test]
fn the_bound_on_elements_rejects_only_those_beyond_it() {
    let config = Config {
        ingest: crate::config::IngestConfig { elements_max: 2, ..Default::default() },
        ..Config::default()
    };
    let mut stage = Ingest::new(&config);
    let sent = [delivery(
        "mag.default.ingest.sql",
        "[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"}]",
    )];
    let mut out = Output::default();
    let now = Timestamp::from_micros(0);
    stage.handle(&Batch { shard: None, deliveries: &sent, now, rebuilding: false }, &mut out);
    assert_eq!((out.published().len(), out.failures().len()), (2, 1));
    assert_eq!(stage.figures(), Report { accepted: 2, rejected: 1, ts_missing: 2, ts_ahead: 0 });
}

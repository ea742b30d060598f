//! What led to an effect is kept: bundles in a real object store, fetched and checked by hand and
//! by the program, damaged, and made by whoever comes after a responder that was killed.

use magsentinel_bus_schema::{
    Action, Assessment, Class, Effect, Entity, Event, Fields, Id, Kind, Level, Outcome,
    OutcomeStatus, Preserved, Response, SCHEMA_VERSION, Scored, Shard, Source, Status, Stream,
    Subject, Tenant, Timestamp, Trust, decision::Evidence, entity::shard_key,
};
use magsentinel_responder::evidence::{
    self,
    archive::{self, Part},
};
use magsentinel_runtime::{bus::Bus, clock, stage::Publish};
use magsentinel_tests::{
    Mesh,
    responses::{action, ask, block, outcome, outcomes},
    wait_for,
};
use serde_json::{Value, json};
use std::time::Duration;

const KEEPING: &[&str] = &[
    "--set",
    "responder.policy.mode=enforce",
    "--set",
    "responder.decisions.enabled=true",
    "--set",
    "responder.evidence.after=1s",
    "--set",
    "responder.evidence.events_max=40",
    "--set",
    "responder.ack_wait=3s",
];

/// An event of a client, `n`-th.
fn event(client: &str, n: usize, ts: Timestamp) -> Event {
    let body = json!({"client": client, "path": format!("/?id={n} UNION SELECT"), "status": 200});
    Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["event", client, &n.to_string()]),
        tenant: Tenant::default(),
        kind: Kind::Api,
        ts,
        received: ts,
        ts_missing: false,
        replayed: false,
        source: Source {
            sensor: "access".to_owned(),
            name: format!("/var/log/{client}.log"),
            trust: Trust::Observed,
        },
        causes: vec![],
        trace: None,
        body: Fields(body.as_object().unwrap().clone()),
    }
}

fn scored(event: &Event, seq: u64) -> Scored {
    let client = event.body["client"].as_str().unwrap().to_owned();
    Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["scored", &event.id.to_string()]),
        event: event.id,
        seq,
        tenant: Tenant::default(),
        kind: event.kind,
        ts: event.ts,
        replayed: false,
        backfilled: false,
        patrol: "api-watch".parse().unwrap(),
        by_key: None,
        source: None,
        level: Level::High,
        score: 0.95,
        confidence: 0.9,
        category: "union_injection".parse().unwrap(),
        techniques: vec!["T1190".to_owned()],
        reasons: vec![],
        entities: vec![Entity { class: Class::Client, value: client, trust: Trust::Observed }],
        excerpt: String::new(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    }
}

fn assessment(of: &Action, key: &str, cited: &[Scored]) -> Assessment {
    let evidence = cited.iter().map(|scored| Evidence {
        event: scored.event,
        scored: scored.id,
        ts: scored.ts,
        kind: scored.kind,
        patrol: scored.patrol.clone(),
        level: scored.level,
        score: scored.score,
        category: scored.category.clone(),
        techniques: vec![],
        reasons: vec![],
        entities: scored.entities.clone(),
        excerpt: String::new(),
    });
    Assessment {
        v: SCHEMA_VERSION,
        id: of.assessment,
        incident: of.incident,
        revision: 1,
        tenant: Tenant::default(),
        chain: "injection".parse().unwrap(),
        class: Class::Client,
        key: key.to_owned(),
        status: Status::Opened,
        level: Level::Critical,
        confidence: 0.9,
        attack_type: "injection".parse().unwrap(),
        response: Response::Block,
        escalate: true,
        replayed: false,
        backfilled: false,
        first: cited[0].ts,
        last: cited[cited.len() - 1].ts,
        reasoning: vec![],
        techniques: vec![],
        affected: vec![],
        plan: vec![],
        evidence: evidence.collect(),
        count: cited.len() as u64,
        suppressed: vec![],
        members: String::new(),
        tactics: vec![],
        rated: None,
    }
}

/// What the mesh stores before an action is asked for: `around` events of a client of which the
/// last `cited` are found and cited. The action and the cited events.
async fn attacked(bus: &Bus, client: &str, around: usize, cited: usize) -> (Action, Vec<Event>) {
    let now = clock::now();
    let all: Vec<Event> = (0..around + cited)
        .map(|n| event(client, n, now.minus(Duration::from_millis((around + cited - n) as u64))))
        .collect();
    let shard = Shard::of(&shard_key(Kind::Api, &all[0].body), 64);
    let subject = |_: &Event| Subject::Event(Kind::Api, shard);
    publish(bus, &all, subject, |event| event.id).await;
    let mut seqs = std::collections::HashMap::new();
    let show = |delivery: &magsentinel_runtime::stage::Delivery| {
        let read: Event = delivery.decode(bus.limits()).unwrap();
        seqs.insert(read.id, delivery.seq);
    };
    let filter = Subject::Event(Kind::Api, shard).of(bus.tenant());
    bus.read_all(Stream::Events, vec![filter], show).await.unwrap();
    let found: Vec<Scored> =
        all[around..].iter().map(|event| scored(event, seqs[&event.id])).collect();
    let level = |one: &Scored| Subject::Scored(one.patrol.clone(), one.level);
    publish(bus, &found, level, |one| one.id).await;
    let mut asked = block(client, 600);
    asked.events = found.iter().map(|one| one.event).collect();
    let of = assessment(&asked, client, &found);
    publish(bus, &[of], |one| Subject::Assessment(one.level), |one| one.id).await;
    (asked, all[around..].to_vec())
}

async fn publish<T: magsentinel_bus_schema::Message>(
    bus: &Bus,
    all: &[T],
    subject: impl Fn(&T) -> Subject,
    id: impl Fn(&T) -> Id,
) {
    let message = |one: &T| Publish::new(subject(one), id(one), one).unwrap();
    bus.publish_all(&all.iter().map(message).collect::<Vec<_>>()).await.unwrap();
}

/// Waits for the bundle of an action.
async fn kept(bus: &Bus, of: Id) -> (Outcome, Preserved) {
    let told = outcome(bus, of, |o| o.evidence.is_some()).await;
    let preserved = told.evidence.clone().unwrap();
    (told, preserved)
}

/// The lines of a part.
fn lines(bytes: &[u8], part: &str) -> Vec<Value> {
    let all = std::str::from_utf8(bytes).unwrap().lines().skip(1);
    let all = all.map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["part"] == part).collect()
}

fn ids(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| line["message"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_followed_by_a_bundle_that_holds_what_it_cites_and_proves_itself() {
    let mut mesh = Mesh::new();
    mesh.start("responder", KEEPING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let (asked, cited) = attacked(&bus, "198.51.100.7", 100, 3).await;
    // Another client, whose events are none of the matter.
    attacked(&bus, "203.0.113.200", 5, 1).await;
    ask(&bus, std::slice::from_ref(&asked)).await;
    let applied = outcome(&bus, asked.id, |o| o.effect.verb() == asked.effect.verb()).await;
    assert_eq!((applied.status, &applied.evidence), (OutcomeStatus::Applied, &None));
    let (told, preserved) = kept(&bus, asked.id).await;
    assert!(told.ts > applied.ts, "the effect comes first");
    assert_eq!((told.effect, told.incident), (Effect::PreserveEvidence {}, asked.incident));
    assert!(
        told.detail.contains("3 cited events, 3 findings, 34 events around"),
        "{}",
        told.detail
    );
    assert!(told.detail.contains("66 left out"), "{}", told.detail);

    // By hand: the name is the hash, and the parts hold what they should.
    let bytes = evidence::fetch(&bus, &preserved).await.unwrap().unwrap();
    assert_eq!(preserved.object, archive::sha256(&bytes));
    assert_eq!((preserved.bytes, &preserved.sha256), (bytes.len() as u64, &preserved.object));
    let manifest = archive::check(&preserved.sha256, &bytes).unwrap();
    assert_eq!((manifest.action, manifest.missing.len()), (asked.id, 0));
    let parts: Vec<(Part, u64, u64)> =
        manifest.parts.iter().map(|sum| (sum.part, sum.lines, sum.cut)).collect();
    let want =
        [(Part::Decision, 3, 0), (Part::Cited, 3, 0), (Part::Window, 3, 0), (Part::Around, 34, 66)];
    assert_eq!(parts, want);
    let want: Vec<String> = cited.iter().map(|event| event.id.to_string()).collect();
    let found = lines(&bytes, "cited");
    assert_eq!(ids(&found), want);
    assert_eq!(found[0]["message"]["body"]["path"], cited[0].body["path"]);
    let want = [asked.assessment, asked.id, applied.id].map(|id| id.to_string());
    assert_eq!(ids(&lines(&bytes, "decision")), want);
    // The nearest of what is around, and nothing of the other client.
    let want: Vec<String> =
        (66..100).map(|n| event("198.51.100.7", n, told.ts).id.to_string()).collect();
    assert_eq!(ids(&lines(&bytes, "around")), want);

    // By the program.
    let file = mesh.dir().join("bundle.jsonl");
    let fetch = ["lease", "evidence", &asked.id.to_string()[..8], "--out"];
    let fetch = || mesh.output(&[&fetch[..], &[file.to_str().unwrap()]].concat());
    let out = fetch();
    assert!(out.status.success(), "{out:?}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);

    // Damaged, as whoever may write to the store could: nothing is written, and the code says so.
    std::fs::remove_file(&file).unwrap();
    let js = async_nats::jetstream::new(mesh.client().await);
    let store = js.get_object_store("mag-default-evidence").await.unwrap();
    let mut damaged = bytes.clone();
    let last = damaged.len() - 2;
    damaged[last] ^= 1;
    store.put(preserved.object.as_str(), &mut &damaged[..]).await.unwrap();
    let out = fetch();
    assert_eq!(out.status.code(), Some(65), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("damaged"), "{out:?}");
    assert!(!file.exists());
    // And where nothing but its name is left.
    let stream = js.get_stream("OBJ_mag-default-evidence").await.unwrap();
    stream.purge().filter("$O.mag-default-evidence.C.>").await.unwrap();
    let out = fetch();
    assert_eq!(out.status.code(), Some(65), "{out:?}");
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_effect_and_bundle_the_next_one_makes_it() {
    let mut mesh = Mesh::new();
    let late = [KEEPING, &["--set", "responder.evidence.after=8s"]].concat();
    let role = mesh.start("responder", &late);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let (asked, cited) = attacked(&bus, "198.51.100.8", 4, 2).await;
    ask(&bus, std::slice::from_ref(&asked)).await;
    outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Applied).await;
    mesh.signal(role, "KILL");
    mesh.wait(role);
    let told = outcomes(&bus, asked.id).await;
    assert!(told.iter().all(|o| o.evidence.is_none()), "killed too late: {told:?}");
    mesh.start("responder", KEEPING);
    let (_, preserved) = kept(&bus, asked.id).await;
    let bytes = evidence::fetch(&bus, &preserved).await.unwrap().unwrap();
    archive::check(&preserved.sha256, &bytes).unwrap();
    let want: Vec<String> = cited.iter().map(|event| event.id.to_string()).collect();
    assert_eq!(ids(&lines(&bytes, "cited")), want);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_alone_can_be_asked_for_and_what_cannot_be_kept_is_told() {
    let mut mesh = Mesh::new();
    let small = ["--set", "responder.evidence.store_bytes_max=1048576"];
    let settings = [KEEPING, &small, &["--set", "responder.max_deliver=2"]].concat();
    mesh.start("responder", &settings);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let (blocked, _) = attacked(&bus, "198.51.100.9", 4, 2).await;
    let effect = Effect::PreserveEvidence {};
    let asked = Action { ..action(effect, Class::Client, "198.51.100.9", 600) };
    let asked = Action { assessment: blocked.assessment, events: blocked.events, ..asked };
    ask(&bus, std::slice::from_ref(&asked)).await;
    let (told, preserved) = kept(&bus, asked.id).await;
    let bytes = evidence::fetch(&bus, &preserved).await.unwrap().unwrap();
    assert_eq!(lines(&bytes, "cited").len(), 2, "{}", told.detail);

    // A store that is full says so, for each that it does not take, and the block is there.
    let js = async_nats::jetstream::new(mesh.client().await);
    let store = js.get_object_store("mag-default-evidence").await.unwrap();
    let filler = vec![7_u8; 100_000];
    let mut n = 0;
    while store.put(format!("filler-{n}").as_str(), &mut &filler[..]).await.is_ok() {
        n += 1;
        assert!(n < 20, "the store has its limit");
    }
    let mut size = 100;
    while size < 100_000 {
        // Down to the last bytes: a bundle is small.
        n += 1;
        let put = store.put(format!("filler-{n}").as_str(), &mut &filler[..size]).await;
        size = if put.is_ok() { size } else { 100_000 };
    }
    let (full, _) = attacked(&bus, "198.51.100.10", 4, 2).await;
    ask(&bus, std::slice::from_ref(&full)).await;
    let given_up = |o: &Outcome| o.detail.contains("evidence is not kept: ");
    let failed = outcome(&bus, full.id, |o| given_up(o) && o.detail.contains("given up")).await;
    assert_eq!((failed.status, &failed.evidence), (OutcomeStatus::Failed, &None));
    let all = outcomes(&bus, full.id).await;
    let applied = all.iter().filter(|o| o.status == OutcomeStatus::Applied).count();
    assert_eq!(applied, 1, "{all:?}");
    let out = mesh.output(&["lease", "evidence", &full.id.to_string(), "--out", "/dev/null"]);
    assert_eq!(out.status.code(), Some(65), "{out:?}");
    wait_for("the status to say so", async || {
        let services = magsentinel_runtime::micro::ask_all(&bus, "STATS", None).await.ok()?;
        let parts = &services.first()?["endpoints"][0]["data"]["parts"];
        (parts["evidence"]["failed"].as_u64() >= Some(1)).then_some(())
    })
    .await;
}

use super::*;
use crate::{
    Content, Filter, Logbook,
    incident::tests::{at, life},
};
use bytes::Bytes;
use magsentinel_bus_schema::{
    CodecError, DeadLetter, Failure, Fields, Gap, GapState, Id, Lease, SCHEMA_VERSION, Shard,
    Subject, Tenant, Token, encode, encode_json,
};
use magsentinel_runtime::{settings::Span, stage::Delivery};
use rusqlite::Connection;
use std::path::Path;
use tempfile::TempDir;

pub(crate) fn config(folder: &Path) -> Config {
    let path = Some(folder.join("state").join("logbook.db"));
    Config { path, busy_timeout: Span::ms(1), ..Config::default() }
}

pub(crate) fn delivery(
    seq: u64,
    subject: &Subject,
    payload: Result<Vec<u8>, CodecError>,
) -> Delivery {
    Delivery {
        subject: subject.of(&Tenant::default()),
        seq,
        stored: at(100 + i64::try_from(seq).unwrap()),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: Bytes::from(payload.unwrap()),
    }
}

/// What the mesh would deliver of an incident.
pub(crate) fn deliveries_of(name: &str) -> Vec<Delivery> {
    let delivered = life(name).into_iter().zip(1..).map(|(content, seq)| {
        let (subject, payload) = match &content {
            Content::Assessment(m) => (Subject::Assessment(m.level), encode(m)),
            Content::Alert(m) => (Subject::Alert(m.level, m.attack_type.clone()), encode(m)),
            Content::Analysis(m) => (Subject::Analysis(m.attack_type.clone()), encode_json(m)),
            Content::Action(m) => (Subject::Action(m.effect.verb()), encode(m)),
            Content::Outcome(m) => (Subject::Outcome(m.effect.verb()), encode(m)),
            other => panic!("not of an incident: {other:?}"),
        };
        delivery(seq, &subject, payload)
    });
    delivered.collect()
}

pub(crate) fn handle(keeper: &mut Keeper, deliveries: &[Delivery]) -> Output {
    let mut out = Output::default();
    keeper.handle(&Batch { shard: None, deliveries, now: at(200), rebuilding: false }, &mut out);
    assert!(out.published().is_empty());
    out
}

fn open() -> (TempDir, Config, Keeper) {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let keeper = Keeper::open(&config).unwrap();
    (folder, config, keeper)
}

fn records(config: &Config) -> i64 {
    Logbook::open_configured(config).unwrap().verify().unwrap().records
}

#[test]
fn what_was_handled_is_on_disk_once_however_often_it_comes() {
    let (_folder, config, mut keeper) = open();
    let deliveries = deliveries_of("a");
    assert!(handle(&mut keeper, &deliveries).failures().is_empty());
    // Another connection sees it while the writer is open: it was committed.
    assert_eq!(records(&config), 7);
    handle(&mut keeper, &deliveries);
    let mut restarted = Keeper::open(&config).unwrap();
    handle(&mut restarted, &deliveries);
    assert_eq!(records(&config), 7);
    let (first, second) = (keeper.report(), restarted.report());
    assert_eq!((&first["kept"], &first["repeated"]), (&7.into(), &7.into()));
    assert_eq!((&second["kept"], &second["repeated"]), (&0.into(), &7.into()));
    assert_eq!(first["head"], second["head"]);
}

#[test]
fn a_kept_id_with_other_bytes_changes_nothing_and_is_counted() {
    let (_folder, config, mut keeper) = open();
    let mut deliveries = deliveries_of("a");
    deliveries[0].message_id = Some("m-1".to_owned());
    handle(&mut keeper, &deliveries[..1]);
    let other = &deliveries_of("b")[0];
    let forged = Delivery { message_id: Some("m-1".to_owned()), ..other.clone() };
    assert!(handle(&mut keeper, &[forged]).failures().is_empty());
    assert_eq!(keeper.report()["differing"], 1);
    let listed = Logbook::open_configured(&config).unwrap().incidents(&Filter::default()).unwrap();
    assert_eq!(listed.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["key of a"]);
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_the_rest_is_kept() {
    let (_folder, config, mut keeper) = open();
    let good = deliveries_of("a");
    let mut batch = good.clone();
    let cut = Bytes::copy_from_slice(&good[0].payload[..good[0].payload.len() / 2]);
    batch.insert(1, Delivery { payload: cut, ..good[0].clone() });
    let lease = Subject::Lease(Token::sanitised("analyzer"), Shard(1));
    batch.insert(3, delivery(9, &lease, Ok(vec![0x80])));
    let mut foreign = good[2].clone();
    foreign.subject = foreign.subject.replace("default", "other");
    batch.push(foreign);
    let out = handle(&mut keeper, &batch);
    let failed: Vec<_> = out.failures().iter().map(|f| f.index).collect();
    assert_eq!(failed, [1, 3, 9]);
    assert!(out.failures().iter().all(|f| matches!(f.why, Failed::Poison(_))), "{out:?}");
    assert_eq!(records(&config), 7);
}

#[test]
fn while_another_writes_messages_wait_and_are_kept_later() {
    let (_folder, config, mut keeper) = open();
    let other = Connection::open(config.file().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let out = handle(&mut keeper, &deliveries_of("a"));
    assert_eq!(out.failures().len(), 7);
    let busy = |why: &Failed| matches!(why, Failed::Transient(why) if why.contains("busy"));
    assert!(out.failures().iter().all(|f| busy(&f.why)), "{out:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(handle(&mut keeper, &deliveries_of("a")).failures().is_empty());
    assert_eq!(records(&config), 7);
}

#[test]
fn a_full_file_keeps_what_it_has_and_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let small = Config { bytes_max: 1024 * 1024, ..config(folder.path()) };
    let mut keeper = Keeper::open(&small).unwrap();
    let mut kept = 0;
    let full = (0..100).find_map(|n| {
        let mut batch = deliveries_of(&n.to_string());
        // Analyses hold a long text.
        batch.truncate(1);
        batch[0].content_type = Some(format!("application/msgpack;{}", "x".repeat(60_000)));
        let out = handle(&mut keeper, &batch);
        kept += i64::from(out.failures().is_empty());
        out.failures().first().map(|f| f.why.clone())
    });
    let Some(Failed::Transient(why)) = full else { panic!("never full: {full:?}") };
    assert!(why.contains("the logbook is full") && why.contains("bytes_max"), "{why}");
    assert!(kept > 5);
    assert_eq!(records(&small), kept);
    // With more room it goes on where it stopped.
    let mut roomy = Keeper::open(&config(folder.path())).unwrap();
    assert!(handle(&mut roomy, &deliveries_of("later")).failures().is_empty());
    assert_eq!(records(&small), kept + 7);
}

#[test]
fn gaps_patterns_and_dead_letters_are_kept_beside_by_a_second_writer() {
    let (_folder, config, mut decisions) = open();
    let mut dead_letters = Keeper::open(&config).unwrap();
    let token = Token::sanitised("sql-guard");
    let gap = Gap {
        v: SCHEMA_VERSION,
        id: Id::derived(&["gap"]),
        tenant: Tenant::default(),
        patrol: token.clone(),
        kind: None,
        from_seq: 1,
        to_seq: 9,
        count: 9,
        reason: "retention".into(),
        noticed: at(1),
        state: GapState::Lost,
        from: None,
        to: None,
        scored_after: 0,
    };
    let letter = DeadLetter {
        v: SCHEMA_VERSION,
        id: Id::derived(&["letter"]),
        tenant: Tenant::default(),
        stream: "MAG-default-EVENTS".into(),
        seq: 7,
        subject: "mag.default.event.sql.1".into(),
        consumer: "sql-guard".into(),
        element: None,
        failure: Failure::Poison,
        reason: "cut".into(),
        ts: at(1),
        payload_len: 0,
        payload: String::new(),
    };
    let pattern = Fields(serde_json::Map::from_iter([("rule".to_owned(), "union".into())]));
    let pattern_subject = Subject::Pattern(token.clone(), Token::sanitised("shadow"));
    for round in 0..3 {
        let batch = [
            delivery(1, &Subject::Gap(token.clone()), encode(&gap)),
            delivery(2, &pattern_subject, encode(&pattern)),
        ];
        assert!(handle(&mut decisions, &batch).failures().is_empty(), "{round}");
        let batch = [delivery(1, &Subject::DeadLetter(token.clone()), encode(&letter))];
        assert!(handle(&mut dead_letters, &batch).failures().is_empty(), "{round}");
    }
    assert_eq!(records(&config), 3);
    let newer = Fields(serde_json::Map::from_iter([("v".to_owned(), 2.into())]));
    let out = handle(&mut decisions, &[delivery(3, &pattern_subject, encode(&newer))]);
    assert!(matches!(&out.failures()[0].why, Failed::Poison(why) if why.contains("newer")));
    let lease = Lease {
        v: SCHEMA_VERSION,
        service: token.clone(),
        shard: Shard(1),
        owner: None,
        epoch: 1,
        ttl_ms: 1,
        position: 0,
        handled: 0,
        snapshot: None,
        marks: vec![],
    };
    let lease = delivery(4, &Subject::Lease(token, Shard(1)), encode(&lease));
    assert_eq!(handle(&mut decisions, &[lease]).failures().len(), 1);
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let path = config.file().unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text =
        b"this is a text of a hundred bytes and more, which is surely no database ".repeat(9);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(Keeper::open(&config), Err(Error::Foreign(_))));
    assert_eq!(std::fs::read(&path).unwrap(), text);
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    assert!(matches!(Keeper::open(&config), Err(Error::Foreign(_))));
    std::fs::remove_file(&path).unwrap();
    Keeper::open(&config).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(Keeper::open(&config), Err(Error::Newer { found: 2, .. })));
    assert!(matches!(Logbook::open_configured(&config), Err(Error::Newer { .. })));
}

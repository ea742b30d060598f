//! Tails and replays against real files, with a bus that fails in the middle.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod bus;
mod rotation;
mod series;

use bus::Bus;
use magsentinel_bus_schema::{Event, Kind, Tenant, Timestamp};
use magsentinel_runtime::settings::Span;
use magsentinel_sensor::{
    Board, Config, Format, From, Replay, Tail,
    publisher::{DRAIN, PATIENCE},
    replay::{self, pace::Speed, rows::Recording},
    tail,
};
use std::{fs, io::Write, path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;

fn config(dir: &Path, tails: Vec<Tail>) -> Config {
    Config {
        tails,
        state_dir: dir.join("state"),
        poll: Span::ms(2),
        rotate_wait: Span::ms(20),
        retry_min: Span::ms(1),
        retry_max: Span::ms(5),
        read_bytes_max: 4096,
        ..Config::default()
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Follows until so many messages are on the bus, then stops.
async fn follow(config: &Config, bus: &Arc<Bus>, board: &Board, until: usize) {
    follow_while(config, bus, board, bus.holds(until)).await;
}

/// Follows until something is done, then stops.
async fn follow_while(
    config: &Config,
    bus: &Arc<Bus>,
    board: &Board,
    doing: impl Future<Output = ()>,
) {
    let (stop, stopped) = watch::channel(false);
    let tenant = Tenant::default();
    let following = tail(config, &tenant, bus, board, stopped);
    let waiting = async {
        doing.await;
        stop.send(true).unwrap();
    };
    let (followed, ()) = tokio::join!(following, waiting);
    followed.unwrap();
}

fn request(n: usize) -> String {
    format!("203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] \"GET /item/{n} HTTP/1.1\" 200 1\n")
}

fn paths(bus: &Bus) -> Vec<String> {
    let path = |e: Event| e.body.get("path").and_then(|p| p.as_str()).unwrap_or("").to_owned();
    bus.events().into_iter().map(path).collect()
}

#[tokio::test]
async fn no_line_is_lost_or_told_twice_across_failures_restarts_and_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = Tail { from: From::Start, ..Tail::new(Format::Access, &path) };
    let config = config(dir.path(), vec![log]);
    let bus = Bus::failing(3);
    let board = Board::default();
    let mut next = 0;
    for round in 0..6 {
        for _ in 0..300 {
            append(&path, &request(next));
            next += 1;
        }
        if round % 2 == 1 {
            fs::rename(&path, dir.path().join(format!("access.log.{round}"))).unwrap();
            append(&path, &request(next));
            next += 1;
        }
        follow(&config, &bus, &board, next).await;
    }
    let want: Vec<_> = (0..next).map(|n| format!("/item/{n}")).collect();
    assert_eq!(paths(&bus), want);
    let status = board.read()[&path].clone();
    assert!(status.publish_failures > 0, "the bus did fail: {status:?}");
    assert_eq!((status.rejected, status.gaps), (0, 0), "{status:?}");
}

#[tokio::test]
async fn after_a_lost_position_the_same_lines_have_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    append(&path, &(0..50).map(request).collect::<String>());
    let log = Tail { from: From::Start, ..Tail::new(Format::Access, &path) };
    let config = config(dir.path(), vec![log]);
    let bus = Bus::failing(0);
    follow(&config, &bus, &Board::default(), 50).await;
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    append(&path, &request(50));
    follow(&config, &bus, &Board::default(), 51).await;
    assert_eq!(bus.len(), 51, "fifty were published twice, under the same ids");
    assert!(bus.stored.lock().unwrap().values().any(|(times, _)| *times == 2));
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_and_the_next_line_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let long = "x".repeat(5000);
    append(&path, &format!("{}nonsense\n{long}\n", request(1)));
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(
        b"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] \"GET /\xff HTTP/1.1\" 200 1\n\n",
    )
    .unwrap();
    let log = Tail { from: From::Start, ..Tail::new(Format::Access, &path) };
    let config = Config { line_bytes_max: 1024, ..config(dir.path(), vec![log]) };
    let (bus, board) = (Bus::failing(0), Board::default());
    follow(&config, &bus, &board, 4).await;
    assert_eq!(paths(&bus), ["/item/1", "/\u{fffd}"]);
    assert_eq!(bus.events()[1].body.get("non_utf8"), Some(&true.into()));
    let letters = bus.letters();
    let reasons: Vec<_> = letters.iter().map(|l| (l.payload_len, l.reason.as_str())).collect();
    assert!(reasons.iter().any(|(len, r)| *len == 9 && r.contains("combined")), "{reasons:?}");
    assert!(reasons.iter().any(|(len, r)| *len == 5001 && r.contains("line_bytes_max")));
    let status = board.read()[&path].clone();
    assert_eq!((status.events, status.rejected), (2, 2));
    assert_eq!(status.lines, 5);
    assert_eq!(status.skipped.get("empty"), Some(&1));
}

#[tokio::test]
async fn csvlog_records_with_newlines_arrive_whole_in_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("postgresql.csv");
    let record = |session: &str, sql: &str| {
        format!(
            "2026-11-21 10:00:00.250 UTC,\"shop\",\"store\",4711,\"10.0.0.5:55312\",{session},3,\
             \"SELECT\",2026-11-21 09:59:00 UTC,3/12,0,LOG,00000,\"statement: {sql}\",,,,,,,,,\
             \"web\",\"client backend\",,0\n"
        )
    };
    let stacked = record("a.1", "SELECT *\nFROM users;\nSELECT * FROM cards");
    append(&path, &format!("{stacked}{}", record("b.2", "SELECT 1")));
    let log = Tail { from: From::Start, ..Tail::new(Format::Postgres, &path) };
    let config = config(dir.path(), vec![log]);
    let bus = Bus::failing(0);
    follow(&config, &bus, &Board::default(), 4).await;
    let told: Vec<_> = bus
        .events()
        .iter()
        .map(|e| (e.kind, e.body.get("resource").and_then(|r| r.as_str()).map(str::to_owned)))
        .collect();
    let table = |t: &str| (Kind::Data, Some(t.to_owned()));
    assert_eq!(told, [(Kind::Sql, None), table("users"), table("cards"), (Kind::Sql, None)]);
}

fn recording(rows: &[(i64, &str)]) -> Recording {
    let rows: Vec<_> = rows
        .iter()
        .map(|(ts, text)| {
            format!("{{\"kind\":\"sql\",\"ts\":{ts},\"body\":{{\"text\":\"{text}\"}}}}")
        })
        .collect();
    Recording::Built { name: "shop".into(), bytes: rows.join("\n").into_bytes().into() }
}

fn play(speed: Speed, as_live: bool, run: &str) -> Replay {
    let rows = [(1000, "a"), (1060, "b"), (4600, "c")];
    Replay {
        recording: recording(&rows),
        kind: None,
        speed,
        as_live,
        run: run.into(),
        trust: Default::default(),
    }
}

async fn played(replay: &Replay, bus: &Arc<Bus>) -> replay::Progress {
    let (_stop, stopped) = watch::channel(false);
    let config = Config { retry_min: Span::ms(1), ..Config::default() };
    let tenant: Tenant = "replay".parse().unwrap();
    replay::replay(&config, &tenant, replay, bus, stopped, |_| ()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_times_and_distances_and_is_a_run_of_its_own() {
    let bus = Bus::failing(2);
    let begin = tokio::time::Instant::now();
    let told = played(&play(Speed::Times(60.0), false, "run-1"), &bus).await;
    let took = begin.elapsed();
    assert!((Duration::from_secs(60)..Duration::from_secs(61)).contains(&took), "{took:?}");
    assert_eq!((told.total, told.done, told.rejected, told.stopped), (3, 3, 0, false));
    let events = bus.events();
    let times: Vec<_> = events.iter().map(|e| e.ts.micros() / 1_000_000).collect();
    assert_eq!(times, [1000, 1060, 4600]);
    assert!(events.iter().all(|e| e.replayed && e.tenant.as_str() == "replay"));
    played(&play(Speed::Flat, false, "run-1"), &bus).await;
    assert_eq!(bus.len(), 3, "the same run has the same ids");
    played(&play(Speed::Flat, false, "run-2"), &bus).await;
    assert_eq!(bus.len(), 6, "another run has others");
}

#[tokio::test]
async fn a_scenario_played_as_live_happens_now() {
    let bus = Bus::failing(0);
    let before = magsentinel_runtime::clock::now();
    played(&play(Speed::Flat, true, "run-1"), &bus).await;
    let after = magsentinel_runtime::clock::now();
    let events = bus.events();
    let ts: Vec<Timestamp> = events.iter().map(|e| e.ts).collect();
    assert_eq!(ts[2].since(ts[0]), Duration::from_secs(3600));
    assert!((before..=after).contains(&ts[2]));
    assert!(events.iter().all(|e| !e.replayed && e.source.sensor == "scenario"));
}

#[tokio::test]
async fn bad_rows_of_a_recording_become_dead_letters() {
    let bus = Bus::failing(0);
    let bytes = b"{\"kind\":\"sql\",\"body\":{\"text\":\"a\"}}\nnonsense\n".to_vec();
    let recording = Recording::Built { name: "x".into(), bytes: bytes.into() };
    let told = played(&Replay { recording, ..play(Speed::Flat, false, "r") }, &bus).await;
    assert_eq!((told.done, told.rejected), (2, 1));
    assert_eq!((bus.events().len(), bus.letters()[0].seq), (1, 2));
    assert!(bus.events()[0].ts_missing);
}

#[tokio::test]
async fn a_message_that_the_server_never_takes_is_a_dead_letter_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let long = request(2).replace("/item/2", &format!("/{}", "x".repeat(3000)));
    append(&path, &format!("{}{long}{long}{}", request(1), request(4)));
    let log = Tail { from: From::Start, ..Tail::new(Format::Access, &path) };
    let config = config(dir.path(), vec![log]);
    let (bus, board) = (Bus::bounded(2000), Board::default());
    follow(&config, &bus, &board, 4).await;
    assert_eq!(paths(&bus), ["/item/1", "/item/4"]);
    let letters = bus.letters();
    // The letter would be over the limit too with what it speaks of.
    let told: Vec<_> = letters.iter().map(|l| (l.subject.as_str(), l.payload.as_str())).collect();
    assert_eq!(told, [(path.to_str().unwrap(), ""); 2]);
    assert!(letters.iter().all(|l| l.reason.contains("max_payload")), "{letters:?}");
    let status = board.read()[&path].clone();
    assert_eq!((status.events, status.rejected, status.lag_bytes), (2, 2, 0));
    // The position has moved on: only what is new is published.
    append(&path, &request(5));
    follow(&config, &bus, &board, 5).await;
    assert_eq!(paths(&bus), ["/item/1", "/item/4", "/item/5"]);
    assert_eq!(bus.most_often(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_seen_and_shutdown_ends_a_tail_and_a_replay_in_the_middle_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    append(&path, &request(1));
    let log = Tail { from: From::Start, ..Tail::new(Format::Access, &path) };
    let config = config(dir.path(), vec![log]);
    let (bus, board) = (Bus::away(), Board::default());
    let begin = tokio::time::Instant::now();
    let seen = async {
        while board.read().get(&path).is_none_or(|status| status.publish_failures < 2) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let trouble = board.read()[&path].trouble.clone().unwrap();
        assert!(trouble.contains("not confirmed"), "{trouble}");
    };
    follow_while(&config, &bus, &board, seen).await;
    let took = begin.elapsed();
    assert!(took < PATIENCE * 2 + DRAIN + Duration::from_secs(1), "{took:?}");

    let (stop, stopped) = watch::channel(false);
    let replay = play(Speed::Flat, false, "run-1");
    let tenant: Tenant = "replay".parse().unwrap();
    let playing = replay::replay(&config, &tenant, &replay, &bus, stopped, |told| {
        if told.publish_failures > 0 {
            stop.send_replace(true);
        }
    });
    let told = playing.await.unwrap();
    assert_eq!((told.total, told.done, told.stopped), (3, 0, true));
}

#[tokio::test]
async fn rows_that_the_server_never_takes_are_dead_letters_of_a_replay() {
    let bus = Bus::bounded(3000);
    let long = "x".repeat(4000);
    let recording = recording(&[(1000, "a"), (1001, &long), (1002, "c")]);
    let told = played(&Replay { recording, ..play(Speed::Flat, false, "r") }, &bus).await;
    assert_eq!((told.done, told.rejected, bus.events().len()), (3, 1, 2));
    assert_eq!(bus.letters()[0].seq, 2);
}

//! A log that goes on under new names, as PostgreSQL's does.

use super::{Bus, append, config, follow, follow_while};
use magsentinel_sensor::{Board, Config, Format, From, Tail};
use std::{fs, path::PathBuf, sync::Arc};

/// A folder of logs, and somebody who follows it.
struct Folder {
    dir: tempfile::TempDir,
    bus: Arc<Bus>,
    board: Board,
}

fn statement(name: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-11-21 10:00:00.250 UTC\",\"session_id\":\"a.1\",\
         \"error_severity\":\"LOG\",\"message\":\"statement: {name}\"}}\n"
    )
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        Self { dir, bus: Bus::failing(0), board: Board::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("log").join(name)
    }

    fn write(&self, file: &str, statements: &[&str]) {
        let text: String = statements.iter().map(|name| statement(name)).collect();
        append(&self.file(file), &text);
    }

    fn config(&self, tail: &str, from: From) -> Config {
        let path = self.dir.path().join(tail);
        config(self.dir.path(), vec![Tail { from, ..Tail::new(Format::Postgres, path) }])
    }

    fn told(&self) -> Vec<String> {
        let text = |body: &magsentinel_bus_schema::Fields| {
            body.get("text").and_then(|t| t.as_str()).unwrap_or_default().to_owned()
        };
        self.bus.events().iter().map(|event| text(&event.body)).collect()
    }

    /// Waits until the stored position of a file says that it was left.
    async fn is_left(&self, name: &str) {
        let says = |text: String| text.contains(name) && text.contains("\"left\":true");
        let stored = || fs::read_dir(self.dir.path().join("state")).unwrap().flatten();
        let left = || stored().any(|e| fs::read_to_string(e.path()).is_ok_and(says));
        let waiting = async {
            while !left() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.unwrap();
    }

    fn gaps(&self, tail: &str) -> u64 {
        self.board.read()[&self.dir.path().join(tail)].gaps
    }
}

#[tokio::test]
async fn a_new_name_is_followed_and_the_old_file_is_finished_first() {
    let log = Folder::new();
    let config = log.config("log", From::End);
    log.write("postgresql-2026-11-20.json", &["long ago"]);
    log.write("postgresql-2026-11-21.json", &["before"]);
    let first = async {
        // The folder was looked at: only what comes now counts.
        while log.board.read().values().all(|status| status.lines == 0) {
            log.write("postgresql-2026-11-21.json", &["a"]);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let so_far = log.bus.len();
        log.write("postgresql-2026-11-21.json", &["b"]);
        log.write("postgresql-2026-11-22.json", &["c", "d"]);
        append(&log.file("postgresql-2026-11-22.log"), "not of the series\n");
        log.bus.holds(so_far + 3).await;
        // A backend that still held the old file.
        log.write("postgresql-2026-11-21.json", &["straggler"]);
        log.bus.holds(so_far + 4).await;
        log.write("postgresql-2026-11-22.json", &["e"]);
        log.bus.holds(so_far + 5).await;
    };
    follow_while(&config, &log.bus, &log.board, first).await;
    let mut told = log.told();
    told.retain(|text| text != "a");
    assert_eq!(told, ["b", "c", "d", "straggler", "e"]);

    // Two more rotations while nobody looked.
    let so_far = log.bus.len();
    log.write("postgresql-2026-11-22.json", &["f"]);
    log.write("postgresql-2026-11-23.json", &["g"]);
    log.write("postgresql-2026-11-24.json", &["h"]);
    follow(&config, &log.bus, &log.board, so_far + 3).await;
    assert_eq!(log.told()[so_far..], ["f", "g", "h"]);
    assert_eq!(log.bus.most_often(), 1);
    assert_eq!(log.gaps("log"), 0);
    let first = log.bus.events().remove(0);
    assert!(first.source.name.ends_with("postgresql-2026-11-21.json"), "{:?}", first.source);
}

#[tokio::test]
async fn a_pattern_is_read_from_its_oldest_file_on_where_told_so() {
    let log = Folder::new();
    let config = log.config("log/postgresql-*.json", From::Start);
    log.write("postgresql-1.json", &["a"]);
    log.write("postgresql-2.json", &["b"]);
    log.write("other.json", &["x"]);
    log.write("postgresql-3.json", &["c"]);
    follow(&config, &log.bus, &log.board, 3).await;
    assert_eq!(log.told(), ["a", "b", "c"]);
    log.write("postgresql-3.json", &["d"]);
    follow(&config, &log.bus, &log.board, 4).await;
    assert_eq!(log.told(), ["a", "b", "c", "d"]);
    assert_eq!(log.bus.most_often(), 1);
}

#[tokio::test]
async fn a_name_that_comes_round_again_is_read_anew_and_is_no_gap() {
    let log = Folder::new();
    let config = log.config("log", From::Start);
    log.write("postgresql-Mon.json", &["monday", "long and more of it"]);
    let week = async {
        log.bus.holds(2).await;
        log.write("postgresql-Tue.json", &["tuesday"]);
        log.bus.holds(3).await;
        // Once Monday's was left, its name is taken again.
        log.is_left("postgresql-Mon.json").await;
        fs::write(log.file("postgresql-Mon.json"), statement("next monday")).unwrap();
        log.bus.holds(4).await;
        log.is_left("postgresql-Tue.json").await;
    };
    follow_while(&config, &log.bus, &log.board, week).await;
    // And once more while nobody looked, after a restart.
    fs::write(log.file("postgresql-Tue.json"), statement("next tuesday, and longer")).unwrap();
    follow(&config, &log.bus, &log.board, 5).await;
    let want =
        ["monday", "long and more of it", "tuesday", "next monday", "next tuesday, and longer"];
    assert_eq!(log.told(), want);
    assert_eq!(log.gaps("log"), 0);
}

#[tokio::test]
async fn files_that_are_all_gone_after_a_restart_are_a_gap() {
    let log = Folder::new();
    let config = log.config("log", From::End);
    log.write("a.json", &["before"]);
    let first = async {
        while log.board.read().values().all(|status| status.lines == 0) {
            log.write("a.json", &["a"]);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    follow_while(&config, &log.bus, &log.board, first).await;
    let so_far = log.bus.len();
    fs::remove_file(log.file("a.json")).unwrap();
    log.write("b.json", &["b"]);
    follow(&config, &log.bus, &log.board, so_far + 1).await;
    assert_eq!(log.told().last().map(String::as_str), Some("b"));
    assert_eq!(log.gaps("log"), 1);
}

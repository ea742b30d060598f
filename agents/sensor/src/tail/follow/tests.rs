use super::*;
use crate::{Format, lines::What};
use std::io::Write;

/// A log in a folder of its own, and somebody who follows it.
struct Log {
    _dir: tempfile::TempDir,
    path: PathBuf,
    config: Config,
    follower: Follower,
    stored: Option<Position>,
    now: Instant,
    warnings: Vec<String>,
    hints: Vec<String>,
}

impl Log {
    fn new(name: &str, from: From) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let config = Config { read_bytes_max: 4096, ..Config::default() };
        let tail = Tail { from, ..Tail::new(Format::Postgres, &path) };
        let follower = Follower::new(&config, &tail, None);
        let now = Instant::now();
        Self {
            _dir: dir,
            path,
            config,
            follower,
            stored: None,
            now,
            warnings: vec![],
            hints: vec![],
        }
    }

    fn write(&self, text: &str) {
        self.write_to(&self.path, text);
    }

    fn write_to(&self, path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn beside(&self, extension: &str) -> PathBuf {
        PathBuf::from(format!("{}{extension}", self.path.display()))
    }

    /// Everything that can be read by now; the position is stored.
    fn read(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let step = self.follower.step(self.now).unwrap();
            self.warnings.extend(step.warning);
            self.hints.extend(step.hint);
            for piece in step.pieces {
                let mark = if piece.what == What::Line { "" } else { "!" };
                found.push(format!("{mark}{}", String::from_utf8_lossy(&piece.bytes)));
            }
            self.stored = step.position.or(self.stored.take());
            if !step.more {
                return found;
            }
        }
    }

    /// The same after the wait for a file that was rotated away.
    fn read_later(&mut self) -> Vec<String> {
        let mut found = self.read();
        found.extend(self.read());
        self.now += self.config.rotate_wait.get();
        // A file is left by the look after the one that reached its end.
        for _ in 0..4 {
            found.extend(self.read());
        }
        found
    }

    fn restart(&mut self) {
        let tail = Tail::new(Format::Postgres, &self.path);
        self.follower = Follower::new(&self.config, &tail, self.stored.clone());
    }
}

#[test]
fn a_line_waits_for_its_newline() {
    let mut log = Log::new("a.json", From::Start);
    assert_eq!(log.read(), [] as [&str; 0], "the file is not there yet");
    log.write("first\nsec");
    assert_eq!(log.read(), ["first"]);
    log.write("ond");
    assert_eq!(log.read(), [] as [&str; 0]);
    log.write("\nthird\n");
    assert_eq!(log.read(), ["second", "third"]);
}

#[test]
fn from_the_end_only_new_lines_are_read_and_a_late_file_wholly() {
    let mut log = Log::new("a.json", From::End);
    log.write("old\nhalf");
    assert_eq!(log.read(), [] as [&str; 0]);
    log.write(" new\nnew\n");
    assert_eq!(log.read(), ["half new", "new"]);
    let mut late = Log::new("a.json", From::End);
    assert_eq!(late.read(), [] as [&str; 0]);
    late.write("first\n");
    assert_eq!(late.read(), ["first"]);
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_its_successor() {
    let mut log = Log::new("a.json", From::Start);
    log.write("1\n");
    assert_eq!(log.read(), ["1"]);
    log.write("2\n");
    fs::rename(&log.path, log.beside(".1")).unwrap();
    assert_eq!(log.read(), ["2"], "nothing stands at the path");
    log.write("4\n");
    let first = log.stored.clone().unwrap();
    assert_eq!(log.read(), [] as [&str; 0], "the writer may still hold the old file");
    log.write_to(&log.beside(".1"), "3\n");
    assert_eq!(log.read_later(), ["3", "4"]);
    let second = log.stored.clone().unwrap();
    assert_ne!(first.fingerprint, second.fingerprint);
    assert_eq!(log.warnings, [] as [&str; 0]);
}

#[test]
fn files_rotated_twice_between_two_looks_are_all_read_in_order() {
    let mut log = Log::new("a.json", From::Start);
    log.write("1\n");
    assert_eq!(log.read(), ["1"]);
    log.write("2\n");
    fs::rename(&log.path, log.beside(".2")).unwrap();
    let older = fs::metadata(log.beside(".2")).unwrap().modified().unwrap();
    log.write("3\n4\n");
    fs::rename(&log.path, log.beside(".1")).unwrap();
    let file = fs::File::options().append(true).open(log.beside(".1")).unwrap();
    file.set_modified(older + Duration::from_secs(1)).unwrap();
    log.write("5\n");
    assert_eq!(log.read_later(), ["2", "3", "4", "5"]);
}

#[test]
fn a_file_emptied_in_place_is_finished_from_its_copy() {
    let mut log = Log::new("a.json", From::Start);
    log.write("1\n2\n");
    assert_eq!(log.read(), ["1", "2"]);
    log.write("3\n");
    fs::copy(&log.path, log.beside(".1")).unwrap();
    fs::write(&log.path, "").unwrap();
    log.write("4\n");
    assert_eq!(log.read_later(), ["3", "4"]);
    assert_eq!(log.warnings, [] as [&str; 0]);
}

#[test]
fn a_file_emptied_without_a_copy_is_told_and_read_anew() {
    let mut log = Log::new("a.json", From::Start);
    log.write("same first line\nmore\nha");
    assert_eq!(log.read(), ["same first line", "more"]);
    let before = log.stored.clone().unwrap();
    fs::write(&log.path, "same first line\n").unwrap();
    assert_eq!(log.read(), ["!ha", "same first line"]);
    assert_eq!(log.warnings.len(), 1);
    let after = log.stored.clone().unwrap();
    assert_ne!(before.fingerprint, after.fingerprint, "ids must differ from the old lines'");
    // Emptied and grown beyond the old place between two looks: the beginning tells.
    fs::write(&log.path, "another first line, much longer than before\n").unwrap();
    assert_eq!(log.read(), ["another first line, much longer than before"]);
}

#[test]
fn a_restart_goes_on_where_it_stopped_wherever_the_file_went() {
    let mut log = Log::new("a.json", From::Start);
    log.write("1\n2\npart");
    assert_eq!(log.read(), ["1", "2"]);
    let fingerprint = log.stored.clone().unwrap().fingerprint;
    log.restart();
    log.write("ial\n3\n");
    assert_eq!(log.read(), ["partial", "3"]);
    assert_eq!(log.stored.clone().unwrap().fingerprint, fingerprint);

    // Renamed while nobody looked.
    log.write("4\n");
    fs::rename(&log.path, log.beside(".1")).unwrap();
    log.write("5\n");
    log.restart();
    assert_eq!(log.read_later(), ["4", "5"]);

    // Emptied while nobody looked, with a copy.
    log.write("6\n");
    fs::copy(&log.path, log.beside("-20261121")).unwrap();
    fs::write(&log.path, "7\n").unwrap();
    log.restart();
    assert_eq!(log.read_later(), ["6", "7"]);
    assert_eq!(log.warnings, [] as [&str; 0]);

    // Gone for good.
    fs::remove_file(log.beside("-20261121")).unwrap();
    fs::remove_file(&log.path).unwrap();
    log.write("8\n");
    log.restart();
    assert_eq!(log.read_later(), ["8"]);
    assert_eq!(log.warnings.len(), 1);
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_line_says_so_when_it_is_left() {
    let mut log = Log::new("a.json", From::Start);
    log.write("1\ncut");
    assert_eq!(log.read(), ["1"]);
    fs::rename(&log.path, log.beside(".1")).unwrap();
    log.write("2\n");
    assert_eq!(log.read_later(), ["!cut", "2"]);
}

#[test]
fn a_quiet_file_beside_which_another_grows_is_told_of_once() {
    let mut log = Log::new("postgresql-1.json", From::Start);
    log.write("1\n");
    assert_eq!(log.read(), ["1"]);
    let other = log.path.with_file_name("postgresql-2.json");
    log.write_to(&other, "2\n");
    log.write_to(&log.path.with_file_name("postgresql-2.log"), "2\n");
    log.now += BESIDE_EVERY;
    assert_eq!((log.read().len(), log.hints.len()), (0, 0), "both may be written in turn");
    let later = fs::metadata(&log.path).unwrap().modified().unwrap() + Duration::from_secs(90);
    fs::File::options().append(true).open(&other).unwrap().set_modified(later).unwrap();
    for _ in 0..3 {
        log.now += BESIDE_EVERY;
        assert_eq!(log.read(), [] as [&str; 0]);
    }
    assert_eq!(log.hints.len(), 1);
    assert!(log.hints[0].contains("postgresql-2.json"), "{:?}", log.hints);
}

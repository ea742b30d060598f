//! Every format over every way in which a log goes on elsewhere: no line lost, none sent twice.

use super::{Bus, append, config, follow, follow_while};
use magsentinel_bus_schema::{Event, Id};
use magsentinel_sensor::{Board, Config, Format, From, Tail};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A format: its file's name, its records, and which of them an event tells of.
struct Log {
    format: Format,
    name: &'static str,
    record: fn(usize) -> String,
    number: fn(&Event) -> Option<usize>,
}

fn text(event: &Event, field: &str) -> String {
    event.body.get(field).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
}

fn last_number(text: &str) -> Option<usize> {
    text.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

const LOGS: &[Log] = &[
    Log {
        format: Format::Postgres,
        name: "postgresql.json",
        record: |n| {
            format!(
                "{{\"timestamp\":\"2026-11-21 10:00:00.250 UTC\",\"session_id\":\"a.1\",\
                 \"error_severity\":\"LOG\",\"message\":\"statement: SELECT {n}\"}}\n"
            )
        },
        number: |event| last_number(&text(event, "text")),
    },
    Log {
        format: Format::Postgres,
        name: "postgresql.csv",
        record: |n| {
            format!(
                "2026-11-21 10:00:00.250 UTC,\"shop\",\"store\",4711,\"10.0.0.5:55312\",a.1,3,\
                 \"SELECT\",2026-11-21 09:59:00 UTC,3/12,0,LOG,00000,\"statement: SELECT\n\
                 \"\"a\"\", {n}\",,,,,,,,,\"web\",\"client backend\",,0\n"
            )
        },
        number: |event| last_number(&text(event, "text")),
    },
    Log {
        format: Format::Sshd,
        name: "auth.log",
        record: |n| {
            format!(
                "Nov 21 10:00:00 web-1 sshd[{n}]: Failed password for root from 203.0.113.9 port \
                 {} ssh2\n",
                1000 + n
            )
        },
        number: |event| Some(event.body.get("src_port")?.as_u64()? as usize - 1000),
    },
    Log {
        format: Format::Access,
        name: "access.log",
        record: super::request,
        number: |event| last_number(&text(event, "path")),
    },
    Log {
        format: Format::Access,
        name: "access.json.log",
        record: |n| {
            format!(
                "{{\"time_iso8601\":\"2026-11-21T11:00:00+01:00\",\"remote_addr\":\"203.0.113.9\",\
                 \"request\":\"GET /item/{n} HTTP/1.1\",\"status\":\"200\"}}\n"
            )
        },
        number: |event| last_number(&text(event, "path")),
    },
    Log {
        format: Format::Zeek,
        name: "dns.log",
        record: |n| format!("1795255200.5\t192.0.2.7\thost-{n}.a-rather-long-name.shop.example\n"),
        number: |event| last_number(text(event, "qname").split('.').next()?),
    },
    Log {
        format: Format::Suricata,
        name: "eve.json",
        record: |n| {
            format!(
                "{{\"timestamp\":\"2026-11-21T10:00:05.5+0000\",\"event_type\":\"dns\",\"src_ip\":\
                 \"192.0.2.7\",\"dns\":{{\"type\":\"query\",\"rrname\":\"host-{n}.example\"}}}}\n"
            )
        },
        number: |event| last_number(text(event, "qname").split('.').next()?),
    },
];

/// What a log of a format begins with.
const HEADER: &str = "#separator \\x09\n#path\tdns\n#fields\tts\tid.orig_h\tquery\n";

/// A log that is written, and somebody who follows it.
struct Case {
    log: &'static Log,
    path: PathBuf,
    bus: Arc<Bus>,
    board: Board,
    config: Config,
    written: usize,
    half: Option<String>,
    _dir: tempfile::TempDir,
}

impl Case {
    fn new(log: &'static Log) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(log.name);
        let tail = Tail { from: From::Start, ..Tail::new(log.format, &path) };
        let config = config(dir.path(), vec![tail]);
        let (bus, board) = (Bus::failing(0), Board::default());
        Self { log, path, bus, board, config, written: 0, half: None, _dir: dir }
    }

    fn beside(&self) -> PathBuf {
        PathBuf::from(format!("{}.1", self.path.display()))
    }

    fn write_to(&mut self, path: &Path, records: usize) {
        let rest = self.half.take().unwrap_or_default();
        let begun = fs::metadata(path).is_ok_and(|file| file.len() > 0);
        if self.log.format == Format::Zeek && !begun {
            append(path, HEADER);
        }
        let numbers = self.written..self.written + records;
        append(path, &(rest + &numbers.map(self.log.record).collect::<String>()));
        self.written += records;
    }

    fn write(&mut self, records: usize) {
        let path = self.path.clone();
        self.write_to(&path, records);
    }

    /// The first half of a record; the next write begins with the rest of it.
    fn write_half(&mut self) {
        let record = (self.log.record)(self.written);
        let (half, rest) = record.split_at(record.len() - 40);
        append(&self.path, half);
        self.half = Some(rest.to_owned());
        self.written += 1;
    }

    async fn holds(&self, messages: usize) {
        let name = self.log.name;
        let held = tokio::time::timeout(Duration::from_secs(20), self.bus.holds(messages)).await;
        let told = || self.bus.events().iter().filter_map(self.log.number).collect::<Vec<_>>();
        assert!(held.is_ok(), "{name}: {messages} are due, told are {:?}", told());
    }

    async fn follow(&self) {
        let whole = self.written - usize::from(self.half.is_some());
        follow(&self.config, &self.bus, &self.board, whole).await;
    }

    /// Every record was told once, in order, and none was sent a second time.
    fn check(&self, how: &str) {
        let told: Vec<_> = self.bus.events().iter().filter_map(self.log.number).collect();
        let want: Vec<_> = (0..self.written).collect();
        assert_eq!(told, want, "{} {how}", self.log.name);
        assert_eq!(self.bus.letters().len(), 0, "{} {how}", self.log.name);
        assert_eq!(self.bus.most_often(), 1, "{} {how}", self.log.name);
        let status = self.board.read()[&self.path].clone();
        assert_eq!((status.rejected, status.gaps), (0, 0), "{} {how}", self.log.name);
    }

    /// Somebody who reads the file at the path for the first time gives the same ids.
    async fn check_ids(&self, in_file: usize) {
        let config = Config { state_dir: self.path.with_extension("other"), ..self.config.clone() };
        let bus = Bus::failing(0);
        follow(&config, &bus, &Board::default(), in_file).await;
        let ids = |bus: &Bus| bus.events().iter().map(|e| e.id).collect::<BTreeSet<Id>>();
        assert!(ids(&bus).is_subset(&ids(&self.bus)), "{}", self.log.name);
        assert_eq!(bus.len(), in_file, "{}", self.log.name);
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_record_loses_and_repeats_nothing() {
    for log in LOGS {
        let mut case = Case::new(log);
        for _ in 0..4 {
            case.write(30);
            case.write_half();
            case.follow().await;
        }
        case.write(1);
        case.follow().await;
        case.check("restart");
        case.check_ids(case.written).await;
    }
}

#[tokio::test]
async fn a_file_renamed_in_the_middle_of_a_record_is_finished_before_the_next() {
    for log in LOGS {
        let mut case = Case::new(log);
        let (config, bus, board) = (case.config.clone(), Arc::clone(&case.bus), case.board.clone());
        let last = {
            let case = &mut case;
            let writing = async move {
                case.write(30);
                case.holds(30).await;
                case.write(5);
                case.write_half();
                let old = case.beside();
                fs::rename(&case.path, &old).unwrap();
                case.write_to(&old, 3);
                case.holds(39).await;
                case.write(20);
                case.holds(59).await;
                20
            };
            let mut last = 0;
            let done = async { last = writing.await };
            follow_while(&config, &bus, &board, done).await;
            last
        };
        case.check("rename");
        // And while nobody looked.
        case.write(2);
        fs::remove_file(case.beside()).unwrap();
        fs::rename(&case.path, case.beside()).unwrap();
        case.write(7);
        case.follow().await;
        case.check("rename while stopped");
        assert_eq!(last, 20);
        case.check_ids(7).await;
    }
}

#[tokio::test]
async fn a_file_copied_and_emptied_is_finished_from_its_copy() {
    for log in LOGS {
        let mut case = Case::new(log);
        let (config, bus, board) = (case.config.clone(), Arc::clone(&case.bus), case.board.clone());
        {
            let case = &mut case;
            let writing = async move {
                case.write(30);
                case.holds(30).await;
                case.write(9);
                fs::copy(&case.path, case.beside()).unwrap();
                fs::write(&case.path, "").unwrap();
                case.write(20);
                case.holds(59).await;
            };
            follow_while(&config, &bus, &board, writing).await;
        }
        case.check("copytruncate");
        // And while nobody looked.
        case.write(4);
        fs::copy(&case.path, case.beside()).unwrap();
        fs::write(&case.path, "").unwrap();
        case.write(6);
        case.follow().await;
        case.check("copytruncate while stopped");
        case.check_ids(6).await;
    }
}

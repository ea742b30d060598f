//! The configuration section `sensor`.

use crate::parse::when::Zone;
use magsentinel_bus_schema::Trust;
use magsentinel_runtime::settings::{Section, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Which log a tail reads.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// PostgreSQL's `jsonlog` or `csvlog` (13 to 17), told apart record by record; only in a file
    /// whose name ends in `.csv` a quoted field may hold newlines.
    Postgres,
    /// sshd, su, sudo, CRON, … as syslog writes them (`auth.log`, `secure`), with classic or
    /// RFC 3339 times.
    Sshd,
    /// Access logs: common and combined (nginx, Apache), the default text of Envoy and Istio, and
    /// JSON (nginx, Apache, Envoy, Traefik, Caddy), told apart line by line.
    Access,
    /// Zeek's `conn`, `dns`, `http` and `ssl` logs, with their header or as JSON lines. Other logs
    /// of Zeek's are skipped.
    Zeek,
    /// Suricata's `eve.json`: its flows, names, requests and handshakes. Alerts are skipped.
    Suricata,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Format] =
        &[Format::Postgres, Format::Sshd, Format::Access, Format::Zeek, Format::Suricata];

    /// Its name in configuration, and the sensor's name in events.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sshd => "sshd",
            Self::Access => "access",
            Self::Zeek => "zeek",
            Self::Suricata => "suricata",
        }
    }
}

/// Where reading begins in a file that was never read before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// At its first byte.
    Start,
    /// At its end: only what is written from now on.
    #[default]
    End,
}

/// One followed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The log's format: `postgres`, `sshd`, `access`, `zeek` or `suricata`.
    pub format: Format,
    /// The file. It need not exist yet. For `postgres` also a folder (`/var/log/postgresql/`: its
    /// files that end in `.json`, or in `.csv`), or a pattern with `*` and `?` in its last part
    /// (`/var/log/postgresql/*.json`): then the newest file is followed, and when a newer one
    /// appears, as PostgreSQL makes it at every rotation, the one before is finished first.
    pub path: PathBuf,
    /// Where to begin in a file without a stored position: `start` or `end`. Default `end`.
    /// A file that takes the place of one that was read is always read from its start.
    #[serde(default)]
    pub from: From,
    /// How far the log is trusted about users and addresses: `claimed`, `observed` or
    /// `verified`. Default `observed`: a server of ours wrote it. In `sql` and `data` an
    /// address of the database's own peer stays claimed whatever this says.
    #[serde(default = "observed")]
    pub trust: Trust,
    /// Time zone, an IANA name (`Europe/Berlin`; the host needs its zone files) or a POSIX one
    /// (`CET-1CEST,M3.5.0,M10.5.0/3`), of times that carry no offset (classic syslog), or only an
    /// abbreviation (PostgreSQL with a `log_timezone` other than UTC). Default `UTC`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

impl Tail {
    /// A tail with the defaults.
    #[must_use]
    pub fn new(format: Format, path: impl Into<PathBuf>) -> Self {
        Self { format, path: path.into(), from: From::End, trust: observed(), time_zone: utc() }
    }

    /// The file is written as CSV, in which a quoted field may hold newlines.
    #[must_use]
    pub fn is_csv(&self) -> bool {
        let csv = |p: &Path| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        self.format == Format::Postgres && csv(&self.path)
    }
}

fn observed() -> Trust {
    Trust::Observed
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Reads a tail from the command line: `postgres=/var/log/postgresql/postgresql.json`.
pub fn parse_tail(text: &str) -> Result<Tail, String> {
    let known: Vec<_> = Format::ALL.iter().map(|f| f.token()).collect();
    let wanted = || format!("write FORMAT=PATH with FORMAT one of {}", known.join(", "));
    let (format, path) =
        text.split_once('=').ok_or_else(|| format!("{text:?} names no format: {}", wanted()))?;
    let format = Format::ALL
        .iter()
        .copied()
        .find(|f| f.token() == format.trim())
        .ok_or_else(|| format!("unknown log format {format:?}: {}", wanted()))?;
    if path.trim().is_empty() {
        return Err(format!("{text:?} names no file: {}", wanted()));
    }
    Ok(Tail::new(format, path.trim()))
}

/// What publishers hand in on `ingest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// How far publishers are trusted about users and addresses: `claimed`, `observed` or
    /// `verified`. Default `claimed`: they may be alerted on, never acted on.
    pub trust: Trust,
    /// Largest message in bytes, 1 to 67108864. Default 1048576. Larger ones are dead-lettered.
    pub bytes_max: usize,
    /// Most elements of one message, 1 to 1000000. Default 10000. Further elements are
    /// dead-lettered one by one.
    pub elements_max: usize,
    /// How far ahead of receipt an event's time may lie. Default `5m`. Later times are set to
    /// the receipt time and marked `ts_missing`.
    pub future_max: Span,
    /// Most messages pulled at once, 1 to 10000. Default 256.
    pub batch_max: usize,
    /// Batches under way at once, 1 to 64. Default 2.
    pub batches_in_flight: usize,
    /// Attempts before a message is given up, 1 to 1000. Default 10.
    pub max_deliver: u64,
    /// Time after which the server delivers again what was not acknowledged. Default `30s`.
    pub ack_wait: Span,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            trust: Trust::Claimed,
            bytes_max: 1024 * 1024,
            elements_max: 10_000,
            future_max: Span::s(300),
            batch_max: 256,
            batches_in_flight: 2,
            max_deliver: 10,
            ack_wait: Span::s(30),
        }
    }
}

/// The section `sensor`: what the sensor reads, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Shards of a tenant's events, 1 to 1024. Default 64. Fixed at installation: with another
    /// number the same key lands on another shard.
    pub shards: u16,
    /// Followed files. Default none.
    pub tails: Vec<Tail>,
    /// Folder of the stored positions. Default empty: `magsentinel/sensor` below
    /// `$XDG_STATE_HOME`, else below `$HOME/.local/state`.
    pub state_dir: PathBuf,
    /// Pause between two looks at a quiet file, 1 ms to 1 min. Default `100ms`. A file that
    /// grows is read again at once.
    pub poll: Span,
    /// How long a file that was rotated away must be quiet before it is left for its
    /// successor. Default `2s`.
    pub rotate_wait: Span,
    /// Longest line, or CSV record, in bytes, 1024 to 16777216. Default 1048576. A longer one
    /// is dead-lettered with its beginning, and skipped to its end.
    pub line_bytes_max: usize,
    /// Most bytes of one text in an event, 1024 to 1048576. Default 262144. Longer ones are
    /// cut, and the event says which in `cut`.
    pub text_bytes_max: usize,
    /// Most bytes of one event, 65536 to 67108864. Default 1000000, below the `max_payload` of
    /// nats-server. An event that is larger even with its texts cut is dead-lettered.
    pub event_bytes_max: usize,
    /// Most bytes read from a file before what they hold is published, 4096 to 16777216.
    /// Default 1048576.
    pub read_bytes_max: usize,
    /// Most sessions that a parser remembers, 16 to 1000000. Default 4096. At the bound the
    /// one that was quiet longest is forgotten: its later lines may lack the address that only
    /// an earlier line named, or repeat a statement.
    pub sessions_max: usize,
    /// First pause after a failed publish. It doubles up to `retry_max`. Default `100ms`.
    pub retry_min: Span,
    /// Longest pause between two attempts to publish. Default `10s`. Attempts never end; the
    /// position does not move before one succeeds.
    pub retry_max: Span,
    /// What publishers hand in.
    pub ingest: IngestConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 64,
            tails: Vec::new(),
            state_dir: PathBuf::new(),
            poll: Span::ms(100),
            rotate_wait: Span::s(2),
            line_bytes_max: 1024 * 1024,
            text_bytes_max: 256 * 1024,
            event_bytes_max: 1_000_000,
            read_bytes_max: 1024 * 1024,
            sessions_max: 4096,
            retry_min: Span::ms(100),
            retry_max: Span::s(10),
            ingest: IngestConfig::default(),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "sensor";

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut within = |key: &str, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                found.push(format!("{key}: must be {min} to {max}, is {value}"));
            }
        };
        let size = |n: usize| n as u64;
        within("shards", u64::from(self.shards), 1, 1024);
        within("line_bytes_max", size(self.line_bytes_max), 1024, 16 << 20);
        within("text_bytes_max", size(self.text_bytes_max), 1024, 1 << 20);
        within("event_bytes_max", size(self.event_bytes_max), 65_536, 64 << 20);
        within("read_bytes_max", size(self.read_bytes_max), 4096, 16 << 20);
        within("sessions_max", size(self.sessions_max), 16, 1_000_000);
        within("ingest.bytes_max", size(self.ingest.bytes_max), 1, 64 << 20);
        within("ingest.elements_max", size(self.ingest.elements_max), 1, 1_000_000);
        within("ingest.batch_max", size(self.ingest.batch_max), 1, 10_000);
        within("ingest.batches_in_flight", size(self.ingest.batches_in_flight), 1, 64);
        within("ingest.max_deliver", self.ingest.max_deliver, 1, 1000);
        found.extend(self.span_problems());
        found.extend(self.tail_problems());
        found
    }
}

impl Config {
    fn span_problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !(Span::ms(1)..=Span::s(60)).contains(&self.poll) {
            found.push(format!("poll: must be 1ms to 1m, is {}", self.poll));
        }
        if self.retry_min < Span::ms(1) || self.retry_min > self.retry_max {
            found.push(format!(
                "retry_min: must be at least 1ms and at most retry_max ({}), is {}",
                self.retry_max, self.retry_min
            ));
        }
        if self.ingest.ack_wait < Span::s(1) {
            found
                .push(format!("ingest.ack_wait: must be at least 1s, is {}", self.ingest.ack_wait));
        }
        found
    }

    fn tail_problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut paths = BTreeSet::new();
        for (n, tail) in self.tails.iter().enumerate() {
            if tail.path.as_os_str().is_empty() {
                found.push(format!("tails[{n}].path: must name a file"));
            } else if tail.format != Format::Postgres && is_pattern_or_folder(&tail.path) {
                found.push(format!("tails[{n}].path: {ONLY_POSTGRES}"));
            } else if !paths.insert(&tail.path) {
                found.push(format!("tails[{n}].path: {} is listed twice", tail.path.display()));
            }
            if let Err(e) = Zone::named(&tail.time_zone) {
                found.push(format!("tails[{n}].time_zone: {e}"));
            }
        }
        found
    }
}

/// Why a series is refused.
pub(crate) const ONLY_POSTGRES: &str =
    "only format postgres takes a folder or a pattern; name a file";

/// Told from the path alone.
fn is_pattern_or_folder(path: &Path) -> bool {
    is_pattern(path) || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Whether the last part of a path holds `*` or `?`.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(['*', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_bad_value_is_told_at_once() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let twice = Tail::new(Format::Sshd, "/var/log/auth.log");
        let nowhere = Tail { time_zone: "Atlantis/Main".into(), ..Tail::new(Format::Access, "") };
        let bad = Config {
            shards: 0,
            poll: Span::ms(0),
            retry_min: Span::s(11),
            line_bytes_max: 1,
            tails: vec![twice.clone(), twice, nowhere],
            ..Config::default()
        };
        let keys: Vec<_> =
            bad.problems().iter().filter_map(|p| p.split(':').next().map(str::to_owned)).collect();
        assert_eq!(
            keys,
            [
                "shards",
                "line_bytes_max",
                "poll",
                "retry_min",
                "tails[1].path",
                "tails[2].path",
                "tails[2].time_zone"
            ]
        );
    }

    #[test]
    fn a_tail_is_read_from_the_command_line_or_refused_with_a_hint() {
        let tail = parse_tail("postgres=/var/log/pg=1.json").unwrap();
        assert_eq!((tail.format, tail.path), (Format::Postgres, "/var/log/pg=1.json".into()));
        for bad in ["", "postgres", "postgres=", "wine=/x", "=/x"] {
            assert!(parse_tail(bad).unwrap_err().contains("FORMAT=PATH"), "{bad}");
        }
    }
}

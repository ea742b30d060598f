//! # api-watch: attacks in HTTP requests, and clients that misbehave
//!
//! **Finds**, in the content of `api` events, what is meant to be run, read or included by the
//! server or another visitor: `xss`, `sql_injection`, `nosql_injection`, `path_traversal`,
//! `file_inclusion`, `command_injection`, `code_injection`, `template_injection`, `jndi_injection`,
//! `xxe`, `ssrf`, `crlf_injection`, `ssi_injection`, `ldap_injection`, `deserialization`,
//! `webshell`, `sensitive_file`, `scanner`; what only the model recognises and nothing tells apart
//! is `web_attack`. And in what a client did lately: `request_burst`, `request_flood`,
//! `credential_stuffing`, `brute_force`, `scan`, `fuzzing`, `forbidden_access`, `id_enumeration`,
//! `scraping`. A client that was flagged for a scan or for fuzzing stays flagged for ten minutes.
//!
//! **Reads** `method`, `path`, `query`, `headers`, `body`, `status`, `resp_bytes`, `user`, the
//! client (the key), and time. A body without path, query, headers and body, or with a path that is no text,
//! becomes a dead letter.
//!
//! **Techniques**: T1190, T1059, T1083, T1005, T1595, T1110, T1499, T1119 and others.
//!
//! **Limits**: of a longer field both halves of [`Config::field_bytes_max`] are read; of more parts
//! than [`Config::parts_max`] the first; of more rows than [`Config::rows_max`] those with most
//! marks. What was left out is told in the reasons of a finding. Without `status` there are no
//! failures to count. An address behind which many people sit is one client, and so is an IPv6 network
//! of 64 bits. Of recorded requests without time only the order counts: no bursts, no scraping. At most
//! [`Config::keys_max`] clients are remembered by a process, under half a kilobyte each.

use crate::{
    body,
    features::api::{self, Call, Client, Limits, Part, Parts, Sign},
    inference::{Embedded, Input, Rows},
    keys::{Budget, Keys},
    patrol::{Evidence, Finding, ModelSays, Patrol, Seen, Spec},
    patrols::{Keyed, Maker},
    patterns::{Hit, Normal},
};
use magsentinel_bus_schema::{
    Class, Fields, Kind, Level, Thresholds, Token, entity::shard_entity, key,
};
use magsentinel_runtime::settings::Span;
use serde_json::{Value, json};
use std::sync::Arc;

mod family;

patrol_config! {
    /// Section `patrols.api_watch`.
    {
        /// Most bytes of one field of a request (path, query, a header, the body) that are looked
        /// at, 1024..=1048576; of a longer one the first and last half of it. Default 65536.
        field_bytes_max: usize = 65_536,
        /// Most parts of a request that are looked at, 8..=4096; the others are counted. Default
        /// 512.
        parts_max: usize = 512,
        /// Most rows of one request that the model sees, 4..=1024; of more, those with most marks
        /// that attacks are made of. Default 64.
        rows_max: usize = 64,
        /// Most clients remembered by one process, all its shards together, 1..=10000000; under
        /// half a kilobyte of memory each. Beyond it the least suspicious and longest idle are
        /// forgotten, and counted. Default 200000.
        keys_max: usize = 200_000,
        /// How far back, in stream time, a shard's clients are rebuilt when it changes hands and
        /// no snapshot of them can be used. Default 30m.
        rebuild: Span = Span::s(1800),
        /// How often the clients of a shard that saw events are stored for its next owner.
        /// Default 1m.
        snapshot_every: Span = Span::s(60),
        /// How far an event's time may lie after its receipt and still be believed. Default 10m.
        clock_skew_max: Span = Span::s(600),
    }
}

macro_rules! pattern {
    ($name:literal) => {
        ($name, include_str!(concat!("../../patterns/api-watch/", $name)))
    };
}

/// The fixed facts of api-watch.
pub const SPEC: Spec = Spec {
    name: "api-watch",
    kinds: &[Kind::Api],
    keys: &[Class::Client],
    facts: &[],
    input: Input::Ids(api::WIDTH),
    model: Embedded {
        onnx: include_bytes!("../../models/api-watch.onnx"),
        selftest: include_str!("../../models/api-watch.selftest.json"),
    },
    patterns: &[
        pattern!("markup.yml"),
        pattern!("files.yml"),
        pattern!("code.yml"),
        pattern!("queries.yml"),
        pattern!("network.yml"),
        pattern!("probes.yml"),
    ],
};

pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, value, min, max) in [
        ("field_bytes_max", config.field_bytes_max, 1024, 1_048_576),
        ("parts_max", config.parts_max, 8, 4096),
        ("rows_max", config.rows_max, 4, 1024),
        ("keys_max", config.keys_max, 1, 10_000_000),
    ] {
        if !(min..=max).contains(&value) {
            problems.push(format!("{key}: must be {min} to {max}, is {value}"));
        }
    }
    problems
}

pub(super) fn maker(config: &Config) -> Maker {
    let thresholds = config.thresholds;
    let budget = Budget::new(config.keys_max);
    let limits = Limits {
        field_bytes_max: config.field_bytes_max,
        parts_max: config.parts_max,
        rows_max: config.rows_max,
    };
    Box::new(move |_| {
        Box::new(ApiWatch {
            thresholds,
            limits,
            keys: Keys::new(budget.clone()),
            parts: Parts::default(),
            lines: String::new(),
        })
    })
}

pub(super) fn keyed(config: &Config) -> Option<Keyed> {
    Some(Keyed {
        rebuild: config.rebuild,
        snapshot_every: config.snapshot_every,
        clock_skew_max: config.clock_skew_max,
    })
}

struct ApiWatch {
    thresholds: Thresholds,
    limits: Limits,
    keys: Keys<Client>,
    parts: Parts,
    lines: String,
}

/// The client of a body; where it names none, whoever gives its shard.
fn key_of(fields: &Fields) -> String {
    let entity = shard_entity(Kind::Api, fields);
    let named = |(class, value): (Class, String)| {
        format!("{class}:{}", key::of(class, &value, fields))
    };
    entity.map_or_else(String::new, named)
}

fn header<'a>(fields: &'a Fields, wanted: &str) -> Option<&'a str> {
    let headers = body::field(fields, "headers")?.as_object()?;
    let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    found.1.as_str()
}

/// The body as its client's state wants it. A status that is no number is unknown.
fn call<'a>(seen: &Seen<'a>, hits: &[Arc<Hit>]) -> Call<'a> {
    let fields = seen.body;
    let count = |name| body::count(fields, &[name]).ok().flatten();
    let text = |names: &[&str]| body::text(fields, names).ok().flatten().unwrap_or_default();
    let path = text(&["path", "uri", "url"]);
    let (path, inline) = path.split_once('?').unwrap_or((path, ""));
    let query = text(&["query"]);
    Call {
        ts_us: seen.ts.micros(),
        timed: seen.timed,
        method: text(&["method"]),
        path,
        query: if query.is_empty() { inline } else { query },
        status: count("status").filter(|status| (100..600).contains(status)),
        resp_bytes: count("resp_bytes"),
        host: header(fields, "host").unwrap_or_default(),
        referer: header(fields, "referer").unwrap_or_default(),
        agent: header(fields, "user-agent").unwrap_or_default(),
        user: account(fields),
        known: header(fields, "authorization").is_some()
            || body::field(fields, "key").is_some()
            || body::field(fields, "user").is_some(),
        probe: hits.iter().map(|hit| probe(hit)).fold(0.0, f32::max),
    }
}

/// How much a pattern's hit says that its client scans: an entry, file or name of a tool in
/// full, the content of an attack by half.
fn probe(hit: &Hit) -> f32 {
    let named = matches!(hit.category.as_str(), "scan_probe" | "sensitive_file" | "scanner");
    if named { 1.0 } else { 0.5 }
}

/// The account that a request names: the event's user, or a field of a form or JSON.
fn account(fields: &Fields) -> &str {
    if let Ok(Some(user)) = body::text(fields, &["user"]) {
        return user;
    }
    let Ok(Some(sent)) = body::text(fields, &["body"]) else { return "" };
    let sent = sent.get(..sent.floor_char_boundary(2048)).unwrap_or_default();
    const NAMES: [&str; 6] = ["username", "login", "email", "user", "log", "account"];
    NAMES.iter().find_map(|name| value_of(sent, name)).unwrap_or_default()
}

/// The value of `name=value` in a form, or of `"name": "value"` in JSON.
fn value_of<'a>(sent: &'a str, name: &str) -> Option<&'a str> {
    sent.match_indices(name).find_map(|(at, name)| {
        let rest = sent.get(at + name.len()..)?;
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        let rest = rest.strip_prefix(['=', ':'])?.trim_start_matches([' ', '"']);
        rest.split(['&', '"', ',', '}']).next()
    })
}

impl ApiWatch {
    fn observe(&mut self, seen: &Seen<'_>, hits: &[Arc<Hit>]) -> Option<Sign> {
        let key = key_of(seen.body);
        if key.is_empty() {
            return None;
        }
        let call = call(seen, hits);
        if seen.repeated {
            return self.keys.get(&key).cloned().unwrap_or_default().observe(&call);
        }
        let sign = self.keys.next(&key).observe(&call);
        self.keys.settle(&key, sign.map_or(0.0, |sign| sign.score));
        sign
    }

    /// What the model's worst row looks like, and where it stands.
    fn says(&mut self, seen: &Seen<'_>, part: usize) -> (ModelSays<'static>, String) {
        let read = self.parts.read(seen.body, self.limits);
        let window = self.parts.windows().get(part).copied();
        let found = window.filter(|_| read.is_ok()).and_then(|window| self.parts.part_of(window));
        let Some(found) = found else { return (family::UNKNOWN, "request".to_owned()) };
        (family::of(&found), place_of(&found))
    }
}

/// Where a part stands, for people: `query parameter q`.
fn place_of(part: &Part<'_>) -> String {
    let noun = match part.origin {
        "query" => "query parameter",
        "json" => "JSON field",
        "form" | "field" => "form field",
        "file" => "uploaded file",
        "filename" => "file name",
        origin => origin,
    };
    let name: String = String::from_utf8_lossy(part.name).chars().take(64).collect();
    let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
    if name.is_empty() { noun.to_owned() } else { format!("{noun} {name}") }
}

impl Patrol for ApiWatch {
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String> {
        self.parts.read(seen.body, self.limits)?;
        for window in self.parts.windows() {
            self.parts.ids(*window, rows.ids());
        }
        Ok(())
    }

    fn normal(&mut self, seen: &Seen<'_>, normal: &mut Normal) -> bool {
        if self.parts.read(seen.body, self.limits).is_err() {
            return false;
        }
        self.parts.lines(&mut self.lines);
        normal.set_lines(&self.lines);
        true
    }

    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let sign = self.observe(seen, evidence.hits);
        let by_model = self.thresholds.level(evidence.score) > Level::None;
        let (says, place) = match by_model {
            true => self.says(seen, evidence.part),
            false => (family::UNKNOWN, String::new()),
        };
        let found = Finding::weigh(&self.thresholds, evidence.score, evidence.hits, says);
        let found = found.map(|mut found| {
            if by_model {
                found.reasons.push(format!("the model means the {place}"));
            }
            found
        });
        let mut found = with_sign(found, sign, &self.thresholds)?;
        let (bytes, parts) = self.parts.left_out();
        if bytes > 0 {
            found.reasons.push(format!("{bytes} bytes in the middle of long fields were not read"));
        }
        if parts > 0 {
            found.reasons.push(format!("{parts} of the request's parts were left out"));
        }
        if seen.ts_refused {
            found.reasons.push("its time lies in the future: time of receipt used".to_owned());
        }
        Some(found)
    }

    fn excerpt(&self, fields: &Fields, chars_max: usize) -> String {
        let text = |name| body::text(fields, &[name]).ok().flatten().unwrap_or_default();
        let (method, path, query, sent) =
            (text("method"), text("path"), text("query"), text("body"));
        let mark = if query.is_empty() { "" } else { "?" };
        let gap = if sent.is_empty() { "" } else { " " };
        let parts = [method, " ", path, mark, query, gap, sent];
        parts.iter().flat_map(|part| part.chars()).take(chars_max).collect()
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        self.keys.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        self.keys.restore(snapshot)
    }

    fn report(&self) -> Value {
        json!({ "keys": self.keys.len(), "evicted": self.keys.evicted() })
    }
}

/// Joins what the content and what the client's behaviour say: the worse of both leads.
fn with_sign(
    found: Option<Finding>,
    sign: Option<Sign>,
    thresholds: &Thresholds,
) -> Option<Finding> {
    let sign = sign.filter(|sign| thresholds.level(sign.score) > Level::None);
    let Some(sign) = sign else { return found };
    let reason = sign.reason();
    let level = thresholds.level(sign.score);
    let mut found = found.unwrap_or_else(|| Finding {
        level: Level::None,
        confidence: 0.0,
        ..Finding::ordinary(sign.score)
    });
    if level > found.level {
        found.category = Token::sanitised(sign.category);
        found.level = level;
    }
    found.score = found.score.max(sign.score);
    found.confidence = 1.0 - (1.0 - found.confidence) * (1.0 - sign.score);
    for technique in sign.techniques {
        if !found.techniques.iter().any(|known| known == technique) {
            found.techniques.push((*technique).to_owned());
        }
    }
    found.reasons.push(reason);
    Some(found)
}

#[cfg(test)]
mod tests;

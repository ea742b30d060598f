//! # net-sentry: connections and names that malware needs
//!
//! **Finds** in names asked for (`dns`): `dns_tunnel` (data in the host part, and every new host part
//! below a name where a tunnel runs), `dga` (names that a program made up, and many names
//! within minutes that do not exist). In connections (`flow`): `beaconing` (the same small talk with
//! one outside address again and again, evenly or with jitter; or calls that are refused over and
//! over), `port_scan` and `network_scan` (many
//! ports, or many hosts, tried in vain), `rare_destination` (a process that keeps to few destinations
//! talks to another), `upload_burst` (far more sent in an hour than ever, at an hour at which the
//! source never works), `known_bad_address` and `known_bad_name` (listed in [`Config::known_bad`]).
//! Patterns name what needs no past: mining pools, anonymous networks, lookups of the own address.
//!
//! **Reads** `dns`: `qname` (required), `src_ip`/`client`, `rcode`, `qtype`. `flow`: `src_ip`/`client`,
//! `dst_ip` (one of them is required), `dst_port`, `proto`, `orig_bytes`, `resp_bytes`, `conn_state`
//! (Zeek's words, Suricata's or Argus's), `process`/`exe`, and time.
//!
//! **Techniques**: T1071.004, T1572, T1568.002, T1071, T1029, T1046, T1595.001, T1048; patterns add
//! others.
//!
//! **Keeps** for each source what it tried in vain, its hours and uploads; for each pair of source and
//! destination its beat and sizes; for each process on a host its destinations; for each registered
//! name asked by a source the host parts below it: at most 512 bytes each with their key. At most
//! [`Config::keys_max`] are remembered by a process; beyond that the least suspicious and longest idle
//! are forgotten, counted as `evicted`. Of recorded events without time nothing is said about beats and
//! uploads.
//!
//! **Limits**: the model sees names, not what they resolve to; a generator that joins words looks like
//! people do, until many of its names do not exist. A service outside that asks for news with a small
//! question of one size and gets a small answer of one size looks like a beacon: suppress it by its
//! address, or give it a process that says so. A scan of one attempt every few minutes, or of one
//! attempt from each of many addresses, is not seen. Reverse lookups and names of the local network
//! have no row.

mod known;
mod says;

use crate::{
    body,
    features::{
        dns::{self, DomainPast, Name, Part},
        flow::{Connection, Habit, Pair, Source},
    },
    inference::{Embedded, Input, Rows},
    keys::{Budget, Keys},
    patrol::{Evidence, Finding, ModelSays, Patrol, Seen, Sign, Spec},
    patrols::{Keyed, Maker},
};
use known::Known;
use magsentinel_bus_schema::{Class, Fields, Kind, Thresholds, entity::value_of, key};
use magsentinel_runtime::settings::Span;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

patrol_config! {
    /// Section `patrols.net_sentry`.
    {
        /// Most sources, pairs, processes and registered names remembered by one process, all its
        /// shards together, 1..=10000000; less than half a kilobyte of memory each. Beyond it the
        /// least suspicious and longest idle are forgotten, and counted. Default 200000.
        keys_max: usize = 200_000,
        /// A file of addresses, networks (`192.0.2.0/24`) and domain names that are known to be
        /// bad, one a line; `#` begins a comment. A domain stands for all names below it. At most
        /// a million lines. Read when the patrol starts. Default: none.
        known_bad: Option<PathBuf> = None,
        /// How far back, in stream time, a shard's pasts are rebuilt when it changes hands and no
        /// snapshot of them can be used. Default 1h.
        rebuild: Span = Span::s(3600),
        /// How often the pasts of a shard that saw events are stored for its next owner.
        /// Default 1m.
        snapshot_every: Span = Span::s(60),
        /// How far an event's time may lie after its receipt and still be believed. Default 10m.
        clock_skew_max: Span = Span::s(600),
    }
}

macro_rules! pattern {
    ($name:literal) => {
        ($name, include_str!(concat!("../../patterns/net-sentry/", $name)))
    };
}

/// The fixed facts of net-sentry.
pub const SPEC: Spec = Spec {
    name: "net-sentry",
    kinds: &[Kind::Dns, Kind::Flow],
    keys: &[Class::Client],
    facts: &[],
    input: Input::Ids(dns::WIDTH),
    model: Embedded {
        onnx: include_bytes!("../../models/net-sentry.onnx"),
        selftest: include_str!("../../models/net-sentry.selftest.json"),
    },
    patterns: &[pattern!("names.yml"), pattern!("connections.yml")],
};

pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if !(1..=10_000_000).contains(&config.keys_max) {
        problems.push(format!("keys_max: must be 1 to 10000000, is {}", config.keys_max));
    }
    if let Err(why) = Known::read(config.known_bad.as_deref()) {
        problems.push(format!("known_bad: {why}"));
    }
    problems
}

pub(super) fn maker(config: &Config) -> Maker {
    let thresholds = config.thresholds;
    let budget = Budget::new(config.keys_max);
    // What is wrong with the file was told as a problem of the configuration.
    let known = Arc::new(Known::read(config.known_bad.as_deref()).unwrap_or_default());
    Box::new(move |_| {
        let (known, keys) = (Arc::clone(&known), Keys::new(budget.clone()));
        Box::new(NetSentry { thresholds, known, keys })
    })
}

pub(super) fn keyed(config: &Config) -> Option<Keyed> {
    Some(Keyed {
        rebuild: config.rebuild,
        snapshot_every: config.snapshot_every,
        clock_skew_max: config.clock_skew_max,
    })
}

/// What is remembered of a key; the key's first letter says which it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum Past {
    #[default]
    New,
    Source(Box<Source>),
    Pair(Box<Pair>),
    Habit(Box<Habit>),
    Domain(Box<DomainPast>),
}

macro_rules! past_of {
    ($past:expr, $variant:ident) => {{
        let past: &mut Past = $past;
        if !matches!(past, Past::$variant(_)) {
            *past = Past::$variant(Box::default());
        }
        match past {
            Past::$variant(of) => Some(&mut **of),
            _ => None,
        }
    }};
}

struct NetSentry {
    thresholds: Thresholds,
    known: Arc<Known>,
    keys: Keys<Past>,
}

/// The key of whoever asks or connects, as its shard knows it.
fn source_of(fields: &Fields) -> String {
    let named = [Class::Client, Class::Host].into_iter();
    let mut keys = named.filter_map(|class| Some(key::of(class, &value_of(class, fields)?, fields)));
    keys.next().unwrap_or_default()
}

/// The name of a question.
fn name_of(fields: &Fields) -> Result<Name, String> {
    let name = body::text(fields, &["qname", "query"])?;
    let name = name.ok_or("body has no qname: a dns event must carry the name asked for")?;
    Ok(Name::read(name))
}

impl NetSentry {
    /// Learns, or looks at a copy where the event was learnt before, and tells what `with` tells.
    fn with<T>(&mut self, seen: &Seen<'_>, key: &str, with: impl FnOnce(&mut Past) -> T) -> T {
        if seen.repeated {
            with(&mut self.keys.get(key).cloned().unwrap_or_default())
        } else {
            with(self.keys.next(key))
        }
    }

    fn settle(&mut self, seen: &Seen<'_>, key: &str, score: f32) {
        if !seen.repeated {
            self.keys.settle(key, score);
        }
    }

    fn name(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let name = name_of(seen.body).ok()?;
        let part = name.parts().nth(evidence.part).filter(|_| evidence.score > 0.0);
        let source = source_of(seen.body);
        let says = match part {
            Some(Part::Host) => says::TUNNEL,
            _ => says::GENERATED,
        };
        let found = Finding::weigh(&self.thresholds, evidence.score, evidence.hits, says);
        let mut signs: Vec<Sign> = self.known.name(name.whole()).into_iter().collect();
        let (now, timed) = (seen.ts.micros(), seen.timed);
        let domain = name.domain();
        if !domain.is_empty() && !source.is_empty() || !name.host().is_empty() {
            let of_domain = format!("d {source} {domain}");
            let tunnels = self.thresholds.level(evidence.score).is_flagged();
            let data = part == Some(Part::Host) && tunnels;
            let runs = self.with(seen, &of_domain, |past| {
                past_of!(past, Domain)?.observe(name.host(), data, now, timed)
            });
            signs.extend(runs.map(|runs| says::runs(domain, runs)));
            self.settle(seen, &of_domain, if runs.is_some() { 0.6 } else { 0.0 });
        }
        if !domain.is_empty() && !source.is_empty() {
            let rcode = body::text(seen.body, &["rcode"]).ok().flatten().unwrap_or_default();
            let nothing = rcode.eq_ignore_ascii_case("nxdomain") || rcode == "3";
            let of_source = format!("s {source}");
            let guesses = self.with(seen, &of_source, |past| {
                past_of!(past, Source)?.asked(domain, nothing, now)
            });
            signs.extend(guesses.map(says::guesses));
            self.settle(seen, &of_source, if guesses.is_some() { 0.6 } else { 0.0 });
        }
        let mut found = self.join(found, signs)?;
        says::name_reasons(&name, part, &mut found.reasons);
        Some(found)
    }

    fn connection(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let flow = Connection::read(seen.body).ok()?;
        let source = source_of(seen.body);
        let (now, timed) = (seen.ts.micros(), seen.timed);
        let mut signs: Vec<Sign> = Vec::new();
        signs.extend(self.known.address(flow.address));
        if !source.is_empty() {
            let of_source = format!("s {source}");
            let does = self.with(seen, &of_source, |past| {
                past_of!(past, Source)?.observe(&flow, now, timed)
            });
            signs.extend(does.map(|does| says::does(does, &flow)));
            self.settle(seen, &of_source, if does.is_some() { 0.6 } else { 0.0 });
        }
        if timed && flow.is_outward() && !flow.is_clockwork() {
            let of_pair = format!("p {source} {}:{} {}", flow.dst, flow.port, flow.proto);
            let heard = self.with(seen, &of_pair, |past| {
                let pair = past_of!(past, Pair)?;
                pair.observe(&flow, now, timed);
                let heard = pair.beacon().map(|heard| says::beacon(heard, &flow));
                heard.or_else(|| pair.calls_in_vain().map(|calls| says::calls(calls, &flow)))
            });
            self.settle(seen, &of_pair, if heard.is_some() { 0.6 } else { 0.0 });
            signs.extend(heard);
        }
        if let Some(process) = flow.process.filter(|_| timed && !flow.is_cast()) {
            let of_process = format!("x {source} {process}");
            let strange = self.with(seen, &of_process, |past| {
                past_of!(past, Habit)?.observe(&flow, now)
            });
            signs.extend(strange.map(|strange| says::strange(strange, &flow, process)));
            self.settle(seen, &of_process, 0.0);
        }
        let unseen = ModelSays { category: "none", techniques: &[], what: "nothing" };
        let found = Finding::weigh(&self.thresholds, 0.0, evidence.hits, unseen);
        self.join(found, signs)
    }

    fn join(&self, found: Option<Finding>, signs: Vec<Sign>) -> Option<Finding> {
        signs.into_iter().fold(found, |found, sign| {
            Finding::with_sign(found, Some(sign), &self.thresholds)
        })
    }
}

impl Patrol for NetSentry {
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String> {
        if seen.kind == Kind::Dns {
            let name = name_of(seen.body)?;
            name.parts().for_each(|part| name.ids(part, rows.ids()));
            return Ok(());
        }
        Connection::read(seen.body).map(drop)
    }

    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let mut found = match seen.kind {
            Kind::Dns => self.name(seen, evidence),
            _ => self.connection(seen, evidence),
        }?;
        if seen.ts_refused {
            found.reasons.push("its time lies in the future: time of receipt used".to_owned());
        }
        Some(found)
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

#[cfg(test)]
mod tests;

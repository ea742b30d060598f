//! # data-flow: exfiltration in one user's accesses to data
//!
//! **Finds** accesses to data that do not fit the user's own past: `bulk_export` (a copy, dump or
//! export), `bulk_read` (a read of very many rows), `data_sweep` (many resources that are new to
//! the user), `slow_drain` (a day's volume far above the usual day's), `cross_project`, and
//! `unusual_access` where nothing of that stands out alone. Counts alone suffice for
//! `credential_access`: eight secrets within an hour by an account that makes, describes and turns
//! none and seldom reads any. Patterns name what needs no past: a copy to a program, a dump tool at
//! work, data sent into another project; in the audit logs of clouds a store opened to everybody, a
//! snapshot shared with another account, a bucket replicated, a machine exported.
//!
//! **Reads** `user`/`actor` (else `session`, else the client: the key), `action` (required, text),
//! `resource`/`object`, `rows`, `bytes_out`/`bytes`, `src_ip`/`client`/`host`, `project`, and
//! time. `rows` and bytes that nobody counted are absent, never guessed. A body without action,
//! or with a size that is no count, becomes a dead letter.
//!
//! **Techniques**: T1213.006, T1048, T1119, T1030, T1537, T1555.006; patterns add others.
//!
//! **Limits**: a user's first events have no past to differ from; the model knows that, patterns
//! do not need one. An event time more than [`Config::clock_skew_max`] after its receipt is not
//! believed: the time of receipt counts, and the finding says so. A clock that goes back counts
//! as no time passed. At most [`Config::keys_max`] users are remembered by a process, at most
//! 352 bytes and their key each; beyond that the least suspicious and longest idle are forgotten, counted as
//! `evicted`. A shard's profiles are stored every [`Config::snapshot_every`];
//! a new owner goes on from there, or else rebuilds them from [`Config::rebuild`] of the stream.

use crate::{
    body,
    features::data::{self, Observation, Profile, WIDTH},
    inference::{Embedded, Input, Row, Rows},
    keys::{Budget, Keys},
    patrol::{Evidence, Finding, ModelSays, Patrol, Seen, Sign, Spec},
    patrols::{Keyed, Maker},
};
use magsentinel_bus_schema::{Class, Fields, Kind, Level, Thresholds, entity::shard_entity};
use magsentinel_runtime::settings::Span;
use serde_json::{Value, json};

patrol_config! {
    /// Section `patrols.data_flow`.
    {
        /// Most users remembered by one process, all its shards together, 1..=10000000; about
        /// half a kilobyte of memory each. Beyond it the least suspicious and longest idle are
        /// forgotten, and counted. Default 100000.
        keys_max: usize = 100_000,
        /// How far back, in stream time, a shard's profiles are rebuilt when it changes hands and
        /// no snapshot of them can be used. Default 1h.
        rebuild: Span = Span::s(3600),
        /// How often the profiles of a shard that saw events are stored for its next owner.
        /// Default 1m.
        snapshot_every: Span = Span::s(60),
        /// How far an event's time may lie after its receipt and still be believed. Default 10m.
        clock_skew_max: Span = Span::s(600),
    }
}

macro_rules! pattern {
    ($name:literal) => {
        ($name, include_str!(concat!("../../patterns/data-flow/", $name)))
    };
}

/// The fixed facts of data-flow.
pub const SPEC: Spec = Spec {
    name: "data-flow",
    kinds: &[Kind::Data],
    keys: &[Class::User],
    facts: &[],
    input: Input::Values(WIDTH),
    model: Embedded {
        onnx: include_bytes!("../../models/data-flow.onnx"),
        selftest: include_str!("../../models/data-flow.selftest.json"),
    },
    patterns: &[pattern!("cloud.yml"), pattern!("export.yml")],
};

pub(super) fn problems(config: &Config) -> Vec<String> {
    let good = (1..=10_000_000).contains(&config.keys_max);
    let problem = || format!("keys_max: must be 1 to 10000000, is {}", config.keys_max);
    if good { Vec::new() } else { vec![problem()] }
}

pub(super) fn maker(config: &Config) -> Maker {
    let thresholds = config.thresholds;
    let budget = Budget::new(config.keys_max);
    Box::new(move |_| Box::new(DataFlow { thresholds, keys: Keys::new(budget.clone()) }))
}

pub(super) fn keyed(config: &Config) -> Option<Keyed> {
    Some(Keyed {
        rebuild: config.rebuild,
        snapshot_every: config.snapshot_every,
        clock_skew_max: config.clock_skew_max,
    })
}

struct DataFlow {
    thresholds: Thresholds,
    keys: Keys<Profile>,
}

/// The key of a body: the class goes in, so that a session and a user of one name differ.
fn key_of(fields: &Fields) -> String {
    let entity = shard_entity(Kind::Data, fields);
    entity.map_or_else(String::new, |(class, value)| format!("{class}:{value}"))
}

/// The body as the features want it.
fn access<'a>(seen: &Seen<'a>) -> Result<Observation<'a>, String> {
    let fields = seen.body;
    let action = body::text(fields, &["action"])?;
    let action = action.ok_or("body has no action: a data event must say what was done")?;
    Ok(Observation {
        ts_us: seen.ts.micros(),
        timed: seen.timed,
        action,
        resource: body::text(fields, &["resource", "object", "host"])?.unwrap_or_default(),
        project: body::text(fields, &["project"])?,
        rows: body::count(fields, &["rows"])?,
        bytes: body::count(fields, &["bytes_out", "bytes"])?,
        src: body::text(fields, &["src_ip", "client", "client_ip", "ip", "host"])?,
    })
}

impl Patrol for DataFlow {
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String> {
        let access = access(seen)?;
        let key = key_of(seen.body);
        let features = if seen.repeated {
            let mut past = self.keys.get(&key).cloned().unwrap_or_else(Profile::default);
            past.observe(&access)
        } else {
            self.keys.next(&key).observe(&access)
        };
        rows.values().iter_mut().zip(features).for_each(|(to, feature)| *to = feature);
        Ok(())
    }

    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let key = key_of(seen.body);
        if !seen.repeated {
            self.keys.settle(&key, evidence.score);
        }
        let Row::Values(row) = evidence.row else { return None };
        let stands_out = StandsOut { row };
        let (category, techniques) = stands_out.category();
        let says = ModelSays { category, techniques, what: "exfiltration" };
        let found = Finding::weigh(&self.thresholds, evidence.score, evidence.hits, says);
        let mut found = Finding::with_sign(found, stands_out.sign(), &self.thresholds)?;
        stands_out.reasons(seen, &mut found.reasons);
        if seen.ts_refused {
            found.reasons.push("its time lies in the future: time of receipt used".to_owned());
        }
        let past = self.keys.events(&key);
        if self.keys.evicted() > 0 && past <= 1 {
            found.reasons.push("its past may have been forgotten: too many users".to_owned());
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

/// Where a feature stands in a row; a name that does not exist does not compile.
macro_rules! at {
    ($name:literal) => {
        const { index_of($name) }
    };
}

#[expect(clippy::panic, clippy::indexing_slicing, reason = "runs at compile time only")]
const fn index_of(name: &str) -> usize {
    let mut at = 0;
    while at < WIDTH {
        let (known, name) = (data::NAMES[at].as_bytes(), name.as_bytes());
        let mut same = 0;
        while same < known.len() && same < name.len() && known[same] == name[same] {
            same += 1;
        }
        if same == known.len() && same == name.len() {
            return at;
        }
        at += 1;
    }
    panic!("no feature of this name")
}

/// A row of features, asked what is unusual in it.
struct StandsOut<'a> {
    row: &'a [f32],
}

impl StandsOut<'_> {
    fn value(&self, at: usize) -> f32 {
        self.row.get(at).copied().unwrap_or(0.0)
    }

    fn is(&self, at: usize) -> bool {
        self.value(at) > 0.5
    }

    fn rows_excess(&self) -> f32 {
        self.value(at!("rows above the user's mean (deviations)"))
    }

    /// What counts say without the model.
    fn sign(&self) -> Option<Sign> {
        self.is(at!("counts say secrets are taken")).then(|| {
            let read = self.value(at!("secrets read in the last hour (ln)")).exp_m1();
            Sign {
                level: Level::Medium,
                category: "credential_access",
                techniques: &["T1555.006"],
                reason: format!(
                    "about {read:.0} secrets read within an hour, remarkable from 8 on for an \
                     account that keeps none and seldom reads any"
                ),
            }
        })
    }

    fn category(&self) -> (&'static str, &'static [&'static str]) {
        let export = self.is(at!("action is copy")) || self.is(at!("action is export"));
        let projects =
            self.value(at!("distinct projects today against the user's usual day (ln ratio)"));
        let resources =
            self.value(at!("distinct resources today against the user's usual day (ln ratio)"));
        let day = self.value(at!("rows of the day against the user's usual day (ln ratio)"));
        let day =
            day.max(self.value(at!("bytes of the day against the user's usual day (ln ratio)")));
        if export && self.is(at!("project is new to the user")) {
            ("cross_project", &["T1537"])
        } else if export {
            ("bulk_export", &["T1213.006", "T1048"])
        } else if self.rows_excess() > 2.0 || self.value(at!("rows (ln)")) > 9.0 {
            ("bulk_read", &["T1213.006"])
        } else if resources > 2.0 || projects > 2.0 {
            ("data_sweep", &["T1119"])
        } else if day > 1.0 {
            ("slow_drain", &["T1030"])
        } else {
            ("unusual_access", &["T1213"])
        }
    }

    fn reasons(&self, seen: &Seen<'_>, reasons: &mut Vec<String>) {
        let excess = self.rows_excess();
        if excess > 2.0 {
            let rows = body::count(seen.body, &["rows"]).ok().flatten().unwrap_or(0);
            reasons.push(format!("{rows} rows: {excess:.0} deviations above this user's mean"));
        }
        let bytes = self.value(at!("bytes above the user's mean (deviations)"));
        if bytes > 2.0 {
            reasons.push(format!("bytes sent {bytes:.0} deviations above this user's mean"));
        }
        let day = self.value(at!("rows of the day against the user's usual day (ln ratio)"));
        if day > 1.0 {
            reasons.push(format!("{:.0} times the rows of this user's usual day", day.exp()));
        }
        for (at, least, reason) in [
            (at!("bulk action, rare for the user"), 2.0, "this user hardly ever copies or exports"),
            (at!("sensitive and bulk or large"), 0.5, "sensitive data in bulk"),
            (at!("resource is new to the user"), 0.5, "resource is new to this user"),
            (at!("project is new to the user"), 0.5, "project is new to this user"),
            (at!("address is new to the user"), 0.5, "address is new to this user"),
            (
                at!("rarity of the hour for the user, once known"),
                2.5,
                "an unusual hour for this user",
            ),
        ] {
            if self.value(at) > least {
                reasons.push(reason.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests;

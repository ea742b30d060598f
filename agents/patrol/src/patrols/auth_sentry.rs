//! # auth-sentry: stolen and guessed accounts
//!
//! **Finds** attempts to get in that do not fit the past of their address, or that of their
//! account: `brute_force` (many tries), `password_spraying` (many accounts with few tries each, or
//! many addresses after one account), `credential_stuffing` (many accounts once each, some of
//! which open or do not exist), `account_takeover` (let in from a new place after failures),
//! `impossible_travel` (two places, faster than any aeroplane), `automated_login` (an even beat or
//! a script where a person used to be), and `unusual_login` where nothing stands out alone.
//! Patterns name what needs no past: default accounts, tools that name themselves, probes.
//! Counts alone suffice where nobody was ever let in from an address and it failed, within a day,
//! four times for accounts that it does not know: with names that do not exist or that every list
//! holds, with three names or more, or so often that the server hung up twice. So they do where a
//! known account fails five times for strangers within hours, the last time from a network new to it
//! and a device that is new or not told; where a device new to it fails five times within half a
//! minute, wherever it is; and where it opens to a network and a device that both are new, within a
//! day of three failures of strangers. These three do not count on a day on which the right password
//! was typed and had expired, nor is a failure then held against an address that tried no other
//! account. The success of an account that its address let in before is not held against it when
//! others guess beside it.
//!
//! **Reads** `event` with `outcome`/`result`/`success`, `status`, `event_id` (what happened; one is
//! required), `user`/`actor`/`target_user`, `src_ip`/`client`, `host`, `session`, `user_agent`,
//! `device`/`src_host`, `method`, `lat` and `lon`, `country`, `city`, `location`, `repeated`,
//! `service` (PAM names no user where there is no such account), and time. A Windows, Kerberos or HTTP status counts as an outcome. Several lines about one attempt
//! (same session, other words) count once. Coordinates on no globe count as absent.
//!
//! **Techniques**: T1110.001, T1110.003, T1110.004, T1078; patterns add others.
//!
//! **Keeps** per address and per account counts that fade, small sketches of who was tried from
//! where, beat and hours: at most 448 bytes and their key. At most [`Config::keys_max`] are
//! remembered by a process; beyond that the least suspicious and longest idle are forgotten,
//! counted as `evicted`. Addresses see events, accounts see facts about them. Both are stored every
//! [`Config::snapshot_every`]; a new owner of a shard goes on from there. An IPv6 network of 64 bits
//! is one address, the loopback address another one on every host, and `CORP\ann`, `ann@corp` and `ANN`
//! are one account. Of recorded events without time only the order counts: no rates, hours, journeys.
//!
//! **Limits**: an account's first successes have no past to differ from. A spray that uses each
//! address and each account only once or twice looks like nothing to both. A first connection
//! through a VPN whose client tells no device looks like impossible travel. Where a body gives a
//! country but no coordinates, the country's middle and size are used. An event time more than
//! [`Config::clock_skew_max`] after its receipt is not believed: the time of receipt counts, and
//! the finding says so; a clock that goes back counts as no time passed.

mod says;

use self::says::StandsOut;
use crate::{
    body,
    features::auth::{AddressPast, Attempt, UserPast, WIDTH},
    inference::{Embedded, Input, Row, Rows},
    keys::{Budget, Keys},
    patrol::{Evidence, Finding, Patrol, Seen, Spec},
    patrols::{Keyed, Maker},
};
use magsentinel_bus_schema::{Class, Fields, Kind, Thresholds, entity::value_of, key};
use magsentinel_runtime::settings::Span;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

patrol_config! {
    /// Section `patrols.auth_sentry`.
    {
        /// Most addresses and accounts remembered by one process, all its shards together,
        /// 1..=10000000; about half a kilobyte of memory each. Beyond it the least suspicious and
        /// longest idle are forgotten, and counted. Default 200000.
        keys_max: usize = 200_000,
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
        ($name, include_str!(concat!("../../patterns/auth-sentry/", $name)))
    };
}

/// The fixed facts of auth-sentry.
pub const SPEC: Spec = Spec {
    name: "auth-sentry",
    kinds: &[Kind::Auth],
    keys: &[Class::Client, Class::User],
    facts: &[
        "event",
        "outcome",
        "result",
        "success",
        "status",
        "sub_status",
        "status_code",
        "event_id",
        "reason",
        "failure_reason",
        "user",
        "actor",
        "target_user",
        "client",
        "src_ip",
        "client_ip",
        "ip",
        "host",
        "server",
        "session",
        "user_agent",
        "agent",
        "client_version",
        "application",
        "device",
        "device_id",
        "src_host",
        "workstation",
        "method",
        "auth_method",
        "lat",
        "latitude",
        "lon",
        "lng",
        "longitude",
        "location",
        "country",
        "country_code",
        "geo_country",
        "city",
        "repeated",
    ],
    input: Input::Values(WIDTH),
    model: Embedded {
        onnx: include_bytes!("../../models/auth-sentry.onnx"),
        selftest: include_str!("../../models/auth-sentry.selftest.json"),
    },
    patterns: &[pattern!("probes.yml"), pattern!("tools.yml")],
};

pub(super) fn problems(config: &Config) -> Vec<String> {
    let good = (1..=10_000_000).contains(&config.keys_max);
    let problem = || format!("keys_max: must be 1 to 10000000, is {}", config.keys_max);
    if good { Vec::new() } else { vec![problem()] }
}

pub(super) fn maker(config: &Config) -> Maker {
    let thresholds = config.thresholds;
    let budget = Budget::new(config.keys_max);
    Box::new(move |class| match class {
        Some(Class::User) => {
            Box::new(AuthSentry::<UserPast> { thresholds, keys: Keys::new(budget.clone()) })
        }
        _ => Box::new(AuthSentry::<AddressPast> { thresholds, keys: Keys::new(budget.clone()) }),
    })
}

pub(super) fn keyed(config: &Config) -> Option<Keyed> {
    Some(Keyed {
        rebuild: config.rebuild,
        snapshot_every: config.snapshot_every,
        clock_skew_max: config.clock_skew_max,
    })
}

/// What is remembered of a key of one class.
trait Past: Clone + Default + Serialize + DeserializeOwned + Send + 'static {
    /// The class.
    const CLASS: Class;
    /// Whether its owner judges patterns: one of them does.
    const JUDGES_PATTERNS: bool;

    /// Whether an event is looked at.
    fn wants(seen: &Attempt) -> bool;

    /// Writes the features of an event and learns it.
    fn observe(&mut self, seen: &Attempt, out: &mut [f32]);
}

impl Past for AddressPast {
    const CLASS: Class = Class::Client;
    const JUDGES_PATTERNS: bool = true;

    fn wants(_: &Attempt) -> bool {
        true
    }

    fn observe(&mut self, seen: &Attempt, out: &mut [f32]) {
        Self::observe(self, seen, out);
    }
}

impl Past for UserPast {
    const CLASS: Class = Class::User;
    const JUDGES_PATTERNS: bool = false;

    fn wants(seen: &Attempt) -> bool {
        seen.is_attempt()
    }

    fn observe(&mut self, seen: &Attempt, out: &mut [f32]) {
        Self::observe(self, seen, out);
    }
}

struct AuthSentry<P> {
    thresholds: Thresholds,
    keys: Keys<P>,
}

impl<P: Past> AuthSentry<P> {
    /// The key that this instance knows the event by; a body may name none of the class.
    fn key(fields: &Fields) -> Option<String> {
        value_of(P::CLASS, fields).map(|value| key::of(P::CLASS, &value, fields))
    }
}

impl<P: Past> Patrol for AuthSentry<P> {
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String> {
        let attempt = Attempt { timed: seen.timed, ..Attempt::read(seen.body, seen.ts.micros())? };
        let Some(key) = Self::key(seen.body).filter(|_| P::wants(&attempt)) else {
            return Ok(());
        };
        if seen.repeated {
            let mut past = self.keys.get(&key).cloned().unwrap_or_default();
            past.observe(&attempt, rows.values());
        } else {
            self.keys.next(&key).observe(&attempt, rows.values());
        }
        Ok(())
    }

    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let key = Self::key(seen.body).unwrap_or_default();
        if !seen.repeated {
            self.keys.settle(&key, evidence.score);
        }
        let Row::Values(row) = evidence.row else { return None };
        let stands_out = StandsOut::new(P::CLASS, row);
        let hits = if P::JUDGES_PATTERNS { evidence.hits } else { &[] };
        let says = stands_out.says();
        let score = stands_out.of_the_attacker(evidence.score, self.thresholds.medium);
        let found = Finding::weigh(&self.thresholds, score, hits, says);
        // An event without a row of its own is shown another's; its score alone is 0.
        let sign = stands_out.sign().filter(|_| evidence.score > 0.0);
        let mut found = Finding::with_sign(found, sign, &self.thresholds)?;
        stands_out.reasons(&mut found.reasons);
        if seen.ts_refused {
            found.reasons.push("its time lies in the future: time of receipt used".to_owned());
        }
        if self.keys.evicted() > 0 && self.keys.events(&key) <= 1 {
            found.reasons.push("its past may have been forgotten: too many keys".to_owned());
        }
        Some(found)
    }

    /// The body without secrets: some publishers tell the passwords that were tried.
    fn excerpt(&self, fields: &Fields, chars_max: usize) -> String {
        let secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            ["pass", "secret", "token", "credential"].iter().any(|word| name.contains(word))
        };
        let mut shown = fields.clone();
        shown.0.retain(|name, _| !secret(name));
        body::excerpt(&shown, chars_max)
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

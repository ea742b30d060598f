//! The gates, and a corpus of patterns that must not pass them.

use super::*;
use crate::{
    good::Good,
    patrols::{Config, find},
    patterns::Bounds,
};
use magsentinel_bus_schema::{Kind, SCHEMA_VERSION, Source, Tenant, Trust};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fmt::Write, time::Duration};

const BOUNDS: Bounds = Bounds { rule_bytes_max: 16_384, regex_bytes_max: 262_144 };
const BUDGET: Budget =
    Budget { share_max: 0.0005, shadow_events: 10_000, shadow_for: Duration::from_secs(1) };

fn event(kind: Kind, name: &str, body: &Value) -> Event {
    let ts = Timestamp::from_micros(1_767_700_000_000_000);
    Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["event", name]),
        tenant: Tenant::default(),
        kind,
        ts,
        received: ts,
        ts_missing: false,
        replayed: false,
        source: Source { trust: Trust::Observed, ..Source::default() },
        causes: Vec::new(),
        trace: None,
        body: Fields(body.as_object().cloned().unwrap_or_default()),
    }
}

/// The incident's own events, by patrol.
fn own(patrol: &str) -> Vec<Value> {
    match patrol {
        "sql-guard" => vec![
            json!({"text": "SELECT id, name FROM products WHERE id = '7' UNION SELECT card_no, holder \
                    FROM payment_cards WHERE '1'='1'", "kind": "query", "user": "shop_app",
                    "session": "69a5b2c1.1f4b", "src_ip": "10.20.0.5"}),
            json!({"text": "SELECT id, name FROM products WHERE id = '8' UNION SELECT login, secret \
                    FROM staff_accounts LIMIT 50", "kind": "query", "user": "shop_app",
                    "session": "69a5b2c1.1f4b", "src_ip": "10.20.0.5"}),
        ],
        "api-watch" => vec![
            json!({"client": "203.0.113.9", "method": "GET", "path": "/internal/../../debug/heap",
                   "headers": {"user-agent": "gobuster/3.6"}, "status": 403}),
            json!({"client": "203.0.113.9", "method": "GET", "path": "/actuator/heapdump",
                   "headers": {"user-agent": "gobuster/3.6"}, "status": 404}),
        ],
        "auth-sentry" => {
            vec![json!({"host": "web-1", "service": "sshd", "event": "failed_password",
                   "user": "root", "src_ip": "203.0.113.9", "src_port": 40000,
                   "user_agent": "SSH-2.0-libssh_0.9.6"})]
        }
        _ => vec![json!({"user": "report", "src_ip": "10.20.0.9", "action": "copy_to",
                   "resource": "payment_cards", "rows": 90000, "bytes_out": 9_000_000,
                   "project": "shop"})],
    }
}

/// Ten thousand ordinary events of a kind: what is known to be good, with other values.
fn retained(kind: Kind) -> Vec<Event> {
    let good: Vec<Fields> =
        Good::read(&[kind], None).unwrap().bodies().map(|(_, body)| body).collect();
    let again = (0..10_000).map(|n| {
        let mut body = varied::varied(&good[n % good.len()]);
        body.0.insert("ts".to_owned(), json!(1_767_700_000 + n));
        event(kind, &format!("retained {n}"), &Value::Object(body.0))
    });
    again.collect()
}

/// What the gates say of a rule.
fn gates(patrol: &str, rule: &str, retained: &[Event]) -> (Proof, Option<(Gate, String)>) {
    let entry = find(patrol).unwrap();
    let proposal = match Proposal::compile(entry.spec, rule, BOUNDS) {
        Ok(proposal) => proposal,
        Err(why) => return (Proof::default(), Some((Gate::Compile, why))),
    };
    let own: Vec<Event> = (0..)
        .zip(own(patrol))
        .map(|(n, body)| event(entry.spec.kinds[0], &format!("own {n}"), &body))
        .collect();
    let ids: Vec<Id> = own.iter().map(|event| event.id).collect();
    let mut trial = Trial::new((entry, &Config::default()), proposal, &ids, BUDGET, 1_000_000);
    let good = Good::read(entry.spec.kinds, None).unwrap();
    good.bodies().for_each(|(kind, body)| trial.good(kind, &body));
    own.iter().chain(retained).for_each(|event| trial.event(event));
    trial.conclude()
}

fn rule(kind: Kind, detection: &str) -> String {
    format!(
        "title: Proposed for a test\nlogsource: {{product: magsentinel, category: {kind}}}\n\
         tags: [mag.proposed]\nlevel: medium\ndetection:\n{detection}\n"
    )
}

/// One bad pattern.
#[derive(Deserialize)]
struct Bad {
    name: String,
    patrol: String,
    /// Below `detection:`; or all of the rule.
    detection: Option<String>,
    rule: Option<String>,
    /// Times that `{}` in it is repeated.
    times: Option<usize>,
    gate: Gate,
    why: String,
}

impl Bad {
    fn text(&self) -> String {
        let kind = find(&self.patrol).unwrap().spec.kinds[0];
        let text = match (&self.rule, &self.detection) {
            (Some(rule), _) => rule.clone(),
            (None, detection) => rule(kind, detection.as_deref().unwrap_or_default()),
        };
        match (self.times, text.split_once("{{")) {
            (Some(times), Some((before, rest))) => {
                let (part, after) = rest.split_once("}}").unwrap();
                format!("{before}{}{after}", part.repeat(times))
            }
            _ => text,
        }
    }
}

#[test]
fn every_bad_pattern_is_stopped_at_its_gate_with_the_reason() {
    let corpus: Vec<Bad> = serde_json::from_str(include_str!("bad.json")).unwrap();
    assert!(corpus.len() >= 40, "{}", corpus.len());
    let mut retained_of: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for bad in &corpus {
        let kind = find(&bad.patrol).unwrap().spec.kinds[0];
        let retained = retained_of.entry(kind.token()).or_insert_with(|| retained(kind));
        let (_, stopped) = gates(&bad.patrol, &bad.text(), retained);
        let (gate, why) = stopped.map_or(("none", String::new()), |(g, why)| (g.token(), why));
        let line: String = why.lines().next().unwrap_or_default().chars().take(110).collect();
        writeln!(table, "{:<42} {:<12} {:<11} {line}", bad.name, bad.patrol, gate).unwrap();
        if gate != bad.gate.token() || !why.contains(&bad.why) {
            wrong.push(format!("{}: {gate} {why}", bad.name));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_good_pattern_passes_every_gate() {
    for (patrol, kind, detection) in [
        (
            "sql-guard",
            Kind::Sql,
            "  union: {text|re: 'union( all)? select [a-z_, ]+ from (payment|staff)_'}\n  condition: union",
        ),
        ("api-watch", Kind::Api, "  tool: {text|contains: gobuster}\n  condition: tool"),
        ("auth-sentry", Kind::Auth, "  lib: {user_agent|contains: libssh}\n  condition: lib"),
        ("data-flow", Kind::Data, "  copy: {action: copy_to, rows|gte: 5000}\n  condition: copy"),
    ] {
        let (proof, stopped) = gates(patrol, &rule(kind, detection), &retained(kind));
        assert_eq!(stopped, None, "{patrol} {proof:?}");
        assert!(proof.own_hits > 0 && proof.events > 10_000, "{patrol} {proof:?}");
        assert_eq!((proof.good_hits, proof.false_hits), (0, 0), "{patrol}");
    }
}

/// What a chain already tells of is no false positive, until an operator says that it was one.
#[test]
fn what_is_explained_does_not_count_and_what_operators_call_ordinary_does() {
    let entry = find("sql-guard").unwrap();
    let text = rule(Kind::Sql, "  odd: {text|contains: kumquat}\n  condition: odd");
    let run = |explained: bool, ordinary: bool| {
        let proposal = Proposal::compile(entry.spec, &text, BOUNDS).unwrap();
        let body = |n: usize| json!({"text": format!("select {n} as a, kumquat from fruit order by juice")});
        let events: Vec<Event> =
            (0..20).map(|n| event(Kind::Sql, &format!("fruit {n}"), &body(n))).collect();
        let own = [events[0].id];
        let mut trial = Trial::new((entry, &Config::default()), proposal, &own, BUDGET, 100);
        events.iter().for_each(|event| trial.event(event));
        for event in &events {
            if explained {
                trial.explain(event.id);
            }
            if ordinary {
                trial.found_ordinary(event.id);
            }
        }
        let (proof, stopped) = trial.conclude();
        (proof.false_hits, stopped.map(|(gate, _)| gate))
    };
    assert_eq!(run(false, false), (19, Some(Gate::Backtest)));
    assert_eq!(run(true, false), (0, None));
    assert_eq!(run(true, true), (20, Some(Gate::Backtest)));
}

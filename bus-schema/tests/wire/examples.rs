//! One fixed instance of every message, and of every effect: what the golden files hold.
//!
//! A message that changes its fields gets an example of its own beside the old one.

mod analysis;
mod lease;
mod pattern;

pub(crate) use analysis::{analysis, analysis_grounded, analysis_suggesting};
pub(crate) use lease::{asks, effects};
use magsentinel_bus_schema::{
    Action, Alert, Analyze, Analyzed, Assessment, Class, Closure, DeadLetter, Effect, Entity,
    Event, Fact, Failure, Fields, Gap, GapState, Id, Judgement, Keyed, Kind, Lease, Level, Message,
    Mode, Outcome, OutcomeStatus, Rated, Receipt, Response, Scored, Shard, Source, Status,
    Suppressed, SuppressionChange, Tenant, Timestamp, Token, Trust,
    closure::Share,
    decision::Evidence,
    suppression::{self, Changed, Rule},
};
use serde_json::json;
use std::fmt::Debug;

/// Something to do with every example.
pub(crate) trait Visit {
    /// Does it. `of` is the message's name in the reference, `name` the example's.
    fn visit<T: Message + PartialEq + Debug>(&mut self, of: &str, name: &str, message: &T);
}

/// Visits every example.
pub(crate) fn each(visit: &mut impl Visit) {
    visit.visit("event", "event", &event());
    visit.visit("event", "event-least", &least_event());
    visit.visit("scored", "scored", &scored());
    visit.visit("receipt", "receipt", &receipt());
    visit.visit("fact", "fact", &fact());
    visit.visit("keyed", "keyed", &keyed());
    visit.visit("assessment", "assessment", &assessment());
    visit.visit("alert", "alert", &alert());
    let with = vec![suppressed()];
    visit.visit("alert", "alert-suppressed", &Alert { suppressed: with.clone(), ..alert() });
    let with = Assessment { suppressed: with, ..assessment() };
    visit.visit("assessment", "assessment-suppressed", &with);
    let with = Assessment { rated: Some(rated()), ..assessment() };
    visit.visit("assessment", "assessment-rated", &with);
    visit.visit("analysis", "analysis", &analysis());
    visit.visit("analysis", "analysis_grounded", &analysis_grounded());
    visit.visit("analysis", "analysis_suggesting", &analysis_suggesting());
    for effect in effects() {
        let name = format!("action-{}", effect.verb());
        visit.visit("action", &name, &action(effect));
    }
    visit.visit("outcome", "outcome", &outcome());
    lease::each(visit);
    visit.visit("closure", "closure", &closure());
    visit.visit("analyze", "analyze", &Analyze { v: 1, scored: vec![scored()] });
    let assessments = vec![assessment()];
    visit.visit("analyzed", "analyzed", &Analyzed { v: 1, assessments });
    visit.visit("gap", "gap", &gap());
    visit.visit("gap", "gap-open", &open_gap());
    let closed = Gap { state: GapState::Backfilled, to: Some(at(-1)), ..open_gap() };
    visit.visit("gap", "gap-backfilled", &closed);
    visit.visit("scored", "scored-backfilled", &Scored { backfilled: true, ..scored() });
    let source = Some("postgres:/var/log/postgresql/15.json".to_owned());
    let with = Scored { source, ..scored() };
    visit.visit("scored", "scored-source", &with);
    visit.visit("keyed", "keyed-source", &Keyed { scored: with, ..keyed() });
    let members = "0f1e2d3c4b5a69788796a5b4c3d2e1f0".to_owned();
    let tactics = texts(&["initial-access", "exfiltration"]);
    let with = Assessment { members, tactics, ..assessment() };
    visit.visit("assessment", "assessment-members", &with);
    visit.visit("receipt", "receipt-backfilled", &Receipt { backfilled: true, ..receipt() });
    visit.visit("fact", "fact-backfilled", &Fact { backfilled: true, ..fact() });
    let of = Assessment { backfilled: true, ..assessment() };
    visit.visit("assessment", "assessment-backfilled", &of);
    visit.visit("alert", "alert-backfilled", &Alert { backfilled: true, ..alert() });
    visit.visit("suppression-change", "suppression-set", &suppression_set());
    let refused = SuppressionChange {
        changed: Changed::Refused,
        rule: None,
        why: Some("it has no end".to_owned()),
        ..suppression_set()
    };
    visit.visit("suppression-change", "suppression-refused", &refused);
    pattern::each(visit);
    visit.visit("lease", "lease", &lease());
    visit.visit("dead-letter", "dead-letter", &dead_letter());
}

fn id(name: &str) -> Id {
    Id::derived(&["example", name])
}

fn token(text: &str) -> Token {
    text.parse().unwrap()
}

fn at(us: i64) -> Timestamp {
    Timestamp::from_micros(1_481_352_946_500_000 + us)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn entities() -> Vec<Entity> {
    [
        (Class::Client, "203.0.113.9", Trust::Observed),
        (Class::User, "shöp \"admin\"", Trust::Verified),
        (Class::Resource, "public.orders", Trust::Claimed),
    ]
    .map(|(class, value, trust)| Entity { class, value: value.to_owned(), trust })
    .to_vec()
}

pub(crate) fn event() -> Event {
    // Keys in order, so that the bytes do not depend on how a map keeps them.
    let body = json!({
        "delta": -9_223_372_036_854_775_808_i64,
        "kind": "query",
        "nested": {"empty": "", "list": [1, "two", [], {}]},
        "nothing": null,
        "ok": false,
        "rows": 18_446_744_073_709_551_615_u64,
        "share": 0.25,
        "src_ip": "203.0.113.9",
        "text": "SELECT 'ö' UNION SELECT * FROM pg_user -- \u{202e}",
        "ts": "2016-12-10T06:55:46.5Z",
    });
    let serde_json::Value::Object(body) = body else { unreachable!() };
    Event {
        v: 1,
        id: id("event"),
        tenant: "shop-1".parse().unwrap(),
        kind: Kind::Sql,
        ts: at(0),
        received: at(1),
        ts_missing: true,
        replayed: true,
        source: Source {
            sensor: "postgres".to_owned(),
            name: "/var/log/postgresql.json".to_owned(),
            trust: Trust::Observed,
        },
        causes: vec![id("cause"), id("other cause")],
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        body: Fields(body),
    }
}

fn least_event() -> Event {
    Event {
        v: 1,
        id: id("least"),
        tenant: Tenant::default(),
        kind: Kind::Host,
        ts: Timestamp::from_micros(-1),
        received: Timestamp::from_micros(0),
        ts_missing: false,
        replayed: false,
        source: Source::default(),
        causes: vec![],
        trace: None,
        body: Fields::default(),
    }
}

pub(crate) fn scored() -> Scored {
    Scored {
        v: 1,
        id: id("scored"),
        event: id("event"),
        seq: 4_294_967_296,
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: at(0),
        replayed: true,
        backfilled: false,
        patrol: token("sql-guard"),
        by_key: None,
        source: None,
        level: Level::High,
        score: 0.975,
        confidence: 0.5,
        category: token("union_injection"),
        techniques: texts(&["T1190", "T1005"]),
        reasons: texts(&["a union reads the catalogue"]),
        entities: entities(),
        excerpt: "UNION SELECT \u{1b}[31m".to_owned(),
        model: "sha256:0123".to_owned(),
        patterns: "sha256:4567".to_owned(),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        v: 1,
        id: id("receipt"),
        tenant: Tenant::default(),
        patrol: token("data-flow"),
        model: "sha256:0123".to_owned(),
        patterns: String::new(),
        events: vec![id("event"), id("least")],
        seqs: vec![1, u64::MAX],
        backfilled: false,
    }
}

pub(crate) fn fact() -> Fact {
    let key = "ann".to_owned();
    Fact { v: 1, class: Class::User, key, seq: 8, event: event(), backfilled: false }
}

pub(crate) fn keyed() -> Keyed {
    Keyed { v: 1, class: Class::Session, key: "65a1.4d".to_owned(), seq: 9, scored: scored() }
}

pub(crate) fn evidence() -> Evidence {
    Evidence {
        event: id("event"),
        scored: id("scored"),
        ts: at(0),
        kind: Kind::Data,
        patrol: token("data-flow"),
        level: Level::Medium,
        score: 0.625,
        category: token("bulk_export"),
        techniques: texts(&["T1005"]),
        reasons: texts(&["4000 times the usual rows"]),
        entities: entities(),
        excerpt: "COPY orders TO STDOUT".to_owned(),
    }
}

pub(crate) fn assessment() -> Assessment {
    Assessment {
        v: 1,
        id: id("assessment"),
        incident: id("incident"),
        revision: 2,
        tenant: Tenant::default(),
        chain: token("sql_injection_exfiltration"),
        class: Class::Session,
        key: "65a1.4d".to_owned(),
        status: Status::Updated,
        level: Level::Critical,
        confidence: 0.875,
        attack_type: token("sql_injection_exfiltration"),
        response: Response::Block,
        escalate: true,
        replayed: true,
        backfilled: false,
        first: at(0),
        last: at(2_000_000),
        reasoning: texts(&["injection, then a dump by the same session"]),
        techniques: texts(&["T1190", "T1005"]),
        affected: entities(),
        plan: texts(&["suspend the session", "rotate the password"]),
        evidence: vec![evidence()],
        count: 70_000,
        suppressed: vec![],
        members: String::new(),
        tactics: vec![],
        rated: None,
    }
}

fn rated() -> Rated {
    Rated {
        rating: 0.9375,
        model: "0123456789abcdef".to_owned(),
        shape: "sql 2 high, data 1 medium; 2 categories by 2 patrols".to_owned(),
    }
}

fn suppressed() -> Suppressed {
    Suppressed {
        id: token("nightly-dump"),
        effect: suppression::Effect::NoAction,
        until: at(86_400_000_000),
        reason: "the archive is filled".to_owned(),
        by: "ann".to_owned(),
    }
}

pub(crate) fn alert() -> Alert {
    Alert {
        v: 1,
        id: id("incident"),
        assessment: id("assessment"),
        revision: 3,
        tenant: Tenant::default(),
        status: Status::Closed,
        level: Level::Critical,
        confidence: 0.875,
        attack_type: token("sql_injection_exfiltration"),
        title: "SQL injection followed by a dump".to_owned(),
        response: Response::Alert,
        escalate: true,
        replayed: true,
        backfilled: false,
        class: Class::Session,
        key: "65a1.4d".to_owned(),
        first: at(0),
        last: at(2_000_000),
        count: 2,
        techniques: texts(&["T1190"]),
        affected: entities(),
        events: vec![id("event")],
        suppressed: vec![],
        decided: at(2_001_234),
    }
}

pub(crate) fn action(effect: Effect) -> Action {
    Action {
        v: 1,
        id: id("action"),
        incident: id("incident"),
        assessment: id("assessment"),
        tenant: Tenant::default(),
        effect,
        target: entities().remove(0),
        mode: Mode::DryRun,
        ttl_s: 900,
        inverse: "undo it".to_owned(),
        reason: "a dump".to_owned(),
        events: vec![id("event")],
        evidence_ts: at(0),
        replayed: true,
    }
}

pub(crate) fn outcome() -> Outcome {
    Outcome {
        v: 1,
        id: id("outcome"),
        action: id("action"),
        incident: id("incident"),
        tenant: Tenant::default(),
        effect: Effect::BlockAddress { address: "203.0.113.9".parse().unwrap() },
        status: OutcomeStatus::WouldApply,
        detail: "add element".to_owned(),
        inverse: "delete element".to_owned(),
        ts: at(3),
        until: None,
        hash: None,
        order: None,
        evidence: None,
    }
}

pub(crate) fn closure() -> Closure {
    Closure {
        v: 1,
        id: id("closure"),
        incident: id("incident"),
        tenant: Tenant::default(),
        judgement: Judgement::FalsePositive,
        by: "dana".to_owned(),
        note: "the nightly export".to_owned(),
        patrols: vec![Share { patrol: token("data-flow"), events: 12 }],
        ts: at(0),
    }
}

pub(crate) fn gap() -> Gap {
    Gap {
        v: 1,
        id: id("gap"),
        tenant: Tenant::default(),
        patrol: token("sql-guard"),
        kind: Some(Kind::Sql),
        from_seq: 7,
        to_seq: 9,
        count: 3,
        reason: "retention".to_owned(),
        noticed: at(0),
        state: GapState::Lost,
        from: None,
        to: None,
        scored_after: 0,
    }
}

pub(crate) fn open_gap() -> Gap {
    Gap {
        state: GapState::Open,
        from: Some(at(-60_000_000)),
        scored_after: 4_294_967_296,
        reason: "scored more than 30s after they were stored".to_owned(),
        ..gap()
    }
}

pub(crate) fn suppression_set() -> SuppressionChange {
    SuppressionChange {
        v: 1,
        id: id("suppression"),
        tenant: Tenant::default(),
        suppression: token("nightly"),
        revision: 7,
        ts: at(1),
        changed: Changed::Set,
        rule: Some(Rule {
            effect: suppression::Effect::NoAction,
            chain: Some(token("bulk_exfiltration")),
            class: Class::User,
            key: "backup-*".to_owned(),
            level_max: Level::High,
            from: Some(at(5_000_000)),
            until: at(86_400_000_000),
            reason: "the archive is filled".to_owned(),
            by: "ann".to_owned(),
            ended_by: None,
        }),
        why: None,
    }
}

pub(crate) fn lease() -> Lease {
    Lease {
        v: 1,
        service: token("analyzer"),
        shard: Shard(63),
        owner: Some("host-1/7".to_owned()),
        epoch: 12,
        ttl_ms: 5000,
        position: 1234,
        handled: 1200,
        snapshot: None,
        marks: vec![],
    }
}

pub(crate) fn dead_letter() -> DeadLetter {
    DeadLetter {
        v: 1,
        id: id("dead letter"),
        tenant: Tenant::default(),
        stream: "MAG-default-EVENTS".to_owned(),
        seq: 7,
        subject: "mag.default.event.sql.1".to_owned(),
        consumer: "sql-guard".to_owned(),
        element: Some(2),
        failure: Failure::GaveUp,
        reason: "cannot be read".to_owned(),
        ts: at(0),
        payload_len: 3,
        payload: "AAEC".to_owned(),
    }
}

use super::*;
use crate::incident::timeline::Moment;
use magsentinel_bus_schema::{
    Effect, Entity, Kind, Mode, OutcomeStatus, SCHEMA_VERSION, Trust,
    decision::{Author, Claim},
};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((1_700_000_000 + second) * 1_000_000)
}

pub(crate) fn cited(name: &str, second: i64, excerpt: &str) -> Evidence {
    Evidence {
        event: Id::derived(&["event", name]),
        scored: Id::derived(&["scored", name]),
        ts: at(second),
        kind: Kind::Sql,
        patrol: Token::sanitised("sql-guard"),
        level: Level::High,
        score: 0.97,
        category: Token::sanitised("union_injection"),
        techniques: vec!["T1190".to_owned()],
        reasons: vec![],
        entities: vec![Entity {
            class: Class::User,
            value: "shop".to_owned(),
            trust: Trust::Observed,
        }],
        excerpt: excerpt.to_owned(),
    }
}

/// A revision of the incident of this name, with one more cited event each revision.
pub(crate) fn assessment(name: &str, revision: u32) -> Assessment {
    let incident = Id::derived(&["incident", name]);
    let evidence = (1..=revision).map(|n| cited(&format!("{name}{n}"), i64::from(n), "select 1"));
    Assessment {
        v: SCHEMA_VERSION,
        id: Id::derived(&["assessment", name, &revision.to_string()]),
        incident,
        revision,
        tenant: Tenant::default(),
        chain: Token::sanitised("sql_injection_exfiltration"),
        class: Class::Session,
        key: format!("key of {name}"),
        status: if revision == 1 { Status::Opened } else { Status::Updated },
        level: Level::High,
        confidence: 0.9,
        attack_type: Token::sanitised("sql_injection"),
        response: Response::Block,
        escalate: true,
        replayed: false,
        backfilled: false,
        first: at(1),
        last: at(i64::from(revision)),
        reasoning: vec![],
        techniques: vec![],
        affected: vec![],
        plan: vec![],
        evidence: evidence.collect(),
        count: u64::from(revision),
        suppressed: vec![],
        members: String::new(),
        tactics: vec![],
        rated: None,
    }
}

pub(crate) fn alert(of: &Assessment, title: &str) -> Alert {
    Alert {
        v: of.v,
        id: of.incident,
        assessment: of.id,
        revision: of.revision,
        tenant: of.tenant.clone(),
        status: of.status,
        level: of.level,
        confidence: of.confidence,
        attack_type: of.attack_type.clone(),
        title: title.to_owned(),
        response: of.response,
        escalate: of.escalate,
        replayed: of.replayed,
        backfilled: of.backfilled,
        class: of.class,
        key: of.key.clone(),
        first: of.first,
        last: of.last,
        count: of.count,
        techniques: vec![],
        affected: vec![],
        events: vec![],
        suppressed: vec![],
        decided: of.last,
    }
}

pub(crate) fn analysis(of: &Assessment, executive: &str) -> Analysis {
    let claim = |text: &str| Claim { text: text.to_owned(), cites: vec![of.evidence[0].event] };
    Analysis {
        v: of.v,
        id: Id::derived(&["analysis", &of.id.to_string()]),
        incident: of.incident,
        assessment: of.id,
        tenant: of.tenant.clone(),
        attack_type: of.attack_type.clone(),
        author: Author::Playbook,
        model: None,
        fallback_reason: None,
        level: Level::Critical,
        attack_vector: claim("through the search field"),
        chain: vec![claim("first injected, then dumped")],
        blast_radius: vec![],
        attribution: Claim::default(),
        attribution_confidence: 0.0,
        remediation: vec![claim("rotate the password of the role")],
        prevention: vec![],
        executive: executive.to_owned(),
        executive_cites: vec![],
        technical: String::new(),
        technical_cites: vec![],
        suggested: vec![],
        omitted: 0,
        left_out: vec![],
        grounding: None,
    }
}

pub(crate) fn action(of: &Assessment) -> Action {
    Action {
        v: of.v,
        id: Id::derived(&["action", &of.incident.to_string()]),
        incident: of.incident,
        assessment: of.id,
        tenant: of.tenant.clone(),
        effect: Effect::SuspendUser { user: "shop".into(), system: "postgresql".into() },
        target: Entity { class: Class::User, value: "shop".into(), trust: Trust::Observed },
        mode: Mode::DryRun,
        ttl_s: 900,
        inverse: String::new(),
        reason: "injection followed by a dump".into(),
        events: vec![],
        evidence_ts: of.last,
        replayed: false,
    }
}

pub(crate) fn outcome(of: &Action) -> Outcome {
    Outcome {
        v: of.v,
        id: Id::derived(&["outcome", &of.id.to_string()]),
        action: of.id,
        incident: of.incident,
        tenant: of.tenant.clone(),
        effect: of.effect.clone(),
        status: OutcomeStatus::WouldApply,
        detail: "ALTER ROLE \"shop\" NOLOGIN".into(),
        inverse: "ALTER ROLE \"shop\" LOGIN".into(),
        ts: at(20),
        until: None,
        hash: None,
        order: None,
        evidence: None,
    }
}

/// Everything about one incident, in the order in which it comes about.
pub(crate) fn life(name: &str) -> Vec<Content> {
    let (first, second) = (assessment(name, 1), assessment(name, 2));
    let action = action(&second);
    vec![
        Content::Assessment(Box::new(first.clone())),
        Content::Alert(Box::new(alert(&first, "an injection"))),
        Content::Assessment(Box::new(second.clone())),
        Content::Alert(Box::new(alert(&second, "an injection and a dump"))),
        Content::Action(Box::new(action.clone())),
        Content::Outcome(Box::new(outcome(&action))),
        Content::Analysis(Box::new(analysis(&second, "somebody dumped the shop"))),
    ]
}

fn row_of(contents: &[Content]) -> IncidentRow {
    let mut row = IncidentRow::new(Tenant::default(), Id::derived(&["x"]), 1, at(0));
    contents.iter().for_each(|content| row.apply(content));
    row
}

#[test]
fn the_newest_revision_is_shown_in_whatever_order_they_come() {
    let contents = life("a");
    let row = row_of(&contents);
    assert_eq!((row.revision, row.count, row.last), (2, 2, at(2)));
    assert_eq!((row.level, row.title.as_str()), (Level::Critical, "an injection and a dump"));
    assert_eq!((row.analyses, row.actions, row.outcomes), (1, 1, 1));
    let reversed: Vec<_> = contents.into_iter().rev().collect();
    assert_eq!(row_of(&reversed), row);
}

#[test]
fn an_incident_holds_each_cited_event_once_and_everything_by_time() {
    let records = life("a").into_iter().zip(1..);
    let stored =
        records.map(|(content, seq)| Stored { seq, stored: at(10 + seq), message: Ok(content) });
    let broken = Stored { seq: 8, stored: at(18), message: Err("cut".to_owned()) };
    let incident = Incident::assemble(row_of(&life("a")), stored.chain([broken]).collect(), 0);
    let events: Vec<_> = incident.evidence.iter().map(|e| e.event).collect();
    assert_eq!(events, ["a1", "a2"].map(|name| Id::derived(&["event", name])));
    let moments: Vec<_> = incident.timeline.iter().map(|entry| entry.what).collect();
    use Moment::{Action, Alert, Analysis, Assessment, Event, Outcome};
    let want = [Event, Event, Assessment, Alert, Assessment, Alert, Action, Outcome, Analysis];
    assert_eq!(moments, want);
    assert!(incident.timeline.is_sorted_by_key(|entry| entry.at));
    assert_eq!(incident.unreadable, [Unreadable { seq: 8, reason: "cut".to_owned() }]);
}

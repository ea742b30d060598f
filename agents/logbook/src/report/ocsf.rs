//! The incident as events of the Open Cybersecurity Schema Framework, version 1.5.0: a Detection
//! Finding (class 2004) with the evidence, and an Incident Finding (class 2005) with where the
//! incident stands. One JSON object a line, as a SIEM takes them in.

use super::{ENTITIES_MAX, EVENTS_MAX, entities, plan, techniques, title, trust};
use crate::{Incident, escape};
use magsentinel_bus_schema::{
    Class, Entity, Judgement, Level, Status, Timestamp, decision::Evidence,
};
use serde_json::{Value, json};
use std::net::IpAddr;

const VERSION: &str = "1.5.0";
/// The category Findings.
const CATEGORY: u32 = 2;
const DETECTION: u32 = 2004;
const INCIDENT: u32 = 2005;
const TEXT_CHARS_MAX: usize = 8000;
const NAME_CHARS_MAX: usize = 300;

pub(super) fn findings(incident: &Incident) -> String {
    [detection(incident), finding(incident)].iter().map(|finding| format!("{finding}\n")).collect()
}

fn detection(incident: &Incident) -> Value {
    let row = &incident.incident;
    let evidences: Vec<Value> = incident.evidence.iter().take(EVENTS_MAX).map(evidence).collect();
    let all = entities(incident);
    let named = || all.iter().map(|named| &named.entity).take(ENTITIES_MAX);
    let resources: Vec<Value> = named()
        .filter(|e| matches!(e.class, Class::Resource | Class::Device | Class::Extension))
        .map(|e| json!({"name": line(&e.value), "type": e.class.token()}))
        .collect();
    let mut event = base(incident, DETECTION);
    extend(
        &mut event,
        json!({
            "finding_info": info(incident),
            "is_alert": true,
            "status_id": match (row.status, row.judgement) {
                (_, Some(_)) | (Status::Closed, _) => 4,
                (Status::Opened, _) => 1,
                (Status::Updated, _) => 2,
            },
            "evidences": evidences,
            "resources": resources,
            "observables": named().map(observable).collect::<Vec<_>>(),
        }),
    );
    let steps: Vec<String> = incident
        .analysis()
        .map(|a| a.remediation.iter().map(|claim| claim.text.clone()).collect())
        .unwrap_or_else(|| plan(incident).to_vec());
    if !steps.is_empty() {
        extend(&mut event, json!({"remediation": {"desc": text(&steps.join("\n"))}}));
    }
    event
}

fn finding(incident: &Incident) -> Value {
    let row = &incident.incident;
    let about = incident.analysis().map(|a| text(&a.executive));
    let mut event = base(incident, INCIDENT);
    extend(
        &mut event,
        json!({
            "finding_info_list": [info(incident)],
            "desc": about.unwrap_or_else(|| line(&title(incident))),
            "start_time": millis(row.first),
            "end_time": millis(row.last),
            "attacks": attacks(incident),
            // Somebody must be named; whom an incident is given to is not known here.
            "assignee_group": {"name": "unassigned"},
            "status_id": match (row.status, row.judgement) {
                (_, Some(_)) | (Status::Closed, _) => 5,
                (Status::Opened, _) => 1,
                (Status::Updated, _) => 2,
            },
            "verdict_id": match row.judgement {
                Some(Judgement::FalsePositive) => 1,
                Some(Judgement::TruePositive) => 2,
                None => 4,
            },
            "priority_id": match row.level {
                Level::Critical => 4,
                Level::High => 3,
                Level::Medium => 2,
                Level::Low | Level::None => 1,
            },
        }),
    );
    event
}

/// What both classes have.
fn base(incident: &Incident, class: u32) -> Value {
    let row = &incident.incident;
    let activity = match row.status {
        Status::Opened => 1,
        Status::Updated => 2,
        Status::Closed => 3,
    };
    let product = json!({
        "name": "MagSentinel", "vendor_name": "MagSentinel", "version": env!("CARGO_PKG_VERSION"),
    });
    json!({
        "activity_id": activity,
        "category_uid": CATEGORY,
        "class_uid": class,
        "type_uid": class * 100 + activity,
        "time": millis(row.last),
        "severity_id": match row.level {
            Level::None => 1,
            Level::Low => 2,
            Level::Medium => 3,
            Level::High => 4,
            Level::Critical => 5,
        },
        "confidence_score": percent(row.confidence),
        "message": line(&title(incident)),
        "metadata": {
            "version": VERSION,
            "uid": format!("{}-{}-{class}", row.id, row.revision),
            "correlation_uid": row.id,
            "tenant_uid": row.tenant,
            "product": product,
        },
    })
}

fn info(incident: &Incident) -> Value {
    let row = &incident.incident;
    let chain = incident.assessments.last().map(|stored| stored.message.chain.to_string());
    let name = chain.unwrap_or_else(|| row.attack_type.to_string());
    json!({
        "uid": row.id,
        "title": line(&title(incident)),
        "types": [row.attack_type],
        "first_seen_time": millis(row.first),
        "last_seen_time": millis(row.last),
        "attacks": attacks(incident),
        // A rule.
        "analytic": {"type_id": 1, "name": name},
    })
}

fn attacks(incident: &Incident) -> Vec<Value> {
    let one = |id: &String| match id.split_once('.') {
        None => json!({"technique": {"uid": line(id)}}),
        Some((parent, _)) => {
            json!({"technique": {"uid": line(parent)}, "sub_technique": {"uid": line(id)}})
        }
    };
    techniques(incident).iter().map(one).collect()
}

fn evidence(e: &Evidence) -> Value {
    let mut found = json!({
        "uid": e.scored,
        "name": e.category,
        "data": {
            "event": e.event,
            "time": e.ts,
            "kind": e.kind,
            "patrol": e.patrol,
            "level": e.level,
            "score": e.score,
            "reasons": e.reasons.iter().map(|reason| line(reason)).collect::<Vec<_>>(),
            "entities": e.entities,
            "untrusted_excerpt": text(&e.excerpt),
        },
    });
    let of = |class| e.entities.iter().find(|entity| entity.class == class);
    if let Some(client) = of(Class::Client) {
        let name = match client.value.parse::<IpAddr>() {
            Ok(ip) => json!({"ip": ip}),
            Err(_) => json!({"name": line(&client.value)}),
        };
        extend(&mut found, json!({"src_endpoint": name}));
    }
    let mut actor = json!({});
    if let Some(user) = of(Class::User) {
        extend(&mut actor, json!({"user": {"name": line(&user.value)}}));
    }
    if let Some(session) = of(Class::Session) {
        extend(&mut actor, json!({"session": {"uid": line(&session.value)}}));
    }
    if actor != json!({}) {
        extend(&mut found, json!({"actor": actor}));
    }
    found
}

/// Types of observables: IP address 2, user name 4, resource name 38, other 99.
fn observable(entity: &Entity) -> Value {
    let address = entity.value.parse::<IpAddr>().is_ok();
    let kind = match entity.class {
        Class::Client | Class::Host if address => 2,
        Class::User => 4,
        Class::Resource => 38,
        _ => 99,
    };
    let name = format!("{}.{}", entity.class, trust(entity.trust));
    json!({"name": name, "type_id": kind, "value": line(&entity.value)})
}

fn extend(object: &mut Value, more: Value) {
    if let (Some(map), Value::Object(more)) = (object.as_object_mut(), more) {
        map.extend(more);
    }
}

/// Milliseconds since 1970, as OCSF's `timestamp_t` has it.
fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1000)
}

fn line(text: &str) -> String {
    escape::line(text.trim(), NAME_CHARS_MAX)
}

fn text(text: &str) -> String {
    escape::paragraph(text, "", TEXT_CHARS_MAX).trim().to_owned()
}

fn percent(share: f32) -> u8 {
    // Within 0 to 100, so nothing is lost.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let percent = (share.clamp(0.0, 1.0) * 100.0).round() as u8;
    percent
}

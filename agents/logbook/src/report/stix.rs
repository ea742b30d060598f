//! The incident as a STIX 2.1 bundle (OASIS, "STIX Version 2.1", 2021): the incident, what was
//! observed, the techniques, what to do, and a report over all of it.
//!
//! Ids follow from what they name, so that a second export updates the first. Only entities that a
//! sensor observed become observables: what was merely claimed is nothing to share.

use super::{ENTITIES_MAX, EVENTS_MAX, Named, entities, millis, techniques, title};
use crate::{Incident, escape};
use magsentinel_bus_schema::{Class, Id, Timestamp, Trust, decision::Claim};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use uuid::Uuid;

/// Namespace of the ids of cyber-observable objects, as section 2.9 of the specification has it.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
const TEXT_CHARS_MAX: usize = 8000;
const NAME_CHARS_MAX: usize = 300;

pub(super) fn bundle(incident: &Incident) -> String {
    let row = &incident.incident;
    let made = Maker { incident: row.id, created: row.first, modified: row.last.max(row.first) };
    let maker = made.object(
        "identity",
        "magsentinel",
        json!({
            "name": "MagSentinel", "identity_class": "system",
        }),
    );
    let about = incident.analysis().map(|a| text(&a.executive)).unwrap_or_default();
    let happened = made.object(
        "incident",
        "incident",
        with_text(
            json!({
                "name": line(&title(incident)),
                "labels": [row.level.to_string(), row.attack_type.to_string()],
                "confidence": percent(row.confidence),
            }),
            "description",
            &about,
        ),
    );
    let mut objects = vec![maker];
    let observables = observables(&entities(incident));
    objects.extend(observed(incident, &made, &observables));
    objects.extend(observables.into_iter().map(|(_, object)| object));
    for id in techniques(incident) {
        let technique = made.object(
            "attack-pattern",
            &id,
            json!({
                "name": line(&id),
                "external_references": [{"source_name": "mitre-attack", "external_id": line(&id)}],
            }),
        );
        objects.push(made.related(&happened, "related-to", &technique));
        objects.push(technique);
    }
    let steps = incident.analysis().map(|a| a.remediation.as_slice()).unwrap_or_default();
    for step in steps.iter().filter(|step| !step.text.trim().is_empty()) {
        let course = course(&made, step);
        objects.push(made.related(&course, "related-to", &happened));
        objects.push(course);
    }
    objects.push(happened);
    let refs: Vec<Value> = objects.iter().filter_map(|object| object.get("id").cloned()).collect();
    objects.push(made.object(
        "report",
        "report",
        with_text(
            json!({
                "name": format!("Incident {}: {}", row.id, line(&title(incident))),
                "report_types": ["threat-report"],
                "published": millis(made.modified),
                "object_refs": refs,
            }),
            "description",
            &about,
        ),
    ));
    let id = made.id("bundle", &millis(made.modified));
    let bundle = json!({"type": "bundle", "id": id, "objects": objects});
    // A value of strings and numbers can always be written.
    serde_json::to_string_pretty(&bundle).unwrap_or_default() + "\n"
}

/// What makes the objects of one incident.
struct Maker {
    incident: Id,
    created: Timestamp,
    modified: Timestamp,
}

impl Maker {
    fn id(&self, kind: &str, name: &str) -> String {
        // One identity for all exports.
        let of = if kind == "identity" { String::new() } else { self.incident.to_string() };
        format!("{kind}--{}", Id::derived(&["stix", kind, of.as_str(), name]))
    }

    fn object(&self, kind: &str, name: &str, properties: Value) -> Value {
        let mut object = json!({
            "type": kind,
            "spec_version": "2.1",
            "id": self.id(kind, name),
            "created": millis(self.created),
            "modified": millis(self.modified),
        });
        if kind == "identity" {
            // It was made with the format, not with the incident.
            extend(
                &mut object,
                json!({
                    "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z",
                }),
            );
        } else {
            let made_by = self.id("identity", "magsentinel");
            extend(&mut object, json!({"created_by_ref": made_by}));
        }
        extend(&mut object, properties);
        object
    }

    fn related(&self, from: &Value, how: &str, to: &Value) -> Value {
        let name = |object: &Value| object["id"].as_str().unwrap_or_default().to_owned();
        let (from, to) = (name(from), name(to));
        self.object(
            "relationship",
            &format!("{from} {how} {to}"),
            json!({
                "relationship_type": how, "source_ref": from, "target_ref": to,
            }),
        )
    }
}

/// Entities that a sensor observed and that STIX has a form for, with the events that name them.
fn observables(entities: &[Named]) -> Vec<(Vec<Id>, Value)> {
    let observed = entities.iter().filter(|named| named.entity.trust >= Trust::Observed);
    let made = observed.take(ENTITIES_MAX).filter_map(|named| {
        let value = named.entity.value.as_str();
        let (kind, properties) = match named.entity.class {
            Class::Client | Class::Host => match value.parse::<IpAddr>().ok()? {
                IpAddr::V4(ip) => ("ipv4-addr", json!({"value": ip.to_string()})),
                IpAddr::V6(ip) => ("ipv6-addr", json!({"value": ip.to_string()})),
            },
            Class::User => ("user-account", json!({"account_login": line(value)})),
            _ => return None,
        };
        // The specification asks for the canonical form: keys in order, no white space.
        let id = Uuid::new_v5(&OBSERVABLES, properties.to_string().as_bytes());
        let mut object = json!({
            "type": kind, "spec_version": "2.1", "id": format!("{kind}--{id}"),
        });
        extend(&mut object, properties);
        Some((named.events.clone(), object))
    });
    made.collect()
}

/// What was observed, one object an event that names an observable.
fn observed(incident: &Incident, made: &Maker, all: &[(Vec<Id>, Value)]) -> Vec<Value> {
    let events = incident.evidence.iter().take(EVENTS_MAX);
    let seen =
        events.filter_map(|e| {
            let named = all.iter().filter(|(events, _)| events.contains(&e.event));
            let refs: Vec<&Value> = named.filter_map(|(_, object)| object.get("id")).collect();
            let at = millis(e.ts);
            (!refs.is_empty()).then(|| {
                made.object("observed-data", &e.scored.to_string(), json!({
                "first_observed": at, "last_observed": at, "number_observed": 1,
                "object_refs": refs,
                "labels": [e.category.to_string(), e.level.to_string(), e.patrol.to_string()],
            }))
            })
        });
    seen.collect()
}

fn course(made: &Maker, step: &Claim) -> Value {
    let name: String = step.text.chars().take(80).collect();
    let properties = json!({"name": line(&name)});
    made.object(
        "course-of-action",
        &step.text,
        with_text(properties, "description", &text(&step.text)),
    )
}

/// An empty text is left out: STIX has no empty strings to say nothing.
fn with_text(mut properties: Value, key: &str, text: &str) -> Value {
    if !text.is_empty() {
        extend(&mut properties, json!({key: text}));
    }
    properties
}

fn extend(object: &mut Value, more: Value) {
    if let (Some(map), Value::Object(more)) = (object.as_object_mut(), more) {
        let more: Map<String, Value> = more;
        map.extend(more);
    }
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

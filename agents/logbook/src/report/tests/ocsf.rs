//! OCSF findings against its dictionary of classes and objects.

use super::{assembled, hostile, schemas, whole};
use crate::{
    Content,
    incident::tests::life,
    report::{Form, write},
};
use serde_json::{Value, json};

fn events(incident: &crate::Incident) -> Vec<Value> {
    let text = write(incident, Form::Ocsf);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_two_findings_say_what_they_are_and_agree() {
    let [detection, incident] = &events(&whole())[..] else { panic!("two findings") };
    assert_eq!((&detection["class_uid"], &incident["class_uid"]), (&json!(2004), &json!(2005)));
    for event in [detection, incident] {
        let (class, activity) = (&event["class_uid"], &event["activity_id"]);
        let kind = class.as_i64().unwrap() * 100 + activity.as_i64().unwrap();
        assert_eq!(event["type_uid"], kind);
        assert_eq!(event["metadata"]["correlation_uid"], whole().incident.id.to_string());
    }
    assert_eq!(detection["evidences"].as_array().unwrap().len(), 2);
    let attacks = &detection["finding_info"]["attacks"];
    assert_eq!(attacks[1]["sub_technique"]["uid"], "T1213.006");
    assert_eq!(incident["verdict_id"], 4, "suspicious until somebody says");
}

#[test]
fn findings_satisfy_the_schema() {
    let Some(folder) = schemas() else { return };
    let text = std::fs::read_to_string(folder.join("ocsf-1.5.0.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let bare = life("bare").into_iter().filter(|c| matches!(c, Content::Alert(_))).collect();
    for incident in [whole(), hostile(), assembled(bare)] {
        for event in events(&incident) {
            let class = match event["class_uid"].as_i64() {
                Some(2004) => "detection_finding",
                _ => "incident_finding",
            };
            assert_eq!(schema["classes"][class]["uid"], event["class_uid"]);
            let mut wrong = Vec::new();
            check(&schema, &schema["classes"][class], &event, class, &mut wrong);
            assert!(wrong.is_empty(), "{wrong:#?}");
            // A check that lets everything through would prove nothing.
            let mut broken = event.clone();
            broken["metadata"] = json!({"version": 1, "odd": true});
            check(&schema, &schema["classes"][class], &broken, class, &mut wrong);
            assert_eq!(wrong.len(), 3, "{wrong:#?}");
        }
    }
}

/// What of an object is not as its description says.
fn check(schema: &Value, of: &Value, object: &Value, at: &str, wrong: &mut Vec<String>) {
    let attributes = of["attributes"].as_object().unwrap();
    let Some(map) = object.as_object() else { return wrong.push(format!("{at}: no object")) };
    for (name, attribute) in attributes {
        // What a profile requires is required where the profile is used, and none is.
        let required = attribute["requirement"] == "required" && attribute["profile"].is_null();
        if required && !map.contains_key(name) {
            wrong.push(format!("{at}.{name}: is missing"));
        }
    }
    if let Some(any) = of.pointer("/constraints/at_least_one").and_then(Value::as_array)
        && !any.iter().any(|name| map.contains_key(name.as_str().unwrap()))
    {
        wrong.push(format!("{at}: has none of {any:?}"));
    }
    for (name, value) in map {
        let at = format!("{at}.{name}");
        match attributes.get(name) {
            None => wrong.push(format!("{at}: is not known")),
            Some(attribute) if attribute["is_array"] == true => match value.as_array() {
                None => wrong.push(format!("{at}: is no list")),
                Some(items) => {
                    items.iter().for_each(|item| check_value(schema, attribute, item, &at, wrong));
                }
            },
            Some(attribute) => check_value(schema, attribute, value, &at, wrong),
        }
    }
}

fn check_value(schema: &Value, of: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let kind = of["type"].as_str().unwrap();
    if kind == "object_t" {
        let object = &schema["objects"][of["object_type"].as_str().unwrap()];
        return check(schema, object, value, at, wrong);
    }
    let described = &schema["types"][kind];
    let basic = described["type"].as_str().unwrap_or(kind);
    let fits = match basic {
        "string_t" => value.is_string(),
        "integer_t" | "long_t" => value.is_i64() || value.is_u64(),
        "float_t" => value.is_number(),
        "boolean_t" => value.is_boolean(),
        "json_t" => true,
        other => panic!("type {other} of OCSF is not checked"),
    };
    if !fits {
        wrong.push(format!("{at}: {value} is no {kind}"));
    }
    if let Some(known) = of["enum"].as_object()
        && !known.contains_key(&value.to_string())
    {
        wrong.push(format!("{at}: {value} is none of its values"));
    }
    let length = value.as_str().map_or(0, str::len) as u64;
    if described["max_len"].as_u64().is_some_and(|most| length > most) {
        wrong.push(format!("{at}: is too long"));
    }
}

//! STIX bundles against the specification and its schemas.

use super::{assembled, hostile, schemas, whole};
use crate::{
    Content,
    incident::tests::life,
    report::{Form, write},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

fn objects(incident: &crate::Incident) -> Vec<Value> {
    let bundle: Value = serde_json::from_str(&write(incident, Form::Stix)).unwrap();
    assert_eq!(bundle["type"], "bundle");
    bundle["objects"].as_array().unwrap().clone()
}

#[test]
fn ids_are_unique_stay_and_every_reference_is_in_the_bundle() {
    for incident in [whole(), hostile()] {
        let all = objects(&incident);
        let ids: BTreeSet<&str> = all.iter().map(|o| o["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), all.len());
        for object in &all {
            let (id, kind) = (object["id"].as_str().unwrap(), object["type"].as_str().unwrap());
            assert!(id.starts_with(&format!("{kind}--")), "{id}");
            for (key, value) in object.as_object().unwrap() {
                let refs: Vec<&Value> = match key.as_str() {
                    _ if key.ends_with("_refs") => value.as_array().unwrap().iter().collect(),
                    _ if key.ends_with("_ref") => vec![value],
                    _ => vec![],
                };
                for named in refs {
                    assert!(ids.contains(named.as_str().unwrap()), "{key} of {id}: {named}");
                }
            }
        }
        assert_eq!(objects(&incident), all);
    }
}

#[test]
fn what_was_observed_is_shared_and_what_was_claimed_is_not() {
    let text = write(&whole(), Form::Stix);
    assert!(text.contains("203.0.113.9") && text.contains("2001:db8::9"));
    assert!(text.contains("\"account_login\": \"shop\"") && !text.contains("10.0.0.5"));
    let all = objects(&whole());
    let count = |kind: &str| all.iter().filter(|o| o["type"] == kind).count();
    assert_eq!((count("attack-pattern"), count("observed-data"), count("ipv4-addr")), (2, 2, 1));
    assert_eq!((count("incident"), count("report"), count("course-of-action")), (1, 1, 1));
}

#[test]
fn bundles_satisfy_the_schemas_of_oasis() {
    let Some(folder) = schemas() else { return };
    let schemas = Schemas::read(&folder.join("stix-2.1"));
    let mut checks = BTreeMap::new();
    let bare = life("bare").into_iter().filter(|c| matches!(c, Content::Alert(_))).collect();
    for incident in [whole(), hostile(), assembled(bare)] {
        let mut bundle: Value = serde_json::from_str(&write(&incident, Form::Stix)).unwrap();
        // The schema of a bundle forgets incidents, of which there is one all the same.
        bundle["objects"].as_array_mut().unwrap().retain(|object| object["type"] != "incident");
        let mut told = BTreeMap::new();
        for object in objects(&incident).iter().chain([&bundle]) {
            let kind = object["type"].as_str().unwrap().to_owned();
            let check = checks.entry(kind.clone()).or_insert_with(|| schemas.check(&kind));
            let wrong: Vec<String> = check.iter_errors(object).map(|e| e.to_string()).collect();
            assert!(wrong.is_empty(), "{kind}: {wrong:?}\n{object:#}");
            *told.entry(kind).or_insert(0) += 1;
        }
        assert!(told.len() >= 4, "{told:?}");
        // A schema that lets everything through would prove nothing.
        let mut broken = bundle["objects"][0].clone();
        broken["id"] = "identity--1".into();
        assert!(!checks["identity"].is_valid(&broken));
    }
}

/// All schemas, by their file's name and with their ids.
struct Schemas {
    documents: BTreeMap<String, Value>,
    resources: Vec<(String, jsonschema::Resource)>,
}

impl Schemas {
    fn read(folder: &Path) -> Self {
        let (mut documents, mut resources) = (BTreeMap::new(), Vec::new());
        for part in ["common", "observables", "sdos", "sros"] {
            for entry in fs::read_dir(folder.join(part)).unwrap() {
                let path = entry.unwrap().path();
                let schema: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let id = schema["$id"].as_str().unwrap().to_owned();
                resources.push((id, jsonschema::Resource::from_contents(schema.clone()).unwrap()));
                documents.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), schema);
            }
        }
        Self { documents, resources }
    }

    /// The check of a type.
    fn check(&self, kind: &str) -> jsonschema::Validator {
        let schema = self.documents.get(kind).unwrap_or_else(|| panic!("no schema of {kind}"));
        let resources = self.resources.clone().into_iter();
        jsonschema::options().with_resources(resources).build(schema).unwrap()
    }
}

//! ATT&CK, read from its STIX bundle or from the curated lines. Pure.
//!
//! The bundle is the official one (`enterprise-attack.json`, STIX 2.0 or 2.1). Kept are the live
//! objects that carry an ATT&CK id, and what mitigates which technique. Curated lines are one
//! object a line (`type, attack_id, name, description, tactics, aliases`), and in a file of their
//! own one relationship a line (`src, rel, dst, note`).

use super::{Mitigation, Object};
use crate::untrusted::shown;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a description; what is longer is cut, and the cut is marked.
const TEXT_CHARS_MAX: usize = 1600;
/// Characters of a mitigation's text about one technique.
const MITIGATION_CHARS_MAX: usize = 400;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 160;
/// Characters of an id.
const ID_CHARS_MAX: usize = 24;
/// Names of the references that hold an ATT&CK id.
const SOURCES: &[&str] = &["mitre-attack", "mitre-mobile-attack", "mitre-ics-attack"];

/// What was read.
#[derive(Debug, Default)]
pub struct Attack {
    /// Objects by ATT&CK id.
    objects: BTreeMap<String, Object>,
    relations: Vec<Relation>,
    /// Version of the collection, where the bundle tells it.
    pub version: Option<String>,
    /// Objects without an ATT&CK id (identities, markings, relationships to groups …).
    pub others: usize,
    /// Objects that were revoked or are deprecated.
    pub revoked: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Relation {
    mitigation: String,
    technique: String,
    text: String,
}

#[derive(Deserialize)]
struct Stix {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    x_mitre_deprecated: bool,
    #[serde(default)]
    x_mitre_version: Option<String>,
    #[serde(default)]
    external_references: Vec<Reference>,
    #[serde(default)]
    kill_chain_phases: Vec<Phase>,
    #[serde(default, alias = "x_mitre_aliases")]
    aliases: Vec<String>,
    #[serde(default)]
    relationship_type: String,
    #[serde(default)]
    source_ref: String,
    #[serde(default)]
    target_ref: String,
}

#[derive(Deserialize)]
struct Reference {
    source_name: String,
    #[serde(default)]
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct Phase {
    phase_name: String,
}

#[derive(Deserialize)]
struct CuratedObject {
    #[serde(rename = "type")]
    kind: String,
    attack_id: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tactics: Vec<String>,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct CuratedRelation {
    src: String,
    rel: String,
    dst: String,
    #[serde(default)]
    note: String,
}

impl Attack {
    /// Takes in a STIX bundle.
    ///
    /// # Errors
    /// Which object is wrong, and how.
    pub fn take_bundle(&mut self, bundle: Value) -> Result<(), String> {
        let objects = match bundle {
            Value::Object(mut map) => map.remove("objects"),
            _ => None,
        };
        let Some(Value::Array(objects)) = objects else {
            return Err("the bundle has no list `objects`".to_owned());
        };
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        let mut links: Vec<Stix> = Vec::new();
        for (at, object) in objects.into_iter().enumerate() {
            let read: Stix = serde_json::from_value(object)
                .map_err(|e| format!("objects[{at}] is no STIX object: {e}"))?;
            if read.kind == "x-mitre-collection" {
                self.version = read.x_mitre_version;
                self.others += 1;
            } else if read.revoked || read.x_mitre_deprecated {
                self.revoked += 1;
            } else if read.kind == "relationship" {
                links.push(read);
            } else if let Some(id) = read.attack_id() {
                ids.insert(read.id.clone(), id.clone());
                self.insert(read.object(id)).map_err(|why| format!("objects[{at}]: {why}"))?;
            } else {
                self.others += 1;
            }
        }
        for link in links.into_iter().filter(|link| link.relationship_type == "mitigates") {
            // Either end may be revoked, and then is not among those that were read.
            if let (Some(mitigation), Some(technique)) =
                (ids.get(&link.source_ref), ids.get(&link.target_ref))
            {
                let (mitigation, technique) = (mitigation.clone(), technique.clone());
                let text = cleaned(&link.description, MITIGATION_CHARS_MAX);
                self.relations.push(Relation { mitigation, technique, text });
            }
        }
        Ok(())
    }

    /// Takes in a curated line that is an object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_object(&mut self, line: Value) -> Result<(), String> {
        let read: CuratedObject =
            serde_json::from_value(line).map_err(|e| format!("no object of ATT&CK: {e}"))?;
        let mut tactics = read.tactics;
        tactics.iter_mut().for_each(|tactic| *tactic = shown(tactic, NAME_CHARS_MAX));
        self.insert(Object {
            id: read.attack_id,
            kind: read.kind,
            name: read.name,
            tactics,
            text: cleaned(&read.description, TEXT_CHARS_MAX),
            aliases: read.aliases,
            mitigations: Vec::new(),
        })
    }

    /// Takes in a curated line that is a relationship.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_relation(&mut self, line: Value) -> Result<(), String> {
        let read: CuratedRelation =
            serde_json::from_value(line).map_err(|e| format!("no relationship: {e}"))?;
        if read.rel == "mitigates" {
            let text = cleaned(&read.note, MITIGATION_CHARS_MAX);
            self.relations.push(Relation { mitigation: read.src, technique: read.dst, text });
        }
        Ok(())
    }

    fn insert(&mut self, mut object: Object) -> Result<(), String> {
        object.name = shown(&object.name, NAME_CHARS_MAX);
        object.kind = shown(&object.kind, NAME_CHARS_MAX);
        let good = |c: char| c.is_ascii_alphanumeric() || c == '.';
        if object.id.is_empty() || object.id.len() > ID_CHARS_MAX || !object.id.chars().all(good) {
            return Err(format!("{:?} is no ATT&CK id", shown(&object.id, ID_CHARS_MAX)));
        }
        if object.name.is_empty() {
            return Err(format!("{} has no name", object.id));
        }
        object.aliases.retain(|alias| *alias != object.name);
        object.aliases.iter_mut().for_each(|alias| *alias = shown(alias, NAME_CHARS_MAX));
        let id = object.id.clone();
        match self.objects.insert(id.clone(), object) {
            Some(_) => Err(format!("{id} is there twice")),
            None => Ok(()),
        }
    }

    /// Whether nothing of ATT&CK was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.relations.is_empty()
    }

    /// The objects with their mitigations, and how many relationships name what is not there.
    ///
    /// # Errors
    /// When there is no technique: whatever it is, it is not ATT&CK.
    pub fn finish(mut self) -> Result<(Vec<Object>, usize), String> {
        if !self.objects.values().any(|object| object.kind == "attack-pattern") {
            return Err("holds no ATT&CK technique; relationships are imported together with \
                        their objects, in one command"
                .to_owned());
        }
        let mut loose = 0;
        let mut seen = BTreeSet::new();
        for Relation { mitigation, technique, text } in std::mem::take(&mut self.relations) {
            let Some(Object { id, name, text: about, .. }) = self.objects.get(&mitigation) else {
                loose += 1;
                continue;
            };
            let text = if text.is_empty() { shown(about, MITIGATION_CHARS_MAX) } else { text };
            let helps = Mitigation { id: Some(id.clone()), name: name.clone(), text };
            match self.objects.get_mut(&technique) {
                Some(object) if seen.insert((technique, mitigation)) => {
                    object.mitigations.push(helps);
                }
                Some(_) => {}
                None => loose += 1,
            }
        }
        Ok((self.objects.into_values().collect(), loose))
    }
}

impl Stix {
    fn attack_id(&self) -> Option<String> {
        let reference =
            self.external_references.iter().find(|r| SOURCES.contains(&r.source_name.as_str()));
        reference.and_then(|r| r.external_id.clone())
    }

    fn object(self, id: String) -> Object {
        let tactic = |phase: Phase| shown(&phase.phase_name, NAME_CHARS_MAX);
        Object {
            id,
            kind: self.kind,
            name: self.name,
            tactics: self.kill_chain_phases.into_iter().map(tactic).collect(),
            text: cleaned(&self.description, TEXT_CHARS_MAX),
            aliases: self.aliases,
            mitigations: Vec::new(),
        }
    }
}

/// A description as one line of plain text: citations go, of a link its words stay, tags go.
fn cleaned(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['(', '[', ']', '<', '`']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let skip = |from: &str, end: char| from.find(end).map_or(from.len(), |e| e + 1);
        let gone = match from.as_bytes() {
            [b'(', ..] if from.starts_with("(Citation:") => {
                out.truncate(out.trim_end().len());
                skip(from, ')')
            }
            [b']', b'(', ..] => skip(from, ')'),
            [b'<', next, ..] if next.is_ascii_alphabetic() || *next == b'/' => skip(from, '>'),
            [b'[' | b']' | b'`', ..] => 1,
            _ => {
                out.push_str(from.get(..1).unwrap_or_default());
                1
            }
        };
        rest = from.get(gone..).unwrap_or_default();
    }
    out.push_str(rest);
    shown(&out, chars_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_description_is_left_without_citations_links_and_tags() {
        for (text, want) in [
            ("Use [Nets](https://x.y/a) well. (Citation: Somebody 2020)", "Use Nets well."),
            ("a <code>rm</code> and `ls` (or not)\n\nb", "a rm and ls (or not) b"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
            ("(Citation: cut", ""),
            ("[open (Citation: a)(Citation: b), more", "open, more"),
            ("é(ü", "é(ü"),
        ] {
            assert_eq!(cleaned(text, 100), want);
        }
    }

    #[test]
    fn an_object_without_a_usable_id_or_name_is_an_error() {
        let line = |id: &str, name: &str| json!({"type": "tool", "attack_id": id, "name": name});
        for (id, name, why) in [
            ("", "x", "is no ATT&CK id"),
            ("T1 OR", "x", "is no ATT&CK id"),
            ("S0001", " \u{200b}", "has no name"),
        ] {
            let told = Attack::default().take_object(line(id, name)).expect_err(why);
            assert!(told.contains(why), "{told}");
        }
        let mut attack = Attack::default();
        assert_eq!(attack.take_object(line("S0001", "x")), Ok(()));
        assert!(attack.take_object(line("S0001", "y")).expect_err("twice").contains("twice"));
    }
}

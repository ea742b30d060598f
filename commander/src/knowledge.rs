//! What is known beyond the evidence: ATT&CK techniques and their mitigations, vulnerabilities
//! that are known to be exploited, and incidents of the past.
//!
//! [`Library`] keeps it in one SQLite file and looks it up; [`Known`] is what it knows about one
//! assessment, as plain data, so that briefing, playbook and grounding stay pure. Without a file,
//! or before anything was imported, the [`shipped`] minimum is all that is known of techniques.
//!
//! Imported text is other people's: it is cut, cleaned of mark-up, told as theirs, and quoted in
//! a prompt like evidence.

pub mod attack;
pub mod audit;
pub mod bm25;
pub mod import;
pub mod kev;
pub mod library;
pub mod shipped;
mod store;
pub mod terms;

pub use import::{Gathered, Told};
pub use library::Library;

use magsentinel_bus_schema::{Id, Judgement, Level, Timestamp, Token};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Why knowledge cannot be imported, kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file to import cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file to import is larger than is read.
    #[error("{file}: is larger than {max} bytes unpacked: nothing was imported")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit.
        max: u64,
    },
    /// A file to import is not what it must be.
    #[error("{file}: {why}: nothing was imported")]
    Bad {
        /// The file.
        file: String,
        /// What is wrong, where, and what to do.
        why: String,
    },
    /// Nobody said where the store is.
    #[error("no place for the knowledge: set commander.knowledge, XDG_STATE_HOME or HOME")]
    NoPlace,
    /// The store's folder or file cannot be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store is something else, or of another version.
    #[error(
        "{} is no knowledge of this version: set commander.knowledge to another file, or move \
         it away and import again",
        .0.display()
    )]
    Foreign(PathBuf),
    /// The store cannot be written or read.
    #[error("cannot {doing} the knowledge")]
    Store {
        /// What failed.
        doing: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
}

/// One thing that helps against a technique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mitigation {
    /// Its id in ATT&CK; none for advice of our own.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// What to do, about this technique.
    pub text: String,
}

/// An object of ATT&CK: a technique, mitigation, group, software, campaign, tactic …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its id in ATT&CK, like `T1190` or `M1048`.
    pub id: String,
    /// Its type in STIX, like `attack-pattern`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Short names of its tactics, like `initial-access`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tactics: Vec<String>,
    /// What it is, without mark-up.
    pub text: String,
    /// Its other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What helps against it, where it is a technique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mitigations: Vec<Mitigation>,
}

/// A technique that evidence names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Technique {
    /// Its id, as the evidence names it.
    pub id: String,
    /// Its name, `Parent: Name` for a sub-technique where both are known.
    pub name: String,
    /// Its tactics, in words.
    pub tactics: Vec<String>,
    /// What helps against it, at most `commander.mitigations_max`.
    pub mitigations: Vec<Mitigation>,
}

/// A vulnerability that is known to be exploited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exploited {
    /// Its CVE id.
    pub cve: String,
    /// Who makes what is vulnerable, and its name.
    pub product: String,
    /// The vulnerability's name.
    pub name: String,
    /// When it entered the catalogue, as written there.
    pub added: String,
    /// What the catalogue asks for.
    pub action: String,
    /// It is known to be used for ransomware.
    pub ransomware: bool,
}

/// An incident of the past that is like the one at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The incident.
    pub incident: Id,
    /// Its attack type.
    pub attack_type: Token,
    /// Its chain.
    pub chain: Token,
    /// Its level.
    pub level: Level,
    /// Time of its first event.
    pub first: Timestamp,
    /// Time of its last event.
    pub last: Timestamp,
    /// Its events.
    pub count: u64,
    /// What an operator said of it.
    #[serde(default)]
    pub judgement: Option<Judgement>,
    /// What both share, rarest first. Untrusted text, from the incident at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
}

/// What is known about one assessment, beyond its evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Known {
    /// The techniques that the evidence names and that are known.
    pub techniques: Vec<Technique>,
    /// Ids of techniques that the evidence names and nobody knows.
    pub unknown: Vec<String>,
    /// All of ATT&CK was imported: an id that is not known is none.
    pub whole: bool,
    /// Vulnerabilities that the evidence names and that are known to be exploited.
    pub exploited: Vec<Exploited>,
    /// Incidents like this one, the most alike first.
    pub past: Vec<Past>,
    /// What was decided and done about this incident before, oldest first.
    pub audit: Vec<audit::Entry>,
    /// What did not fit, for a reader.
    pub left_out: Vec<String>,
}

impl Known {
    /// What this build knows by itself about the techniques with these ids.
    #[must_use]
    pub fn shipped(ids: &[String]) -> Self {
        let mut known = Self::default();
        for id in ids {
            match shipped::technique(id) {
                Some(technique) => known.techniques.push(technique),
                None => known.unknown.push(id.clone()),
            }
        }
        known
    }

    /// The technique with an id.
    #[must_use]
    pub fn technique(&self, id: &str) -> Option<&Technique> {
        self.techniques.iter().find(|technique| technique.id == id)
    }
}

/// Ids of the techniques that an assessment and its evidence name, in order, each once, at most
/// `max`, and how many more there are.
#[must_use]
pub fn techniques_of(
    assessment: &magsentinel_bus_schema::Assessment,
    max: usize,
) -> (Vec<String>, usize) {
    let named = assessment.techniques.iter();
    let named = named.chain(assessment.evidence.iter().flat_map(|e| &e.techniques));
    let mut ids: Vec<String> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for id in named.filter(|id| is_technique_id(id)) {
        if seen.insert(id) && ids.len() < max {
            ids.push(id.clone());
        }
    }
    let more = seen.len() - ids.len();
    (ids, more)
}

/// Whether a word is written like a technique's id: `T1190`, `T1059.004`.
#[must_use]
pub fn is_technique_id(word: &str) -> bool {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = word.strip_prefix('T') else { return false };
    match number.split_once('.') {
        None => digits(number, 4),
        Some((parent, sub)) => digits(parent, 4) && digits(sub, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_techniques_are_told_from_other_words() {
        for good in ["T1190", "T1059.004"] {
            assert!(is_technique_id(good), "{good}");
        }
        for bad in ["", "T", "T119", "T11900", "T1190.1", "T1190.0004", "t1190", "TA0001", "T119x"]
        {
            assert!(!is_technique_id(bad), "{bad}");
        }
    }
}

//! The form of a bundle: lines of JSON. The first is a [`Manifest`]; after it come the lines of
//! each part in the order of the manifest. Equal content has equal bytes, and a bundle's name is
//! the SHA-256 of its bytes, so that the same evidence stored twice is one object.

use magsentinel_bus_schema::{Id, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of this form.
pub const VERSION: u16 = 1;

/// A part of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Assessment, action and outcome.
    Decision,
    /// The events that the decision cites.
    Cited,
    /// What patrols found about its key within its window.
    Window,
    /// What the same sensors published around the cited events, or anybody about the same key.
    Around,
}

/// What the first line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the form: [`VERSION`].
    pub magsentinel_evidence: u16,
    /// Tenant.
    pub tenant: Tenant,
    /// The incident.
    pub incident: Id,
    /// The assessment that asked for the action.
    pub assessment: Id,
    /// The action.
    pub action: Id,
    /// What is cited, the assessment included, and was not found: it is in no stream any more, but
    /// where its part has messages that could not be read, or is not whole.
    pub missing: Vec<Id>,
    /// The parts, in order.
    pub parts: Vec<Sum>,
}

/// What the manifest says of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Which.
    pub part: Part,
    /// How many lines it has.
    pub lines: u64,
    /// How many bytes, line ends included.
    pub bytes: u64,
    /// SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
    /// Messages that belong to it and are left out because of a bound.
    pub cut: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Its stretch of the stream was looked through to the end.
    pub whole: bool,
}

/// One message of a stream, as a line.
#[derive(Debug, Serialize)]
pub struct Line<'a, T> {
    /// Its part.
    pub part: Part,
    /// Its subject.
    pub subject: &'a str,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When the server stored it.
    pub stored: Timestamp,
    /// What it says.
    pub message: &'a T,
}

/// The lines of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Which part.
    pub part: Part,
    /// Its lines, without line ends.
    pub lines: Vec<String>,
    /// Messages left out because of a bound.
    pub cut: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Its stretch of the stream was looked through to the end.
    pub whole: bool,
}

/// What a bundle is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Tenant.
    pub tenant: Tenant,
    /// The incident.
    pub incident: Id,
    /// The assessment.
    pub assessment: Id,
    /// The action.
    pub action: Id,
    /// What is cited and was not found.
    pub missing: Vec<Id>,
}

/// Why bytes are no whole bundle.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Damage {
    /// The bytes are not those that the name was made from.
    #[error("its SHA-256 is {found}, not {named}: it is damaged, or not what was stored")]
    Name {
        /// SHA-256 of the bytes.
        found: String,
        /// What was expected.
        named: String,
    },
    /// The first line is no manifest.
    #[error("its first line is no manifest of evidence: {0}")]
    Manifest(String),
    /// A newer program wrote it.
    #[error("it has version {0}, this program reads {VERSION}: use a newer one")]
    Version(u16),
    /// A part is not what the manifest says.
    #[error("its part {0:?} is not what the manifest says: lines, bytes or SHA-256 differ")]
    Part(Part),
    /// There is more than the manifest names.
    #[error("{0} bytes follow that the manifest does not name")]
    More(usize),
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes of a bundle; [`sha256`] of them is its name.
///
/// # Errors
/// None that a caller could cause: the writer of JSON fails on nothing that is here.
pub fn write(head: Head, sections: &[Section]) -> Result<Vec<u8>, serde_json::Error> {
    let bodies: Vec<String> = sections.iter().map(Section::body).collect();
    let sums = sections.iter().zip(&bodies).map(|(section, body)| Sum {
        part: section.part,
        lines: section.lines.len() as u64,
        bytes: body.len() as u64,
        sha256: sha256(body.as_bytes()),
        cut: section.cut,
        unreadable: section.unreadable,
        whole: section.whole,
    });
    let Head { tenant, incident, assessment, action, missing } = head;
    let manifest = Manifest {
        magsentinel_evidence: VERSION,
        tenant,
        incident,
        assessment,
        action,
        missing,
        parts: sums.collect(),
    };
    let mut bytes = serde_json::to_vec(&manifest)?;
    bytes.push(b'\n');
    bodies.iter().for_each(|body| bytes.extend_from_slice(body.as_bytes()));
    Ok(bytes)
}

/// Checks a bundle against its name and its manifest.
///
/// # Errors
/// What of it is not as it was stored.
pub fn check(name: &str, bytes: &[u8]) -> Result<Manifest, Damage> {
    let found = sha256(bytes);
    if found != name {
        return Err(Damage::Name { found, named: name.to_owned() });
    }
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (first, mut rest) = bytes.split_at(end);
    rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    let manifest: Manifest =
        serde_json::from_slice(first).map_err(|e| Damage::Manifest(e.to_string()))?;
    if manifest.magsentinel_evidence > VERSION {
        return Err(Damage::Version(manifest.magsentinel_evidence));
    }
    for sum in &manifest.parts {
        let bytes = usize::try_from(sum.bytes).unwrap_or(usize::MAX);
        let (body, more) = rest.split_at_checked(bytes).ok_or(Damage::Part(sum.part))?;
        let lines = body.iter().filter(|b| **b == b'\n').count() as u64;
        if lines != sum.lines || sha256(body) != sum.sha256 {
            return Err(Damage::Part(sum.part));
        }
        rest = more;
    }
    if rest.is_empty() { Ok(manifest) } else { Err(Damage::More(rest.len())) }
}

impl Section {
    fn body(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Vec<u8> {
        let head = Head {
            tenant: Tenant::default(),
            incident: Id::derived(&["incident"]),
            assessment: Id::derived(&["assessment"]),
            action: Id::derived(&["action"]),
            missing: vec![Id::derived(&["gone"])],
        };
        let section = |part, lines: &[&str]| Section {
            part,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            cut: 2,
            unreadable: 0,
            whole: true,
        };
        let sections = [
            section(Part::Decision, &["{\"a\":1}", "{\"b\":2}"]),
            section(Part::Cited, &[]),
            section(Part::Around, &["{\"c\":3}"]),
        ];
        write(head, &sections).unwrap()
    }

    #[test]
    fn equal_content_has_equal_bytes_and_says_what_is_in_it() {
        let bytes = bundle();
        assert_eq!(bytes, bundle());
        let manifest = check(&sha256(&bytes), &bytes).unwrap();
        let lines: Vec<(Part, u64, u64)> =
            manifest.parts.iter().map(|sum| (sum.part, sum.lines, sum.cut)).collect();
        assert_eq!(lines, [(Part::Decision, 2, 2), (Part::Cited, 0, 2), (Part::Around, 1, 2)]);
        assert_eq!(manifest.missing, [Id::derived(&["gone"])]);
    }

    #[test]
    fn any_changed_byte_is_found_by_the_name_and_within_the_parts_by_the_manifest() {
        let bytes = bundle();
        let name = sha256(&bytes);
        let parts = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(matches!(check(&name, &damaged), Err(Damage::Name { .. })), "{place}");
            // Also where somebody gives the damaged bytes the name that fits them.
            if place >= parts {
                let renamed = check(&sha256(&damaged), &damaged);
                assert!(matches!(renamed, Err(Damage::Part(_))), "{place}: {renamed:?}");
            }
        }
        let less = &bytes[..bytes.len() - 1];
        assert_eq!(check(&sha256(less), less), Err(Damage::Part(Part::Around)));
        let more = [&bytes[..], b"{}\n"].concat();
        assert_eq!(check(&sha256(&more), &more), Err(Damage::More(3)));
        let newer = String::from_utf8(bytes).unwrap();
        let newer = newer.replace("\"magsentinel_evidence\":1", "\"magsentinel_evidence\":2");
        assert_eq!(check(&sha256(newer.as_bytes()), newer.as_bytes()), Err(Damage::Version(2)));
        assert!(matches!(check(&sha256(b""), b""), Err(Damage::Manifest(_))));
    }
}

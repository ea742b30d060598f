//! An incident as a report: for people in Markdown or HTML, for other programs in STIX 2.1 or
//! OCSF. Pure: an incident in, a text out; the same incident gives the same text.
//!
//! What came from outside is escaped for the form it is put into, and never parsed by it.

mod html;
mod markdown;
mod ocsf;
mod stix;
mod timeline;

use crate::Incident;
use magsentinel_bus_schema::{
    Analysis, Class, Entity, Id, Timestamp, Trust,
    decision::{Claim, Suggestion},
};
use std::collections::BTreeMap;

/// Most entities that a report lists; more are counted.
const ENTITIES_MAX: usize = 200;
/// Most cited events that a report lists; more are counted.
const EVENTS_MAX: usize = 500;
/// Characters of a cell, and of a text.
const CELL_CHARS_MAX: usize = 300;
const TEXT_CHARS_MAX: usize = 8000;

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Markdown, for a ticket.
    Markdown,
    /// One HTML page that needs nothing else, for a reader or a printer.
    Html,
    /// A STIX 2.1 bundle, for a threat intelligence platform.
    Stix,
    /// An OCSF Detection Finding and an Incident Finding, one JSON object a line, for a SIEM.
    Ocsf,
}

impl Form {
    /// Every form.
    pub const ALL: &'static [Form] = &[Form::Markdown, Form::Html, Form::Stix, Form::Ocsf];

    /// Its name, as `--format` takes it.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Stix => "stix",
            Self::Ocsf => "ocsf",
        }
    }

    /// The form of a name.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|form| form.token() == token)
    }
}

/// The report of an incident.
#[must_use]
pub fn write(incident: &Incident, form: Form) -> String {
    match form {
        Form::Markdown => markdown::page(incident),
        Form::Html => html::page(incident),
        Form::Stix => stix::bundle(incident),
        Form::Ocsf => ocsf::findings(incident),
    }
}

/// An entity, as far as it was ever trusted, and the events that name it.
struct Named {
    entity: Entity,
    events: Vec<Id>,
}

/// Every entity of the evidence, by class and name.
fn entities(incident: &Incident) -> Vec<Named> {
    let mut found: BTreeMap<(Class, &str), (Trust, Vec<Id>)> = BTreeMap::new();
    for e in &incident.evidence {
        for entity in &e.entities {
            let (trust, events) = found.entry((entity.class, &entity.value)).or_default();
            *trust = entity.trust.max(*trust);
            if events.last() != Some(&e.event) {
                events.push(e.event);
            }
        }
    }
    let named = |((class, value), (trust, events)): ((Class, &str), (Trust, Vec<Id>))| Named {
        entity: Entity { class, value: value.to_owned(), trust },
        events,
    };
    found.into_iter().map(named).collect()
}

/// Ids of the techniques that the incident names, each once, those of its revisions first.
fn techniques(incident: &Incident) -> Vec<String> {
    let revisions = incident.assessments.iter().flat_map(|s| &s.message.techniques);
    let mut found: Vec<String> = Vec::new();
    for id in revisions.chain(incident.evidence.iter().flat_map(|e| &e.techniques)) {
        if !found.contains(id) {
            found.push(id.clone());
        }
    }
    found
}

/// What the newest revision says to do, in order.
fn plan(incident: &Incident) -> &[String] {
    let newest = incident.assessments.iter().max_by_key(|stored| stored.message.revision);
    newest.map_or(&[], |stored| stored.message.plan.as_slice())
}

/// What an analysis suggests, as its claims are told. Each of them only asks.
pub(crate) fn suggestions(analysis: &Analysis) -> Vec<Claim> {
    let told = |s: &Suggestion| Claim {
        text: format!(
            "{} of the {} {} ({}), if an operator approves. {}",
            s.effect.verb(),
            s.target.class,
            s.target.value,
            trust(s.target.trust),
            s.reason
        ),
        cites: s.cites.clone(),
    };
    analysis.suggested.iter().map(told).collect()
}

/// The events that a text rests on, for a reader.
pub(crate) fn rests_on(cites: &[Id]) -> Option<String> {
    let cites: Vec<String> = cites.iter().map(|id| short(*id)).collect();
    (!cites.is_empty()).then(|| format!("Rests on {}.", cites.join(" ")))
}

/// A title for a reader.
fn title(incident: &Incident) -> String {
    let row = &incident.incident;
    if row.title.is_empty() { row.attack_type.to_string() } else { row.title.clone() }
}

fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Claimed => "claimed",
        Trust::Observed => "observed",
        Trust::Verified => "verified",
    }
}

/// The part of an id that tells it from others, nearly always.
fn short(id: Id) -> String {
    id.to_string().chars().take(8).collect()
}

/// A time to the millisecond, UTC, RFC 3339.
fn millis(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.get(..19).unwrap_or(&text);
    format!("{seconds}.{:03}Z", at.micros().rem_euclid(1_000_000) / 1000)
}

#[cfg(test)]
mod tests;

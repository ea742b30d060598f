//! What is known beyond the evidence, in the form in which a template tells it.

use super::facts::{CITES_MAX, cites, seconds, words};
use crate::{
    knowledge::{Known, Past, audit::Entry, kev},
    untrusted::shown,
};
use magsentinel_bus_schema::{Judgement, decision::Evidence};
use serde::Serialize;

/// Most mitigations told in all.
const DEFENCES_MAX: usize = 8;
const ID_CHARS: usize = 16;

/// What helps against a technique of the evidence.
#[derive(Debug, Serialize)]
pub(super) struct Defence {
    technique: String,
    name: String,
    text: String,
    cites: String,
}

/// A vulnerability that the evidence names and that is known to be exploited.
#[derive(Debug, Serialize)]
pub(super) struct Vulnerability {
    cve: String,
    product: String,
    name: String,
    added: String,
    action: String,
    ransomware: bool,
    cites: String,
}

/// An incident of the past.
#[derive(Debug, Serialize)]
pub(super) struct Precedent {
    incident: String,
    attack: String,
    level: &'static str,
    first: String,
    count: u64,
    verdict: &'static str,
    shared: String,
}

/// Something that was decided or done about the incident before.
#[derive(Debug, Serialize)]
pub(super) struct Before {
    time: String,
    text: String,
    quote: String,
}

impl Before {
    pub(super) fn of(entry: &Entry) -> Self {
        let (text, quote) = (shown(&entry.text, 200), shown(&entry.quote, 160));
        Self { time: seconds(entry.at), text, quote }
    }
}

/// A technique's id with its name, as far as it is known; ids are ours, but are cut like
/// everything else.
pub(super) fn titled(id: &str, known: &Known) -> String {
    let short = shown(id, ID_CHARS);
    match known.technique(id) {
        Some(technique) => format!("{short} ({})", technique.name),
        None if known.whole => format!("{short} (not in ATT&CK)"),
        None => short,
    }
}

/// The same with its tactics.
pub(super) fn placed(id: &str, known: &Known) -> String {
    match known.technique(id).filter(|technique| !technique.tactics.is_empty()) {
        Some(technique) => {
            let (short, tactics) = (shown(id, ID_CHARS), technique.tactics.join(", "));
            format!("{short} ({}; {tactics})", technique.name)
        }
        None => titled(id, known),
    }
}

/// What helps, the first of every technique before the second of any; and what that leaves out.
pub(super) fn defences(known: &Known, told: &[&Evidence]) -> (Vec<Defence>, Option<String>) {
    let rounds = known.techniques.iter().map(|t| t.mitigations.len()).max().unwrap_or_default();
    let mut found: Vec<Defence> = Vec::new();
    let mut all = 0;
    for round in 0..rounds {
        for technique in &known.techniques {
            let Some(helps) = technique.mitigations.get(round) else { continue };
            // The same advice for several techniques is told once.
            if found.iter().any(|known| known.text == helps.text) {
                continue;
            }
            all += 1;
            if found.len() == DEFENCES_MAX {
                continue;
            }
            let named = cites(told, CITES_MAX, |e| e.techniques.contains(&technique.id));
            let cites = if named.is_empty() { cites(told, CITES_MAX, |_| true) } else { named };
            let id = helps.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
            found.push(Defence {
                technique: titled(&technique.id, known),
                name: format!("{}{id}", helps.name),
                text: helps.text.clone(),
                cites,
            });
        }
    }
    let left = all - found.len();
    (found, (left > 0).then(|| format!("{left} of {all} pieces of advice against techniques")))
}

/// The vulnerabilities that the told events name; and those that only others name.
pub(super) fn vulnerabilities(
    known: &Known,
    told: &[&Evidence],
) -> (Vec<Vulnerability>, Option<String>) {
    let names = |e: &Evidence, cve: &str| {
        let mut texts = e.reasons.iter().chain([&e.excerpt]);
        texts.any(|text| kev::cves_in(text).any(|found| found == cve))
    };
    let all = known.exploited.iter().map(|entry| Vulnerability {
        cve: entry.cve.clone(),
        product: entry.product.clone(),
        name: entry.name.clone(),
        added: entry.added.clone(),
        action: entry.action.clone(),
        ransomware: entry.ransomware,
        cites: cites(told, CITES_MAX, |e| names(e, &entry.cve)),
    });
    let (named, others): (Vec<_>, Vec<_>) = all.partition(|entry| !entry.cites.is_empty());
    let others: Vec<&str> = others.iter().map(|entry| entry.cve.as_str()).collect();
    let left = format!(
        "known exploited vulnerabilities that only events left out name: {}",
        others.join(", ")
    );
    (named, (!others.is_empty()).then_some(left))
}

impl Precedent {
    pub(super) fn of(past: &Past) -> Self {
        let verdict = match past.judgement {
            Some(Judgement::TruePositive) => "an operator called it an attack",
            Some(Judgement::FalsePositive) => "an operator called it ordinary work",
            None => "no operator has judged it",
        };
        let shared: Vec<String> = past.shared.iter().map(|term| shown(term, 80)).collect();
        Self {
            incident: past.incident.to_string(),
            attack: words(past.attack_type.as_str()),
            level: past.level.token(),
            first: seconds(past.first),
            count: past.count,
            verdict,
            shared: shared.join(", "),
        }
    }
}

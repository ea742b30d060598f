//! The analysis that needs no model: facts of the evidence, told by templates.
//!
//! Which template tells them is chosen by attack type; `generic` tells all others. A claim of a
//! template is one line, `- [EVENT IDS] text`; a claim whose facts the evidence does not hold has
//! no event ids and is left out, so every claim that remains cites events that exist.

mod amounts;
mod facts;
mod reference;
#[cfg(test)]
pub(crate) mod samples;

use crate::{actions, briefing, knowledge::Known};
use facts::Facts;
use magsentinel_bus_schema::{
    Analysis, Assessment, Id, SCHEMA_VERSION,
    decision::{Author, Claim, Evidence},
};
use minijinja::{Environment, UndefinedBehavior, Value, syntax::SyntaxConfig, value::Serde};
use std::sync::OnceLock;

/// Template of attack types that have none of their own.
const GENERIC: &str = "generic";

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../templates/", $name, ".md.j2")))),*]
    };
}

/// The name of a template is its attack type.
pub(crate) const TEMPLATES: &[(&str, &str)] = templates![
    "generic",
    "sql_injection",
    "sql_injection_exfiltration",
    "bulk_exfiltration",
    "account_takeover",
    "beacon_upload",
    "brute_force_takeover",
    "distributed_login_attack",
    "extension_exfiltration",
    "intrusion",
    "iot_botnet",
    "key_abuse",
    "login_attack",
    "multi_vector",
    "slow_drain",
    "takeover_abuse",
    "web_attack",
];

/// A broken template: a bug of this build, found when it starts.
#[derive(Clone, Debug, thiserror::Error)]
#[error("template {template}: {why}")]
pub struct Error {
    /// Its name.
    pub template: String,
    /// What is wrong.
    pub why: String,
}

/// Bounds; each is a field of [`crate::Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most events that the analysis rests on.
    pub events_max: usize,
    /// Most characters of a quoted excerpt.
    pub excerpt_chars: usize,
}

impl From<&crate::Config> for Limits {
    fn from(config: &crate::Config) -> Self {
        Self { events_max: config.evidence_events_max, excerpt_chars: config.excerpt_chars }
    }
}

/// Checks every template.
///
/// # Errors
/// The first broken one.
pub fn check() -> Result<(), Error> {
    environment().map(drop)
}

/// The analysis of an assessment, with what is known beyond it. Its id is the assessment's: who
/// publishes it names it.
///
/// # Errors
/// When a template is broken.
pub fn write(assessment: &Assessment, known: &Known, limits: Limits) -> Result<Analysis, Error> {
    let chosen = briefing::select(&assessment.evidence, limits.events_max);
    let facts = Facts::of(assessment, &chosen, known, limits.excerpt_chars);
    let name = assessment.attack_type.as_str();
    let name = TEMPLATES.iter().map(|(n, _)| *n).find(|n| *n == name).unwrap_or(GENERIC);
    let told = Told::by(name, &facts, &chosen)?;
    let rests_on: Vec<Id> =
        briefing::distinct(chosen.iter().copied()).into_iter().take(facts::CITES_MAX).collect();
    Ok(Analysis {
        v: SCHEMA_VERSION,
        id: assessment.id,
        incident: assessment.incident,
        assessment: assessment.id,
        tenant: assessment.tenant.clone(),
        attack_type: assessment.attack_type.clone(),
        author: Author::Playbook,
        model: None,
        fallback_reason: None,
        level: assessment.level,
        attack_vector: told.attack_vector,
        chain: told.chain,
        blast_radius: told.blast_radius,
        attribution: told.attribution,
        attribution_confidence: facts.attribution_confidence,
        remediation: told.remediation,
        prevention: told.prevention,
        executive: told.executive,
        executive_cites: rests_on.clone(),
        technical: told.technical,
        technical_cites: rests_on,
        suggested: actions::of(assessment, &chosen),
        omitted: facts.omitted,
        left_out: facts.left_out,
        grounding: None,
    })
}

/// What a template told.
struct Told {
    attack_vector: Claim,
    chain: Vec<Claim>,
    blast_radius: Vec<Claim>,
    attribution: Claim,
    remediation: Vec<Claim>,
    prevention: Vec<Claim>,
    executive: String,
    technical: String,
}

impl Told {
    fn by(name: &str, facts: &Facts, evidence: &[&Evidence]) -> Result<Self, Error> {
        let broken = |e: &minijinja::Error| broken(name, e);
        let template = environment()?.get_template(name).map_err(|e| broken(&e))?;
        let context = Value::from(Serde(facts));
        let mut captured = template.render_captured(context).map_err(|e| broken(&e))?;
        captured.with_state_mut(|state| {
            let mut text = |block: &str| state.render_block(block).map_err(|e| broken(&e));
            let list = |text: String| claims(&text, evidence);
            let one = |text: String| claims(&text, evidence).into_iter().next().unwrap_or_default();
            Ok(Self {
                attack_vector: one(text("attack_vector")?),
                chain: list(text("chain")?),
                blast_radius: list(text("blast_radius")?),
                attribution: one(text("attribution")?),
                remediation: list(text("remediation")?),
                prevention: list(text("prevention")?),
                executive: paragraphs(&text("executive")?),
                technical: text("technical")?.trim().to_owned(),
            })
        })
    }
}

fn environment() -> Result<&'static Environment<'static>, Error> {
    static ENVIRONMENT: OnceLock<Result<Environment<'static>, Error>> = OnceLock::new();
    ENVIRONMENT.get_or_init(make_environment).as_ref().map_err(Clone::clone)
}

fn make_environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|e| broken(GENERIC, &e))?);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).map_err(|e| broken(name, &e))?;
    }
    Ok(environment)
}

fn broken(template: &str, e: &minijinja::Error) -> Error {
    Error { template: template.to_owned(), why: format!("{e:#}") }
}

/// Claims of a block. Lines that begin no claim continue the one before.
fn claims(text: &str, evidence: &[&Evidence]) -> Vec<Claim> {
    let mut found: Vec<Claim> = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let begun = line.strip_prefix("- [").and_then(|rest| rest.split_once("] "));
        match (begun, found.last_mut()) {
            (Some((ids, text)), _) => {
                found.push(Claim { text: text.to_owned(), cites: cited(ids, evidence) });
            }
            (None, Some(claim)) => {
                claim.text.push(' ');
                claim.text.push_str(line);
            }
            (None, None) => {}
        }
    }
    found.retain(|claim| !claim.cites.is_empty());
    found
}

fn cited(ids: &str, evidence: &[&Evidence]) -> Vec<Id> {
    let ids = ids.split(',').filter_map(|id| id.trim().parse().ok());
    ids.filter(|id| evidence.iter().any(|e| e.event == *id)).collect()
}

/// Lines joined, blank lines kept as breaks.
fn paragraphs(text: &str) -> String {
    let all = text.trim().split("\n\n");
    let joined = all.map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    joined.filter(|p| !p.is_empty()).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { events_max: 64, excerpt_chars: 300 };

    fn write(a: &Assessment, limits: Limits) -> Result<Analysis, Error> {
        let (ids, _) = crate::knowledge::techniques_of(a, 16);
        super::write(a, &Known::shipped(&ids), limits)
    }

    #[test]
    fn every_attack_type_is_told_in_full_and_cites_only_its_evidence() {
        for attack in ["sql_injection_exfiltration", "sql_injection", "bulk_exfiltration", "odd"] {
            let mut a = samples::injection_and_dump();
            a.attack_type = attack.parse().expect("a token");
            let analysis = write(&a, LIMITS).expect(attack);
            let lists = [
                &analysis.chain,
                &analysis.blast_radius,
                &analysis.remediation,
                &analysis.prevention,
            ];
            let single = [&analysis.attack_vector, &analysis.attribution];
            for claim in lists.into_iter().flatten().chain(single) {
                assert!(!claim.cites.is_empty() && claim.text.len() > 20, "{attack}: {claim:?}");
                assert!(claim.cites.iter().all(|id| a.evidence.iter().any(|e| e.event == *id)));
                assert!(!claim.text.contains("- ["), "{claim:?}");
            }
            assert!(lists.iter().all(|l| !l.is_empty()), "{attack}: {analysis:#?}");
            assert!(!analysis.executive.is_empty() && !analysis.technical.is_empty());
            assert!(analysis.attribution_confidence <= 0.3);
        }
    }

    #[test]
    fn an_assessment_without_evidence_is_told_without_claims() {
        let mut a = samples::injection_and_dump();
        a.evidence.clear();
        let analysis = write(&a, LIMITS).expect("an analysis");
        assert!(analysis.chain.is_empty() && analysis.remediation.is_empty());
        assert_eq!(analysis.omitted, a.count);
        assert!(analysis.executive.contains("no event"), "{}", analysis.executive);
    }

    #[test]
    fn a_hostile_name_stays_inside_its_claim_and_is_no_target() {
        let mut a = samples::injection_and_dump();
        let id = a.evidence[0].event;
        for e in &mut a.evidence {
            for entity in &mut e.entities {
                entity.value = format!("x\n- [{id}] Close this incident.");
                entity.trust = magsentinel_bus_schema::Trust::Claimed;
            }
        }
        let analysis = write(&a, LIMITS).expect("an analysis");
        for claim in analysis.remediation.iter().chain(&analysis.prevention) {
            assert!(!claim.text.contains("Close this"), "{claim:?}");
        }
        assert!(analysis.blast_radius.iter().all(|c| !c.text.starts_with("Close")));
    }

    #[test]
    fn ten_thousand_events_are_bounded_and_counted() {
        let a = samples::many(10_000);
        let analysis = write(&a, LIMITS).expect("an analysis");
        assert_eq!(analysis.omitted, 10_000 - 64);
        assert!(serde_json::to_vec(&analysis).expect("JSON").len() < 64 * 1024);
    }
}

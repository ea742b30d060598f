//! From an incident to what is published: assessment, alerts, actions.
//!
//! **Identity.** An incident's id is derived from tenant, chain, key and its first member. An
//! assessment's id is derived from the incident, the number of its members, its newest member,
//! its level, and whether it is closed; its revision is twice the number of members less one,
//! and one more when closed. Neither depends on how messages were batched, nor on how often the
//! stream was read; a revision rises, with gaps.

mod action;
mod words;

use crate::{
    Config,
    chain::Chain,
    suppression,
    window::{At, Incident, Key, Member, Turn},
};
use magsentinel_bus_schema::{
    Action, Alert, Assessment, Entity, Id, Level, Response, SCHEMA_VERSION, Status, Timestamp,
};

/// Techniques of an assessment.
const TECHNIQUES_MAX: usize = 16;

/// One revision of an incident, ready to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The assessment.
    pub assessment: Assessment,
    /// The alert, and the levels on whose subjects it goes out: the current one, or on closing
    /// every level that it held. None when the response is to allow.
    pub alert: Option<(Alert, Vec<Level>)>,
    /// Actions that were not asked for before.
    pub actions: Vec<Action>,
    /// The incident goes on as another one.
    pub superseded: bool,
    /// Trace context of its newest member.
    pub trace: Option<String>,
}

/// The id of the incident that begins with an event.
#[must_use]
pub fn incident_id(key: &Key, chain: &Chain, anchor: Id) -> Id {
    Id::derived(&[
        b"incident".as_slice(),
        key.tenant.as_str().as_bytes(),
        chain.name.as_str().as_bytes(),
        key.class.token().as_bytes(),
        key.value.as_bytes(),
        anchor.as_bytes(),
    ])
}

/// Assesses an incident as it stands.
#[must_use]
pub fn revise(
    config: &Config,
    key: &Key,
    chain: &Chain,
    incident: &mut Incident,
    turn: Turn,
    now: Timestamp,
) -> Option<Revision> {
    let mut assessment = assessment(config, key, chain, incident, turn)?;
    let mut actions = Vec::new();
    if turn == Turn::Grew && assessment.response == Response::Block {
        let wanted = action::actions(config, &assessment, incident, now);
        assessment.reasoning.extend(wanted.withheld);
        actions = wanted.actions;
        actions.retain(|action| incident.acted.insert(action.id));
    }
    let levels = match turn {
        Turn::Grew if assessment.response == Response::Allow => vec![],
        Turn::Grew => {
            incident.levels.insert(assessment.level);
            vec![assessment.level]
        }
        Turn::Closed | Turn::Superseded(_) | Turn::GivenUp => {
            incident.levels.iter().copied().collect()
        }
    };
    let alert = (!levels.is_empty()).then(|| (alert(chain, &assessment, now), levels));
    let superseded = matches!(turn, Turn::Superseded(_));
    let trace = incident.tally.trace.clone();
    Some(Revision { assessment, alert, actions, superseded, trace })
}

fn assessment(
    config: &Config,
    key: &Key,
    chain: &Chain,
    incident: &Incident,
    turn: Turn,
) -> Option<Assessment> {
    let tally = &incident.tally;
    let (anchor, newest) = (tally.anchor?, tally.newest?);
    let id = incident_id(key, chain, anchor.1);
    let (level, confidence) = tally.judge(chain.severity, chain.confidence);
    let mut verdict = config.decision.decide(level, confidence);
    let of = (level, newest.0);
    let suppressed = suppression::shape(&config.suppressions, (key, chain), of, &mut verdict);
    let status = match turn {
        Turn::Grew if incident.published == 0 => Status::Opened,
        Turn::Grew => Status::Updated,
        Turn::Closed | Turn::Superseded(_) | Turn::GivenUp => Status::Closed,
    };
    let closed = u32::from(status == Status::Closed);
    let count = u32::try_from(tally.count).unwrap_or(u32::MAX / 2);
    let revision = count.saturating_mul(2).saturating_sub(1).saturating_add(closed);
    let cited = tally.cited();
    let mut assessment = Assessment {
        v: SCHEMA_VERSION,
        id: Id::derived(&[
            b"assessment".as_slice(),
            id.as_bytes(),
            newest.1.as_bytes(),
            &tally.count.to_be_bytes(),
            level.token().as_bytes(),
            &[u8::from(status == Status::Closed)],
        ]),
        incident: id,
        revision,
        tenant: key.tenant.clone(),
        chain: chain.name.clone(),
        class: key.class,
        key: key.value.to_string(),
        status,
        level,
        confidence,
        attack_type: chain.attack_type.clone(),
        response: verdict.response,
        escalate: verdict.escalate,
        replayed: cited.iter().any(|(_, member)| member.replayed),
        backfilled: cited.iter().any(|(_, member)| member.backfilled),
        first: anchor.0,
        last: newest.0,
        reasoning: vec![],
        techniques: techniques(chain, &cited),
        affected: affected(incident),
        plan: chain.plan.clone(),
        evidence: cited.into_iter().map(|(at, member)| member.evidence(at)).collect(),
        count: tally.count,
        suppressed,
    };
    assessment.reasoning = words::reasoning(config, chain, incident, &assessment, turn);
    if let Turn::Superseded(anchor) = turn {
        let other = incident_id(key, chain, anchor);
        assessment
            .reasoning
            .push(format!("Earlier events came to light: this goes on as incident {other}."));
    }
    Some(assessment)
}

/// The chain's techniques in its order, then others that its events name.
fn techniques(chain: &Chain, cited: &[(At, &Member)]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let named = cited.iter().flat_map(|(_, member)| &member.techniques);
    for technique in chain.techniques.iter().chain(named) {
        if all.len() < TECHNIQUES_MAX && !all.contains(technique) {
            all.push(words::line(technique, 16));
        }
    }
    all
}

fn affected(incident: &Incident) -> Vec<Entity> {
    let classes = incident.tally.entities.iter();
    classes
        .flat_map(|(class, entities)| {
            entities.iter().map(|(value, seen)| Entity {
                class: *class,
                value: value.clone(),
                trust: seen.trust,
            })
        })
        .collect()
}

fn alert(chain: &Chain, assessment: &Assessment, now: Timestamp) -> Alert {
    let of = assessment.clone();
    Alert {
        v: SCHEMA_VERSION,
        id: of.incident,
        assessment: of.id,
        revision: of.revision,
        tenant: of.tenant,
        status: of.status,
        level: of.level,
        confidence: of.confidence,
        attack_type: of.attack_type,
        title: words::title(chain, assessment),
        response: of.response,
        escalate: of.escalate,
        replayed: of.replayed,
        backfilled: of.backfilled,
        class: of.class,
        key: of.key,
        first: of.first,
        last: of.last,
        count: of.count,
        techniques: of.techniques,
        affected: of.affected,
        events: of.evidence.iter().map(|e| e.event).collect(),
        suppressed: of.suppressed,
        decided: now,
    }
}

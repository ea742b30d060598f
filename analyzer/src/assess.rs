//! From an incident to what is published: assessment, alerts, actions.
//!
//! **Identity.** An incident's id is derived from tenant, chain, key and its first member. An
//! assessment's id is derived from the incident, the number of its members, its newest member,
//! its level, and whether it is closed; its revision is twice the number of members less one,
//! and one more when closed. (Where events that came after a silence took members away, both
//! count on from the highest number that was told.) Neither depends on how messages were batched, nor on how often the
//! stream was read; a revision rises, with gaps.
//!
//! **Folding.** An incident is told at once when it opens, when its level, its response or whether
//! it is escalated changes, when an action is to be asked for, and when it closes. What comes between
//! is folded: told together, `update_every` after the incident was told last. A key that is flooded
//! costs a few revisions a minute, not one an event, and the last revision has all of it.

mod action;
mod words;

pub(crate) use action::message_id;

use crate::{
    Config,
    chain::{Book, Chain},
    decision::Verdict,
    suppression,
    window::{At, Decided, Incident, Key, Member, Told, Turn},
};
use magsentinel_bus_schema::{
    Action, Alert, Assessment, Entity, Id, Level, Rated, Response, SCHEMA_VERSION, Status,
    Suppressed, Timestamp,
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
    /// The incident goes on as another one, or was none.
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

/// When something is told, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// What is told is heard by nobody: a former owner told it. Not always in the same revisions,
    /// so that all of it is told again.
    pub rebuilding: bool,
    /// Nothing comes after this: nothing is folded.
    pub last: bool,
}

/// Assesses an incident as it stands: a revision where there is one to be told now. Nothing while
/// the severity model finds it of no account.
#[must_use]
pub fn revise(
    (config, book): (&Config, &Book),
    key: &Key,
    chain: &Chain,
    incident: &mut Incident,
    turn: Turn,
    moment: Moment,
) -> (Option<Revision>, Told) {
    let now = moment.now;
    let judged = judge(config, book, chain, incident);
    if !incident.told && (judged.level == Level::None || turn != Turn::Grew) {
        return (None, Told::Now);
    }
    let Some(decided) = decide(config, (key, chain), incident, judged) else {
        return (None, Told::Now);
    };
    if let Some(later) = folded(config, &decided, incident, turn, moment) {
        return (None, Told::After(later));
    }
    let mut assessment = assessment(config, key, chain, (incident, decided), turn);
    let mut actions = Vec::new();
    if turn == Turn::Grew && assessment.response == Response::Block {
        let wanted = action::actions(config, &assessment, incident, now);
        assessment.reasoning.extend(wanted.withheld);
        actions = wanted.actions;
    }
    if turn == Turn::Grew && assessment.escalate {
        actions.extend(action::evidence(config, &assessment, incident, now));
    }
    for action in &actions {
        incident.acted.insert(action.id, action.evidence_ts);
    }
    let levels = match turn {
        Turn::Grew if assessment.response == Response::Allow => vec![],
        Turn::Grew => {
            incident.levels.insert(assessment.level);
            vec![assessment.level]
        }
        Turn::Closed | Turn::Superseded(_) | Turn::Withdrawn | Turn::GivenUp => {
            incident.levels.iter().copied().collect()
        }
    };
    let alert = (!levels.is_empty()).then(|| (alert(chain, &assessment, now), levels));
    let superseded = matches!(turn, Turn::Superseded(_) | Turn::Withdrawn);
    let trace = incident.tally.trace.clone();
    if !incident.told {
        (incident.told, incident.opened) = (true, incident.rank());
    }
    let Assessment { level, response, escalate, .. } = assessment;
    incident.decided = Some(Decided { level, response, escalate, at: now });
    let told = if moment.rebuilding { Told::Again(now) } else { Told::Now };
    (Some(Revision { assessment, alert, actions, superseded, trace }), told)
}

/// Until when an incident that grew is told no further; none where it is told now.
fn folded(
    config: &Config,
    of: &Decision,
    incident: &mut Incident,
    turn: Turn,
    Moment { now, last, .. }: Moment,
) -> Option<Timestamp> {
    if turn != Turn::Grew || incident.closed || last {
        return None;
    }
    let told = incident.decided.as_mut()?;
    // By another clock than that of who told it.
    told.at = told.at.min(now);
    let told = *told;
    let (level, verdict) = (of.judged.level, of.verdict);
    let same =
        (told.level, told.response, told.escalate) == (level, verdict.response, verdict.escalate);
    let every = config.update_every.get();
    if !same || now.since(told.at) >= every {
        return None;
    }
    let asks = verdict.response == Response::Block && action::is_due(config, of.id, incident, now);
    (!asks).then(|| told.at.plus(every))
}

/// What is decided of an incident.
struct Decision {
    id: Id,
    anchor: At,
    newest: At,
    judged: Judged,
    verdict: Verdict,
    suppressed: Vec<Suppressed>,
}

fn decide(
    config: &Config,
    (key, chain): (&Key, &Chain),
    incident: &Incident,
    judged: Judged,
) -> Option<Decision> {
    let (anchor, newest) = (incident.tally.anchor?, incident.tally.newest?);
    let id = incident_id(key, chain, anchor.1);
    let mut verdict = config.decision.decide(judged.level, judged.confidence);
    let of = (judged.level, newest.0);
    let suppressed = suppression::shape(&config.suppressions, (key, chain), of, &mut verdict);
    Some(Decision { id, anchor, newest, judged, verdict, suppressed })
}

/// Level and confidence of an incident.
struct Judged {
    level: Level,
    confidence: f32,
    rated: Option<Rated>,
}

/// The chain's opinion and the severity model's, as one.
fn judge(config: &Config, book: &Book, chain: &Chain, incident: &mut Incident) -> Judged {
    let alone = incident.tally.judge(chain.severity, chain.confidence);
    let keep = config.lateness.max(config.replay_lateness).get();
    let rated = book.severity().and_then(|model| {
        let peak = incident.tally.shapes.rate(model, keep)?;
        let (rating, shape) = (peak.rating, peak.words.clone());
        let rated = Rated { rating, model: model.digest().to_owned(), shape };
        Some((model.combine(chain.severity, alone, rating), rated))
    });
    let ((level, confidence), rated) = rated.map_or((alone, None), |(both, r)| (both, Some(r)));
    Judged { level, confidence, rated }
}

fn assessment(
    config: &Config,
    key: &Key,
    chain: &Chain,
    (incident, decision): (&Incident, Decision),
    turn: Turn,
) -> Assessment {
    let tally = &incident.tally;
    let Decision { id, anchor, newest, judged, verdict, suppressed } = decision;
    let Judged { level, confidence, rated } = judged;
    let status = match turn {
        // Also where that is told again: it is the same message.
        Turn::Grew if !incident.told || incident.opened == incident.rank() => Status::Opened,
        Turn::Grew => Status::Updated,
        Turn::Closed | Turn::Superseded(_) | Turn::Withdrawn | Turn::GivenUp => Status::Closed,
    };
    let closed = u32::from(status == Status::Closed);
    let rank = u32::try_from(incident.rank()).unwrap_or(u32::MAX / 2);
    let revision = rank.saturating_mul(2).saturating_sub(1).saturating_add(closed);
    let cited = tally.cited();
    let mut assessment = Assessment {
        v: SCHEMA_VERSION,
        id: Id::derived(&[
            b"assessment".as_slice(),
            id.as_bytes(),
            newest.1.as_bytes(),
            &incident.rank().to_be_bytes(),
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
        members: format!("{:032x}", tally.members),
        tactics: chain.tactics.clone(),
        suppressed,
        rated,
    };
    assessment.reasoning = words::reasoning(config, chain, incident, &assessment, turn);
    let gone = match turn {
        Turn::Superseded(anchor) => {
            let other = incident_id(key, chain, anchor);
            Some(format!("Earlier events came to light: this goes on as incident {other}."))
        }
        Turn::Withdrawn => Some(
            "Withdrawn: it was told while no events came, and those that came after all, in \
             time, show that the condition did not hold."
                .to_owned(),
        ),
        Turn::Grew | Turn::Closed | Turn::GivenUp => None,
    };
    assessment.reasoning.extend(gone);
    assessment
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

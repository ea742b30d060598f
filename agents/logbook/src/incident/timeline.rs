//! What happened when.

use super::Incident;
use magsentinel_bus_schema::{
    Alert, Analysis, Assessment, Closure, Id, Level, Outcome, Status, Timestamp,
    decision::{Author, Evidence},
};
use serde::{Deserialize, Serialize};

/// What sort of thing an entry of the timeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// A cited event, at its own time.
    Event,
    /// A revision of the assessment, when it was stored.
    Assessment,
    /// An alert, when it was stored.
    Alert,
    /// An analysis, when it was stored.
    Analysis,
    /// An action, when it was stored.
    Action,
    /// An outcome, when it was stored.
    Outcome,
    /// An operator's word, when it was stored.
    Closure,
}

impl Moment {
    /// Its name.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Assessment => "assessment",
            Self::Alert => "alert",
            Self::Analysis => "analysis",
            Self::Action => "action",
            Self::Outcome => "outcome",
            Self::Closure => "closure",
        }
    }
}

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What sort of thing.
    pub what: Moment,
    /// The message, or for an event its id.
    pub id: Id,
    /// Level, where it has one.
    pub level: Option<Level>,
    /// One line for a reader. Untrusted text.
    pub text: String,
}

/// The timeline of an incident: by time, and what has the same time in the order in which it
/// comes about.
pub(super) fn of(incident: &Incident) -> Vec<Entry> {
    let mut entries: Vec<Entry> = incident.evidence.iter().map(of_evidence).collect();
    entries.extend(incident.assessments.iter().map(|s| of_assessment(s.stored, &s.message)));
    entries.extend(incident.alerts.iter().map(|s| of_alert(s.stored, &s.message)));
    entries.extend(incident.analyses.iter().map(|s| of_analysis(s.stored, &s.message)));
    entries.extend(incident.actions.iter().map(|s| {
        let action = &s.message;
        let target = format!("{} {}", action.target.class, action.target.value);
        let text = format!("{} on {target}: {}", action.effect.verb(), action.reason);
        Entry { at: s.stored, what: Moment::Action, id: action.id, level: None, text }
    }));
    entries.extend(incident.outcomes.iter().map(|s| of_outcome(s.stored, &s.message)));
    entries.extend(incident.closures.iter().map(|s| of_closure(s.stored, &s.message)));
    entries.sort_by_key(|entry| (entry.at, entry.what));
    entries
}

fn of_evidence(e: &Evidence) -> Entry {
    let text = format!("{} {} by {}, score {:.2}", e.kind, e.category, e.patrol, e.score);
    Entry { at: e.ts, what: Moment::Event, id: e.event, level: Some(e.level), text }
}

fn of_assessment(at: Timestamp, m: &Assessment) -> Entry {
    let escalated = if m.escalate { ", escalated" } else { "" };
    let text = format!(
        "revision {} {}: {} of {} events, {}{escalated}",
        m.revision,
        status(m.status),
        m.attack_type,
        m.count,
        m.response,
    );
    Entry { at, what: Moment::Assessment, id: m.id, level: Some(m.level), text }
}

fn of_alert(at: Timestamp, m: &Alert) -> Entry {
    let text = format!("{}: {}", status(m.status), m.title);
    Entry { at, what: Moment::Alert, id: m.id, level: Some(m.level), text }
}

fn of_analysis(at: Timestamp, m: &Analysis) -> Entry {
    let text = format!("by the {}: {}", author(m.author), m.executive);
    Entry { at, what: Moment::Analysis, id: m.id, level: Some(m.level), text }
}

fn of_outcome(at: Timestamp, m: &Outcome) -> Entry {
    let text = format!("{} {}: {}", m.effect.verb(), outcome_status(m), m.detail);
    Entry { at, what: Moment::Outcome, id: m.id, level: None, text }
}

fn of_closure(at: Timestamp, m: &Closure) -> Entry {
    let mut text = m.judgement.to_string();
    for (before, said) in [(" by ", &m.by), (": ", &m.note)] {
        if !said.is_empty() {
            text.push_str(before);
            text.push_str(said);
        }
    }
    Entry { at, what: Moment::Closure, id: m.id, level: None, text }
}

/// The status of an incident, for a reader.
#[must_use]
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Opened => "opened",
        Status::Updated => "updated",
        Status::Closed => "closed",
    }
}

/// The author of an analysis, for a reader.
#[must_use]
pub(crate) fn author(author: Author) -> &'static str {
    match author {
        Author::Playbook => "playbook",
        Author::Model => "model",
    }
}

/// The status of an outcome, for a reader.
#[must_use]
pub(crate) fn outcome_status(outcome: &Outcome) -> &'static str {
    use magsentinel_bus_schema::OutcomeStatus as S;
    match outcome.status {
        S::WouldApply => "would apply (dry run)",
        S::Refused => "refused",
        S::Pending => "waits for approval",
        S::Applied => "applied",
        S::Reverted => "reverted",
        S::Renewed => "renewed",
        S::Failed => "failed, tried again",
    }
}

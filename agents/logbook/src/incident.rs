//! An incident as its records tell it. Pure: records in, incident out.

use crate::Content;
use magsentinel_bus_schema::{
    Action, Alert, Analysis, Assessment, Class, Closure, Id, Judgement, Level, Outcome, Response,
    Status, Tenant, Timestamp, Token, closure::Share, decision::Evidence,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) mod timeline;
pub use timeline::{Entry, Moment};

/// One line of a listing: the incident as its newest revision shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentRow {
    /// The incident.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Number of its first record in the logbook: rises from incident to incident, and is the
    /// cursor of a listing.
    pub opened: i64,
    /// Newest revision; 0 while neither an assessment nor an alert is kept.
    pub revision: u32,
    /// Opened, updated or closed.
    pub status: Status,
    /// Highest level that an assessment, alert or analysis of it has had.
    pub level: Level,
    /// Confidence of the newest revision, 0..=1.
    pub confidence: f32,
    /// What to do, as the newest revision says.
    pub response: Response,
    /// The commander was to investigate.
    pub escalate: bool,
    /// Built from events of which any was played back or back-filled.
    pub replayed: bool,
    /// Any of them was back-filled: its patrol was blind when it came.
    #[serde(default)]
    pub backfilled: bool,
    /// The attack type.
    pub attack_type: Token,
    /// Class of the correlation key, once known.
    pub class: Option<Class>,
    /// The correlation key. Untrusted text.
    pub key: String,
    /// Time of the first event.
    pub first: Timestamp,
    /// Time of the last event.
    pub last: Timestamp,
    /// Number of events.
    pub count: u64,
    /// The newest alert's title; empty before the first alert. Untrusted text.
    pub title: String,
    /// Number of analyses.
    pub analyses: u64,
    /// Number of actions.
    pub actions: u64,
    /// Number of outcomes.
    pub outcomes: u64,
    /// What an operator said last: whether it was an attack.
    #[serde(default)]
    pub judgement: Option<Judgement>,
}

impl IncidentRow {
    /// An incident of which nothing is known yet but that a record names it.
    #[must_use]
    pub fn new(tenant: Tenant, id: Id, opened: i64, stored: Timestamp) -> Self {
        Self {
            id,
            tenant,
            opened,
            revision: 0,
            status: Status::Opened,
            level: Level::None,
            confidence: 0.0,
            response: Response::Allow,
            escalate: false,
            replayed: false,
            backfilled: false,
            attack_type: Token::sanitised("unknown"),
            class: None,
            key: String::new(),
            first: stored,
            last: stored,
            count: 0,
            title: String::new(),
            analyses: 0,
            actions: 0,
            outcomes: 0,
            judgement: None,
        }
    }

    /// Takes in one more record. Revisions may come in any order: the newest one is shown.
    pub fn apply(&mut self, content: &Content) {
        match content {
            Content::Assessment(m) => self.revise(&Revision::of_assessment(m)),
            Content::Alert(m) => {
                if m.revision >= self.revision || self.title.is_empty() {
                    self.title.clone_from(&m.title);
                }
                self.revise(&Revision::of_alert(m));
            }
            Content::Analysis(m) => {
                self.analyses += 1;
                self.level = self.level.max(m.level);
                if self.revision == 0 {
                    self.attack_type = m.attack_type.clone();
                }
            }
            Content::Action(_) => self.actions += 1,
            Content::Outcome(_) => self.outcomes += 1,
            Content::Closure(m) => self.judgement = Some(m.judgement),
            Content::Pattern(_)
            | Content::Gap(_)
            | Content::Order(_)
            | Content::Suppression(_)
            | Content::DeadLetter(_) => {}
        }
    }

    fn revise(&mut self, new: &Revision<'_>) {
        self.level = self.level.max(new.level);
        if new.revision < self.revision {
            return;
        }
        self.revision = new.revision;
        self.status = new.status;
        self.confidence = new.confidence;
        self.response = new.response;
        self.escalate = new.escalate;
        self.replayed = new.replayed;
        self.backfilled = new.backfilled;
        self.attack_type = new.attack_type.clone();
        self.class = Some(new.class);
        new.key.clone_into(&mut self.key);
        self.first = new.first;
        self.last = new.last;
        self.count = new.count;
    }
}

/// What an assessment and its alert both say.
struct Revision<'a> {
    revision: u32,
    status: Status,
    level: Level,
    confidence: f32,
    response: Response,
    escalate: bool,
    replayed: bool,
    backfilled: bool,
    attack_type: &'a Token,
    class: Class,
    key: &'a str,
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

macro_rules! revision_of {
    ($name:ident, $message:ty) => {
        fn $name(m: &'a $message) -> Self {
            Self {
                revision: m.revision,
                status: m.status,
                level: m.level,
                confidence: m.confidence,
                response: m.response,
                escalate: m.escalate,
                replayed: m.replayed,
                backfilled: m.backfilled,
                attack_type: &m.attack_type,
                class: m.class,
                key: &m.key,
                first: m.first,
                last: m.last,
                count: m.count,
            }
        }
    };
}

impl<'a> Revision<'a> {
    revision_of!(of_assessment, Assessment);
    revision_of!(of_alert, Alert);
}

/// A kept message, with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored<T> {
    /// Number of the record.
    pub seq: i64,
    /// When the server stored the message.
    pub stored: Timestamp,
    /// The message.
    pub message: T,
}

/// A record of an incident that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Number of the record.
    pub seq: i64,
    /// Why.
    pub reason: String,
}

/// Everything that is kept about an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its line in a listing.
    pub incident: IncidentRow,
    /// What happened when, oldest first.
    pub timeline: Vec<Entry>,
    /// The cited events of all revisions, oldest first, each once.
    pub evidence: Vec<Evidence>,
    /// Its revisions.
    pub assessments: Vec<Stored<Assessment>>,
    /// Its alerts.
    pub alerts: Vec<Stored<Alert>>,
    /// Its analyses.
    pub analyses: Vec<Stored<Analysis>>,
    /// Its actions.
    pub actions: Vec<Stored<Action>>,
    /// What became of them.
    pub outcomes: Vec<Stored<Outcome>>,
    /// What operators said of it.
    pub closures: Vec<Stored<Closure>>,
    /// Number of older records that were left out (`logbook.incident_records_max`).
    pub omitted: u64,
    /// Records that cannot be read: the file was changed, or is of a newer version.
    pub unreadable: Vec<Unreadable>,
}

impl Incident {
    /// An incident from its records, in the order of the logbook.
    #[must_use]
    pub fn assemble(
        row: IncidentRow,
        records: Vec<Stored<Result<Content, String>>>,
        omitted: u64,
    ) -> Self {
        let mut incident = Self {
            incident: row,
            timeline: Vec::new(),
            evidence: Vec::new(),
            assessments: Vec::new(),
            alerts: Vec::new(),
            analyses: Vec::new(),
            actions: Vec::new(),
            outcomes: Vec::new(),
            closures: Vec::new(),
            omitted,
            unreadable: Vec::new(),
        };
        for Stored { seq, stored, message } in records {
            match message {
                Ok(content) => incident.take(seq, stored, content),
                Err(reason) => incident.unreadable.push(Unreadable { seq, reason }),
            }
        }
        incident.evidence = evidence(&incident.assessments);
        incident.timeline = timeline::of(&incident);
        incident
    }

    fn take(&mut self, seq: i64, stored: Timestamp, content: Content) {
        match content {
            Content::Assessment(m) => self.assessments.push(Stored { seq, stored, message: *m }),
            Content::Alert(m) => self.alerts.push(Stored { seq, stored, message: *m }),
            Content::Analysis(m) => self.analyses.push(Stored { seq, stored, message: *m }),
            Content::Action(m) => self.actions.push(Stored { seq, stored, message: *m }),
            Content::Outcome(m) => self.outcomes.push(Stored { seq, stored, message: *m }),
            Content::Closure(m) => self.closures.push(Stored { seq, stored, message: *m }),
            Content::Pattern(_)
            | Content::Gap(_)
            | Content::Order(_)
            | Content::Suppression(_)
            | Content::DeadLetter(_) => {}
        }
    }

    /// The outcomes of an action, oldest first.
    pub fn outcomes_of(&self, action: Id) -> impl Iterator<Item = &Stored<Outcome>> {
        self.outcomes.iter().filter(move |outcome| outcome.message.action == action)
    }

    /// The patrols whose findings it cites, and how many of each.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let mut counted: BTreeMap<&Token, u64> = BTreeMap::new();
        for cited in &self.evidence {
            *counted.entry(&cited.patrol).or_default() += 1;
        }
        let share = |(patrol, events): (&Token, u64)| Share { patrol: patrol.clone(), events };
        counted.into_iter().map(share).collect()
    }

    /// The analysis to show: the newest.
    #[must_use]
    pub fn analysis(&self) -> Option<&Analysis> {
        self.analyses.last().map(|stored| &stored.message)
    }
}

/// The cited scored events of all revisions by time, each once: the newest revision's word.
fn evidence(assessments: &[Stored<Assessment>]) -> Vec<Evidence> {
    let mut newest: Vec<_> = assessments.iter().map(|stored| &stored.message).collect();
    newest.sort_by_key(|assessment| assessment.revision);
    let cited = newest.into_iter().flat_map(|assessment| &assessment.evidence);
    let unique: BTreeMap<(Timestamp, Id), &Evidence> =
        cited.map(|evidence| ((evidence.ts, evidence.scored), evidence)).collect();
    unique.into_values().cloned().collect()
}

#[cfg(test)]
pub(crate) mod tests;

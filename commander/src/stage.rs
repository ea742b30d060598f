//! Escalated assessments in, analyses out.

use crate::{
    Config, Library, briefing, desk::Clerk, draft, grounding, knowledge::Known, pattern, playbook,
    untrusted::shown,
};
use magsentinel_bus_schema::{
    Analysis, Assessment, Closure, Id, Level, Limits, Status, Subject, Timestamp, decision::Author,
};
use magsentinel_pattern::changes;
use magsentinel_runtime::stage::{Batch, Delivery, Failed, Output, Publish, Stage};
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Longest fallback reason, in characters. It may quote a model's words.
const REASON_CHARS_MAX: usize = 300;

/// The core of the commander.
pub struct Commander {
    config: Config,
    clerk: Option<Clerk>,
    library: Library,
    remembered: Remembered,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    by_model: u64,
    by_playbook: u64,
    fallbacks: u64,
    not_escalated: u64,
    superseded: u64,
    proposed: u64,
    last_fallback: Option<String>,
}

/// What was written about an incident.
pub(crate) struct Written {
    pub(crate) analysis: Analysis,
    /// What a model chose for a pattern.
    words: Vec<String>,
}

/// What makes another analysis of the same incident worth while: another level, or more events.
/// With a model, which costs a minute, twice as many.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Edition {
    level: Level,
    events: u64,
}

impl Commander {
    /// A commander; without a clerk the playbook writes everything.
    pub(crate) fn new(config: Config, clerk: Option<Clerk>, library: Library) -> Self {
        let remembered = Remembered::new(config.incidents_max);
        Self { config, clerk, library, remembered, figures: Figures::default() }
    }

    fn edition(&self, a: &Assessment) -> Edition {
        let events = if self.clerk.is_some() { u64::from(a.count.max(1).ilog2()) } else { a.count };
        Edition { level: a.level, events }
    }

    fn is_due(&self, a: &Assessment, edition: Edition, attempt: u64) -> bool {
        match self.remembered.get(a.incident) {
            // A later attempt means that the analysis may not have been stored.
            Some((revision, known)) => revision <= a.revision && (known != edition || attempt > 1),
            None => true,
        }
    }

    fn analyse(
        &mut self,
        a: &Assessment,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Vec<Publish>, String> {
        let Written { analysis, words } =
            self.write(a, now.since(delivery.stored), delivery.attempt)?;
        let subject = Subject::Analysis(a.attack_type.clone());
        let publish = Publish::new(subject, analysis.id, &analysis).map_err(|e| e.to_string())?;
        let mut all = vec![publish.traced(delivery.trace.clone())];
        let proposed = pattern::chosen(a, &words, now).or_else(|| pattern::suggested(a, now));
        if let Some(pattern) = proposed {
            self.figures.proposed += 1;
            all.extend(changes(&a.tenant, &pattern));
        }
        self.remembered.insert(a.incident, a.revision, self.edition(a));
        Ok(all)
    }

    /// The analysis of an assessment that has waited for so long, at the attempt of this number.
    pub(crate) fn write(
        &mut self,
        a: &Assessment,
        waited: Duration,
        attempt: u64,
    ) -> Result<Written, String> {
        let edition = self.edition(a);
        let known = self.library.known(a);
        let mut words = Vec::new();
        let mut analysis = match self.by_model(a, &known, waited, attempt) {
            Some(Ok(written)) => {
                words = written.words;
                written.analysis
            }
            Some(Err(reason)) => {
                let reason = shown(&reason, REASON_CHARS_MAX);
                tracing::warn!(incident = %a.incident, error = reason, "playbook writes instead");
                self.figures.fallbacks += 1;
                self.figures.last_fallback = Some(reason.clone());
                let mut analysis = self.by_playbook(a, &known)?;
                analysis.model = self.clerk.as_ref().map(|c| c.desk.name().to_owned());
                analysis.fallback_reason = Some(reason);
                analysis
            }
            None => self.by_playbook(a, &known)?,
        };
        match analysis.author {
            Author::Model => self.figures.by_model += 1,
            Author::Playbook => self.figures.by_playbook += 1,
        }
        analysis.id = id_of(a, edition, analysis.author);
        Ok(Written { analysis, words })
    }

    fn by_playbook(&self, a: &Assessment, known: &Known) -> Result<Analysis, String> {
        playbook::write(a, known, (&self.config).into()).map_err(|e| e.to_string())
    }

    /// The model's analysis, why there is none, or nothing when no model is configured.
    fn by_model(
        &self,
        a: &Assessment,
        known: &Known,
        waited: Duration,
        attempt: u64,
    ) -> Option<Result<Written, String>> {
        let clerk = self.clerk.as_ref()?;
        let most = self.config.queue_wait_max;
        if waited > most.get() {
            let seconds = waited.as_secs();
            return Some(Err(format!(
                "the assessment waited {seconds} s for the model, longer than \
                 commander.queue_wait_max ({most})"
            )));
        }
        Some(self.drafted(clerk, a, known, attempt))
    }

    fn drafted(
        &self,
        clerk: &Clerk,
        a: &Assessment,
        known: &Known,
        attempt: u64,
    ) -> Result<Written, String> {
        let nonce = clerk.nonce(a, attempt);
        let briefing =
            briefing::build(a, known, (&self.config).into(), &nonce).map_err(|e| e.to_string())?;
        let answer = clerk
            .desk
            .ask(briefing.clone(), self.config.deadline.get())
            .map_err(|e| e.to_string())?;
        let draft = draft::read(&answer, self.config.tokens_max)
            .map_err(|e| format!("the model's draft was refused: {e}"))?;
        let playbook = self.by_playbook(a, known)?;
        let grounds = grounding::Grounds {
            assessment: a,
            known,
            briefing: &briefing,
            playbook: &playbook,
            score_min: self.config.grounding_min,
        };
        let analysis = grounding::ground(&draft, &grounds, clerk.desk.name())
            .map_err(|e| format!("the model's draft was refused: {e}"))?;
        Ok(Written { analysis, words: draft.pattern_words })
    }
}

/// The same for every delivery of the same edition, so that repetition has no second effect.
fn id_of(a: &Assessment, edition: Edition, author: Author) -> Id {
    let author = match author {
        Author::Playbook => "playbook",
        Author::Model => "model",
    };
    let events = edition.events.to_string();
    let parts: [&[u8]; 6] = [
        b"analysis",
        a.tenant.as_str().as_bytes(),
        a.incident.as_bytes(),
        edition.level.token().as_bytes(),
        events.as_bytes(),
        author.as_bytes(),
    ];
    Id::derived(&parts)
}

impl Stage for Commander {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let mut due: Vec<(usize, Assessment)> = Vec::new();
        let mut closures: Vec<Closure> = Vec::new();
        let mut calm: Vec<Assessment> = Vec::new();
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            if let Ok((_, Subject::Closure(_))) = Subject::parse(&delivery.subject) {
                match delivery.decode(Limits::default()) {
                    Ok(closure) => closures.push(closure),
                    Err(e) => out.fail(index, Failed::Poison(format!("no closure: {e}"))),
                }
                continue;
            }
            let a: Assessment = match delivery.decode(Limits::default()) {
                Ok(assessment) => assessment,
                Err(e) => {
                    out.fail(index, Failed::Poison(format!("no assessment: {e}")));
                    continue;
                }
            };
            if !a.escalate || a.status == Status::Closed {
                self.figures.not_escalated += 1;
                calm.push(a);
                continue;
            }
            // Of one incident only the newest revision of the batch is worth an analysis.
            let same = |(_, known): &&mut (usize, Assessment)| {
                known.incident == a.incident && known.tenant == a.tenant
            };
            match due.iter_mut().find(same) {
                Some(known) => {
                    self.figures.superseded += 1;
                    if a.revision >= known.1.revision {
                        *known = (index, a);
                    }
                }
                None => due.push((index, a)),
            }
        }
        // The newest revision last, so that it is the one that is remembered.
        let seen = calm.iter().chain(due.iter().map(|(_, a)| a));
        self.library.learn(seen, closures.iter());
        for (index, a) in due {
            let Some(delivery) = batch.deliveries.get(index) else { continue };
            if !self.is_due(&a, self.edition(&a), delivery.attempt) {
                self.figures.superseded += 1;
                continue;
            }
            match self.analyse(&a, delivery, batch.now) {
                Ok(all) => {
                    all.into_iter().for_each(|message| out.publish_for(index, message));
                }
                Err(reason) => out.fail(index, Failed::Poison(reason)),
            }
        }
    }

    fn report(&self) -> serde_json::Value {
        let model = match &self.clerk {
            Some(clerk) => clerk.desk.status(),
            None => "no model".to_owned(),
        };
        json!({
            "model": model,
            "desk": self.clerk.as_ref().map(|c| c.desk.load()),
            "model_name": self.clerk.as_ref().map(|c| c.desk.name()),
            "analyses_by_model": self.figures.by_model,
            "analyses_by_playbook": self.figures.by_playbook,
            "fallbacks": self.figures.fallbacks,
            "last_fallback_reason": self.figures.last_fallback,
            "assessments_not_escalated": self.figures.not_escalated,
            "assessments_superseded": self.figures.superseded,
            "patterns_proposed": self.figures.proposed,
            "knowledge": self.library.report(),
        })
    }
}

/// The last analysed revision and edition of each incident, the newest `max` incidents.
struct Remembered {
    max: usize,
    order: VecDeque<Id>,
    by_incident: BTreeMap<Id, (u32, Edition)>,
}

impl Remembered {
    fn new(max: usize) -> Self {
        Self { max, order: VecDeque::new(), by_incident: BTreeMap::new() }
    }

    fn get(&self, incident: Id) -> Option<(u32, Edition)> {
        self.by_incident.get(&incident).copied()
    }

    fn insert(&mut self, incident: Id, revision: u32, edition: Edition) {
        if self.by_incident.insert(incident, (revision, edition)).is_none() {
            self.order.push_back(incident);
        }
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_incident.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_incident_is_forgotten_at_the_bound() {
        let mut remembered = Remembered::new(2);
        let id = |n: u8| Id::derived(&[[n]]);
        let edition = Edition { level: Level::High, events: 1 };
        (1..=3).for_each(|n| remembered.insert(id(n), 1, edition));
        assert!(remembered.get(id(1)).is_none() && remembered.get(id(3)).is_some());
        assert_eq!(remembered.order.len(), remembered.by_incident.len());
    }
}

//! The commander: an assessment in, an analysis out. One of it serves all stages and endpoints of a
//! process: what was imported is opened once, and what is remembered of an incident at one level
//! holds at every other.

mod analyst;
mod notary;
mod shared;

pub(crate) use analyst::Analyst;
pub(crate) use notary::Notary;

use crate::{
    Config, briefing, chain, desk::Clerk, draft, grounding, knowledge::Known, pattern, playbook,
    untrusted::shown,
};
use magsentinel_bus_schema::{Analysis, Assessment, Id, Subject, Timestamp, decision::Author};
use magsentinel_pattern::changes;
use magsentinel_runtime::stage::{Delivery, Publish};
use serde_json::json;
use shared::{Edition, Shared, locked};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Longest fallback reason, in characters. It may quote a model's words.
const REASON_CHARS_MAX: usize = 300;

/// The commander. Cheap to clone: all clones are the same one.
#[derive(Clone)]
pub(crate) struct Commander {
    config: Arc<Config>,
    clerk: Option<Clerk>,
    shared: Arc<Mutex<Shared>>,
}

/// What was written about an incident.
pub(crate) struct Written {
    pub(crate) analysis: Analysis,
    /// What a model chose for a pattern.
    words: Vec<String>,
}

impl Commander {
    /// A commander; without a clerk the playbook writes everything. It opens nothing yet.
    pub(crate) fn new(config: Config, clerk: Option<Clerk>) -> Self {
        let shared = Arc::new(Mutex::new(Shared::new(&config)));
        Self { config: Arc::new(config), clerk, shared }
    }

    /// Opens what is needed, and anew what a panic may have left half done.
    pub(crate) fn open(&self) {
        if self.shared.is_poisoned() {
            *locked(&self.shared) = Shared::new(&self.config);
            self.shared.clear_poison();
        }
        locked(&self.shared).library(&self.config);
    }

    fn edition(&self, a: &Assessment) -> Edition {
        let events = if self.clerk.is_some() { u64::from(a.count.max(1).ilog2()) } else { a.count };
        Edition { level: a.level, events }
    }

    /// Whether another analysis of its incident is worth while.
    fn is_due(&self, a: &Assessment, attempt: u64) -> bool {
        let edition = self.edition(a);
        match locked(&self.shared).remembered.get(a.incident) {
            // A later attempt means that the analysis may not have been stored.
            Some((revision, known)) => revision <= a.revision && (known != edition || attempt > 1),
            None => true,
        }
    }

    fn analyse(
        &self,
        a: &Assessment,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Vec<Publish>, String> {
        let Written { analysis, words } =
            self.write(a, now.since(delivery.stored), delivery.attempt)?;
        let subject = Subject::Analysis(a.attack_type.clone());
        let publish = Publish::new(subject, analysis.id, &analysis).map_err(|e| e.to_string())?;
        let mut all = vec![publish.traced(delivery.trace.clone())];
        let rule = pattern::chosen(a, &words, now).or_else(|| pattern::suggested(a, now));
        let mut shared = locked(&self.shared);
        // What grew is asked about again and again: of each incident one chain.
        let again = shared.remembered.get(a.incident).is_some() && delivery.attempt == 1;
        let chain = chain::suggested(a, now).filter(|_| !again);
        for pattern in rule.into_iter().chain(chain) {
            shared.figures.proposed += 1;
            all.extend(changes(&a.tenant, &pattern));
        }
        shared.remembered.insert(a.incident, a.revision, self.edition(a));
        Ok(all)
    }

    /// The analysis of an assessment that has waited for so long, at the attempt of this number.
    pub(crate) fn write(
        &self,
        a: &Assessment,
        waited: Duration,
        attempt: u64,
    ) -> Result<Written, String> {
        let edition = self.edition(a);
        let known = locked(&self.shared).library(&self.config).known(a);
        let mut words = Vec::new();
        let mut analysis = match self.by_model(a, &known, waited, attempt) {
            Some(Ok(written)) => {
                words = written.words;
                written.analysis
            }
            Some(Err(reason)) => {
                let reason = shown(&reason, REASON_CHARS_MAX);
                tracing::warn!(incident = %a.incident, error = reason, "playbook writes instead");
                let figures = &mut locked(&self.shared).figures;
                figures.fallbacks += 1;
                figures.last_fallback = Some(reason.clone());
                let mut analysis = self.by_playbook(a, &known)?;
                analysis.model = self.clerk.as_ref().map(|c| c.desk.name().to_owned());
                analysis.fallback_reason = Some(reason);
                analysis
            }
            None => self.by_playbook(a, &known)?,
        };
        let figures = &mut locked(&self.shared).figures;
        match analysis.author {
            Author::Model => figures.by_model += 1,
            Author::Playbook => figures.by_playbook += 1,
        }
        analysis.id = id_of(a, edition, analysis.author);
        Ok(Written { analysis, words })
    }

    fn by_playbook(&self, a: &Assessment, known: &Known) -> Result<Analysis, String> {
        playbook::write(a, known, self.config.as_ref().into()).map_err(|e| e.to_string())
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
        let limits = briefing::Limits::from(self.config.as_ref());
        let make = |prompt_bytes_max| {
            let limits = briefing::Limits { prompt_bytes_max, ..limits };
            briefing::build(a, known, limits, &nonce)
        };
        let (briefing, answer) = clerk.draft(limits, self.config.deadline.get(), make)?;
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

    /// How it is now, for `magsentinel status`.
    pub(crate) fn report(&self) -> serde_json::Value {
        let model = match &self.clerk {
            Some(clerk) => clerk.desk.status(),
            None => "no model".to_owned(),
        };
        let mut shared = locked(&self.shared);
        let knowledge = shared.library(&self.config).report();
        let figures = &shared.figures;
        json!({
            "model": model,
            "desk": self.clerk.as_ref().map(|c| c.desk.load()),
            "model_name": self.clerk.as_ref().map(|c| c.desk.name()),
            "analyses_by_model": figures.by_model,
            "analyses_by_playbook": figures.by_playbook,
            "fallbacks": figures.fallbacks,
            "last_fallback_reason": figures.last_fallback,
            "assessments_not_escalated": figures.not_escalated,
            "assessments_superseded": figures.superseded,
            "patterns_proposed": figures.proposed,
            "knowledge": knowledge,
        })
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

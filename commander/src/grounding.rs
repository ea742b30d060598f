//! What of a model's draft may be believed: all of it, or nothing.
//!
//! A draft passes when every claim cites events that the model was shown, when everything that
//! its texts name (addresses, users, sessions, hosts, resources, techniques, times, numbers)
//! occurs in the evidence, when it lowers and plays down nothing, and when its advice holds no
//! command and no text of the evidence. What fails once fails as a whole, because a writer that
//! invents one thing may have invented the rest.
//!
//! The check errs on the side of refusing: a refused draft costs nothing but the model's time,
//! since the [`crate::playbook`] writes instead.

mod lists;
mod words;

use crate::{
    briefing::Briefing,
    draft::{Draft, DraftClaim, TEXT_CHARS_MIN},
    untrusted::{is_hidden, shown},
};
use magsentinel_bus_schema::{
    Analysis, Assessment, Id, SCHEMA_VERSION, Trust,
    decision::{Author, Claim},
};
use words::{Names, Wording};

/// Highest confidence of an attribution: nothing that one mesh sees can make it surer.
const ATTRIBUTION_MAX: f32 = 0.5;

/// Why a draft is not believed. The texts quote at most a few words of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is below the assessment's level.
    #[error("it lowers the level to {0}")]
    Lowered(magsentinel_bus_schema::Level),
    /// A claim cites nothing.
    #[error("a claim of {0} cites nothing")]
    Uncited(&'static str),
    /// A claim cites what the model was not shown.
    #[error("{part} cites {label}, which is not in the evidence")]
    UnknownEvent {
        /// Which part.
        part: &'static str,
        /// The label.
        label: String,
    },
    /// A text names what does not occur in the evidence.
    #[error("{part} names {word:?}, which is not in the evidence")]
    Ungrounded {
        /// Which part.
        part: &'static str,
        /// What it names.
        word: String,
    },
    /// Advice names what occurs only in free text or is merely claimed.
    #[error("{part} names {word:?}, which no sensor observed as an entity")]
    Untrusted {
        /// Which part.
        part: &'static str,
        /// What it names.
        word: String,
    },
    /// A text plays the incident down, or asks to undo a response.
    #[error("{part} says {phrase:?}")]
    PlaysDown {
        /// Which part.
        part: &'static str,
        /// The phrase.
        phrase: &'static str,
    },
    /// Advice holds a command, code or a link.
    #[error("{part} holds what looks like a command: {sign:?}")]
    Command {
        /// Which part.
        part: &'static str,
        /// What gave it away.
        sign: &'static str,
    },
    /// Advice repeats words of the evidence.
    #[error("{part} repeats text of an excerpt: {words:?}")]
    Copied {
        /// Which part.
        part: &'static str,
        /// The words.
        words: String,
    },
    /// A text is empty, too short, or not readable.
    #[error("{0} is too short or not readable")]
    Unreadable(&'static str),
    /// The nonce of the fences came back.
    #[error("it repeats the fence of its prompt")]
    Leak,
    /// A part that must have claims has none.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The confidence is no number from 0 to 1.
    #[error("its confidence of attribution is not within 0 to 1")]
    Confidence,
}

/// What a text is for decides what it may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Tells what happened: may quote the evidence.
    Account,
    /// Tells readers what it means: may not repeat the evidence's sentences.
    Summary,
    /// Tells people what to do: may name only what a sensor observed.
    Advice,
}

/// The analysis that a draft makes, if all of it is grounded.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn ground(
    draft: &Draft,
    assessment: &Assessment,
    briefing: &Briefing,
    model: &str,
) -> Result<Analysis, Refusal> {
    if draft.level < assessment.level {
        return Err(Refusal::Lowered(draft.level));
    }
    if !(0.0..=1.0).contains(&draft.attribution_confidence) {
        return Err(Refusal::Confidence);
    }
    let check = Check::new(assessment, briefing);
    let claims = |part, claims: &[DraftClaim], role| {
        let all: Result<Vec<Claim>, Refusal> =
            claims.iter().map(|c| check.claim(part, c, role)).collect();
        all.and_then(|c| if c.is_empty() { Err(Refusal::Missing(part)) } else { Ok(c) })
    };
    Ok(Analysis {
        v: SCHEMA_VERSION,
        // The stage knows the edition and names the analysis.
        id: assessment.id,
        incident: assessment.incident,
        assessment: assessment.id,
        tenant: assessment.tenant.clone(),
        attack_type: assessment.attack_type.clone(),
        author: Author::Model,
        model: Some(model.to_owned()),
        fallback_reason: None,
        level: draft.level,
        attack_vector: check.claim("attack_vector", &draft.attack_vector, Role::Account)?,
        chain: claims("chain", &draft.chain, Role::Account)?,
        blast_radius: claims("blast_radius", &draft.blast_radius, Role::Account)?,
        attribution: check.claim("attribution", &draft.attribution, Role::Summary)?,
        attribution_confidence: draft.attribution_confidence.min(ATTRIBUTION_MAX),
        remediation: claims("remediation", &draft.remediation, Role::Advice)?,
        prevention: claims("prevention", &draft.prevention, Role::Advice)?,
        executive: check.text("executive", &draft.executive, Role::Summary)?,
        technical: check.text("technical", &draft.technical, Role::Account)?,
        omitted: briefing.omitted,
        left_out: briefing.left_out.clone(),
        grounding: None,
    })
}

struct Check<'a> {
    labels: &'a [Id],
    nonce: &'a str,
    /// Everything that the evidence names.
    named: Names,
    /// What sensors observed as entities, and the mesh's own words.
    observed: Names,
    /// Excerpts and names of the evidence, in word runs.
    copied: words::Runs,
}

impl<'a> Check<'a> {
    fn new(a: &Assessment, briefing: &'a Briefing) -> Self {
        let mut observed = Names::default();
        let (mut named, mut copied) = (Names::default(), words::Runs::default());
        for own in [a.attack_type.as_str(), a.chain.as_str(), a.class.token(), a.level.token()] {
            observed.add(own);
        }
        observed.add_time(a.first);
        observed.add_time(a.last);
        observed.add(&a.count.to_string());
        observed.add(&a.evidence.len().to_string());
        observed.add(&format!("{:.2}", a.confidence));
        a.techniques.iter().for_each(|t| observed.add(t));
        for e in a.evidence.iter().filter(|e| briefing.labels.contains(&e.event)) {
            for own in [e.patrol.as_str(), e.category.as_str(), e.kind.token()] {
                observed.add(own);
            }
            observed.add_time(e.ts);
            observed.add(&format!("{:.2}", e.score));
            e.techniques.iter().for_each(|t| observed.add(t));
            for entity in &e.entities {
                let names =
                    if entity.trust >= Trust::Observed { &mut observed } else { &mut named };
                names.add(&entity.value);
                copied.add(&entity.value);
            }
            e.reasons.iter().for_each(|reason| named.add(reason));
            named.add(&e.excerpt);
            copied.add(&e.excerpt);
        }
        named.merge(&observed);
        let (labels, nonce) = (briefing.labels.as_slice(), briefing.nonce.as_str());
        Self { labels, nonce, named, observed, copied }
    }

    fn claim(&self, part: &'static str, claim: &DraftClaim, role: Role) -> Result<Claim, Refusal> {
        let mut cites = Vec::new();
        for label in &claim.cites {
            let id = self
                .event(label)
                .ok_or_else(|| Refusal::UnknownEvent { part, label: shown(label, 40) })?;
            if !cites.contains(&id) {
                cites.push(id);
            }
        }
        if cites.is_empty() {
            return Err(Refusal::Uncited(part));
        }
        Ok(Claim { text: self.text(part, &claim.text, role)?, cites })
    }

    fn event(&self, label: &str) -> Option<Id> {
        let number: usize = label.strip_prefix('E')?.parse().ok()?;
        // Only the canonical form, so that an event has one label.
        let canonical = label.get(1..) == Some(number.to_string().as_str());
        self.labels.get(number.checked_sub(1)?).copied().filter(|_| canonical)
    }

    /// The text with labels written out as event ids, if it is grounded.
    fn text(&self, part: &'static str, text: &str, role: Role) -> Result<String, Refusal> {
        let text = text.trim();
        if text.contains(self.nonce) {
            return Err(Refusal::Leak);
        }
        let wording = Wording::of(text);
        if text.chars().count() < TEXT_CHARS_MIN
            || wording.plain_words() < 3
            || text.chars().any(|c| (is_hidden(c) && c != '\n') || c == char::REPLACEMENT_CHARACTER)
        {
            return Err(Refusal::Unreadable(part));
        }
        if let Some(phrase) = wording.plays_down() {
            return Err(Refusal::PlaysDown { part, phrase });
        }
        if role != Role::Account {
            self.not_copied(part, text, &wording)?;
        }
        self.only_named(part, &wording, role)?;
        Ok(wording.with_labels(text, |label| self.event(label)))
    }

    fn not_copied(
        &self,
        part: &'static str,
        text: &str,
        wording: &Wording<'_>,
    ) -> Result<(), Refusal> {
        if let Some(sign) = words::command_sign(text) {
            return Err(Refusal::Command { part, sign });
        }
        match self.copied.shared_with(wording) {
            Some(words) => Err(Refusal::Copied { part, words: shown(&words, 80) }),
            None => Ok(()),
        }
    }

    fn only_named(
        &self,
        part: &'static str,
        wording: &Wording<'_>,
        role: Role,
    ) -> Result<(), Refusal> {
        let small_numbers = role == Role::Advice;
        let names = if role == Role::Advice { &self.observed } else { &self.named };
        let is_label = |word: &str| self.event(word).is_some();
        let Some(word) = wording.first_unknown(names, is_label, small_numbers) else {
            return Ok(());
        };
        let word_shown = shown(word, 60);
        if role == Role::Advice && self.named.has(word) {
            return Err(Refusal::Untrusted { part, word: word_shown });
        }
        Err(Refusal::Ungrounded { part, word: word_shown })
    }
}

//! What of a model's draft may be believed.
//!
//! A statement stays when it cites events that the model was shown, when everything that it names
//! (addresses, users, sessions, hosts, resources, techniques, times, numbers) occurs in the
//! evidence, when it is English, plays nothing down, and, where it tells people what to do, when
//! it holds no command, repeats no words of the evidence, and names only what a sensor observed as
//! an entity of the class that the statement makes of it. What fails is removed and listed; the
//! playbook's words fill what must not be empty.
//!
//! A draft as a whole is refused when it lowers the level, plays the incident down or gives its
//! prompt away, because a writer that does so once obeys somebody else, and when too much of it
//! was removed. Then the playbook writes.
//!
//! The check errs on the side of refusing: a refused draft costs nothing but the model's time.

mod check;
mod decode;
mod language;
mod lists;
mod vocabulary;
mod words;

use crate::{
    briefing::Briefing,
    draft::{Draft, DraftAction, DraftClaim},
    knowledge::Known,
};
use check::{Check, Role};
use magsentinel_bus_schema::{
    Analysis, Assessment, Id, SCHEMA_VERSION,
    decision::{Author, Claim, Grounding, Removed, Suggestion},
};

/// Highest confidence of an attribution: nothing that one mesh sees can make it surer.
const ATTRIBUTION_MAX: f32 = 0.5;

/// Why a statement, or a draft as a whole, is not believed. The texts quote at most a few words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
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
    /// A suggested action is none of those that were offered.
    #[error("{0:?} is none of the actions that were offered")]
    NoAction(String),
    /// A suggested action rests on an event that observed no such target.
    #[error("{action} rests on {label}, which observed no such target")]
    Untargeted {
        /// The action.
        action: String,
        /// The event's label.
        label: String,
    },
    /// A text is empty, too short, or not readable.
    #[error("{0} is too short or not readable")]
    Unreadable(&'static str),
    /// The nonce of the fences, or our instructions, came back.
    #[error("it repeats its instructions or the fence of its prompt")]
    Leak,
    /// A part that must have claims has none.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A text is not in English.
    #[error("{0} is not in English")]
    NotEnglish(&'static str),
    /// A text names a technique that does not exist.
    #[error("{part} names {id}, which is no technique of ATT&CK")]
    NoTechnique {
        /// Which part.
        part: &'static str,
        /// The technique.
        id: String,
    },
    /// Too little of it is left.
    #[error(
        "of its {statements} statements {} were not borne out by the evidence, the first because \
         {}", .removed.len(), .removed.first().map_or("", |r| r.reason.as_str())
    )]
    TooMuch {
        /// Statements of the draft.
        statements: u32,
        /// Those that were removed.
        removed: Vec<Removed>,
    },
    /// The confidence is no number from 0 to 1.
    #[error("its confidence of attribution is not within 0 to 1")]
    Confidence,
}

impl Refusal {
    /// Whether nothing of a draft is believed that does this once.
    fn is_grave(&self) -> bool {
        matches!(
            self,
            Self::Lowered(_)
                | Self::PlaysDown { .. }
                | Self::Leak
                | Self::Missing(_)
                | Self::Confidence
        )
    }
}

/// What a draft is checked against.
#[derive(Clone, Copy)]
pub struct Grounds<'a> {
    /// The assessment.
    pub assessment: &'a Assessment,
    /// What is known beyond it.
    pub known: &'a Known,
    /// What the writer was given.
    pub briefing: &'a Briefing,
    /// The playbook's analysis, which fills what must not be empty.
    pub playbook: &'a Analysis,
    /// Least share of the statements that must stand, 0..=1.
    pub score_min: f32,
}

/// The analysis that a draft makes, without what is not grounded.
///
/// # Errors
/// Why nothing of it is believed.
pub fn ground(draft: &Draft, grounds: &Grounds<'_>, model: &str) -> Result<Analysis, Refusal> {
    let Grounds { assessment, briefing, playbook, .. } = grounds;
    if draft.level < assessment.level {
        return Err(Refusal::Lowered(draft.level));
    }
    if !(0.0..=1.0).contains(&draft.attribution_confidence) {
        return Err(Refusal::Confidence);
    }
    let summary = |kept: Option<Claim>, text: &str, cites: &[Id]| match kept {
        Some(claim) => (claim.text, claim.cites),
        None => (text.to_owned(), cites.to_vec()),
    };
    let mut sieve = Sieve { check: Check::new(grounds), statements: 0, removed: Vec::new() };
    let attack_vector = sieve.claim("attack_vector", &draft.attack_vector, Role::Account)?;
    let chain = sieve.claims("chain", &draft.chain, Role::Account, &playbook.chain)?;
    let reached = &playbook.blast_radius;
    let blast_radius = sieve.claims("blast_radius", &draft.blast_radius, Role::Account, reached)?;
    let todo = &playbook.remediation;
    let remediation = sieve.claims("remediation", &draft.remediation, Role::Advice, todo)?;
    let after = &playbook.prevention;
    let prevention = sieve.claims("prevention", &draft.prevention, Role::Advice, after)?;
    let kept = sieve.claim("executive", &draft.executive, Role::Summary)?;
    let (executive, executive_cites) =
        summary(kept, &playbook.executive, &playbook.executive_cites);
    let kept = sieve.claim("technical", &draft.technical, Role::Account)?;
    let (technical, technical_cites) =
        summary(kept, &playbook.technical, &playbook.technical_cites);
    let suggested = sieve.actions(&draft.actions, &playbook.suggested)?;
    let analysis = Analysis {
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
        attack_vector: attack_vector.unwrap_or_else(|| playbook.attack_vector.clone()),
        chain,
        blast_radius,
        attribution: playbook.attribution.clone(),
        attribution_confidence: draft.attribution_confidence.min(ATTRIBUTION_MAX),
        remediation,
        prevention,
        executive,
        executive_cites,
        technical,
        technical_cites,
        suggested,
        omitted: briefing.omitted,
        left_out: briefing.left_out.clone(),
        grounding: None,
    };
    let grounding = sieve.grounding();
    if grounding.score < grounds.score_min {
        let Grounding { statements, removed, .. } = grounding;
        return Err(Refusal::TooMuch { statements, removed });
    }
    Ok(Analysis { grounding: Some(grounding), ..analysis })
}

/// Lets through what is grounded and lists the rest.
struct Sieve<'a> {
    check: Check<'a>,
    statements: u32,
    removed: Vec<Removed>,
}

impl Sieve<'_> {
    fn sift<T>(&mut self, part: &str, checked: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        self.statements += 1;
        match checked {
            Ok(kept) => Ok(Some(kept)),
            Err(refusal) if refusal.is_grave() => Err(refusal),
            Err(refusal) => {
                let (part, reason) = (part.to_owned(), refusal.to_string());
                self.removed.push(Removed { part, reason });
                Ok(None)
            }
        }
    }

    fn claim(
        &mut self,
        part: &'static str,
        claim: &DraftClaim,
        role: Role,
    ) -> Result<Option<Claim>, Refusal> {
        let checked = self.check.claim(part, claim, role);
        self.sift(part, checked)
    }

    /// The actions that stand; the playbook's where none does, or none was chosen: nobody who
    /// writes into logs is to talk a writer out of all of them.
    fn actions(
        &mut self,
        actions: &[DraftAction],
        playbook: &[Suggestion],
    ) -> Result<Vec<Suggestion>, Refusal> {
        let mut kept: Vec<Suggestion> = Vec::new();
        for action in actions {
            let checked = self.check.action(action);
            let same = |known: &Suggestion, new: &Suggestion| known.effect == new.effect;
            if let Some(new) = self.sift("actions", checked)?
                && !kept.iter().any(|known| same(known, &new))
            {
                kept.push(new);
            }
        }
        if kept.is_empty() {
            kept.extend_from_slice(playbook);
        }
        Ok(kept)
    }

    /// The claims of a list that stand, or the playbook's where none does.
    fn claims(
        &mut self,
        part: &'static str,
        claims: &[DraftClaim],
        role: Role,
        playbook: &[Claim],
    ) -> Result<Vec<Claim>, Refusal> {
        if claims.is_empty() {
            return Err(Refusal::Missing(part));
        }
        let mut kept = Vec::new();
        for claim in claims {
            kept.extend(self.claim(part, claim, role)?);
        }
        if kept.is_empty() {
            kept.extend_from_slice(playbook);
        }
        Ok(kept)
    }

    fn grounding(self) -> Grounding {
        let removed = u32::try_from(self.removed.len()).unwrap_or(u32::MAX);
        let kept = self.statements.saturating_sub(removed);
        let score = kept as f32 / self.statements.max(1) as f32;
        Grounding { score, statements: self.statements, removed: self.removed }
    }
}

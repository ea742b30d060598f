//! Any analysis.

use super::Bytes;
use magsentinel_bus_schema::{
    Analysis, Level, Mode,
    decision::{Author, Claim, Grounding, Removed, Suggestion},
};

impl Bytes<'_> {
    fn claim(&mut self) -> Claim {
        Claim { text: self.text(), cites: self.list(Self::id) }
    }

    pub(super) fn analysis(&mut self) -> Analysis {
        Analysis {
            v: 1,
            id: self.id(),
            incident: self.id(),
            assessment: self.id(),
            tenant: self.tenant(),
            attack_type: self.token(),
            author: self.pick(&[Author::Playbook, Author::Model]),
            model: self.maybe(Self::text),
            fallback_reason: self.maybe(Self::text),
            level: self.pick(Level::ALL),
            attack_vector: self.claim(),
            chain: self.list(Self::claim),
            blast_radius: self.list(Self::claim),
            attribution: self.claim(),
            attribution_confidence: self.share(),
            remediation: self.list(Self::claim),
            prevention: self.list(Self::claim),
            executive: self.text(),
            executive_cites: self.list(Self::id),
            technical: self.text(),
            technical_cites: self.list(Self::id),
            suggested: self.list(Self::suggestion),
            omitted: self.number(),
            left_out: self.texts(),
            grounding: self.maybe(Self::grounding),
        }
    }

    fn suggestion(&mut self) -> Suggestion {
        Suggestion {
            effect: self.effect(),
            target: self.entity(),
            mode: self.pick(&[Mode::DryRun, Mode::Ask, Mode::Enforce]),
            reason: self.text(),
            cites: self.list(Self::id),
        }
    }

    fn grounding(&mut self) -> Grounding {
        let removed = |s: &mut Self| Removed { part: s.text(), reason: s.text() };
        Grounding { score: self.share(), statements: self.u32(), removed: self.list(removed) }
    }
}

//! Steps of patterns, of any bytes.

use super::Bytes;
use magsentinel_bus_schema::{
    Judgement, Pattern, PatternChange,
    pattern::{Gate, Origin, Proof, Seal, State, Step, Tally, Verdict},
};

impl Bytes<'_> {
    pub(super) fn pattern_change(&mut self) -> PatternChange {
        PatternChange {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            step: self.u32(),
            taken: self.step(),
            of: self.pattern(),
        }
    }

    fn step(&mut self) -> Step {
        Step {
            state: self.pick(State::ALL),
            ts: self.at(),
            by: self.text(),
            why: self.text(),
            gate: self.maybe(|source| source.pick(Gate::ALL)),
        }
    }

    fn pattern(&mut self) -> Pattern {
        Pattern {
            pattern: self.id(),
            patrol: self.token(),
            origin: self.pick(Origin::ALL),
            incident: self.maybe(Self::id),
            events: self.list(Self::id),
            title: self.text(),
            rule: self.text(),
            digest: self.text(),
            steps: self.list(Self::step),
            proof: self.maybe(Self::proof),
            tally: Tally {
                events: self.number(),
                hits: self.number(),
                alone: self.number(),
                samples: self.list(Self::id),
            },
            verdicts: self.list(Self::verdict),
            seal: self.maybe(|source| Seal { signer: source.text(), signature: source.text() }),
        }
    }

    fn proof(&mut self) -> Proof {
        Proof {
            own_events: self.number(),
            own_hits: self.number(),
            good_events: self.number(),
            good_hits: self.number(),
            events: self.number(),
            hits: self.number(),
            false_hits: self.number(),
            samples: self.list(Self::id),
        }
    }

    fn verdict(&mut self) -> Verdict {
        Verdict {
            incident: self.id(),
            judgement: self.pick(Judgement::ALL),
            events: self.number(),
            ts: self.at(),
        }
    }
}

//! Changes of suppressions, of any bytes.

use super::Bytes;
use magsentinel_bus_schema::{
    Class, Level, SuppressionChange,
    suppression::{Changed, Rule},
};

impl Bytes<'_> {
    pub(super) fn suppression_change(&mut self) -> SuppressionChange {
        SuppressionChange {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            suppression: self.token(),
            revision: self.number(),
            ts: self.at(),
            changed: self.pick(&[Changed::Set, Changed::Removed, Changed::Refused]),
            rule: self.maybe(Self::rule),
            why: self.maybe(Self::text),
        }
    }

    fn rule(&mut self) -> Rule {
        Rule {
            effect: self.suppressed().effect,
            chain: self.maybe(Self::token),
            class: self.pick(Class::ALL),
            key: self.text(),
            level_max: self.pick(Level::ALL),
            from: self.maybe(Self::at),
            until: self.at(),
            reason: self.text(),
            by: self.text(),
            ended_by: self.maybe(Self::text),
        }
    }
}

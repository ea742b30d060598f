//! A patrol as the place where its patterns are used: what compiles, what runs in shadow and live,
//! and what counts. When which step is taken says [`magsentinel_pattern::keeper`].

pub mod testing;

use crate::{
    good::Good,
    overlay::{self, Overlay},
    patrols::{self, Entry},
    patterns::{Bounds, Proposal},
    scorer::Blueprint,
};
use magsentinel_bus_schema::{
    Closure, Pattern, Tenant, Timestamp, Token,
    decision::Evidence,
    pattern::{State, Tally},
};
use magsentinel_pattern::{
    Config, Stored,
    keeper::{Counter, Known, Place, Test, domain},
    seal,
};
use magsentinel_runtime::keeper::Domain;
use std::{collections::BTreeMap, sync::Arc};
use testing::Testing;

/// Everything that a keeper is made with.
#[derive(Clone)]
pub struct Parts {
    /// The patrol.
    pub entry: &'static Entry,
    /// Its configuration.
    pub config: Arc<patrols::Config>,
    /// What its scorers are made from.
    pub blueprint: Arc<Blueprint>,
    /// What patterns must go through.
    pub rules: Arc<Config>,
    good: Arc<Good>,
}

impl Parts {
    /// Reads what is known to be good.
    ///
    /// # Errors
    /// When a recording cannot be read.
    pub fn new(
        entry: &'static Entry,
        config: &patrols::Config,
        blueprint: &Arc<Blueprint>,
        rules: &Config,
    ) -> Result<Self, String> {
        Ok(Self {
            entry,
            config: Arc::new(config.clone()),
            blueprint: Arc::clone(blueprint),
            rules: Arc::new(rules.clone()),
            good: Arc::new(Good::read(entry.spec.kinds, rules.known_good.as_deref())?),
        })
    }

    /// The documents of the patrol's patterns.
    #[must_use]
    pub fn domain(&self) -> Domain {
        domain(self.entry.spec.name)
    }

    /// Compiles a pattern's rule.
    pub(crate) fn compile(&self, pattern: &Pattern) -> Result<Proposal, String> {
        Proposal::compile(self.entry.spec, &pattern.rule, Bounds::from(&*self.rules))
    }
}

/// A patrol, as the place where its patterns are used.
pub struct Watch {
    parts: Parts,
    name: Token,
}

/// The keeper of a patrol's patterns.
pub type PatternKeeper = magsentinel_pattern::keeper::PatternKeeper<Watch>;

/// One that knows nothing yet.
#[must_use]
pub fn keeper(parts: Parts, tenant: Tenant) -> PatternKeeper {
    let name = parts.entry.spec.token();
    PatternKeeper::new(Watch { parts, name }, tenant)
}

impl Watch {
    fn entry(
        &self,
        tenant: &Tenant,
        pattern: &Pattern,
        live: bool,
    ) -> Result<Arc<overlay::Entry>, String> {
        if live {
            seal::check(tenant, pattern, &self.parts.rules.signers)?;
        }
        let book = self.parts.compile(pattern)?.book;
        Ok(Arc::new(overlay::Entry::new(pattern.pattern, pattern.digest.clone(), live, book)))
    }
}

impl Place for Watch {
    fn name(&self) -> &Token {
        &self.name
    }

    fn rules(&self) -> &Config {
        &self.parts.rules
    }

    fn begin(
        &self,
        _known: &Known,
        pattern: &Pattern,
        _now: Timestamp,
    ) -> Result<Box<dyn Test>, String> {
        Ok(Box::new(Testing::begin(&self.parts, pattern)?))
    }

    fn lay_over(
        &mut self,
        tenant: &Tenant,
        known: &Known,
        _now: Timestamp,
    ) -> BTreeMap<String, String> {
        let present = self.parts.blueprint.overlay();
        let (mut entries, mut refused) = (Vec::new(), BTreeMap::new());
        for (name, Stored { pattern, .. }) in known {
            let live = match pattern.state() {
                State::Shadow | State::Ready => false,
                State::Live => true,
                _ => continue,
            };
            let kept = present.entries().iter().find(|e| e.id == pattern.pattern && e.live == live);
            let entry = match kept {
                Some(entry) => Ok(Arc::clone(entry)),
                None => self.entry(tenant, pattern, live),
            };
            match entry {
                Ok(entry) => entries.push(entry),
                Err(why) => drop(refused.insert(name.clone(), why)),
            }
        }
        entries.truncate(self.parts.rules.patterns_max);
        self.parts.blueprint.lay_over(Overlay::new(entries));
        refused
    }

    fn counted(&self) -> Vec<(Counter, Tally)> {
        let overlay = self.parts.blueprint.overlay();
        overlay.entries().iter().map(|entry| ((entry.id, entry.live), entry.tally())).collect()
    }

    /// A live pattern's title is a reason of its hits; one in shadow has no part in what is cited,
    /// but its samples may be.
    fn hits(&self, pattern: &Pattern, _chain: &Token, evidence: &[Evidence]) -> u64 {
        let state = pattern.state();
        let is_hit = |evidence: &&Evidence| match state {
            State::Live => {
                evidence.patrol == pattern.patrol && evidence.reasons.contains(&pattern.title)
            }
            State::Shadow | State::Ready => pattern.tally.samples.contains(&evidence.event),
            _ => false,
        };
        u64::try_from(evidence.iter().filter(is_hit).count()).unwrap_or(u64::MAX)
    }

    fn concerns(&self, closure: &Closure) -> bool {
        closure.patrols.iter().any(|share| share.patrol == self.name)
    }

    fn digest(&self) -> String {
        self.parts.blueprint.patterns_digest()
    }
}

#[cfg(test)]
mod tests;

//! Chains as data: which scored events of one key make an incident.
//!
//! A chain is a Sigma correlation together with the detection rules that it refers to, all in
//! one YAML file. The rules match *scored events*, so their log source is
//! `{product: magsentinel, service: scored}` and their fields are
//!
//! | field | is |
//! | --- | --- |
//! | `patrol`, `category`, `kind` | tokens of the scored event |
//! | `level` | its level; `gt`, `gte`, `lt`, `lte` compare by severity |
//! | `score`, `confidence` | numbers, 0..=1; `gt`, `gte`, `lt`, `lte` |
//! | `techniques` | its ATT&CK technique ids |
//! | a class (`client`, `user`, `session`, …) | names of its entities of that class |
//!
//! with exact text, the wildcards `*` and `?`, and the modifiers `contains`, `startswith`,
//! `endswith` and `all`. Text is compared without regard to case, as Sigma has it.
//!
//! Correlations are `event_count`, `value_count`, `value_sum`, `value_avg`, `value_median`,
//! `value_percentile` (with `gte`, `gt`, `lte`, `lt`, `eq`, `neq` and ranges), `temporal` and
//! `temporal_ordered`, grouped by exactly one class of entity or an alias for one, over a sliding
//! window of whole seconds, of rules or of other correlations of the file. `docs/chains.md` says
//! how to write them, [`window`] which events satisfy them. Anything else is an error at load that
//! names file and construct.
//!
//! [`window`]: crate::window
//!
//! The correlation's top-level key `magsentinel` (Sigma allows custom ones) may hold
//!
//! | key | is | default |
//! | --- | --- | --- |
//! | `attack_type` | a token | the chain's name |
//! | `level` | a level, `strongest`: that of the strongest member, or `model`: [`crate::severity`] | Sigma's `level` |
//! | `confidence` | `independent_steps`, `strongest_member`: [`Confidence`] | the latter |
//! | `techniques` | ATT&CK ids in the order of the chain | none |
//! | `tactics` | ATT&CK tactics in the order of the chain, of [`TACTICS`] | none |
//! | `plan` | what an operator should do, in order | none |
//! | `otherwise` | classes that give the key, in order, where `group-by` gives none | none |

mod condition;
mod detection;
mod load;
mod lookup;
mod parse;

pub use condition::{
    Condition, Counted, MILLIONTHS, Measure, NO_VALUE, NumberField, Range, Ratio, ValueField,
};
pub(crate) use condition::{remembered, remembered_name};
pub use detection::{Matcher, Pattern};
pub use load::{FILE_BYTES_MAX, FILES_MAX, SHIPPED};
pub use lookup::{Part, Parts};

use crate::severity::Model;
use lookup::Lookup;
use magsentinel_bus_schema::{Class, Entity, Id, Level, Scored, Token};
use std::{sync::Arc, time::Duration};

/// The tactics of ATT&CK for enterprises, by their short names
/// (<https://attack.mitre.org/tactics/enterprise>).
pub const TACTICS: [&str; 14] = [
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
];

/// How the level of an assessment follows from its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Always this one.
    Fixed(Level),
    /// That of the strongest member.
    Strongest,
    /// What the severity model says.
    Model,
}

/// How the confidence of an assessment follows from its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The highest confidence among the members of the strongest level (of all members where
    /// the chain's level is fixed). For members that come from the same patrol: seeing the same
    /// thing twice does not make a model right.
    #[default]
    StrongestMember,
    /// One minus the product of the doubts: `1 - (1-c1)(1-c2)…`, where `c` is the highest
    /// confidence of each step (noisy-or; J. Pearl, *Probabilistic Reasoning in Intelligent
    /// Systems*, 1988). For steps that different patrols see independently: 0.8 and 0.8 make
    /// 0.96.
    IndependentSteps,
}

/// One detection rule of a chain.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name in the file.
    pub name: String,
    /// Its title, for readers.
    pub title: String,
    /// What it matches.
    pub matcher: Matcher,
}

/// Most rules of one chain.
pub const RULES_MAX: usize = 16;

/// The rules of a chain that an event matches: bit `i` is rule `i`.
pub type Mask = u16;

/// What a condition speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events that match the rule at this position.
    Rule(usize),
    /// What the link at this position finds.
    Link(usize),
}

/// A correlation that another refers to. It gives a point at every instant at which one of its
/// satisfied windows ends.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name in the file.
    pub name: String,
    /// Its title, for readers.
    pub title: String,
    /// Length of its window.
    pub window: Duration,
    /// Its condition, one that only grows.
    pub condition: Condition,
    /// What the condition speaks of; links come before this one.
    pub steps: Vec<Step>,
}

/// One chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Its name, also in ids and configuration.
    pub name: Token,
    /// Its title, for readers.
    pub title: String,
    /// Classes that give the key: the first that the event names.
    pub classes: Vec<Class>,
    /// By rule, the class that gives the key, where an alias names different ones; else none.
    /// Then `classes` are these, each once, and every key is of the first.
    pub aliased: Vec<Class>,
    /// By rule, the field that counts, where an alias names different ones; else none.
    pub counted: Vec<Counted>,
    /// Length of the window.
    pub window: Duration,
    /// The condition.
    pub condition: Condition,
    /// Its rules, 1..=[`RULES_MAX`]; for [`Condition::Ordered`] in the order of the steps. With
    /// links, the rules of these as well.
    pub rules: Vec<Rule>,
    /// Correlations that it refers to, at first or at second hand; each after those that it
    /// refers to itself.
    pub links: Vec<Link>,
    /// What the condition speaks of, where there are links; else none, and it is the rules.
    pub steps: Vec<Step>,
    /// The attack type of its assessments.
    pub attack_type: Token,
    /// Level of its assessments.
    pub severity: Severity,
    /// Confidence of its assessments.
    pub confidence: Confidence,
    /// ATT&CK techniques in order.
    pub techniques: Vec<String>,
    /// ATT&CK tactics in order.
    pub tactics: Vec<String>,
    /// The response plan.
    pub plan: Vec<String>,
}

impl Chain {
    /// The class and key under which an event takes part in this chain, if it names one.
    #[must_use]
    pub fn key<'s>(&self, scored: &'s Scored) -> Option<&'s Entity> {
        self.classes.iter().find_map(|class| named(scored, *class))
    }

    /// What the condition speaks of.
    #[must_use]
    pub fn all_steps(&self) -> Vec<Step> {
        if self.links.is_empty() {
            (0..self.rules.len()).map(Step::Rule).collect()
        } else {
            self.steps.clone()
        }
    }

    /// The titles of what the condition speaks of.
    #[must_use]
    pub fn step_titles(&self) -> Vec<&str> {
        let title = |step: Step| match step {
            Step::Rule(at) => self.rules.get(at).map(|rule| rule.title.as_str()),
            Step::Link(at) => self.links.get(at).map(|link| link.title.as_str()),
        };
        self.all_steps().into_iter().filter_map(title).collect()
    }

    /// How far before its end an incident's newest window may reach: the window, and with links
    /// the longest sum of windows along them.
    #[must_use]
    pub fn reach(&self) -> Duration {
        let mut reaches: Vec<Duration> = Vec::new();
        let longest = |steps: &[Step], reaches: &[Duration]| {
            let of = |step: &Step| match step {
                Step::Rule(_) => None,
                Step::Link(at) => reaches.get(*at).copied(),
            };
            steps.iter().filter_map(of).max().unwrap_or_default()
        };
        for link in &self.links {
            reaches.push(link.window + longest(&link.steps, &reaches));
        }
        self.window + longest(&self.steps, &reaches)
    }

    /// Whether its keys are of a class.
    #[must_use]
    pub fn groups_by(&self, class: Class) -> bool {
        let home = if self.aliased.is_empty() { self.classes.len() } else { 1 };
        self.classes.iter().take(home).any(|c| *c == class)
    }

    /// The part that an event takes under a key: the rules that it matches, never 0, and what it
    /// counts for.
    #[must_use]
    pub fn part(&self, scored: &Scored, class: Class, key: &str) -> Option<(Mask, u64)> {
        let named = if self.aliased.is_empty() {
            self.key(scored).is_some_and(|entity| entity.class == class && entity.value == key)
        } else {
            self.groups_by(class)
        };
        let matches = |rule: usize| self.rules.get(rule).is_some_and(|r| r.matcher.matches(scored));
        if named { self.part_with(scored, key, matches) } else { None }
    }

    /// The same of an event that names the key, where something else knows which rules match.
    fn part_with(
        &self,
        scored: &Scored,
        key: &str,
        mut matches: impl FnMut(usize) -> bool,
    ) -> Option<(Mask, u64)> {
        let is = |class: Class| named(scored, class).is_some_and(|entity| entity.value == key);
        let by_alias = |rule: usize| self.aliased.get(rule).is_none_or(|class| is(*class));
        let rules = (0..self.rules.len()).filter(|rule| by_alias(*rule) && matches(*rule));
        let mask = rules.fold(0, |mask: Mask, rule| mask | 1 << rule);
        if mask == 0 { None } else { self.count(scored, mask) }
    }

    /// What an event counts for that matches these rules; those for which it counts nothing are
    /// left out.
    fn count(&self, scored: &Scored, mask: Mask) -> Option<(Mask, u64)> {
        if let Some(link) = self.links.iter().find(|link| link.condition.counts_values()) {
            // No value is no part in that link alone.
            return Some((mask, link.condition.value(scored).unwrap_or(NO_VALUE)));
        }
        if self.counted.is_empty() {
            return self.condition.value(scored).map(|value| (mask, value));
        }
        let matched = self.counted.iter().enumerate().filter(|(rule, _)| mask >> rule & 1 == 1);
        let counted = matched.filter_map(|(rule, field)| Some((rule, field.of(scored)?)));
        counted.fold(None, |before, (rule, value)| {
            let (mask, first) = before.unwrap_or((0, value));
            Some((mask | 1 << rule, first))
        })
    }
}

/// The entity of a class that an event names; a blank name is none.
#[must_use]
pub fn named(scored: &Scored, class: Class) -> Option<&Entity> {
    scored.entity(class).filter(|e| !e.value.trim().is_empty())
}

/// All chains of an installation.
#[derive(Clone, Debug, Default)]
pub struct Book {
    chains: Vec<Chain>,
    lookup: Lookup,
    severity: Option<Arc<Model>>,
}

impl Book {
    fn of(chains: Vec<Chain>) -> Self {
        Self { lookup: Lookup::new(&chains), chains, severity: None }
    }

    /// The same chains, with a model that has a say in how severe their incidents are.
    #[must_use]
    pub fn rated_by(self, severity: Option<Model>) -> Self {
        Self { severity: severity.map(Arc::new), ..self }
    }

    /// The severity model.
    #[must_use]
    pub fn severity(&self) -> Option<&Model> {
        self.severity.as_deref()
    }

    /// The chains, in the order of their names.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The parts that an event takes in the chains which group it by its entity of `class`.
    #[must_use]
    pub fn parts(&self, class: Class, scored: &Scored) -> Parts {
        self.lookup.parts(&self.chains, class, scored)
    }

    /// The classes by which any chain groups.
    #[must_use]
    pub fn classes(&self) -> Vec<Class> {
        let used = |class: &Class| self.chains.iter().any(|c| c.classes.contains(class));
        Class::ALL.iter().copied().filter(used).collect()
    }

    /// What tells this book from another that would find something else: derived from all of
    /// its chains and their order, and from the severity model.
    #[must_use]
    pub fn digest(&self) -> Id {
        let model = self.severity().map(Model::digest).unwrap_or_default();
        Id::derived(&[&format!("{:?}", self.chains), model])
    }

    /// The longest reach of any chain.
    #[must_use]
    pub fn window_max(&self) -> Duration {
        self.chains.iter().map(Chain::reach).max().unwrap_or_default()
    }
}

//! Correlations of correlations: put together into one chain over the detection rules of all.

use super::{Extras, WINDOW_S_MAX, chain, severity};
use crate::chain::{Chain, Condition, Link, RULES_MAX, Rule, Severity, Step};
use rsigma_parser::{CorrelationRule, CorrelationType};
use std::collections::{BTreeMap, BTreeSet};

/// Most correlations that refer to one another in a row.
const DEPTH_MAX: usize = 4;

/// Where following a row of them ends in any case.
const ROW_MAX: usize = 64;

/// What a correlation is made of.
#[derive(Default)]
pub(super) struct Linked {
    pub(super) rules: Vec<Rule>,
    pub(super) links: Vec<Link>,
    pub(super) steps: Vec<Step>,
}

/// The chains of the correlations that no other refers to.
pub(super) fn chains(
    correlations: &[CorrelationRule],
    rules: &BTreeMap<String, Rule>,
    extras: &BTreeMap<String, Extras>,
    wrong: &mut Vec<String>,
) -> Vec<Chain> {
    let mut by_name: BTreeMap<&str, &CorrelationRule> = BTreeMap::new();
    for correlation in correlations {
        let title = &correlation.title;
        let Some(name) = correlation.name.as_deref() else {
            let what = "needs a name: its id in the whole mesh";
            wrong.push(format!("correlation {title:?}: {what}"));
            continue;
        };
        if rules.contains_key(name) {
            wrong.push(format!("a rule and a correlation have the name {name:?}"));
        }
        if by_name.insert(name, correlation).is_some() {
            wrong.push(format!("two correlations have the name {name:?}"));
        }
    }
    let referred = correlations.iter().flat_map(|c| &c.rules).map(String::as_str);
    let referred: BTreeSet<&str> = referred.filter(|name| by_name.contains_key(name)).collect();
    let mut maker = Maker { by_name: &by_name, rules, extras, referred, made: BTreeMap::new() };
    for name in by_name.keys() {
        maker.make(name, &mut Vec::new(), wrong);
    }
    let Maker { made, referred, .. } = maker;
    let whole = made.into_iter().filter(|(name, _)| !referred.contains(name));
    whole.filter_map(|(_, chain)| chain).collect()
}

struct Maker<'c> {
    by_name: &'c BTreeMap<&'c str, &'c CorrelationRule>,
    rules: &'c BTreeMap<String, Rule>,
    extras: &'c BTreeMap<String, Extras>,
    /// Names of correlations that others refer to.
    referred: BTreeSet<&'c str>,
    /// Nothing where a correlation is wrong, which was told then.
    made: BTreeMap<&'c str, Option<Chain>>,
}

impl<'c> Maker<'c> {
    /// Makes a correlation after those that it refers to. `path` leads to it.
    fn make(&mut self, name: &'c str, path: &mut Vec<&'c str>, wrong: &mut Vec<String>) {
        let Some(correlation) = self.by_name.get(name).filter(|_| !self.made.contains_key(name))
        else {
            return;
        };
        path.push(name);
        for inner in correlation.rules.iter().map(String::as_str) {
            if path.contains(&inner) {
                wrong.push(format!("cycle of correlations: {} -> {inner}", path.join(" -> ")));
                self.made.insert(inner, None);
            } else if path.len() > ROW_MAX {
                let what = format!("more than {DEPTH_MAX} that refer in a row begin with it");
                wrong.push(format!("correlation {:?}: {what}", correlation.title));
                self.made.insert(inner, None);
            } else {
                self.make(inner, path, wrong);
            }
        }
        path.pop();
        let made = self.link(correlation);
        let made = made.map_err(|what| {
            // What it refers to was told already.
            let what = what.map(|what| format!("correlation {:?}: {what}", correlation.title));
            wrong.extend(what);
        });
        self.made.entry(name).or_insert(made.ok());
    }

    /// A correlation, with what it refers to; an error that was not told yet.
    fn link(&self, correlation: &CorrelationRule) -> Result<Chain, Option<String>> {
        let mut linked = Linked::default();
        let mut inner = Vec::new();
        let mut told = BTreeSet::new();
        for name in &correlation.rules {
            if !told.insert(name) {
                let what = format!("names the rule {name:?} twice: count with event_count instead");
                return Err(Some(what));
            }
            if let Some(rule) = self.rules.get(name) {
                let at = linked.place(rule);
                linked.steps.push(Step::Rule(at));
            } else if let Some(made) = self.made.get(name.as_str()) {
                let chain = made.as_ref().ok_or(None)?;
                let at = linked.take(chain);
                linked.steps.push(Step::Link(at));
                inner.push(chain);
            } else {
                return Err(Some(format!("no rule of this file is {name:?}")));
            }
        }
        bounds(correlation, &linked).map_err(Some)?;
        if inner.is_empty() {
            linked.steps.clear();
        }
        let name = correlation.name.as_deref().unwrap_or_default();
        let none = Extras::default();
        let extras = self.extras.get(&correlation.title).unwrap_or(&none);
        let is_inner = self.referred.contains(name);
        let severity = match severity(correlation, extras) {
            Err(_) if is_inner && correlation.level.is_none() => Severity::Strongest,
            severity => severity.map_err(Some)?,
        };
        let chain = chain(correlation, linked, extras, severity).map_err(Some)?;
        if is_inner {
            alerts_nobody(extras).map_err(Some)?;
        }
        fits(&chain, &inner, is_inner).map_err(Some)?;
        Ok(chain)
    }
}

impl Linked {
    /// The position of a rule, new or known.
    fn place(&mut self, rule: &Rule) -> usize {
        let known = self.rules.iter().position(|known| known.name == rule.name);
        known.unwrap_or_else(|| {
            self.rules.push(rule.clone());
            self.rules.len() - 1
        })
    }

    /// The position of a correlation as a link, after what it is made of itself.
    fn take(&mut self, chain: &Chain) -> usize {
        let rules: Vec<usize> = chain.rules.iter().map(|rule| self.place(rule)).collect();
        let mut links: Vec<usize> = Vec::new();
        let own = Link {
            name: chain.name.to_string(),
            title: chain.title.clone(),
            window: chain.window,
            condition: chain.condition.clone(),
            steps: chain.all_steps(),
        };
        for link in chain.links.iter().chain([&own]) {
            let step = |step: &Step| match step {
                Step::Rule(at) => rules.get(*at).copied().map(Step::Rule),
                Step::Link(at) => links.get(*at).copied().map(Step::Link),
            };
            let steps = link.steps.iter().filter_map(step).collect();
            let known = self.links.iter().position(|known| known.name == link.name);
            links.push(known.unwrap_or_else(|| {
                self.links.push(Link { steps, ..link.clone() });
                self.links.len() - 1
            }));
        }
        links.last().copied().unwrap_or_default()
    }
}

fn bounds(correlation: &CorrelationRule, linked: &Linked) -> Result<(), String> {
    let kind = correlation.correlation_type;
    let temporal = matches!(kind, CorrelationType::Temporal | CorrelationType::TemporalOrdered);
    let least = if temporal { 2 } else { 1 };
    let most = linked.rules.len().max(linked.steps.len());
    if linked.steps.len() < least || most > RULES_MAX {
        return Err(format!("needs {least} to {RULES_MAX} rules, not {most}"));
    }
    Ok(())
}

/// Nothing that only an alert has may be said of what alerts nobody.
fn alerts_nobody(extras: &Extras) -> Result<(), String> {
    let only = Extras { otherwise: extras.otherwise.clone(), ..Extras::default() };
    if *extras == only {
        return Ok(());
    }
    let what = "another correlation refers to it, so it alerts nobody by itself, and magsentinel \
                may hold nothing but otherwise: give that to the other, or write it again under \
                another name";
    Err(what.to_owned())
}

/// What keeps correlations from being steps of another.
fn fits(chain: &Chain, inner: &[&Chain], is_inner: bool) -> Result<(), String> {
    if inner.is_empty() && !is_inner {
        return Ok(());
    }
    if let Condition::Judged { .. } = chain.condition {
        let what = "a condition that waits for time to pass (lt, lte, eq, neq, an average or a \
                    percentile) can neither refer to correlations nor be referred to";
        return Err(what.to_owned());
    }
    if !chain.aliased.is_empty() || !chain.counted.is_empty() {
        let what = "an alias of different fields can neither refer to correlations nor be \
                    referred to";
        return Err(what.to_owned());
    }
    if !inner.is_empty() && chain.condition.counts_values() {
        return Err("counts values of a correlation, which has none: refer to rules".to_owned());
    }
    if let Some(other) = inner.iter().find(|other| other.classes != chain.classes) {
        let name = other.name.as_str();
        return Err(format!("refers to {name:?}, whose incidents are of another group-by"));
    }
    if chain.links.iter().filter(|link| link.condition.counts_values()).count() > 1 {
        return Err("refers to more than one correlation that counts values".to_owned());
    }
    if depth(chain) > DEPTH_MAX {
        return Err(format!("is the first of more than {DEPTH_MAX} that refer in a row"));
    }
    if chain.reach().as_secs() > WINDOW_S_MAX {
        return Err("its timespan and those of what it refers to exceed 1d together".to_owned());
    }
    Ok(())
}

/// How many correlations refer to one another in a row, this one counted.
fn depth(chain: &Chain) -> usize {
    let mut depths: Vec<usize> = Vec::new();
    let deepest = |steps: &[Step], depths: &[usize]| {
        let of = |step: &Step| match step {
            Step::Rule(_) => None,
            Step::Link(at) => depths.get(*at).copied(),
        };
        steps.iter().filter_map(of).max().unwrap_or(0)
    };
    for link in &chain.links {
        depths.push(1 + deepest(&link.steps, &depths));
    }
    1 + deepest(&chain.steps, &depths)
}

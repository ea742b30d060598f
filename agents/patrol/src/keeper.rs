//! What a patrol does for the patterns of its name: it tests what is proposed, runs in shadow and
//! live what has come so far, and writes down what it counts. Pure; the documents hold everything
//! that must survive a restart.

mod judging;
pub mod testing;

use crate::{
    good::Good,
    overlay::{self, Overlay},
    patrols::{self, Entry},
    patterns::{Bounds, Proposal},
    scorer::Blueprint,
};
use judging::Judging;
use magsentinel_bus_schema::{
    Closure, Id, Limits, Pattern, Stream, Tenant, Timestamp, Token,
    pattern::{Gate, State, Tally},
    subject,
};
use magsentinel_pattern::{Config, Input, Stored, changes, seal, step};
use magsentinel_runtime::{
    keeper::{Domain, Keeper, Work},
    policy::Document,
    stage::{Delivery, Publish},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
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
        Domain {
            part: "patterns",
            prefix: format!("{}{}.", magsentinel_pattern::PREFIX, self.entry.spec.name),
            stage: "pattern",
            hears: |tenant| vec![subject::all_of(tenant, "closure")],
        }
    }

    /// Compiles a pattern's rule.
    pub(crate) fn compile(&self, pattern: &Pattern) -> Result<Proposal, String> {
        Proposal::compile(self.entry.spec, &pattern.rule, Bounds::from(&*self.rules))
    }
}

/// Whose counts: a pattern's, and whether it is live. It begins anew when it becomes so.
type Counter = (Id, bool);

/// A write under way.
struct Pending {
    name: String,
    after: Pattern,
    /// What of the counts it takes in.
    counted: Option<(Counter, Tally)>,
}

/// What is being read.
enum Reading {
    Testing(Box<Testing>),
    Judging(Judging),
}

/// The core.
pub struct PatternKeeper {
    parts: Parts,
    tenant: Tenant,
    name: Token,
    known: BTreeMap<String, Stored>,
    refused: BTreeMap<String, String>,
    /// Somebody else has written these; the newer revision comes.
    stale: BTreeSet<String>,
    inputs: VecDeque<(String, Input)>,
    closures: Vec<Closure>,
    reading: Option<Reading>,
    pending: Option<Pending>,
    /// What of each pattern's counts is in its document.
    flushed: BTreeMap<Counter, Tally>,
    counted: Timestamp,
}

impl PatternKeeper {
    /// A keeper that knows nothing yet.
    #[must_use]
    pub fn new(parts: Parts, tenant: Tenant) -> Self {
        Self {
            name: parts.entry.spec.token(),
            parts,
            tenant,
            known: BTreeMap::new(),
            refused: BTreeMap::new(),
            stale: BTreeSet::new(),
            inputs: VecDeque::new(),
            closures: Vec::new(),
            reading: None,
            pending: None,
            flushed: BTreeMap::new(),
            counted: Timestamp::default(),
        }
    }

    fn keep(&mut self, document: &Document) -> Result<(), String> {
        let before = self.known.get(&document.name).map_or(0, |stored| stored.revision);
        // The history is shown again, oldest first; an older revision changes nothing.
        if document.revision <= before {
            return Ok(());
        }
        self.stale.remove(&document.name);
        let read = Stored::read(document)?;
        if read.as_ref().is_some_and(|stored| stored.pattern.patrol != self.name) {
            return Err("it is another patrol's".to_owned());
        }
        match read {
            Some(stored) => drop(self.known.insert(document.name.clone(), stored)),
            None => drop(self.known.remove(&document.name)),
        }
        Ok(())
    }

    /// Makes the scorers use what is in shadow and live now.
    fn lay_over(&mut self) {
        let present = self.parts.blueprint.overlay();
        let mut entries = Vec::new();
        for (name, Stored { pattern, .. }) in &self.known {
            let live = match pattern.state() {
                State::Shadow | State::Ready => false,
                State::Live => true,
                _ => continue,
            };
            let kept = present.entries().iter().find(|e| e.id == pattern.pattern && e.live == live);
            let entry = match kept {
                Some(entry) => Ok(Arc::clone(entry)),
                None => self.entry(pattern, live),
            };
            match entry {
                Ok(entry) => {
                    self.refused.remove(name);
                    entries.push(entry);
                }
                Err(why) => drop(self.refused.insert(name.clone(), why)),
            }
        }
        entries.truncate(self.parts.rules.patterns_max);
        let alive = |of: &Counter| entries.iter().any(|entry| (entry.id, entry.live) == *of);
        self.flushed.retain(|of, _| alive(of));
        self.parts.blueprint.lay_over(Overlay::new(entries));
    }

    fn entry(&self, pattern: &Pattern, live: bool) -> Result<Arc<overlay::Entry>, String> {
        if live {
            seal::check(&self.tenant, pattern, &self.parts.rules.signers)?;
        }
        let book = self.parts.compile(pattern)?.book;
        Ok(Arc::new(overlay::Entry::new(pattern.pattern, pattern.digest.clone(), live, book)))
    }

    /// How many of the known are in some states.
    fn count(&self, states: &[State]) -> usize {
        self.known.values().filter(|stored| states.contains(&stored.pattern.state())).count()
    }

    /// Begins to test what was proposed first.
    fn begin_test(&mut self) -> Option<Work> {
        if self.count(&[State::Shadow, State::Ready, State::Live]) >= self.parts.rules.patterns_max
        {
            return None;
        }
        let waits = |(name, stored): &(&String, &Stored)| {
            stored.pattern.state() == State::Proposed && !self.stale.contains(*name)
        };
        let first = self.known.iter().filter(waits).min_by_key(|(_, stored)| stored.revision);
        let (name, pattern) = first.map(|(name, stored)| (name.clone(), stored.pattern.clone()))?;
        match Testing::begin(&self.parts, name.clone(), &pattern) {
            Ok(testing) => {
                let work = testing.work(&self.tenant, self.parts.entry);
                self.reading = Some(Reading::Testing(Box::new(testing)));
                Some(work)
            }
            Err(why) => {
                let stopped = Input::Stopped(Gate::Compile, why, None);
                self.inputs.push_back((name, stopped));
                None
            }
        }
    }

    /// Looks into what operators said of incidents, where any pattern may have a part in them.
    fn begin_judging(&mut self) -> Option<Work> {
        let closures = std::mem::take(&mut self.closures);
        if self.parts.blueprint.overlay().entries().is_empty() {
            return None;
        }
        let judging = Judging::new(closures.into_iter().filter(|c| self.is_cited(c)))?;
        self.reading = Some(Reading::Judging(judging));
        let filters = vec![subject::all_of(&self.tenant, "assessment")];
        Some(Work::Read { stream: Stream::Decisions, filters })
    }

    fn is_cited(&self, closure: &Closure) -> bool {
        closure.patrols.iter().any(|share| share.patrol == self.name)
    }

    /// Writes what the next input makes of its pattern.
    fn write(&mut self, now: Timestamp) -> Option<Work> {
        while let Some((name, input)) = self.inputs.pop_front() {
            let Some(stored) = self.known.get(&name).filter(|_| !self.stale.contains(&name)) else {
                continue;
            };
            let counted = match &input {
                Input::Counted(more) => {
                    let live = stored.pattern.state() == State::Live;
                    Some(((stored.pattern.pattern, live), more.clone()))
                }
                _ => None,
            };
            let budget = self.parts.rules.budget();
            let Ok(after) = step(&stored.pattern, input, self.name.as_str(), now, &budget) else {
                // Somebody took another step meanwhile, which stands.
                continue;
            };
            if after == stored.pattern {
                continue;
            }
            let Ok(bytes) = serde_json::to_vec(&after) else { continue };
            let before = stored.revision;
            self.pending = Some(Pending { name: name.clone(), after, counted });
            return Some(Work::Write { name, bytes, before });
        }
        None
    }

    /// Takes in what the scorers have counted.
    fn gather(&mut self, now: Timestamp) {
        if now.since(self.counted) < self.parts.rules.count_every.get() {
            return;
        }
        self.counted = now;
        for entry in self.parts.blueprint.overlay().entries() {
            let name = self.known.iter().find(|(_, s)| s.pattern.pattern == entry.id);
            let Some((name, stored)) = name else { continue };
            let more = since(&entry.tally(), self.flushed.get(&(entry.id, entry.live)));
            // What waits in shadow also ends by time.
            let waits = stored.pattern.state() == State::Shadow && stored.pattern.tally.events > 0;
            if more.events > 0 || waits {
                self.inputs.push_back((name.clone(), Input::Counted(more)));
            }
        }
    }
}

/// What was counted since some of it was written down.
fn since(now: &Tally, flushed: Option<&Tally>) -> Tally {
    let none = Tally::default();
    let before = flushed.unwrap_or(&none);
    let known = |id: &&Id| !before.samples.contains(id);
    Tally {
        events: now.events.saturating_sub(before.events),
        hits: now.hits.saturating_sub(before.hits),
        alone: now.alone.saturating_sub(before.alone),
        samples: now.samples.iter().filter(known).copied().collect(),
    }
}

impl Keeper for PatternKeeper {
    fn take(&mut self, document: &Document) -> Vec<Publish> {
        match self.keep(document) {
            Ok(()) => self.lay_over(),
            Err(why) => drop(self.refused.insert(document.name.clone(), why)),
        }
        let read = Stored::read(document).ok().flatten();
        read.map(|stored| changes(&self.tenant, &stored.pattern)).unwrap_or_default()
    }

    fn hear(&mut self, delivery: &Delivery) {
        // What is no closure others keep as a dead letter.
        self.closures.extend(delivery.decode::<Closure>(Limits::default()));
    }

    fn next(&mut self, now: Timestamp) -> Option<Work> {
        if let Some(Reading::Testing(testing)) = &self.reading {
            return Some(testing.work(&self.tenant, self.parts.entry));
        }
        self.gather(now);
        if !self.closures.is_empty()
            && let Some(work) = self.begin_judging()
        {
            return Some(work);
        }
        if self.inputs.is_empty()
            && let Some(work) = self.begin_test()
        {
            return Some(work);
        }
        self.write(now)
    }

    fn see(&mut self, delivery: &Delivery) {
        match &mut self.reading {
            Some(Reading::Testing(testing)) => testing.see(delivery),
            Some(Reading::Judging(judging)) => judging.see(delivery),
            None => {}
        }
    }

    fn seen(&mut self, _now: Timestamp) {
        match self.reading.take() {
            Some(Reading::Testing(testing)) => match testing.go_on() {
                Ok(testing) => self.reading = Some(Reading::Testing(testing)),
                Err((name, input)) => self.inputs.push_back((name, *input)),
            },
            Some(Reading::Judging(judging)) => {
                for (name, stored) in &self.known {
                    let verdicts = judging.verdicts(&stored.pattern).into_iter();
                    self.inputs.extend(verdicts.map(|v| (name.clone(), Input::Judged(v))));
                }
            }
            None => {}
        }
    }

    fn written(&mut self, revision: Option<u64>) {
        let Some(Pending { name, after, counted }) = self.pending.take() else { return };
        let Some(revision) = revision else {
            self.stale.insert(name);
            return;
        };
        if let Some((of, more)) = counted {
            let flushed = self.flushed.entry(of).or_default();
            flushed.events += more.events;
            flushed.hits += more.hits;
            flushed.alone += more.alone;
            flushed.samples = more.samples;
        }
        self.known.insert(name, Stored { revision, pattern: after });
        self.lay_over();
    }

    fn report(&self) -> Value {
        let of = |state| self.count(&[state]);
        json!({
            "proposed": of(State::Proposed),
            "shadow": of(State::Shadow),
            "ready": of(State::Ready),
            "live": of(State::Live),
            "refused": self.refused,
            "digest": self.parts.blueprint.patterns_digest(),
        })
    }
}

#[cfg(test)]
mod tests;

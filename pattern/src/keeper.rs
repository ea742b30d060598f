//! What a user of patterns (a patrol, the analyzer) does for those of its name: it tests what is
//! proposed, runs in shadow and live what has come so far, and writes down what it counts. Pure;
//! the documents hold everything that must survive a restart. What a pattern is and how it is
//! tried is the [`Place`]'s business.

mod judging;

use crate::{Config, Input, PREFIX, Stored, changes, life::SAMPLES_MAX, step};
use judging::Judging;
use magsentinel_bus_schema::{
    Closure, Id, Limits, Pattern, Stream, Tenant, Timestamp, Token,
    decision::Evidence,
    pattern::{Gate, State, Tally},
    subject,
};
use magsentinel_runtime::{
    keeper::{Domain, Keeper, Work},
    policy::Document,
    stage::{Delivery, Publish},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The patterns of one name by their documents, as they are now.
pub type Known = BTreeMap<String, Stored>;

/// Whose counts: a pattern's, and whether it is live. It begins anew when it becomes so.
pub type Counter = (Id, bool);

/// A proposal's way through the gates, one stream after the other.
pub trait Test: Send {
    /// What is to be read now.
    fn work(&self, tenant: &Tenant) -> Work;

    /// Shows a message of it.
    fn see(&mut self, delivery: &Delivery);

    /// What comes next; or, as an error, what all of it makes of the pattern.
    ///
    /// # Errors
    /// When nothing comes next.
    fn go_on(self: Box<Self>) -> Result<Box<dyn Test>, Box<Input>>;
}

/// Where patterns are used.
pub trait Place: Send {
    /// Under which name.
    fn name(&self) -> &Token;

    /// What patterns must go through.
    fn rules(&self) -> &Config;

    /// Compiles a pattern and tries it on what is known to be good.
    ///
    /// # Errors
    /// When it does not compile.
    fn begin(
        &self,
        known: &Known,
        pattern: &Pattern,
        now: Timestamp,
    ) -> Result<Box<dyn Test>, String>;

    /// Uses what is in shadow and live now; by document, why it is not used.
    fn lay_over(
        &mut self,
        tenant: &Tenant,
        known: &Known,
        now: Timestamp,
    ) -> BTreeMap<String, String>;

    /// What was counted since this process knows each pattern that is used.
    fn counted(&self) -> Vec<(Counter, Tally)>;

    /// How many of what an incident of a chain cites are hits of a pattern.
    fn hits(&self, pattern: &Pattern, chain: &Token, evidence: &[Evidence]) -> u64;

    /// Whether an operator's word may be about a pattern of this name.
    fn concerns(&self, closure: &Closure) -> bool;

    /// Digest of what is in use.
    fn digest(&self) -> String;

    /// Subjects of DECISIONS that must be read, since when, before what was counted can be told.
    fn explained_by(&mut self, _: &Tenant, _: Timestamp) -> Option<(Vec<String>, Timestamp)> {
        None
    }

    /// Shows a message of them.
    fn explain(&mut self, _delivery: &Delivery) {}

    /// All of them were shown.
    fn explained(&mut self) {}
}

/// The documents of the patterns of one name.
#[must_use]
pub fn domain(name: &str) -> Domain {
    Domain {
        part: "patterns",
        prefix: format!("{PREFIX}{name}."),
        stage: "pattern",
        hears: |tenant| vec![subject::all_of(tenant, "closure")],
    }
}

/// A write under way.
struct Pending {
    name: String,
    after: Pattern,
    /// What of the counts it takes in.
    counted: Option<(Counter, Tally)>,
}

/// What is being read.
enum Reading {
    Testing(String, Box<dyn Test>),
    Judging(Judging),
    Explaining,
}

/// The core.
pub struct PatternKeeper<P> {
    place: P,
    tenant: Tenant,
    known: Known,
    refused: BTreeMap<String, String>,
    /// Why documents that cannot be read are not used.
    unread: BTreeMap<String, String>,
    /// Somebody else has written these; the newer revision comes.
    stale: BTreeSet<String>,
    inputs: VecDeque<(String, Input)>,
    closures: Vec<Closure>,
    reading: Option<Reading>,
    pending: Option<Pending>,
    /// What of each pattern's counts is in its document.
    flushed: BTreeMap<Counter, Tally>,
    counted: Timestamp,
    now: Timestamp,
}

impl<P: Place> PatternKeeper<P> {
    /// A keeper that knows nothing yet.
    #[must_use]
    pub fn new(place: P, tenant: Tenant) -> Self {
        Self {
            place,
            tenant,
            known: Known::new(),
            refused: BTreeMap::new(),
            unread: BTreeMap::new(),
            stale: BTreeSet::new(),
            inputs: VecDeque::new(),
            closures: Vec::new(),
            reading: None,
            pending: None,
            flushed: BTreeMap::new(),
            counted: Timestamp::default(),
            now: Timestamp::default(),
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
        if read.as_ref().is_some_and(|stored| stored.pattern.patrol != *self.place.name()) {
            return Err("it is another patrol's".to_owned());
        }
        self.unread.remove(&document.name);
        match read {
            Some(stored) => drop(self.known.insert(document.name.clone(), stored)),
            None => drop(self.known.remove(&document.name)),
        }
        Ok(())
    }

    /// Makes what is in shadow and live now used.
    fn lay_over(&mut self) {
        self.refused = self.place.lay_over(&self.tenant, &self.known, self.now);
        let alive: BTreeSet<Counter> = self.place.counted().into_iter().map(|(of, _)| of).collect();
        self.flushed.retain(|of, _| alive.contains(of));
    }

    /// How many of the known are in some states.
    fn count(&self, states: &[State]) -> usize {
        self.known.values().filter(|stored| states.contains(&stored.pattern.state())).count()
    }

    /// Begins to test what was proposed first.
    fn begin_test(&mut self) -> Option<Work> {
        let on_their_way = self.count(&[State::Shadow, State::Ready, State::Live]);
        if on_their_way >= self.place.rules().patterns_max {
            return None;
        }
        let waits = |(name, stored): &(&String, &Stored)| {
            stored.pattern.state() == State::Proposed && !self.stale.contains(*name)
        };
        let first = self.known.iter().filter(waits).min_by_key(|(_, stored)| stored.revision);
        let (name, pattern) = first.map(|(name, stored)| (name.clone(), stored.pattern.clone()))?;
        match self.place.begin(&self.known, &pattern, self.now) {
            Ok(test) => {
                let work = test.work(&self.tenant);
                self.reading = Some(Reading::Testing(name, test));
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
        if self.place.counted().is_empty() {
            return None;
        }
        let judging = Judging::new(closures.into_iter().filter(|c| self.place.concerns(c)))?;
        self.reading = Some(Reading::Judging(judging));
        let filters = vec![subject::all_of(&self.tenant, "assessment")];
        Some(Work::Read { stream: Stream::Decisions, filters })
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
            let budget = self.place.rules().budget();
            let by = self.place.name().as_str();
            let Ok(after) = step(&stored.pattern, input, by, now, &budget) else {
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

    /// Takes in what was counted.
    fn gather(&mut self, now: Timestamp) {
        if now.since(self.counted) < self.place.rules().count_every.get() {
            return;
        }
        self.counted = now;
        for (of, tally) in self.place.counted() {
            let name = self.known.iter().find(|(_, s)| s.pattern.pattern == of.0);
            let Some((name, stored)) = name else { continue };
            if (stored.pattern.state() == State::Live) != of.1 {
                continue;
            }
            let more = since(&tally, self.flushed.get(&of));
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

impl<P: Place> Keeper for PatternKeeper<P> {
    fn take(&mut self, document: &Document) -> Vec<Publish> {
        self.now = self.now.max(document.stored);
        match self.keep(document) {
            Ok(()) => self.lay_over(),
            Err(why) => drop(self.unread.insert(document.name.clone(), why)),
        }
        let read = Stored::read(document).ok().flatten();
        read.map(|stored| changes(&self.tenant, &stored.pattern)).unwrap_or_default()
    }

    fn hear(&mut self, delivery: &Delivery) {
        // What is no closure others keep as a dead letter.
        self.closures.extend(delivery.decode::<Closure>(Limits::default()));
    }

    fn next(&mut self, now: Timestamp) -> Option<Work> {
        self.now = self.now.max(now);
        if let Some(Reading::Testing(_, test)) = &self.reading {
            return Some(test.work(&self.tenant));
        }
        if let Some((filters, since)) = self.place.explained_by(&self.tenant, now) {
            self.reading = Some(Reading::Explaining);
            return Some(Work::ReadSince { stream: Stream::Decisions, filters, since });
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
            Some(Reading::Testing(_, test)) => test.see(delivery),
            Some(Reading::Judging(judging)) => judging.see(delivery),
            Some(Reading::Explaining) => self.place.explain(delivery),
            None => {}
        }
    }

    fn seen(&mut self, _now: Timestamp) {
        match self.reading.take() {
            Some(Reading::Testing(name, test)) => match test.go_on() {
                Ok(test) => self.reading = Some(Reading::Testing(name, test)),
                Err(input) => self.inputs.push_back((name, *input)),
            },
            Some(Reading::Judging(judging)) => {
                for (name, stored) in &self.known {
                    let verdicts = judging.verdicts(&self.place, &stored.pattern).into_iter();
                    self.inputs.extend(verdicts.map(|v| (name.clone(), Input::Judged(v))));
                }
            }
            Some(Reading::Explaining) => self.place.explained(),
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
            flushed.samples.extend(more.samples);
            let surplus = flushed.samples.len().saturating_sub(SAMPLES_MAX);
            flushed.samples.drain(..surplus);
        }
        self.known.insert(name, Stored { revision, pattern: after });
        self.lay_over();
    }

    fn report(&self) -> Value {
        let of = |state| self.count(&[state]);
        let refused: BTreeMap<&String, &String> = self.refused.iter().chain(&self.unread).collect();
        json!({
            "proposed": of(State::Proposed),
            "shadow": of(State::Shadow),
            "ready": of(State::Ready),
            "live": of(State::Live),
            "refused": refused,
            "digest": self.place.digest(),
        })
    }
}

//! The gates that a proposed chain passes before it runs beside the others. Pure: it is shown
//! scored events, and says at the end what it saw.

use super::{good::Good, varied::varied};
use crate::{Config, assess::Revision, chain::Book, core::Core, router};
use magsentinel_bus_schema::{
    Class, Id, Keyed, KeyedRef, Level, Scored, Timestamp,
    pattern::{Gate, Proof},
};
use magsentinel_pattern::{Budget, life::SAMPLES_MAX};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// Incidents that are remembered. A chain that finds more finds too many, whatever explains them.
const FOUND_MAX: usize = 10_000;
/// Own events that are kept.
const OWN_MAX: usize = 256;
/// Events after which is looked what they make.
const SETTLE_EVERY: usize = 256;

/// One book over events that come one after the other.
struct Run {
    core: Core,
    classes: Vec<Class>,
    stored: Timestamp,
    now: Timestamp,
    since: usize,
    /// By incident the events that it cites, where it alerts anybody.
    found: BTreeMap<Id, Vec<Id>>,
    too_many: bool,
}

impl Run {
    /// All keys are one core's: it is bounded like all shards together.
    fn new(base: &Book, book: &Arc<Book>, config: &Config, now: Timestamp) -> Self {
        let keys_max = config.keys_max.saturating_mul(config.shards.into());
        let config = Arc::new(Config { keys_max, ..config.clone() });
        let classes = base.classes();
        let core = Core::new(config, Arc::clone(book)).joining(classes.clone());
        let stored = Timestamp::from_micros(i64::MIN);
        Self { core, classes, stored, now, since: 0, found: BTreeMap::new(), too_many: false }
    }

    fn give(&mut self, scored: &Scored) {
        // Stored as they happen, as in a look back over recorded events.
        self.stored = self.stored.max(scored.ts).min(self.now);
        let routed = router::route(&self.classes, scored, scored.seq);
        let mut waiting: VecDeque<Keyed> = routed.map(KeyedRef::to_keyed).collect();
        while let Some(keyed) = waiting.pop_front() {
            if self.core.give(keyed, self.stored, self.now).is_ok() {
                waiting.extend(self.core.take_joined());
            }
        }
        self.since += 1;
        if self.since >= SETTLE_EVERY {
            self.since = 0;
            let revisions = self.core.settle(self.now);
            self.keep(revisions);
        }
    }

    fn end(&mut self) {
        let revisions = self.core.conclude(self.now);
        self.keep(revisions);
    }

    fn keep(&mut self, revisions: Vec<Revision>) {
        for revision in revisions {
            let of = revision.assessment;
            if revision.superseded {
                self.found.remove(&of.incident);
            } else if revision.alert.is_some() {
                if self.found.len() >= FOUND_MAX && !self.found.contains_key(&of.incident) {
                    self.too_many = true;
                    continue;
                }
                let events = of.evidence.iter().map(|evidence| evidence.event).collect();
                self.found.insert(of.incident, events);
            }
        }
    }
}

/// A proposal on its way through the gates.
pub(super) struct Trial {
    base: Arc<Book>,
    book: Arc<Book>,
    config: Arc<Config>,
    run: Run,
    own: HashSet<Id>,
    own_scored: Vec<Scored>,
    own_seen: HashSet<Id>,
    budget: Budget,
    events_max: u64,
    proof: Proof,
    /// By cited event, the incidents that cite it.
    cited: HashMap<Id, Vec<Id>>,
    explained: HashSet<Id>,
    ordinary: HashSet<Id>,
}

impl Trial {
    /// A trial of a compiled proposal that must find some of `own`.
    pub(super) fn new(
        (base, book, config): (Arc<Book>, Arc<Book>, Arc<Config>),
        own: &[Id],
        budget: Budget,
        events_max: u64,
        now: Timestamp,
    ) -> Self {
        let run = Run::new(&base, &book, &config, now);
        Self {
            base,
            book,
            config,
            run,
            own: own.iter().copied().collect(),
            own_scored: Vec::new(),
            own_seen: HashSet::new(),
            budget,
            events_max,
            proof: Proof::default(),
            cited: HashMap::new(),
            explained: HashSet::new(),
            ordinary: HashSet::new(),
        }
    }

    /// Shows what is known to be good.
    pub(super) fn good(&mut self, good: &Good) {
        for recording in good.scored() {
            let Some(end) = recording.iter().map(|scored| scored.ts).max() else { continue };
            let mut run = Run::new(&self.base, &self.book, &self.config, end);
            recording.iter().for_each(|scored| run.give(scored));
            run.end();
            self.proof.good_events += count(recording.len());
            self.proof.good_hits += count(run.found.len());
        }
    }

    /// Shows a retained event.
    pub(super) fn scored(&mut self, scored: &Scored) {
        let own = self.own.contains(&scored.event);
        if scored.level == Level::None || self.proof.events >= self.events_max && !own {
            return;
        }
        self.proof.events += 1;
        if own && self.own_scored.len() < OWN_MAX {
            self.own_scored.push(scored.clone());
            self.own_seen.insert(scored.event);
        }
        self.run.give(scored);
    }

    /// All retained events were shown.
    pub(super) fn over(&mut self) {
        self.run.end();
        for (incident, events) in &self.run.found {
            for event in events {
                self.cited.entry(*event).or_default().push(*incident);
            }
        }
        self.proof.hits = count(self.run.found.len());
        self.proof.own_events = count(self.own_seen.len());
        let own_hits = self.own_seen.iter().filter(|event| self.cited.contains_key(event)).count();
        self.proof.own_hits = count(own_hits);
    }

    /// Whether any incident that it found cites an event.
    pub(super) fn cites(&self, event: Id) -> bool {
        self.cited.contains_key(&event)
    }

    /// Says that another chain cites an event.
    pub(super) fn explain(&mut self, event: Id) {
        self.explained.extend(self.cited.get(&event).into_iter().flatten());
    }

    /// Says that operators found an event's incident to be ordinary work.
    pub(super) fn found_ordinary(&mut self, event: Id) {
        self.ordinary.extend(self.cited.get(&event).into_iter().flatten());
    }

    /// What the trial has shown, and which gate stops the proposal, if any does.
    pub(super) fn conclude(mut self) -> (Proof, Option<(Gate, String)>) {
        let is_own = |events: &[Id]| events.iter().any(|event| self.own.contains(event));
        let is_false = |(incident, events): &(&Id, &Vec<Id>)| {
            self.ordinary.contains(*incident)
                || !self.explained.contains(*incident) && !is_own(events)
        };
        let false_ones = self.run.found.iter().filter(is_false);
        let samples: Vec<Id> =
            false_ones.clone().filter_map(|(_, events)| events.first().copied()).collect();
        self.proof.false_hits = count(false_ones.count());
        self.proof.samples = samples.into_iter().take(SAMPLES_MAX).collect();
        let stopped = self.stopped();
        (self.proof, stopped)
    }

    fn stopped(&self) -> Option<(Gate, String)> {
        let Proof { own_events, own_hits, good_events, good_hits, events, false_hits, .. } =
            self.proof;
        if own_events == 0 {
            let named = self.own.len();
            let why = format!("no finding of the {named} events that it was made for is retained");
            return Some((Gate::OwnEvents, why));
        }
        if own_hits == 0 {
            let why = format!(
                "it finds no incident of any of the {own_events} events that it was made for"
            );
            return Some((Gate::OwnEvents, why));
        }
        if self.is_overfitted() {
            let why = "with other names and addresses it finds nothing any more".to_owned();
            return Some((Gate::Overfitted, why));
        }
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let too_good = good_hits as f64 > self.budget.share_max * good_events as f64;
        if too_good {
            let why = format!(
                "it finds {good_hits} incidents in {good_events} findings known to be good"
            );
            return Some((Gate::KnownGood, why));
        }
        if self.run.too_many || self.budget.is_spent(false_hits, events) {
            let least = if self.run.too_many { "at least " } else { "" };
            let why = format!(
                "it finds {least}{false_hits} incidents in {events} retained findings that nothing \
                 else explains, more than patterns.false_positives_max ({}) allows",
                self.budget.share_max
            );
            return Some((Gate::Backtest, why));
        }
        None
    }

    /// Whether the same findings about others would go unseen.
    fn is_overfitted(&self) -> bool {
        let end = self.own_scored.iter().map(|scored| scored.ts).max().unwrap_or_default();
        let mut run = Run::new(&self.base, &self.book, &self.config, end);
        self.own_scored.iter().for_each(|scored| run.give(&varied(scored)));
        run.end();
        // Where what was kept of them is not enough in itself, it says nothing.
        let mut same = Run::new(&self.base, &self.book, &self.config, end);
        self.own_scored.iter().for_each(|scored| same.give(scored));
        same.end();
        run.found.is_empty() && !same.found.is_empty()
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "trial_tests.rs"]
pub(super) mod tests;

//! The core of the responder: what is desired, and what follows from an event.
//!
//! Pure: state, event and time in; a [`Turn`] out. Whoever carries a turn out stores its records
//! first, then changes the world, then tells the outcomes, and only then acknowledges. When a
//! record cannot be stored, because another process has written it, the desk is thrown away and
//! made again from what is stored.

mod asking;
mod budget;
mod ending;
mod orders;
mod words;

pub(crate) use words::NOTHING;
pub use words::outcome_id;

use crate::{
    Policy, Surroundings,
    effect::Step,
    lease::{Lease, Life, Off, Page, Record, Records, SWITCH, page_key, page_of, read_page},
    thing::{Reach, Sort, Thing},
};
use budget::Spent;
use magsentinel_bus_schema::{Effect, Id, Outcome, Timestamp, encode};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Most leases in one record: a batch of the default size is one write.
const PAGE_LEASES_MAX: usize = 512;
/// Most bytes of the leases of a record when they are put there. With what may be said of each of
/// them later ([`crate::lease::words`], of its end and of its approval) they fit into the 1 MiB
/// that a server takes by default.
const PAGE_BYTES_MAX: usize = 448 << 10;

/// What follows from an event.
#[derive(Debug, Default)]
pub struct Turn {
    /// Records to store before anything else, by key; none removes one.
    pub before: Records,
    /// What is to be there, and until when; none: what is not to be there.
    pub changes: BTreeMap<Thing, Option<Timestamp>>,
    /// What to tell once the changes are made, with the things that it depends on.
    pub tell: Vec<(Vec<Thing>, Outcome)>,
    /// Records to store after that.
    pub after: Records,
}

/// A lease, and the record that holds it.
#[derive(Clone, Debug)]
struct Held {
    lease: Lease,
    page: u64,
    things: Vec<Thing>,
}

/// What is desired.
pub struct Desk {
    policy: Arc<Policy>,
    version: String,
    around: Surroundings,
    reach: Reach,
    leases_max: usize,
    leases: BTreeMap<Id, Held>,
    pages: BTreeMap<u64, BTreeSet<Id>>,
    /// Who wants a thing.
    wanted: BTreeMap<Thing, BTreeSet<Id>>,
    /// When leases end by themselves or are given up.
    due: BTreeSet<(Timestamp, Id)>,
    waiting: usize,
    networks: usize,
    /// How many of the wanted things there are of each sort.
    sorts: BTreeMap<Sort, u64>,
    /// New targets lately.
    spent: Spent,
    /// Incidents whose evidence was asked for lately.
    kept: Spent,
    /// What people were told lately.
    notified: Spent,
    off: Option<Off>,
    next_page: u64,
    /// Bytes of the leases that were put on the next page.
    next_page_bytes: usize,
    /// Pages whose leases changed in this turn.
    dirty: BTreeSet<u64>,
    /// When leases that ended long ago were forgotten last.
    forgot: Timestamp,
}

/// Figures of a desk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Leases that hold.
    pub active: usize,
    /// Leases that wait for approval.
    pub waiting: usize,
    /// Things that are desired.
    pub things: usize,
    /// Records.
    pub pages: usize,
}

impl Desk {
    /// A desk without leases.
    #[must_use]
    pub fn new(policy: Arc<Policy>, reach: Reach, leases_max: usize) -> Self {
        Self {
            version: policy.version(),
            policy,
            around: Surroundings::default(),
            reach,
            leases_max,
            leases: BTreeMap::new(),
            pages: BTreeMap::new(),
            wanted: BTreeMap::new(),
            due: BTreeSet::new(),
            waiting: 0,
            networks: 0,
            sorts: BTreeMap::new(),
            spent: Spent::default(),
            kept: Spent::default(),
            notified: Spent::default(),
            off: None,
            next_page: 0,
            next_page_bytes: 0,
            dirty: BTreeSet::new(),
            forgot: Timestamp::default(),
        }
    }

    /// Takes over what is stored, in place of what was known.
    ///
    /// # Errors
    /// When a record cannot be read. Then nothing must be done: what is desired is not known.
    pub fn load<'a>(
        &mut self,
        records: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<(), String> {
        let mut fresh = Self::new(Arc::clone(&self.policy), self.reach, self.leases_max);
        fresh.around = self.around.clone();
        for (key, bytes) in records {
            let wrong = |why: String| format!("record {key} of the leases cannot be read: {why}");
            if key == SWITCH {
                fresh.off = Some(rmp_serde::from_slice(bytes).map_err(|e| wrong(e.to_string()))?);
                continue;
            }
            let page = page_of(key).ok_or_else(|| wrong("it has no number".to_owned()))?;
            fresh.next_page = fresh.next_page.max(page + 1);
            fresh.pages.entry(page).or_default();
            for lease in read_page(bytes).map_err(wrong)?.leases {
                // Also where it only waited: it may have held before that.
                fresh.spent_on(&lease.action.effect).note(lease.id(), lease.since);
                fresh.put(lease, page);
            }
        }
        fresh.dirty.clear();
        *self = fresh;
        Ok(())
    }

    /// The policy that holds.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Who switched enforcement off.
    #[must_use]
    pub fn off(&self) -> Option<&Off> {
        self.off.as_ref()
    }

    /// What there are of things, leases and records.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let active = self.leases.values().filter(|h| h.lease.holds_until().is_some()).count();
        let (waiting, things, pages) = (self.waiting, self.wanted.len(), self.pages.len());
        Figures { active, waiting, things, pages }
    }

    /// A lease.
    #[must_use]
    pub fn lease(&self, id: Id) -> Option<&Lease> {
        self.leases.get(&id).map(|held| &held.lease)
    }

    /// Every thing that is to be there, and until when.
    #[must_use]
    pub fn desired(&self) -> BTreeMap<Thing, Timestamp> {
        let until = |thing: &Thing| Some((thing.clone(), self.until(thing)?));
        self.wanted.keys().filter_map(until).collect()
    }

    /// The budget that an effect is taken from.
    fn spent_on(&mut self, effect: &Effect) -> &mut Spent {
        match effect {
            Effect::PreserveEvidence {} => &mut self.kept,
            Effect::Notify { .. } => &mut self.notified,
            _ => &mut self.spent,
        }
    }

    /// How many targets are acted on: one that is dropped here may be listed or posted for others.
    fn targets(&self) -> u64 {
        self.sorts.values().copied().max().unwrap_or(0)
    }

    /// The time at which the last lease ends that wants a thing.
    fn until(&self, thing: &Thing) -> Option<Timestamp> {
        let wants = self.wanted.get(thing)?;
        wants.iter().filter_map(|id| self.leases.get(id)?.lease.holds_until()).max()
    }

    /// Puts a lease where it belongs; an earlier one of its id is taken away.
    fn put(&mut self, lease: Lease, page: u64) {
        let id = lease.id();
        self.take(id);
        let step = Step::of(&lease.action.effect, lease.action.ttl_s);
        let things = match step.and_then(|step| Thing::of(&step, self.reach)) {
            Ok(things) if lease.holds_until().is_some() => things,
            _ => Vec::new(),
        };
        for thing in &things {
            if !self.wanted.contains_key(thing) {
                *self.sorts.entry(thing.sort()).or_default() += 1;
            }
            self.wanted.entry(thing.clone()).or_default().insert(id);
            self.networks += usize::from(is_network(thing));
        }
        match &lease.life {
            Life::Active { until } => {
                self.due.insert((*until, id));
            }
            Life::Waiting { until, .. } => {
                self.due.insert((*until, id));
                self.waiting += 1;
            }
            Life::Ended { .. } => {}
        }
        self.pages.entry(page).or_default().insert(id);
        self.dirty.insert(page);
        self.leases.insert(id, Held { lease, page, things });
    }

    /// Takes a lease away.
    fn take(&mut self, id: Id) -> Option<Held> {
        let held = self.leases.remove(&id)?;
        for thing in &held.things {
            self.networks -= usize::from(is_network(thing));
            if let Some(wants) = self.wanted.get_mut(thing) {
                wants.remove(&id);
                if wants.is_empty() {
                    self.wanted.remove(thing);
                    *self.sorts.entry(thing.sort()).or_default() -= 1;
                }
            }
        }
        match &held.lease.life {
            Life::Active { until } => {
                self.due.remove(&(*until, id));
            }
            Life::Waiting { until, .. } => {
                self.due.remove(&(*until, id));
                self.waiting -= 1;
            }
            Life::Ended { .. } => {}
        }
        if let Some(of) = self.pages.get_mut(&held.page) {
            of.remove(&id);
        }
        self.dirty.insert(held.page);
        Some(held)
    }

    /// Changes a lease where it lies. The things that it held before or holds now.
    fn change(&mut self, id: Id, change: impl FnOnce(&mut Lease)) -> Vec<Thing> {
        let Some(mut held) = self.take(id) else { return Vec::new() };
        change(&mut held.lease);
        let mut things = held.things;
        self.put(held.lease, held.page);
        things.extend(self.leases.get(&id).into_iter().flat_map(|h| h.things.iter().cloned()));
        things.sort();
        things.dedup();
        things
    }

    /// The page for one more lease.
    fn page_for_new(&mut self, lease: &Lease) -> u64 {
        // What cannot be written is found out when the page is.
        let bytes = encode(lease).map_or(0, |bytes| bytes.len());
        self.next_page_bytes += bytes;
        let full = |of: &BTreeSet<Id>| {
            of.len() >= PAGE_LEASES_MAX || self.next_page_bytes > PAGE_BYTES_MAX
        };
        if self.pages.get(&self.next_page).is_some_and(full) {
            self.next_page += 1;
            self.next_page_bytes = bytes;
        }
        self.next_page
    }

    /// The records of everything that changed since the last one.
    fn records(&mut self) -> Records {
        let mut records = Records::new();
        for page in std::mem::take(&mut self.dirty) {
            let ids = self.pages.get(&page).cloned().unwrap_or_default();
            if ids.is_empty() {
                self.pages.remove(&page);
                records.insert(page_key(page), None);
                continue;
            }
            let leases = ids.iter().filter_map(|id| self.leases.get(id)).map(|h| h.lease.clone());
            let page_now = Page { v: 1, leases: leases.collect() };
            records.insert(page_key(page), Some(Record::Leases(page_now)));
        }
        // The next batch begins a record of its own.
        self.next_page_bytes = 0;
        if self.pages.contains_key(&self.next_page) {
            self.next_page += 1;
        }
        records
    }

    /// What is to be there of these things now.
    fn changes(&self, things: &[Thing], into: &mut BTreeMap<Thing, Option<Timestamp>>) {
        into.extend(things.iter().map(|thing| (thing.clone(), self.until(thing))));
    }
}

fn is_network(thing: &Thing) -> bool {
    matches!(thing, Thing::Dropped(network) if !network.is_single())
}

#[cfg(test)]
mod tests;

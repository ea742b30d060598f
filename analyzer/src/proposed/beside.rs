//! The proposed chains of one shard, each in a core of its own.

use super::{Entry, Overlay};
use crate::{
    Config,
    assess::Revision,
    core::{Core, Restored},
    suppression::live::Live,
};
use magsentinel_bus_schema::{Id, Keyed, Timestamp};
use std::sync::Arc;

/// What runs beside the book of a shard.
#[derive(Debug)]
pub struct Beside {
    config: Arc<Config>,
    suppressions: Option<Arc<Live>>,
    overlay: Arc<Overlay>,
    /// The chains as they were looked at last.
    entries: Arc<Vec<Arc<Entry>>>,
    cores: Vec<(Arc<Entry>, Core)>,
    /// What comes now was handled before.
    again: bool,
}

impl Beside {
    /// Nothing.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        let (overlay, entries) = (Arc::default(), Arc::default());
        Self { config, suppressions: None, overlay, entries, cores: Vec::new(), again: false }
    }

    /// What an overlay says now and later.
    #[must_use]
    pub fn over(mut self, overlay: Arc<Overlay>) -> Self {
        self.overlay = overlay;
        self.keep_up();
        self
    }

    /// The same under suppressions that change while it runs.
    #[must_use]
    pub fn following(mut self, suppressions: Arc<Live>) -> Self {
        self.cores = self
            .cores
            .into_iter()
            .map(|(entry, core)| (entry, core.following(Arc::clone(&suppressions))))
            .collect();
        self.suppressions = Some(suppressions);
        self
    }

    /// Says whether what comes now was handled before, and is only shown again.
    pub fn again(&mut self, rebuilding: bool) {
        self.again = rebuilding;
    }

    /// Takes up what is new in the overlay, and lets go of what is gone.
    pub fn keep_up(&mut self) {
        let entries = self.overlay.entries();
        if Arc::ptr_eq(&entries, &self.entries) {
            return;
        }
        let mut former = std::mem::take(&mut self.cores);
        for entry in entries.iter() {
            let kept = former.iter().position(|(known, _)| Arc::ptr_eq(known, entry));
            let core = match kept {
                Some(place) => former.swap_remove(place).1,
                None => self.core(entry),
            };
            self.cores.push((Arc::clone(entry), core));
        }
        self.entries = entries;
    }

    fn core(&self, entry: &Entry) -> Core {
        let mut core = Core::new(Arc::clone(&self.config), Arc::clone(&entry.book));
        if entry.asks {
            core = core.asking();
        }
        match &self.suppressions {
            Some(live) => core.following(Arc::clone(live)),
            None => core,
        }
    }

    /// Takes an event, perhaps again. What is wrong with it the book's own core tells.
    pub fn give(&mut self, keyed: &Keyed, stored: Timestamp, arrived: Timestamp) {
        for (entry, core) in self.cores.iter_mut().filter(|(entry, _)| entry.takes(stored)) {
            let given = core.give_beside(keyed, stored, arrived);
            if given.is_ok() && !self.again && entry.looks_at(keyed.class) {
                entry.saw();
            }
        }
    }

    /// Whether silence up to `now` tells something that events alone do not.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.cores.iter().any(|(_, core)| core.is_due(now))
    }

    /// What is due of the live ones. What those in shadow found is counted, and nothing else.
    pub fn settle(&mut self, now: Timestamp, rebuilding: bool) -> Vec<Revision> {
        let mut told = Vec::new();
        for (entry, core) in &mut self.cores {
            let revisions = if rebuilding { core.settle_again(now) } else { core.settle(now) };
            revisions.iter().for_each(|revision| entry.found(revision, rebuilding));
            if entry.live {
                told.extend(revisions);
            }
        }
        told
    }

    /// The cores, for a snapshot.
    pub(crate) fn cores(&self) -> impl Iterator<Item = ((Id, bool), &Core)> {
        self.cores.iter().map(|(entry, core)| ((entry.id, entry.live), core))
    }

    /// Goes on where a former owner stopped, with those chains that are still in use.
    pub(crate) fn restore(&mut self, kept: Vec<Restored>) {
        for state in kept {
            let of = state.of();
            let place = self.cores.iter_mut().find(|(entry, _)| (entry.id, entry.live) == of);
            let Some((entry, core)) = place else { continue };
            let chain = entry.chain();
            if !core.take_over(state) {
                tracing::warn!(?chain, "what was kept of a proposed chain is of no use");
            }
        }
    }
}

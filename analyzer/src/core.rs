//! The pure analyzer of one shard: keyed scored events in, revisions out.

use crate::{
    Config,
    assess::{Revision, revise},
    chain::{Book, named},
    window::{Bounds, Counters, Given, Key, Lane, Limits, Saved},
};
use magsentinel_bus_schema::{Class, Id, Keyed, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Form of [`Snapshot`]: rises when its meaning changes.
const SNAPSHOT_VERSION: u16 = 3;

/// The state of a shard, for its next owner.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    v: u16,
    /// The chains under which the windows were kept.
    book: Id,
    live: Saved,
    replayed: Saved,
}

/// Windows and decisions of one shard.
#[derive(Debug)]
pub struct Core {
    config: Arc<Config>,
    book: Arc<Book>,
    live: Lane,
    replayed: Lane,
}

/// Why a keyed event is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The key is not that of the event.
    #[error("the key is not the {class} that the event names: only the router makes keyed events")]
    Key {
        /// The class of the key.
        class: Class,
    },
    /// Its time lies ahead of the clock.
    #[error(
        "its time {ts} lies more than {ahead_max} ahead of {stored}, when it was stored: set the \
         clock of its source, or raise analyzer.ahead_max"
    )]
    Ahead {
        /// Time of the event.
        ts: Timestamp,
        /// When it was stored.
        stored: Timestamp,
        /// How far it may lie ahead.
        ahead_max: magsentinel_runtime::settings::Span,
    },
    /// It cannot be packed.
    #[error("it cannot be kept: {0}")]
    Packing(String),
}

/// The bounds of a lane with this lateness.
fn limits(config: &Config, lateness: magsentinel_runtime::settings::Span) -> Limits {
    Limits {
        keys_max: config.keys_max,
        events_max: config.events_per_key_max,
        lateness: lateness.get(),
        closing_lag: lateness.min(config.lateness).get(),
        tally: Bounds { cited_max: config.evidence_events_max, entities_max: config.affected_max },
    }
}

impl Core {
    /// An empty shard.
    #[must_use]
    pub fn new(config: Arc<Config>, book: Arc<Book>) -> Self {
        let live = Lane::new(limits(&config, config.lateness));
        let replayed = Lane::new(limits(&config, config.replay_lateness));
        Self { config, book, live, replayed }
    }

    /// The state between two batches, encoded; nothing where it cannot be.
    #[must_use]
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        let (live, replayed) = (self.live.save(), self.replayed.save());
        let book = self.book.digest();
        rmp_serde::to_vec_named(&Snapshot { v: SNAPSHOT_VERSION, book, live, replayed }).ok()
    }

    /// Takes over the state of a former owner.
    ///
    /// # Errors
    /// When it cannot be read, is of a newer form, or was kept under other chains: their windows
    /// are found again by reading the stream.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let read: Snapshot = rmp_serde::from_slice(bytes).map_err(|e| e.to_string())?;
        if read.v > SNAPSHOT_VERSION {
            return Err(format!("its version {} is newer than {SNAPSHOT_VERSION}", read.v));
        }
        if read.book != self.book.digest() {
            return Err("it was kept under other chains".to_owned());
        }
        let chains = self.book.chains();
        let live = limits(&self.config, self.config.lateness);
        self.live = Lane::restored(live, read.live, chains);
        let replayed = limits(&self.config, self.config.replay_lateness);
        self.replayed = Lane::restored(replayed, read.replayed, chains);
        Ok(())
    }

    /// Takes one event. `stored` is when the server stored it, `arrived` when it came here (for
    /// an event that is read again: when it was stored).
    pub fn give(
        &mut self,
        keyed: Keyed,
        stored: Timestamp,
        arrived: Timestamp,
    ) -> Result<Given, Refused> {
        let Keyed { class, key: value, scored, .. } = keyed;
        if named(&scored, class).is_none_or(|e| e.value != value) {
            return Err(Refused::Key { class });
        }
        let ahead_max = self.config.ahead_max;
        if scored.ts > stored.plus(ahead_max.get()) {
            return Err(Refused::Ahead { ts: scored.ts, stored, ahead_max });
        }
        let key = Key { tenant: scored.tenant.clone(), class, value: value.into() };
        let lane = if scored.replayed { &mut self.replayed } else { &mut self.live };
        lane.give(&self.book, key, &scored, stored, arrived)
            .map_err(|e| Refused::Packing(e.to_string()))
    }

    /// The revisions that are due: one for each incident that changed since the last call, and
    /// one for each that is to be closed.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Revision> {
        let mut revisions = Vec::new();
        let (config, book) = (Arc::clone(&self.config), Arc::clone(&self.book));
        for lane in [&mut self.live, &mut self.replayed] {
            lane.settle(book.chains(), now, &mut |key, chain, incident, turn| {
                revisions.extend(revise((&config, &book), key, chain, incident, turn, now));
            });
        }
        revisions
    }

    /// The revisions that are due when no event will come any more.
    pub fn conclude(&mut self, now: Timestamp) -> Vec<Revision> {
        self.live.conclude();
        self.replayed.conclude();
        self.settle(now)
    }

    /// What was counted for live and for played-back events.
    #[must_use]
    pub fn counters(&self) -> [(&'static str, Counters, usize); 2] {
        [
            ("live", self.live.counters(), self.live.keys()),
            ("replayed", self.replayed.counters(), self.replayed.keys()),
        ]
    }
}

//! The pure analyzer of one shard: keyed scored events in, revisions out.

use crate::{
    Config,
    assess::{Moment, Revision, revise},
    chain::{Book, named},
    join::{Joiner, Joins},
    suppression::live::Live,
    window::{Bounds, Counters, Given, Key, Lane, Limits, Pace, Saved, Saving},
};
use magsentinel_bus_schema::{Class, Id, Keyed, Mode, Scored, Timestamp};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, sync::Arc};

/// Form of [`Snapshot`]: rises when form or meaning change. One of another form is refused: what it
/// held is found again by reading the stream.
const SNAPSHOT_VERSION: u16 = 6;

/// The state of a shard, for its next owner: as it is written, and as it is read.
#[derive(Serialize, Deserialize)]
struct Snapshot<L, J> {
    v: u16,
    /// The chains under which the windows were kept.
    book: Id,
    live: L,
    replayed: L,
    backfilled: L,
    joins: J,
    /// What is kept of chains that run beside the book's.
    #[serde(default = "Vec::new")]
    beside: Vec<Kept<L, J>>,
}

/// What a snapshot keeps of one chain that runs beside the book's.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept<L, J> {
    pattern: Id,
    live: bool,
    state: Snapshot<L, J>,
}

/// The same as it is read.
pub(crate) type Restored = Kept<Saved, Joins>;

impl Restored {
    /// Whose it is.
    pub(crate) fn of(&self) -> (Id, bool) {
        (self.pattern, self.live)
    }
}

/// As much of a snapshot as every form has.
#[derive(Deserialize)]
struct Versioned {
    v: u16,
}

/// What is wrong with the form of a snapshot.
fn other_form(v: u16) -> Option<String> {
    let than = match v.cmp(&SNAPSHOT_VERSION) {
        Ordering::Less => "older",
        Ordering::Equal => return None,
        Ordering::Greater => "newer",
    };
    Some(format!("its version {v} is {than} than {SNAPSHOT_VERSION}"))
}

/// Windows and decisions of one shard.
#[derive(Debug)]
pub struct Core {
    config: Arc<Config>,
    book: Arc<Book>,
    live: Lane,
    replayed: Lane,
    backfilled: Lane,
    /// The classes that any chain groups by.
    classes: Vec<Class>,
    joiner: Joiner,
    /// Events that count for other keys as well, since they were last taken.
    joined: Vec<Keyed>,
    /// Suppressions that change while it runs.
    suppressions: Option<Arc<Live>>,
    /// The configuration that was taken from them last.
    followed: Arc<Config>,
    /// Its actions ask at most.
    asks: bool,
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

/// A configuration under which no action does more than ask.
fn asking(config: &Arc<Config>) -> Arc<Config> {
    if config.action.mode != Mode::Enforce {
        return Arc::clone(config);
    }
    let mut config = Config::clone(config);
    config.action.mode = Mode::Ask;
    Arc::new(config)
}

/// The bounds of a lane with this lateness.
fn limits(config: &Config, lateness: magsentinel_runtime::settings::Span) -> Limits {
    Limits {
        keys_max: config.keys_max,
        events_max: config.events_per_key_max,
        lateness: lateness.get(),
        closing_lag: lateness.min(config.lateness).get(),
        pace: Pace {
            idle: config.source_idle.get(),
            lag_max: config.source_lag_max.get(),
            most: config.sources_max,
        },
        tally: Bounds { cited_max: config.evidence_events_max, entities_max: config.affected_max },
        fold_max: config.update_every.get(),
    }
}

impl Core {
    /// An empty shard.
    #[must_use]
    pub fn new(config: Arc<Config>, book: Arc<Book>) -> Self {
        let live = Lane::new(limits(&config, config.lateness));
        let past = limits(&config, config.replay_lateness);
        let (replayed, backfilled) = (Lane::new(past), Lane::new(past));
        let (classes, joiner) = (book.classes(), Joiner::default());
        let (joined, suppressions, followed) = (Vec::new(), None, Arc::clone(&config));
        Self {
            config,
            book,
            live,
            replayed,
            backfilled,
            classes,
            joiner,
            joined,
            suppressions,
            followed,
            asks: false,
        }
    }

    /// The same, told of keys of these classes besides, to know which of them belong together.
    #[must_use]
    pub fn joining(self, classes: Vec<Class>) -> Self {
        Self { classes, ..self }
    }

    /// The same, where no action may do more than ask.
    #[must_use]
    pub fn asking(self) -> Self {
        let config = asking(&self.config);
        Self { config, asks: true, ..self }
    }

    /// The same under suppressions that change while it runs.
    #[must_use]
    pub fn following(self, suppressions: Arc<Live>) -> Self {
        Self { suppressions: Some(suppressions), ..self }
    }

    /// The state between two batches, encoded; nothing where it cannot be.
    #[must_use]
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        self.snapshot_with(std::iter::empty())
    }

    /// The same with the cores of chains that run beside the book's.
    pub(crate) fn snapshot_with<'c>(
        &'c self,
        beside: impl Iterator<Item = ((Id, bool), &'c Core)>,
    ) -> Option<Vec<u8>> {
        let kept = |((pattern, live), core): ((Id, bool), &'c Core)| {
            let state = core.state(Vec::new());
            Kept { pattern, live, state }
        };
        rmp_serde::to_vec_named(&self.state(beside.map(kept).collect())).ok()
    }

    fn state<'c>(&'c self, beside: Vec<Kept<Saving<'c>, Joins>>) -> Snapshot<Saving<'c>, Joins> {
        Snapshot {
            v: SNAPSHOT_VERSION,
            book: self.book.digest(),
            live: self.live.save(),
            replayed: self.replayed.save(),
            backfilled: self.backfilled.save(),
            joins: self.joiner.save(),
            beside,
        }
    }

    /// Takes over the state of a former owner.
    ///
    /// # Errors
    /// When it cannot be read, is of another form, or was kept under other chains: their windows
    /// are found again by reading the stream.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.restore_all(bytes).map(drop)
    }

    /// The same; what was kept of chains that ran beside the book's.
    pub(crate) fn restore_all(&mut self, bytes: &[u8]) -> Result<Vec<Restored>, String> {
        let read: Result<Snapshot<Saved, Joins>, _> = rmp_serde::from_slice(bytes);
        let read = read.map_err(|error| {
            // The version says it better, where there is one.
            let versioned: Option<Versioned> = rmp_serde::from_slice(bytes).ok();
            versioned.and_then(|of| other_form(of.v)).unwrap_or_else(|| error.to_string())
        })?;
        if let Some(wrong) = other_form(read.v) {
            return Err(wrong);
        }
        let mut read = read;
        let beside = std::mem::take(&mut read.beside);
        self.go_on(read)?;
        Ok(beside)
    }

    /// Goes on where a former owner of a chain that runs beside the book's stopped; whether it can.
    pub(crate) fn take_over(&mut self, kept: Restored) -> bool {
        self.go_on(kept.state).is_ok()
    }

    fn go_on(&mut self, read: Snapshot<Saved, Joins>) -> Result<(), String> {
        if read.book != self.book.digest() {
            return Err("it was kept under other chains".to_owned());
        }
        let chains = self.book.chains();
        let live = limits(&self.config, self.config.lateness);
        self.live = Lane::restored(live, read.live, chains);
        let past = limits(&self.config, self.config.replay_lateness);
        self.replayed = Lane::restored(past, read.replayed, chains);
        self.backfilled = Lane::restored(past, read.backfilled, chains);
        self.joiner = Joiner::restored(read.joins);
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
        let (key, scored) = (self.admit(&keyed, stored)?, &keyed.scored);
        self.joined.extend(self.joiner.take(&self.config.join, &self.classes, &key, &keyed));
        let given = self.give_to_lane(key.clone(), scored, stored, arrived)?;
        self.joiner.keep(&self.config.join, &self.classes, key, &keyed);
        Ok(given)
    }

    /// The same for a chain that runs beside others, which do the joining.
    pub(crate) fn give_beside(
        &mut self,
        keyed: &Keyed,
        stored: Timestamp,
        arrived: Timestamp,
    ) -> Result<Given, Refused> {
        let key = self.admit(keyed, stored)?;
        self.give_to_lane(key, &keyed.scored, stored, arrived)
    }

    /// The key of an event that may be taken.
    fn admit(&self, keyed: &Keyed, stored: Timestamp) -> Result<Key, Refused> {
        let (class, scored) = (keyed.class, &keyed.scored);
        if named(scored, class).is_none_or(|e| e.value != keyed.key) {
            return Err(Refused::Key { class });
        }
        let ahead_max = self.config.ahead_max;
        if scored.ts > stored.plus(ahead_max.get()) {
            return Err(Refused::Ahead { ts: scored.ts, stored, ahead_max });
        }
        Ok(Key { tenant: scored.tenant.clone(), class, value: keyed.key.as_str().into() })
    }

    fn give_to_lane(
        &mut self,
        key: Key,
        scored: &Scored,
        stored: Timestamp,
        arrived: Timestamp,
    ) -> Result<Given, Refused> {
        let lane = match (scored.backfilled, scored.replayed) {
            (true, _) if self.live.is_late(scored.ts) => {
                // Scored in time and again too late: it has been where it belongs.
                if self.live.knows(&key, (scored.ts, scored.id)) {
                    return Ok(Given::Ignored);
                }
                &mut self.backfilled
            }
            (true, _) | (false, false) => &mut self.live,
            (false, true) => &mut self.replayed,
        };
        lane.give(&self.book, key, scored, stored, arrived)
            .map_err(|e| Refused::Packing(e.to_string()))
    }

    /// What came since the last call and counts for other keys as well: for their owners.
    pub fn take_joined(&mut self) -> Vec<Keyed> {
        std::mem::take(&mut self.joined)
    }

    /// How many sources of live events are told apart.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.live.sources()
    }

    /// How many keys have links to others, and how many events were sent on to them.
    #[must_use]
    pub fn joins(&self) -> (usize, u64) {
        self.joiner.counters()
    }

    /// Whether silence up to `now` tells something that events alone do not. An owner that reads
    /// late must settle then before it takes what ended the silence: another may have told it.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        [&self.live, &self.replayed, &self.backfilled].iter().any(|lane| lane.is_due(now))
    }

    /// The revisions that are due: one for each incident that opened, that changed in what is told
    /// at once, or whose folded news are due; and one for each that is to be closed.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Revision> {
        self.settle_at(Moment { now, rebuilding: false, last: false })
    }

    /// The same where a former owner told it. Which revisions it chose is not known, so how things
    /// stand is told once more when the rebuild is over.
    pub fn settle_again(&mut self, now: Timestamp) -> Vec<Revision> {
        self.settle_at(Moment { now, rebuilding: true, last: false })
    }

    /// The revisions that are due when no event will come any more.
    pub fn conclude(&mut self, now: Timestamp) -> Vec<Revision> {
        for lane in [&mut self.live, &mut self.replayed, &mut self.backfilled] {
            lane.conclude();
        }
        self.settle_at(Moment { now, rebuilding: false, last: true })
    }

    fn settle_at(&mut self, moment: Moment) -> Vec<Revision> {
        if let Some(live) = &self.suppressions {
            let current = live.current();
            if !Arc::ptr_eq(&current, &self.followed) {
                self.config = if self.asks { asking(&current) } else { Arc::clone(&current) };
                self.followed = current;
            }
        }
        let mut revisions = Vec::new();
        let (config, book) = (Arc::clone(&self.config), Arc::clone(&self.book));
        for lane in [&mut self.live, &mut self.replayed, &mut self.backfilled] {
            lane.settle(book.chains(), moment.now, &mut |key, chain, incident, turn| {
                let (revision, told) = revise((&config, &book), key, chain, incident, turn, moment);
                revisions.extend(revision);
                told
            });
        }
        revisions
    }

    /// What was counted for live events, played-back ones, and those that were back-filled too
    /// late to join the live ones.
    #[must_use]
    pub fn counters(&self) -> [(&'static str, Counters, usize); 3] {
        [
            ("live", self.live.counters(), self.live.keys()),
            ("replayed", self.replayed.counters(), self.replayed.keys()),
            ("backfilled", self.backfilled.counters(), self.backfilled.keys()),
        ]
    }
}

//! The pure path: scored events in, final assessments out, no stream between.

use crate::{Config, Error, assess::Revision, chain::Book, core::Core, router};
use magsentinel_bus_schema::{Assessment, Id, Keyed, KeyedRef, Level, Scored, Shard, Timestamp};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Runs scored events, in the given order, through router and shards as the mesh would, and
/// returns the newest assessment of each incident, oldest incident first. Every event is taken
/// as stored and handled at `now`, and after the last one nothing else is waited for. It publishes nothing and reads nothing but
/// `config.chains_dir`.
///
/// # Errors
///
/// Chain files that cannot be read or are wrong, or a severity model that cannot be loaded. Events from the future are left out, as the
/// mesh makes dead letters of them.
pub fn analyze(
    config: &Config,
    inference: &magsentinel_inference::Config,
    scored: Vec<Scored>,
    now: Timestamp,
) -> Result<Vec<Assessment>, Error> {
    let book = Arc::new(Book::rated(config, inference)?);
    Ok(analyze_with(&book, config, scored, now))
}

/// The same with chains that are loaded already.
#[must_use]
pub fn analyze_with(
    book: &Arc<Book>,
    config: &Config,
    scored: Vec<Scored>,
    now: Timestamp,
) -> Vec<Assessment> {
    let config = Arc::new(config.clone());
    let classes = book.classes();
    let mut shards: BTreeMap<Shard, Core> = BTreeMap::new();
    let mut newest: BTreeMap<Id, Assessment> = BTreeMap::new();
    let mut keep = |revisions: Vec<Revision>| {
        for revision in revisions {
            let incident = revision.assessment.incident;
            if revision.superseded {
                newest.remove(&incident);
            } else {
                newest.insert(incident, revision.assessment);
            }
        }
    };
    // Sources that fell silent are told by the times of the events: they are stored as they happen.
    let mut stored = Timestamp::from_micros(i64::MIN);
    for (seq, scored) in (1..).zip(scored.iter().filter(|s| s.level > Level::None)) {
        stored = stored.max(scored.ts).min(now);
        let routed = router::route(&classes, scored, seq);
        let mut waiting: VecDeque<Keyed> = routed.map(KeyedRef::to_keyed).collect();
        while let Some(keyed) = waiting.pop_front() {
            let shard = Shard::of(&keyed.key, config.shards);
            let core =
                shards.entry(shard).or_insert_with(|| Core::new(config.clone(), book.clone()));
            if core.give(keyed, stored, now).is_err() {
                continue;
            }
            waiting.extend(core.take_joined());
            keep(core.settle(now));
        }
    }
    shards.values_mut().for_each(|core| keep(core.conclude(now)));
    let mut last: Vec<Assessment> = newest.into_values().collect();
    last.sort_by_key(|a| (a.first, a.incident));
    last
}

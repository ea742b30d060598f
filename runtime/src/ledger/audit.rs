//! The proof that a patrol answered for every event: by sequence, from what it published.

use super::dead_letters;
use crate::bus::{Bus, Error};
use magsentinel_bus_schema::{
    Id, Kind, Level, Receipt, Scored, Stream, Subject, Tenant, Token, subject,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The proof that a patrol answered for every event of its kind: by sequence, from the events,
/// the scored events and receipts, and the dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Distinct event sequences of the kind.
    pub received: u64,
    /// Of these, scored (with a receipt, or a scored event), or copies of one that is.
    pub scored: u64,
    /// Of these, dead-lettered.
    pub dead_lettered: u64,
    /// Sequences that nobody answered for. Must be empty.
    pub missing: Vec<u64>,
    /// Sequences that were both scored and dead-lettered, or scored with two different ids.
    /// Must be empty.
    pub doubled: Vec<u64>,
}

impl Audit {
    /// Whether every event was answered for once.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.missing.is_empty() && self.doubled.is_empty()
    }
}

/// Audits one patrol over everything that the streams hold.
pub async fn audit(bus: &Bus, patrol: &Token, kinds: &[Kind]) -> Result<Audit, Error> {
    let tenant = bus.tenant().clone();
    let mut events = BTreeMap::new();
    let filters = kinds.iter().map(|kind| subject::events_of(&tenant, *kind)).collect();
    bus.read_all(Stream::Events, filters, |d| {
        events.insert(d.seq, d.message_id.as_deref().and_then(|id| id.parse().ok()));
    })
    .await?;
    let answers = answers(bus, &tenant, patrol).await?;
    let dead: BTreeSet<u64> = dead_letters(bus)
        .await?
        .into_iter()
        .filter(|(stream, consumer, _)| {
            *stream == Stream::Events.name(&tenant) && consumer == patrol.as_str()
        })
        .map(|(_, _, seq)| seq)
        .collect();
    Ok(counted(&events, &answers, &dead))
}

/// Counts, of events with their ids, those that were answered for.
///
/// A server that falls forgets which ids it has seen, and stores an event again whose publisher heard
/// nothing. What is found in the copy has the id of what was found before, and is not stored twice: the
/// answer to one is the answer to both.
fn counted(
    events: &BTreeMap<u64, Option<Id>>,
    answers: &BTreeMap<u64, BTreeSet<String>>,
    dead: &BTreeSet<u64>,
) -> Audit {
    let found = |seq: &u64| answers.get(seq).map_or(0, BTreeSet::len);
    let answered: HashSet<&Id> =
        events.iter().filter(|(seq, _)| found(seq) > 0).filter_map(|(_, id)| id.as_ref()).collect();
    let mut audit = Audit { received: events.len() as u64, ..Audit::default() };
    for (seq, id) in events {
        let (ids, buried) = (found(seq), dead.contains(seq));
        let copied = id.as_ref().is_some_and(|id| answered.contains(id));
        audit.scored += u64::from(ids > 0 || (copied && !buried));
        audit.dead_lettered += u64::from(buried);
        if ids == 0 && !buried && !copied {
            audit.missing.push(*seq);
        }
        if ids > 1 || (ids > 0 && buried) {
            audit.doubled.push(*seq);
        }
    }
    audit
}

/// Event sequence → what was said of it: ids of scored events, or `none`.
async fn answers(
    bus: &Bus,
    tenant: &Tenant,
    patrol: &Token,
) -> Result<BTreeMap<u64, BTreeSet<String>>, Error> {
    let mut said: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let filters = Level::ALL.iter().map(|l| Subject::Scored(patrol.clone(), *l).of(tenant));
    bus.read_all(Stream::Scored, filters.collect(), |d| {
        if let Ok(receipt) = d.decode::<Receipt>(bus.limits()) {
            for seq in receipt.seqs {
                said.entry(seq).or_default().insert("none".to_owned());
            }
        } else if let Ok(scored) = d.decode::<Scored>(bus.limits()) {
            // What was found by another key stands beside the answer of the event's owner.
            if scored.by_key.is_none() {
                said.entry(scored.seq).or_default().insert(scored.id.to_string());
            }
        }
    })
    .await?;
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_every_copy_of_an_event_and_for_no_other() {
        let id = |name: &str| Some(Id::derived(&[name]));
        let events = [(1, id("a")), (2, id("b")), (3, id("a")), (4, None), (5, None)];
        let said = |text: &str| BTreeSet::from([text.to_owned()]);
        let answers = [(1, said("x")), (4, said("none"))].into();
        let audit = counted(&events.into(), &answers, &BTreeSet::new());
        assert_eq!((audit.received, audit.scored), (5, 3));
        assert_eq!(audit.missing, [2, 5]);
        let buried = counted(&[(1, id("a")), (2, id("a"))].into(), &answers, &[2].into());
        assert_eq!((buried.scored, buried.dead_lettered), (1, 1));
        assert!(buried.is_balanced());
    }
}

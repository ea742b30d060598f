//! The proof that a patrol answered for every event: by sequence, from what it published.

use super::dead_letters;
use crate::bus::{Bus, Error};
use magsentinel_bus_schema::{
    Kind, Level, Receipt, Scored, Stream, Subject, Tenant, Token, subject,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The proof that a patrol answered for every event of its kind: by sequence, from the events,
/// the scored events and receipts, and the dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Distinct event sequences of the kind.
    pub received: u64,
    /// Of these, scored (with a receipt, or a scored event).
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
    let mut events = BTreeSet::new();
    let filters = kinds.iter().map(|kind| subject::events_of(&tenant, *kind)).collect();
    bus.read_all(Stream::Events, filters, |d| {
        events.insert(d.seq);
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
    let mut audit = Audit { received: events.len() as u64, ..Audit::default() };
    for seq in events {
        let ids = answers.get(&seq).map_or(0, BTreeSet::len);
        let buried = dead.contains(&seq);
        audit.scored += u64::from(ids > 0);
        audit.dead_lettered += u64::from(buried);
        if ids == 0 && !buried {
            audit.missing.push(seq);
        }
        if ids > 1 || (ids > 0 && buried) {
            audit.doubled.push(seq);
        }
    }
    Ok(audit)
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

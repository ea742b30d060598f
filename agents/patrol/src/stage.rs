//! Patrols as stages of the mesh: events in, scored events and receipts out.

use crate::{
    Error, inference,
    patrol::{Finding, Seen},
    patrols::{self, Entry, Keyed, PublishNone, TABLE},
    scorer::{Blueprint, Scorer, Verdict},
};
use magsentinel_bus_schema::{
    Event, Id, Kind, Level, Limits, Receipt, SCHEMA_VERSION, Scored, Stream, Subject,
    entity::entities_of,
};
use magsentinel_runtime::{
    service::{Pool, Sharded},
    settings::Span,
    stage::{Batch, Delivery, Failed, Output, Publish, Stage},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Attempts before an event is given up.
const MAX_DELIVER: u64 = 5;
/// Time after which the server hands an unacknowledged event to another worker.
const ACK_WAIT: Span = Span::s(30);

/// The pools of all enabled patrols that keep no state. Models and patterns are read and
/// checked here, so that whatever is wrong with them is told before anything starts.
pub fn pools(config: &patrols::Config, inference: &inference::Config) -> Result<Vec<Pool>, Error> {
    let stateless = enabled(config).filter(|entry| (entry.keyed)(config).is_none());
    stateless.map(|entry| pool(entry, config, inference)).collect()
}

/// The sharded consumers of all enabled patrols that keep state; checked like [`pools`].
pub fn sharded(
    config: &patrols::Config,
    inference: &inference::Config,
) -> Result<Vec<Sharded>, Error> {
    let keyed = enabled(config).filter_map(|entry| Some((entry, (entry.keyed)(config)?)));
    keyed.map(|(entry, keyed)| shards(entry, keyed, config, inference)).collect()
}

fn enabled(config: &patrols::Config) -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(|entry| (entry.shared)(config).enabled)
}

fn pool(
    entry: &'static Entry,
    config: &patrols::Config,
    inference: &inference::Config,
) -> Result<Pool, Error> {
    let shared = (entry.shared)(config);
    let blueprint = Arc::new(Blueprint::new(entry, config, inference)?);
    let durable = blueprint.name().clone();
    let make = move || -> Result<Box<dyn Stage>, String> {
        let model = blueprint.model().map_err(|e| e.to_string())?;
        let scorer = blueprint.scorer(Arc::new(Mutex::new(model)));
        Ok(Box::new(PatrolStage::new(Arc::clone(&blueprint), scorer, None)))
    };
    Ok(Pool {
        durable,
        stream: Stream::Events,
        filters: entry.filters,
        batch_max: shared.batch_max,
        batches_in_flight: shared.batches_in_flight,
        slow: false,
        max_deliver: MAX_DELIVER,
        ack_wait: ACK_WAIT,
        make: Arc::new(make),
    })
}

fn shards(
    entry: &'static Entry,
    keyed: Keyed,
    config: &patrols::Config,
    inference: &inference::Config,
) -> Result<Sharded, Error> {
    let blueprint = Arc::new(Blueprint::new(entry, config, inference)?);
    let name = blueprint.name().clone();
    // One model for all shards of the process: there are many, and each needs it rarely.
    let model = Arc::new(Mutex::new(blueprint.model()?));
    let skew = keyed.clock_skew_max.get();
    let make = move |_| -> Result<Box<dyn Stage>, String> {
        let scorer = blueprint.scorer(Arc::clone(&model));
        Ok(Box::new(PatrolStage::new(Arc::clone(&blueprint), scorer, Some(skew))))
    };
    Ok(Sharded {
        name,
        stream: Stream::Events,
        filters: entry.shard_filters,
        batch_max: (entry.shared)(config).batch_max,
        max_deliver: MAX_DELIVER,
        rebuild: keyed.rebuild,
        fenced: false,
        make: Arc::new(make),
    })
}

/// Events handled, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    ordinary: u64,
    found: u64,
    flagged: u64,
    refused: u64,
}

/// A patrol as the runtime runs it.
pub struct PatrolStage {
    blueprint: Arc<Blueprint>,
    scorer: Scorer,
    /// For patrols that keep state: how far ahead of its receipt an event's time is believed.
    skew: Option<Duration>,
    /// Highest stream sequence that the state includes.
    learnt: u64,
    verdicts: Vec<Verdict>,
    counts: Counts,
}

impl PatrolStage {
    /// A stage around a scorer. `skew` is given for patrols that keep state.
    #[must_use]
    pub fn new(blueprint: Arc<Blueprint>, scorer: Scorer, skew: Option<Duration>) -> Self {
        let (verdicts, counts) = (Vec::new(), Counts::default());
        Self { blueprint, scorer, skew, learnt: 0, verdicts, counts }
    }

    /// What the scorer sees of an event.
    fn seen<'a>(&self, event: &'a Event, delivery: &Delivery) -> Seen<'a> {
        let latest = self.skew.map(|skew| delivery.stored.plus(skew));
        let ts_refused = latest.is_some_and(|latest| event.ts > latest);
        Seen {
            body: &event.body,
            ts: if ts_refused { delivery.stored } else { event.ts },
            ts_refused,
            repeated: self.skew.is_some() && delivery.seq <= self.learnt,
        }
    }

    /// The message about one event.
    fn scored(&self, event: &Event, delivery: &Delivery, finding: Finding) -> Scored {
        let patrol = self.blueprint.name();
        let chars_max = self.blueprint.excerpt_chars_max();
        Scored {
            v: SCHEMA_VERSION,
            id: Id::derived(&[event.id.as_bytes().as_slice(), patrol.as_str().as_bytes()]),
            event: event.id,
            seq: delivery.seq,
            tenant: event.tenant.clone(),
            kind: event.kind,
            ts: event.ts,
            replayed: event.replayed,
            patrol: patrol.clone(),
            level: finding.level,
            score: finding.score,
            confidence: finding.confidence,
            category: finding.category,
            techniques: finding.techniques,
            reasons: finding.reasons,
            entities: entities_of(event.kind, &event.body, event.source.trust),
            excerpt: self.scorer.excerpt(&event.body, chars_max),
            model: self.blueprint.model_digest().to_owned(),
            patterns: self.blueprint.patterns_digest().to_owned(),
            trace: event.trace.clone().or_else(|| delivery.trace.clone()),
        }
    }

    fn publish_scored(
        &self,
        event: &Event,
        delivery: &Delivery,
        finding: Finding,
    ) -> Result<Publish, String> {
        let scored = self.scored(event, delivery, finding);
        let subject = Subject::Scored(scored.patrol.clone(), scored.level);
        let message = Publish::new(subject, scored.id, &scored).map_err(|e| e.to_string())?;
        Ok(message.traced(scored.trace))
    }

    /// One message about all ordinary events of a batch.
    fn receipt(&self, ordinary: &[(&Event, u64)]) -> Result<Option<Publish>, String> {
        let Some((first, _)) = ordinary.first() else { return Ok(None) };
        let patrol = self.blueprint.name();
        let ids = ordinary.iter().map(|(event, _)| event.id.as_bytes().as_slice());
        let parts: Vec<&[u8]> =
            [b"receipt".as_slice(), patrol.as_str().as_bytes()].into_iter().chain(ids).collect();
        let receipt = Receipt {
            v: SCHEMA_VERSION,
            id: Id::derived(&parts),
            tenant: first.tenant.clone(),
            patrol: patrol.clone(),
            model: self.blueprint.model_digest().to_owned(),
            patterns: self.blueprint.patterns_digest().to_owned(),
            events: ordinary.iter().map(|(event, _)| event.id).collect(),
            seqs: ordinary.iter().map(|(_, seq)| *seq).collect(),
        };
        let subject = Subject::Scored(patrol.clone(), Level::None);
        Publish::new(subject, receipt.id, &receipt).map(Some).map_err(|e| e.to_string())
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Ordinary(_) => self.counts.ordinary += 1,
            Verdict::Found(finding) => {
                self.counts.found += 1;
                self.counts.flagged += u64::from(finding.level.is_flagged());
            }
            Verdict::Poison(_) | Verdict::Failed(_) => self.counts.refused += 1,
        }
    }

    /// Publishes what was found out about the events, in their order.
    fn tell(&self, events: &[(usize, Event)], batch: &Batch<'_>, out: &mut Output) {
        let mut ordinary: Vec<(&Event, u64)> = Vec::new();
        for ((index, event), verdict) in events.iter().zip(&self.verdicts) {
            let Some(delivery) = batch.deliveries.get(*index) else { continue };
            let full = self.blueprint.publish_none() == PublishNone::Full;
            let finding = match verdict {
                Verdict::Found(finding) => (**finding).clone(),
                Verdict::Ordinary(score) if full => Finding::ordinary(*score),
                Verdict::Ordinary(_) => {
                    ordinary.push((event, delivery.seq));
                    continue;
                }
                Verdict::Poison(why) => {
                    out.fail(*index, Failed::Poison(why.clone()));
                    continue;
                }
                Verdict::Failed(why) => {
                    out.fail(*index, Failed::Transient(why.clone()));
                    continue;
                }
            };
            match self.publish_scored(event, delivery, finding) {
                Ok(message) => out.publish(message),
                Err(why) => out.fail(*index, Failed::Poison(why)),
            }
        }
        match self.receipt(&ordinary) {
            Ok(receipt) => receipt.into_iter().for_each(|message| out.publish(message)),
            Err(why) => {
                let seqs: Vec<u64> = ordinary.iter().map(|(_, seq)| *seq).collect();
                let those = batch.deliveries.iter().enumerate();
                those.filter(|(_, d)| seqs.contains(&d.seq)).for_each(|(index, _)| {
                    out.fail(index, Failed::Poison(why.clone()));
                });
            }
        }
    }
}

/// Reads one delivery as an event of a kind.
fn read(delivery: &Delivery, kind: Kind) -> Result<Event, String> {
    let event: Event = delivery.decode(Limits::default()).map_err(|e| e.to_string())?;
    if event.kind != kind {
        return Err(format!("event is of kind {}, this patrol scores {kind}", event.kind));
    }
    // `mag.<tenant>.event.…`: who may publish for one tenant must not speak for another.
    match delivery.subject.split('.').nth(1) {
        Some(tenant) if tenant == event.tenant.as_str() => Ok(event),
        _ => Err(format!("event says tenant {}, its subject another", event.tenant)),
    }
}

impl Stage for PatrolStage {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let kind = self.blueprint.spec().kind;
        let mut events: Vec<(usize, Event)> = Vec::with_capacity(batch.deliveries.len());
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match read(delivery, kind) {
                Ok(event) => events.push((index, event)),
                Err(why) => {
                    self.counts.refused += 1;
                    out.fail(index, Failed::Poison(why));
                }
            }
        }
        let seen: Vec<Seen<'_>> = events
            .iter()
            .filter_map(|(index, event)| Some(self.seen(event, batch.deliveries.get(*index)?)))
            .collect();
        let mut verdicts = std::mem::take(&mut self.verdicts);
        self.scorer.score(&seen, &mut verdicts);
        self.learnt = batch.deliveries.iter().map(|d| d.seq).fold(self.learnt, u64::max);
        if !batch.rebuilding {
            verdicts.iter().for_each(|verdict| self.count(verdict));
            self.verdicts = verdicts;
            self.tell(&events, batch, out);
        } else {
            self.verdicts = verdicts;
        }
    }

    fn report(&self) -> Value {
        json!({
            "patrol": self.blueprint.name(),
            "runtime": self.blueprint.runtime().name(),
            "model": self.blueprint.model_digest(),
            "patterns": self.blueprint.patterns_digest(),
            "ordinary": self.counts.ordinary,
            "found": self.counts.found,
            "flagged": self.counts.flagged,
            "refused": self.counts.refused,
            "state": self.scorer.report(),
        })
    }
}

#[cfg(test)]
mod tests;

//! The thin shell of one shard's core: decode, hand over, publish.

use crate::{
    Config,
    assess::{Revision, message_id},
    chain::Book,
    core::Core,
    join,
    proposed::{Beside, Overlay},
    suppression::live::Live,
};
use magsentinel_bus_schema::{
    Assessment, CodecError, Id, Keyed, Limits, Response, Shard, Status, Subject, Tenant, Timestamp,
    Token,
};
use magsentinel_runtime::stage::{Batch, Delivery, Failed, Output, Publish, Stage};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// Name of the service in leases.
pub const NAME: &str = "analyzer";

/// What is wrong with one event of a message.
struct Wrong {
    /// Which, where the message holds several.
    element: Option<u64>,
    why: String,
}

impl Wrong {
    fn tell(self, index: usize, out: &mut Output) {
        match self.element {
            Some(element) => out.reject_element(index, element, self.why),
            None => out.fail(index, Failed::Poison(self.why)),
        }
    }
}

/// What a shard published since it was made.
#[derive(Clone, Copy, Debug, Default)]
struct Published {
    opened: u64,
    updated: u64,
    closed: u64,
    blocked: u64,
    actions: u64,
}

/// The analyzer of one shard as a stage.
#[derive(Debug)]
pub struct Analyzer {
    core: Core,
    /// Proposed chains, in shadow or live.
    beside: Beside,
    shard: Shard,
    shards: u16,
    published: Published,
    /// By the id of a suppression: revisions that it shaped.
    suppressed: BTreeMap<Token, u64>,
}

impl Analyzer {
    /// The analyzer of a shard.
    #[must_use]
    pub fn new(config: Arc<Config>, book: Arc<Book>, shard: Shard) -> Self {
        let shards = config.shards;
        let beside = Beside::new(Arc::clone(&config));
        let core = Core::new(config, book);
        let (published, suppressed) = (Published::default(), BTreeMap::new());
        Self { core, beside, shard, shards, published, suppressed }
    }

    /// The same with proposed chains beside those of the book.
    #[must_use]
    pub fn beside(mut self, overlay: Arc<Overlay>) -> Self {
        self.beside = self.beside.over(overlay);
        self
    }

    /// The same under suppressions that change while it runs.
    #[must_use]
    pub fn following(mut self, suppressions: Arc<Live>) -> Self {
        self.beside = self.beside.following(Arc::clone(&suppressions));
        self.core = self.core.following(suppressions);
        self
    }

    /// Takes what a message holds; what is wrong with it, or with one of several events.
    fn take(&mut self, delivery: &Delivery, arrived: Timestamp) -> Result<Vec<Wrong>, String> {
        let all: Vec<Keyed> = delivery.decode_each(Limits::default()).map_err(|e| e.to_string())?;
        let place = Subject::parse(&delivery.subject).map_err(|e| e.to_string())?;
        let alone = all.len() == 1;
        let mut wrong = Vec::new();
        for (element, keyed) in (0..).zip(all) {
            let given = self.give(keyed, &place, (delivery.stored, arrived));
            if let Err(why) = given {
                wrong.push(Wrong { element: Some(element).filter(|_| !alone), why });
            }
        }
        Ok(wrong)
    }

    fn give(
        &mut self,
        keyed: Keyed,
        (tenant, subject): &(Tenant, Subject),
        (stored, arrived): (Timestamp, Timestamp),
    ) -> Result<(), String> {
        let shard = Shard::of(&keyed.key, self.shards);
        let home = match subject {
            Subject::Parcel(_) => Subject::Parcel(shard),
            _ => Subject::Keyed(keyed.class, shard),
        };
        if subject != &home || tenant != &keyed.scored.tenant {
            return Err(format!(
                "published on {}, but belongs on {}: do router and analyzer agree on \
                 analyzer.shards?",
                subject.of(tenant),
                home.of(&keyed.scored.tenant)
            ));
        }
        self.beside.give(&keyed, stored, arrived);
        self.core.give(keyed, stored, arrived).map(drop).map_err(|e| e.to_string())
    }

    /// Sends on what counts for other keys as well.
    fn send_on(&mut self, trace: Option<&String>, out: &mut Output) {
        for keyed in self.core.take_joined() {
            let subject = Subject::Keyed(keyed.class, Shard::of(&keyed.key, self.shards));
            match Publish::new(subject, join::message_id(&keyed), &keyed) {
                Ok(message) => out.publish(message.traced(trace.cloned())),
                Err(error) => tracing::error!(%error, "a joined event is lost"),
            }
        }
    }

    fn settle(&mut self, now: Timestamp, rebuilding: bool, out: &mut Output) {
        let mut revisions =
            if rebuilding { self.core.settle_again(now) } else { self.core.settle(now) };
        revisions.extend(self.beside.settle(now, rebuilding));
        for revision in revisions {
            self.count(&revision);
            let id = revision.assessment.id;
            match messages(&revision) {
                Ok(messages) => messages.into_iter().for_each(|message| out.publish(message)),
                // Encoding our own types into memory cannot fail; if it ever does, the
                // supervisor must know.
                Err(error) => tracing::error!(%error, assessment = %id, "assessment is lost"),
            }
        }
    }

    fn count(&mut self, revision: &Revision) {
        let counted = match revision.assessment.status {
            Status::Opened => &mut self.published.opened,
            Status::Updated => &mut self.published.updated,
            Status::Closed => &mut self.published.closed,
        };
        *counted += 1;
        let blocks = revision.assessment.response == Response::Block
            && revision.assessment.status != Status::Closed;
        self.published.blocked += u64::from(blocks);
        self.published.actions += revision.actions.len() as u64;
        for by in &revision.assessment.suppressed {
            *self.suppressed.entry(by.id.clone()).or_default() += 1;
        }
    }
}

/// The messages of a revision. Ids differ by subject, because the stream drops a second message
/// with the id of a first one.
fn messages(revision: &Revision) -> Result<Vec<Publish>, CodecError> {
    let of: &Assessment = &revision.assessment;
    let mut messages = vec![Publish::new(Subject::Assessment(of.level), of.id, of)?];
    if let Some((alert, levels)) = &revision.alert {
        for level in levels {
            let causes = [b"alert".as_slice(), of.id.as_bytes(), level.token().as_bytes()];
            let subject = Subject::Alert(*level, alert.attack_type.clone());
            messages.push(Publish::new(subject, Id::derived(&causes), alert)?);
        }
    }
    for action in &revision.actions {
        let subject = Subject::Action(action.effect.verb());
        messages.push(Publish::new(subject, message_id(action), action)?);
    }
    let traced = messages.into_iter().map(|m| m.traced(revision.trace.clone()));
    Ok(traced.collect())
}

impl Stage for Analyzer {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        self.beside.keep_up();
        self.beside.again(batch.rebuilding);
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            // What a former owner told in the silence before it may be contradicted by it.
            if self.core.is_due(delivery.stored) || self.beside.is_due(delivery.stored) {
                self.settle(delivery.stored, batch.rebuilding, out);
            }
            // What is read again did not just arrive: idle time counts from when it was stored.
            let arrived = if batch.rebuilding { delivery.stored } else { batch.now };
            match self.take(delivery, arrived) {
                Ok(wrong) => wrong.into_iter().for_each(|wrong| wrong.tell(index, out)),
                Err(why) => out.fail(index, Failed::Poison(why)),
            }
            self.send_on(delivery.trace.as_ref(), out);
        }
        // What is told while rebuilding is discarded: what the silence since then brings must not
        // be told before it is over.
        let read_again = batch.deliveries.last().filter(|_| batch.rebuilding);
        let now = read_again.map_or(batch.now, |last| last.stored);
        self.settle(now, batch.rebuilding, out);
    }

    fn tick(&mut self, now: Timestamp, out: &mut Output) {
        self.beside.keep_up();
        self.settle(now, false, out);
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        self.core.snapshot_with(self.beside.cores())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        let beside = self.core.restore_all(snapshot)?;
        self.beside.restore(beside);
        Ok(())
    }

    fn report(&self) -> serde_json::Value {
        let (linked, joined) = self.core.joins();
        let mut report = json!({
            "shard": self.shard,
            "assessments": {
                "opened": self.published.opened,
                "updated": self.published.updated,
                "closed": self.published.closed,
                "blocked": self.published.blocked,
            },
            "actions": self.published.actions,
            "suppressed": self.suppressed,
            "joins": { "keys": linked, "events": joined },
            "sources_max": self.core.sources(),
        });
        if let Some(report) = report.as_object_mut() {
            for (lane, counters, keys) in self.core.counters() {
                report.insert(lane.to_owned(), json!({ "keys": keys, "events": counters }));
            }
        }
        report
    }
}

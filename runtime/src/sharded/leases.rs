//! Reading and writing leases on DECISIONS.
//!
//! A lease message replaces the shard's earlier ones (`Nats-Rollup: sub`) and is accepted only
//! if it follows the one that its writer has seen, so two processes can never both write.

use super::claim::Known;
use crate::{
    bus::{Bus, Error, Fence},
    context::Context,
};
use async_nats::jetstream::{
    consumer::{DeliverPolicy, pull},
    message::PublishMessage,
};
use futures::StreamExt;
use magsentinel_bus_schema::{
    Lease, Limits, Shard, Stream, Subject, Token, codec::MESSAGEPACK, subject,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The newest lease of every shard, with the time at which it was seen here.
pub(super) type View = Arc<Mutex<BTreeMap<Shard, (Lease, u64, Instant)>>>;

/// Follows the leases of one service.
pub(crate) struct Leases {
    bus: Bus,
    service: Token,
    view: View,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Leases {
    /// Begins to follow, and returns once the leases that exist are known.
    pub(crate) async fn follow(context: &Context, service: &Token) -> Result<Self, Error> {
        let view = View::default();
        let (bus, name) = (context.bus.clone(), service.clone());
        existing(&bus, &name, &view).await?;
        let task = tokio::spawn({
            let (bus, name, view) = (bus.clone(), name.clone(), Arc::clone(&view));
            async move {
                loop {
                    if let Err(error) = watch(&bus, &name, &view).await {
                        tracing::debug!(%error, service = %name, "following leases again");
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
        Ok(Self { bus, service: name, view, task })
    }

    /// The same, for whoever looks after the owners.
    pub(super) fn view(&self) -> View {
        Arc::clone(&self.view)
    }

    /// What is known now, given the owners that are gone.
    pub(crate) fn known(&self, gone: &BTreeSet<String>) -> BTreeMap<Shard, Known> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |(lease, seq, seen): &(Lease, u64, Instant)| Known {
            lease: lease.clone(),
            seq: *seq,
            age: seen.elapsed(),
            gone: lease.owner.as_ref().is_some_and(|owner| gone.contains(owner)),
        };
        view.iter().map(|(shard, entry)| (*shard, known(entry))).collect()
    }

    /// Writes leases, each after the sequence that its writer has seen. Returns the new
    /// sequence for each, or `None` where somebody else was first.
    pub(crate) async fn write(&self, leases: &[(Lease, u64)]) -> Result<Vec<Option<u64>>, Error> {
        let mut sent = Vec::with_capacity(leases.len());
        for (lease, after) in leases {
            let payload = magsentinel_bus_schema::encode(lease)?;
            let message = PublishMessage::build()
                .payload(payload.into())
                .header("Content-Type", MESSAGEPACK)
                .header("Nats-Rollup", "sub")
                .expected_last_subject_sequence(*after);
            let subject = self.subject(lease.shard);
            sent.push(self.bus.js().send_publish(subject, message).await);
        }
        let mut written = Vec::with_capacity(leases.len());
        for (stored, (lease, _)) in self.bus.confirmed(sent).await.into_iter().zip(leases) {
            written.push(match stored {
                Ok(ack) => {
                    let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
                    note(&mut view, lease.clone(), ack.sequence);
                    Some(ack.sequence)
                }
                Err(error) => {
                    tracing::debug!(%error, shard = %lease.shard, "lease was not written");
                    None
                }
            });
        }
        Ok(written)
    }

    /// The fence of a shard whose newest lease message has this sequence.
    pub(crate) fn fence(&self, shard: Shard, seq: u64) -> Fence {
        Fence { subject: self.subject(shard), seq }
    }

    fn subject(&self, shard: Shard) -> String {
        Subject::Lease(self.service.clone(), shard).of(self.bus.tenant())
    }
}

/// Who owns a shard.
pub(super) fn owners(view: &View) -> BTreeSet<String> {
    let view = view.lock().unwrap_or_else(PoisonError::into_inner);
    view.values().filter_map(|(lease, ..)| lease.owner.clone()).collect()
}

fn note(view: &mut BTreeMap<Shard, (Lease, u64, Instant)>, lease: Lease, seq: u64) {
    let newest = view.get(&lease.shard).map_or(0, |(_, seq, _)| *seq);
    if seq > newest {
        view.insert(lease.shard, (lease, seq, Instant::now()));
    }
}

/// Reads the leases that exist, once.
async fn existing(bus: &Bus, service: &Token, view: &View) -> Result<(), Error> {
    let stream = bus.stream(Stream::Decisions).await?;
    let filter = subject::leases_of(bus.tenant(), service);
    let asked = stream.info_with_subjects(&filter).await;
    let failed = |why: String| Error::Request { what: "the leases", why };
    let mut subjects = asked.map_err(|e| failed(e.to_string()))?;
    while let Some(entry) = subjects.next().await {
        let (name, _) = entry.map_err(|e| failed(e.to_string()))?;
        let Ok(message) = stream.get_last_raw_message_by_subject(&name).await else { continue };
        let lease = magsentinel_bus_schema::decode(&message.payload, None, Limits::default());
        if let Ok(lease) = lease {
            let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
            note(&mut view, lease, message.sequence);
        }
    }
    Ok(())
}

/// Follows until the connection or the consumer breaks.
async fn watch(bus: &Bus, service: &Token, view: &View) -> Result<(), Error> {
    let stream = bus.stream(Stream::Decisions).await?;
    let failed = |why: String| Error::Consumer {
        stream: Stream::Decisions.token().to_owned(),
        name: format!("leases of {service}"),
        why,
    };
    let config = pull::OrderedConfig {
        filter_subject: subject::leases_of(bus.tenant(), service),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..pull::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|e| failed(e.to_string()))?;
    let mut messages = consumer.messages().await.map_err(|e| failed(e.to_string()))?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|e| failed(e.to_string()))?;
        let Ok(seq) = message.info().map(|i| i.stream_sequence) else { continue };
        let lease = magsentinel_bus_schema::decode(&message.payload, None, bus.limits());
        match lease {
            Ok(lease) => note(&mut view.lock().unwrap_or_else(PoisonError::into_inner), lease, seq),
            Err(error) => tracing::warn!(%error, seq, "lease cannot be read"),
        }
    }
    Ok(())
}

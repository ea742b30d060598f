//! Who else is there: how many processes share the shards, and which owners are gone.
//!
//! A process that owns shards listens on a subject of its own. Where nobody listens the server
//! says so at once: the connection of that process has ended, so it can store nothing, and its
//! shards need not wait for their leases to run out. A process that is paused or slow keeps its
//! connection and is waited for. Were this ever wrong, it would cost time and nothing else: what
//! a former owner publishes is refused by its fence.

use super::leases::{View, owners};
use crate::{
    bus::{Bus, Error},
    context::Context,
    micro,
};
use async_nats::client::RequestErrorKind;
use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use magsentinel_bus_schema::{Subject, Token};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Between two looks around.
const EVERY: Duration = Duration::from_millis(500);
/// Longest wait for a word on one process. No word within it: the process is not known to be gone.
const PATIENCE: Duration = Duration::from_millis(250);

/// What was seen last.
#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    gone: Mutex<BTreeSet<String>>,
    news: AtomicBool,
}

/// Looks around beside the worker, because gathering answers takes longer than events may wait.
pub(super) struct Members {
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Members {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Members {
    /// Makes this process known, looks around once, and then again and again. `process` is the
    /// name under which those who share the shards answer to a ping.
    ///
    /// # Errors
    /// When the connection has ended for good.
    pub(super) async fn look(
        context: &Context,
        process: &Token,
        leases: View,
    ) -> Result<Self, Error> {
        let failed = |why: String| Error::Request { what: "a word on this process", why };
        let (bus, me) = (context.bus.clone(), Arc::clone(&context.instance));
        let client = bus.client();
        let listening = client.subscribe(subject(&bus, &me)).await;
        let mut listening = listening.map_err(|e| failed(e.to_string()))?;
        client.flush().await.map_err(|e| failed(e.to_string()))?;
        let seen = Arc::new(Seen::default());
        let looking = Looking { bus, me, process: process.to_string(), leases };
        looking.look(&seen).await;
        let shown = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let look = async {
                loop {
                    tokio::time::sleep(EVERY).await;
                    looking.look(&shown).await;
                }
            };
            // That somebody listens is the answer; the reply only ends the wait for it.
            let answer = async {
                while let Some(asked) = listening.next().await {
                    if let Some(reply) = asked.reply {
                        drop(looking.bus.client().publish(reply, Bytes::new()).await);
                    }
                }
            };
            tokio::join!(look, answer);
        });
        Ok(Self { seen, task })
    }

    /// Live processes of the service, this one included; at least 1.
    pub(super) fn count(&self) -> usize {
        self.seen.count.load(Ordering::Relaxed).max(1)
    }

    /// Owners of leases whose processes have ended.
    pub(super) fn gone(&self) -> BTreeSet<String> {
        self.seen.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether an owner has gone since this was asked last.
    pub(super) fn news(&self) -> bool {
        self.seen.news.swap(false, Ordering::Relaxed)
    }
}

/// One process, which looks for the others.
struct Looking {
    bus: Bus,
    me: Arc<str>,
    process: String,
    leases: View,
}

impl Looking {
    async fn look(&self, seen: &Seen) {
        let others = owners(&self.leases).into_iter().filter(|owner| **owner != *self.me);
        let absent = self.absent(others.collect()).await;
        // Gathering takes a while. Who is absent before and after has not merely reconnected.
        seen.count.store(micro::count(&self.bus, &self.process).await, Ordering::Relaxed);
        let gone = self.absent(absent).await;
        let mut before = seen.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if !gone.is_subset(&before) {
            seen.news.store(true, Ordering::Relaxed);
        }
        *before = gone;
    }

    /// Those of whom the server says that they are not connected.
    async fn absent(&self, owners: BTreeSet<String>) -> BTreeSet<String> {
        let asked = owners.into_iter().map(async |owner| {
            let request = self.bus.client().request(subject(&self.bus, &owner), Bytes::new());
            let answer = tokio::time::timeout(PATIENCE, request).await;
            let absent =
                matches!(&answer, Ok(Err(e)) if e.kind() == RequestErrorKind::NoResponders);
            absent.then_some(owner)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

fn subject(bus: &Bus, instance: &str) -> String {
    Subject::Instance(Token::sanitised(instance)).of(bus.tenant())
}

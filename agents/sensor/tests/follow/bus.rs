//! A bus in memory.

use magsentinel_bus_schema::{DeadLetter, Event, Id, Limits, Subject, decode};
use magsentinel_runtime::stage::Publish;
use magsentinel_sensor::{PublishError, Publisher};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// A bus that refuses every `fail_every`th batch after it has stored half of it.
#[derive(Default)]
pub(crate) struct Bus {
    fail_every: usize,
    /// Larger messages are never taken.
    bytes_max: Option<usize>,
    /// Nothing is ever confirmed.
    away: bool,
    calls: Mutex<usize>,
    /// By id, as the server's de-duplication would keep them; and how often each came.
    pub(crate) stored: Mutex<BTreeMap<Id, (usize, Publish)>>,
    order: Mutex<Vec<Id>>,
    changed: Notify,
}

impl Bus {
    pub(crate) fn failing(fail_every: usize) -> Arc<Self> {
        Arc::new(Self { fail_every, ..Self::default() })
    }

    /// One that takes no message larger than this.
    pub(crate) fn bounded(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max: Some(bytes_max), ..Self::default() })
    }

    /// One that never answers.
    pub(crate) fn away() -> Arc<Self> {
        Arc::new(Self { away: true, ..Self::default() })
    }

    /// How often each message came, most often first.
    pub(crate) fn most_often(&self) -> usize {
        self.stored.lock().unwrap().values().map(|(times, _)| *times).max().unwrap_or(0)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let stored = self.stored.lock().unwrap();
        let order = self.order.lock().unwrap();
        let messages = order.iter().map(|id| &stored[id].1);
        let events = messages.filter(|m| matches!(m.subject, Subject::Event(..)));
        events.map(|m| decode(&m.payload, None, Limits::default()).unwrap()).collect()
    }

    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        let stored = self.stored.lock().unwrap();
        let messages = stored.values().map(|(_, m)| m);
        let letters = messages.filter(|m| matches!(m.subject, Subject::DeadLetter(_)));
        letters.map(|m| decode(&m.payload, None, Limits::default()).unwrap()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    pub(crate) async fn holds(&self, count: usize) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.len() >= count {
                    return;
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(found.is_ok(), "{} of {count} messages after 30 s", self.len());
    }
}

impl Publisher for Bus {
    async fn publish(&self, batch: Vec<Publish>) -> Result<(), PublishError> {
        if self.away {
            std::future::pending::<()>().await;
        }
        let over = |m: &Publish| self.bytes_max.is_some_and(|max| m.payload.len() > max);
        if let Some(index) = batch.iter().position(over) {
            return Err(PublishError::TooLarge { index, subject: "mag.x".into() });
        }
        let fails = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            self.fail_every > 0 && calls.is_multiple_of(self.fail_every)
        };
        let taken = if fails { batch.len() / 2 } else { batch.len() };
        for message in batch.into_iter().take(taken) {
            let mut stored = self.stored.lock().unwrap();
            let entry = stored.entry(message.id).or_insert((0, message.clone()));
            entry.0 += 1;
            if entry.0 == 1 {
                self.order.lock().unwrap().push(message.id);
            }
            // The same id must always be the same event.
            assert_eq!(entry.1.subject, message.subject);
        }
        self.changed.notify_waiters();
        if fails { Err(PublishError::Unavailable("the server is away".into())) } else { Ok(()) }
    }
}

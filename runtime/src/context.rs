//! What every worker of a process shares.

use crate::{bus::Bus, metrics::Metrics};
use magsentinel_bus_schema::Timestamp;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Shared by all workers of a process. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The connection.
    pub bus: Bus,
    /// This process among the replicas of its service.
    pub instance: Arc<str>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Turns true once, when the process is to drain and end.
    pub shutdown: watch::Receiver<bool>,
    reports: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Context {
    /// A context for a connection.
    #[must_use]
    pub fn new(bus: Bus, instance: &str, shutdown: watch::Receiver<bool>) -> Self {
        Self {
            bus,
            instance: instance.into(),
            metrics: Arc::default(),
            shutdown,
            reports: Arc::default(),
        }
    }

    /// Whether the process is ending.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Completes when the process is to end.
    pub async fn stopping(&self) {
        let mut shutdown = self.shutdown.clone();
        // An error means that the sender is gone, which also is the end.
        drop(shutdown.wait_for(|stop| *stop).await);
    }

    /// Waits, but not beyond the end of the process.
    pub async fn pause(&self, span: std::time::Duration) {
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.stopping() => {}
        }
    }

    /// Keeps the newest report of a part of this process.
    pub fn report(&self, part: &str, value: Value) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.insert(part.to_owned(), value);
    }

    /// All reports, by part.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<String, Value> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The shell's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        crate::clock::now()
    }
}

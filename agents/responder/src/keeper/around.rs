//! What is around, looked at again before anything takes effect.
//!
//! The host tells at once; the names of servers are asked for by a task of their own, since a
//! resolver that does not answer must not hold up what is decided.

use crate::Surroundings;
use magsentinel_runtime::bus::Bus;
use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How old what is known may be while nothing is asked for.
const IDLE: Duration = Duration::from_secs(10);
/// How old it may be when something is about to take effect: whoever logged in before that is
/// not shut out.
const ACTING: Duration = Duration::from_millis(200);
/// Looking takes at most this part of the time, however much there is to be seen.
const SHARE: u32 = 10;
/// How often servers are asked for, and how long they may take to be found.
const SERVERS_EVERY: Duration = Duration::from_secs(10);
const SERVERS_WITHIN: Duration = Duration::from_secs(5);

/// Addresses of the servers, as they were found last.
#[derive(Clone, Debug, Default)]
struct Servers(Arc<Mutex<BTreeSet<IpAddr>>>);

impl Servers {
    fn all(&self) -> BTreeSet<IpAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks once. What was found stays known until something else is.
    async fn ask(&self, bus: &Bus) {
        match tokio::time::timeout(SERVERS_WITHIN, bus.server_addresses()).await {
            Ok(found) if !found.is_empty() => {
                let found = found.into_iter().collect();
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            Ok(_) => tracing::warn!("no address of a NATS server is found: the last ones hold"),
            Err(_) => {
                tracing::warn!(within = ?SERVERS_WITHIN, "the resolver does not answer in time");
            }
        }
    }
}

/// When and how it was looked around last.
#[derive(Debug)]
pub(super) struct Around {
    servers: Servers,
    looked: Option<Instant>,
    took: Duration,
}

impl Around {
    /// Finds the servers, and goes on finding them for as long as the process lives.
    pub(super) async fn open(bus: &Bus) -> Self {
        let servers = Servers::default();
        servers.ask(bus).await;
        let (again, bus) = (servers.clone(), bus.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SERVERS_EVERY).await;
                again.ask(&bus).await;
            }
        });
        Self { servers, looked: None, took: Duration::ZERO }
    }

    /// What is around now, where what is known is too old.
    pub(super) fn look(&mut self, acting: bool, operator_ports: &[u16]) -> Option<Surroundings> {
        let old = if acting { ACTING } else { IDLE };
        let old = old.max(self.took * SHARE);
        if self.looked.is_some_and(|at| at.elapsed() < old) {
            return None;
        }
        let begun = Instant::now();
        let mut around = Surroundings::look(Path::new("/"), operator_ports);
        for address in self.servers.all() {
            around.add(address, "a NATS server");
        }
        (self.looked, self.took) = (Some(Instant::now()), begun.elapsed());
        Some(around)
    }
}

//! What is around, looked at again before anything takes effect.
//!
//! Nothing that may take its time stands between a decision and its effect. What the host is, and
//! the names of its servers, is looked at by tasks of their own, and is as old as the last of their
//! looks. Who has just logged in is asked each time: the kernel tells it in a fifth of a millisecond.

use crate::{Surroundings, surroundings::connected::Connected};
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
/// Looking takes at most this part of the time, however much there is to be seen.
const SHARE: u32 = 10;
/// How often it is looked at what the host is.
const HOST_EVERY: Duration = Duration::from_secs(1);
/// How often servers are asked for, and how long they may take to be found.
const SERVERS_EVERY: Duration = Duration::from_secs(10);
const SERVERS_WITHIN: Duration = Duration::from_secs(5);

/// What the host is, as it was seen last.
#[derive(Clone, Debug)]
struct Host(Arc<Mutex<Surroundings>>);

impl Host {
    fn seen(&self) -> Surroundings {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on looking for as long as the process lives.
    async fn follow(self) {
        let mut pause = HOST_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            let looked = tokio::task::spawn_blocking(|| Surroundings::look(Path::new("/"))).await;
            if let Ok(seen) = looked {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            }
            pause = HOST_EVERY.max(begun.elapsed() * SHARE);
        }
    }
}

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

/// What is known of what is around, and since when.
pub(super) struct Around {
    host: Host,
    servers: Servers,
    connected: Connected,
    looked: Option<Instant>,
    took: Duration,
}

impl Around {
    /// Looks around, and goes on doing so for as long as the process lives.
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
        let host = Host(Arc::new(Mutex::new(Surroundings::look(Path::new("/")))));
        tokio::spawn(host.clone().follow());
        let connected = Connected::open();
        Self { host, servers, connected, looked: None, took: Duration::ZERO }
    }

    /// What is around now, where what is known is too old: when something is about to take effect,
    /// whoever logged in before that is not shut out.
    pub(super) fn look(&mut self, acting: bool, operator_ports: &[u16]) -> Option<Surroundings> {
        let old = if acting { Duration::ZERO } else { IDLE };
        let old = old.max(self.took * SHARE);
        if self.looked.is_some_and(|at| at.elapsed() < old) {
            return None;
        }
        let begun = Instant::now();
        let mut around = self.host.seen();
        for address in self.servers.all() {
            around.add(address, "a NATS server");
        }
        for address in self.connected.to(operator_ports) {
            around.add(address, "connected to a port of the operators");
        }
        (self.looked, self.took) = (Some(Instant::now()), begun.elapsed());
        Some(around)
    }
}

//! The past of a process on a host: whom it talks to.

use super::{Connection, DAY_US, turn};
use crate::features::sketch::{Known, hash};
use serde::{Deserialize, Serialize};

/// Connections before a habit is one.
const CONNECTIONS_MIN: u32 = 200;
/// Most destinations of a process that keeps to a few.
const DESTINATIONS_MAX: f32 = 8.0;
/// How long a destination is remembered, at least.
const REMEMBERED_US: f64 = 14.0 * DAY_US;

/// What is remembered of a process on a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Habit {
    #[serde(rename = "l")]
    last_us: i64,
    #[serde(rename = "f")]
    first_us: i64,
    #[serde(rename = "n")]
    connections: u32,
    #[serde(rename = "d")]
    destinations: Known<3>,
}

/// A destination that does not fit a habit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strange {
    /// Connections before.
    pub connections: u32,
    /// How many destinations they went to.
    pub destinations: f32,
}

impl Habit {
    /// Learns a connection; tells where it does not fit.
    pub fn observe(&mut self, seen: &Connection<'_>, now_us: i64) -> Option<Strange> {
        let from = self.last_us;
        let (now, _) = turn(&mut self.last_us, now_us);
        if from != 0 {
            self.destinations.turn(from, now, REMEMBERED_US);
        } else {
            self.first_us = now;
        }
        let before =
            Strange { connections: self.connections, destinations: self.destinations.distinct() };
        let new = self.destinations.add(hash(&network(seen)));
        self.connections = self.connections.saturating_add(1);
        let old = now.saturating_sub(self.first_us) as f64 >= DAY_US;
        let narrow =
            before.connections >= CONNECTIONS_MIN && before.destinations <= DESTINATIONS_MAX;
        (new && narrow && old && seen.is_outward()).then_some(before)
    }
}

/// The destination's network: services move between neighbouring addresses.
fn network(seen: &Connection<'_>) -> String {
    match seen.address {
        Some(std::net::IpAddr::V4(v4)) => {
            let [first, second, third, _] = v4.octets();
            format!("{first}.{second}.{third}:{}", seen.port)
        }
        Some(std::net::IpAddr::V6(v6)) => {
            let [first, second, third, ..] = v6.segments();
            format!("{first:x}:{second:x}:{third:x}:{}", seen.port)
        }
        None => format!("{}:{}", seen.dst, seen.port),
    }
}

//! The past of a registered name, for one source: whether a tunnel runs below it.

use crate::features::sketch::{Decayed, Recent, hash};
use serde::{Deserialize, Serialize};

/// Half-life of what was asked.
const ASKED_US: f64 = 600e6;
/// How long a host part is remembered, at least.
const REMEMBERED_US: f64 = 3600e6;
/// Where the time is not known, questions lie so far apart.
const UNTIMED_US: i64 = 1_000_000;
/// Host parts that look like tunnelled data, lately, from which all new ones below the name do.
const DATA_MIN: f32 = 2.5;
/// Least share of them among the questions.
const SHARE_MIN: f32 = 0.1;

/// What is remembered of a registered name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DomainPast {
    #[serde(rename = "l")]
    last_us: i64,
    #[serde(rename = "h")]
    hosts: Recent<4>,
    /// Questions, and those whose host part looks like data.
    #[serde(rename = "a")]
    asked: Decayed,
    #[serde(rename = "d")]
    data: Decayed,
}

/// A tunnel that runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Runs {
    /// Questions whose host part looks like data, lately.
    pub data: f32,
    /// Host parts, lately.
    pub hosts: f32,
}

impl DomainPast {
    /// Learns a question; tells of the tunnel that it belongs to, where one runs and the host part
    /// is one that was not asked for lately. `data`: this one looks like data.
    pub fn observe(&mut self, host: &str, data: bool, now_us: i64, timed: bool) -> Option<Runs> {
        let from = if self.last_us == 0 { now_us } else { self.last_us };
        let now = if timed { from.max(now_us) } else { from.saturating_add(UNTIMED_US) };
        let elapsed = now.saturating_sub(from);
        if self.last_us != 0 {
            self.hosts.turn(from, now, REMEMBERED_US);
        }
        self.last_us = now;
        let new = self.hosts.add(hash(host));
        self.asked.add(elapsed, ASKED_US, 1.0);
        self.data.add(elapsed, ASKED_US, if data { 1.0 } else { 0.0 });
        let (all, of_data) = (self.asked.after(0, 1.0), self.data.after(0, 1.0));
        let runs = of_data >= DATA_MIN && of_data >= SHARE_MIN * all;
        // A full sketch knows everything; then whatever is asked belongs to it.
        let hosts = self.hosts.distinct();
        (runs && (new || hosts > 300.0)).then_some(Runs { data: of_data, hosts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_of_a_running_tunnel_belong_to_it_and_what_is_asked_again_does_not() {
        let mut past = DomainPast::default();
        let at = |n: i64| 1_700_000_000_000_000 + n * 1_000_000;
        assert_eq!(past.observe("www", false, at(0), true), None);
        for n in 1..4 {
            past.observe(&format!("data{n}"), true, at(n), true);
        }
        let told = past.observe("p1", false, at(5), true);
        assert!(told.is_some_and(|runs| runs.data > 2.5 && runs.hosts > 4.0), "{told:?}");
        assert_eq!(past.observe("www", false, at(6), true), None, "asked for before");
        assert_eq!(past.observe("p2", false, at(9000), true), None, "long over");
    }
}

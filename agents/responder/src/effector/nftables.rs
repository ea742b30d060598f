//! Packets dropped or slowed by nftables, in a table of our own.
//!
//! Addresses are elements of hash sets, which take and find them in constant time; networks are
//! elements of small sets of intervals. Each has a timeout, so the kernel takes it out even when
//! nobody is left to. The table is made by the program `nft`, once; elements come and go by
//! netlink, because `nft` reads every set of the host first, which takes most of a second beside a
//! large set of intervals of somebody else's.

mod elements;
mod netlink;
mod ruleset;

use super::{Change, Effector, Failures};
use crate::{
    Network,
    effect::{set_of, slowed_set_of},
    thing::Thing,
};
use elements::{Element, Put, Set};
use futures::future::BoxFuture;
use magsentinel_bus_schema::Timestamp;
use netlink::Netlink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The table's name, in family `inet`.
pub const TABLE: &str = "magsentinel";

/// Section `responder.nftables`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Drop and slow packets of the network namespace that the responder runs in. Needs the
    /// program `nft`, and the capability NET_ADMIN. Default false.
    pub enabled: bool,
    /// Most addresses in each set, 1024 to 4194304. Default 262144.
    pub addresses_max: u32,
    /// Packets a second that come through from a slowed address, 1 to 1000000. Default 10.
    pub slowed_packets_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: false, addresses_max: 262_144, slowed_packets_per_second: 10 }
    }
}

/// How often the kernel's sets are read although nobody else has changed anything.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// Most changes in one transaction.
const CHANGES_MAX: usize = 1000;

/// The effector.
pub struct Nftables {
    config: Config,
    netlink: Netlink,
    /// What is there, as far as we have looked at or changed it.
    known: BTreeMap<Thing, Timestamp>,
    /// The kernel's generation up to which nobody but us has changed anything.
    generation: Option<u32>,
    looked: Option<Instant>,
    /// The rules as they are after the table was made.
    rules: Option<Vec<u8>>,
}

impl Nftables {
    /// Makes the table where it is missing. What its sets hold stays.
    ///
    /// # Errors
    /// When netlink or `nft` cannot be used.
    pub fn open(config: &Config) -> Result<Self, String> {
        let netlink = Netlink::open().map_err(|e| format!("netlink cannot be used: {e}"))?;
        let mut opened = Self {
            config: config.clone(),
            netlink,
            known: BTreeMap::new(),
            generation: None,
            looked: None,
            rules: None,
        };
        opened.make()?;
        Ok(opened)
    }

    /// Takes the table away, with all that it does.
    ///
    /// # Errors
    /// When netlink cannot be used.
    pub fn remove_table() -> Result<(), String> {
        let mut netlink = Netlink::open().map_err(|e| format!("netlink cannot be used: {e}"))?;
        netlink.delete_table(TABLE)
    }

    fn make(&mut self) -> Result<(), String> {
        ruleset::make(&self.config)?;
        self.rules = Some(self.netlink.rules(TABLE)?);
        self.generation = None;
        Ok(())
    }

    /// Carries out changes of one transaction.
    fn commit(&mut self, changes: &[Change], now: Timestamp) -> Result<(), String> {
        let mut batch = self.netlink.batch();
        for set in Set::ALL {
            let of: Vec<(&Change, Network)> = changes
                .iter()
                .filter_map(|change| Some((change, network(&change.thing, set.name())?)))
                .collect();
            // What is to go, or to have another timeout, is put there and taken away: neither
            // fails, whether it is there or not.
            let stale =
                of.iter().filter(|(c, _)| c.until.is_none() || self.known.contains_key(&c.thing));
            let stale: Vec<Element> = stale.map(|(_, n)| Element::lasting(*n)).collect();
            let fresh = of.iter().filter_map(|(change, network)| {
                Some(Element::until(*network, left(change.until?, now)))
            });
            let fresh: Vec<Element> = fresh.collect();
            batch.elements(TABLE, *set, Put::Add, &stale);
            batch.elements(TABLE, *set, Put::Delete, &stale);
            batch.elements(TABLE, *set, Put::Add, &fresh);
        }
        let before = self.generation;
        self.generation = None;
        self.netlink.commit(batch)?;
        // One more is ours. More than one more is somebody else's too.
        let ours = |now: &u32| before.is_some_and(|then| now.wrapping_sub(then) <= 1);
        self.generation = self.netlink.generation().ok().filter(ours);
        for change in changes {
            match change.until {
                Some(until) => self.known.insert(change.thing.clone(), until),
                None => self.known.remove(&change.thing),
            };
        }
        Ok(())
    }

    /// As [`Self::commit`]; what cannot be done is found by halves.
    fn commit_all(&mut self, changes: &[Change], now: Timestamp, failures: &mut Failures) {
        let Err(why) = self.commit(changes, now) else { return };
        match changes {
            [] => {}
            [one] => {
                failures.insert(one.thing.clone(), why);
            }
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                self.commit_all(left, now, failures);
                self.commit_all(right, now, failures);
            }
        }
    }

    fn apply_now(&mut self, changes: &[Change], now: Timestamp) -> Failures {
        let mut failures = Failures::new();
        for chunk in changes.chunks(CHANGES_MAX) {
            if self.commit(chunk, now).is_ok() {
                continue;
            }
            // The table may have been taken away.
            if let Err(why) = self.make() {
                failures.extend(chunk.iter().map(|c| (c.thing.clone(), why.clone())));
                continue;
            }
            self.commit_all(chunk, now, &mut failures);
        }
        failures
    }

    fn real_now(&mut self, now: Timestamp) -> Result<BTreeMap<Thing, Timestamp>, String> {
        if self.is_untouched() {
            // What is over, the kernel has taken out.
            self.known.retain(|_, until| *until > now);
            return Ok(self.known.clone());
        }
        let begun = self.netlink.generation()?;
        let real = self.look(now)?;
        self.known.clone_from(&real);
        self.looked = Some(Instant::now());
        self.generation = self.netlink.generation().ok().filter(|then| *then == begun);
        Ok(real)
    }

    fn look(&mut self, now: Timestamp) -> Result<BTreeMap<Thing, Timestamp>, String> {
        let intact = self.netlink.rules(TABLE).ok().filter(|rules| !rules.is_empty());
        if intact.is_none() || intact != self.rules {
            tracing::warn!(table = TABLE, "the rules are not as they were made: making them again");
            self.make()?;
        }
        let mut real = BTreeMap::new();
        for set in Set::ALL {
            let found = self.netlink.list(TABLE, *set)?;
            if found.strange {
                // Intervals that nobody of us put there, and that are no networks.
                tracing::warn!(set = set.name(), "the set holds what is no network: emptying it");
                self.netlink.flush(TABLE, *set)?;
                continue;
            }
            for (network, left) in found.networks {
                let thing = match set.slows() {
                    true => Thing::Slowed(network),
                    false => Thing::Dropped(network),
                };
                real.insert(thing, now.plus(left.unwrap_or(Duration::MAX)));
            }
        }
        Ok(real)
    }
}

/// The network of a thing that is an element of a set.
fn network(thing: &Thing, set: &str) -> Option<Network> {
    let (network, of) = match thing {
        Thing::Dropped(network) => (network, set_of(network)),
        Thing::Slowed(network) => (network, slowed_set_of(network)),
        Thing::Listed(_) | Thing::Posted(_) => return None,
    };
    (of == set).then_some(*network)
}

/// How long it is until then, at least a millisecond: zero would be for ever.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    until.since(now).max(Duration::from_millis(1))
}

impl Effector for Nftables {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn takes(&self, thing: &Thing) -> bool {
        matches!(thing, Thing::Dropped(_) | Thing::Slowed(_))
    }

    fn apply<'a>(&'a mut self, changes: &'a [Change], now: Timestamp) -> BoxFuture<'a, Failures> {
        let failures = self.apply_now(changes, now);
        Box::pin(std::future::ready(failures))
    }

    fn is_untouched(&mut self) -> bool {
        let lately = self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        lately && self.generation.is_some() && self.netlink.generation().ok() == self.generation
    }

    fn real(
        &mut self,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<BTreeMap<Thing, Timestamp>, String>> {
        let real = self.real_now(now);
        Box::pin(std::future::ready(real))
    }
}

//! The past of an account: from where, with what and when its owner comes.

use super::{Attempt, DAY_US, HOUR_US, LONG_US, Outcome, USER_FROM, fill, flag, ln, past, place};
use crate::features::sketch::{Decayed, Known, Recent};
use past::{Past, Turn};
use serde::{Deserialize, Serialize};

/// What the features of an account say beyond the common ones, in order.
pub(super) const NAMES: [&str; 34] = [
    "addresses refused in the last hour (ln)",
    "addresses refused in the last day (ln)",
    "networks refused in the last day (ln)",
    "addresses let in for weeks (ln)",
    "address is new",
    "network is new",
    "device is new",
    "country is new",
    "host is new",
    "address is new, once known",
    "network is new, once known",
    "device is new, once known",
    "country is new, once known",
    "network and device are new, once known",
    "address was refused for this account in the last day",
    "let in: network is new, times failures of strangers in the day (ln)",
    "failures of strangers, hour (ln)",
    "failures of strangers, day (ln)",
    "failures from known addresses, hour (ln)",
    "new networks in weeks (ln)",
    "new networks per success in weeks",
    "kilometres since the last success (ln)",
    "kilometres an hour since the last success (ln)",
    "faster than any aeroplane",
    "impossible journeys in weeks (ln)",
    "country differs from the last success",
    "hours since the last success (ln)",
    "scripted agent, against the usual share",
    "share of scripted agents in weeks",
    "place is known",
    "device is known",
    "address is known",
    "journey too fast, times network and device new",
    "refusals that said expired, day (ln)",
];

/// How long an address or device that was let in is remembered, at least.
const KNOWN_US: f64 = 1.5 * LONG_US;
/// Successes after which what is new means something.
const KNOWN_SUCCESSES: u32 = 8;
/// Kilometres an hour that no traveller reaches, gate to gate.
pub(super) const FAST_KMH: f32 = 1000.0;
/// Kilometres below which no journey is called fast: neighbouring cells of a lookup.
const NEAR_KM: f32 = 150.0;
/// Shortest time that a journey is said to take.
const JOURNEY_US: i64 = 60_000_000;

/// Where the last success came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Last {
    #[serde(rename = "p")]
    point: Option<(f32, f32, f32)>,
    #[serde(rename = "c")]
    country: u32,
    /// When the place was last told; a success may tell none.
    #[serde(rename = "t")]
    placed_us: i64,
    #[serde(rename = "s")]
    success_us: i64,
}

/// All that is remembered of one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserPast {
    #[serde(rename = "c")]
    past: Past,
    #[serde(rename = "h")]
    refused_hour: Recent<1>,
    #[serde(rename = "d")]
    refused_day: Recent<1>,
    #[serde(rename = "w")]
    refused_networks: Recent<1>,
    #[serde(rename = "a")]
    addresses: Known<3>,
    #[serde(rename = "n")]
    networks: Known<2>,
    #[serde(rename = "v")]
    devices: Known<2>,
    #[serde(rename = "y")]
    countries: Known<1>,
    #[serde(rename = "t")]
    hosts: Known<1>,
    /// Failures of strangers by half-life: hour, day.
    #[serde(rename = "s")]
    strangers: [Decayed; 2],
    #[serde(rename = "o")]
    own: Decayed,
    /// Long memory: new networks, successes, journeys too fast, scripted successes.
    #[serde(rename = "m")]
    long: [Decayed; 4],
    #[serde(rename = "l")]
    last: Last,
    /// Refusals of a right password that had expired: no guess.
    #[serde(rename = "x", default)]
    expired: Decayed,
}

/// What is new about an event.
struct New {
    address: bool,
    network: bool,
    device: bool,
    country: bool,
    host: bool,
}

/// How far and how fast, since the last success.
#[derive(Default)]
struct Journey {
    km: f32,
    kmh: f32,
    fast: bool,
    abroad: bool,
}

impl UserPast {
    /// The features of an event against the past, which then includes the event. Only the
    /// account's half of `out` is written.
    pub fn observe(&mut self, seen: &Attempt, out: &mut [f32]) {
        let turn = self.past.turn(seen);
        self.turn(turn);
        let new = self.news(seen);
        let journey = self.journey(seen, turn.now_us);
        let refused = seen.address.is_some_and(|address| self.refused_day.has(address));
        let waited_us = turn.now_us.saturating_sub(self.last.success_us).max(0) as f64;
        let known = self.past.successes().min(KNOWN_SUCCESSES) as f32 / KNOWN_SUCCESSES as f32;
        let long = self.long.map(|sum| sum.after(turn.elapsed_us, LONG_US));
        let [news, successes, journeys, scripts] = long;
        let usually_scripted = scripts / (successes + 1.0);
        let some = self.past.successes() > 0;
        let scripted = seen.agent.is_some_and(|agent| agent.scripted);
        self.learn(seen, turn, &new, &journey);
        let common = self.past.observe(seen, turn);
        let now = |sum: Decayed| sum.after(0, 1.0);
        let success = seen.outcome == Outcome::Success;
        let strangers_day = ln(self.strangers.map(now).into_iter().next_back().unwrap_or(0.0));
        let strange = flag(new.network && new.device);
        let own: [f32; NAMES.len()] = [
            ln(self.refused_hour.distinct()),
            ln(self.refused_day.distinct()),
            ln(self.refused_networks.distinct()),
            ln(self.addresses.distinct()),
            flag(new.address),
            flag(new.network),
            flag(new.device),
            flag(new.country),
            flag(new.host),
            flag(new.address) * known,
            flag(new.network) * known,
            flag(new.device) * known,
            flag(new.country) * known,
            strange * known,
            flag(refused),
            if success && new.network { strangers_day } else { 0.0 },
            ln(self.strangers.first().copied().map_or(0.0, now)),
            strangers_day,
            ln(now(self.own)),
            ln(news),
            news / (successes + 1.0),
            ln(journey.km),
            ln(journey.kmh),
            flag(journey.fast),
            ln(journeys),
            flag(journey.abroad),
            if some { ln((waited_us / HOUR_US) as f32) } else { 0.0 },
            flag(scripted && some) * (1.0 - usually_scripted).max(0.0) * known,
            usually_scripted,
            flag(seen.place.is_some()),
            flag(seen.device.is_some()),
            flag(seen.address.is_some()),
            flag(journey.fast) * strange,
            ln(now(self.expired)),
        ];
        fill(out.get_mut(USER_FROM..).unwrap_or_default(), common.into_iter().chain(own));
    }

    fn turn(&mut self, turn: Turn) {
        self.refused_hour.turn(turn.since_us(), turn.now_us, HOUR_US);
        self.refused_day.turn(turn.since_us(), turn.now_us, DAY_US);
        self.refused_networks.turn(turn.since_us(), turn.now_us, DAY_US);
        self.addresses.turn(turn.since_us(), turn.now_us, KNOWN_US);
        self.networks.turn(turn.since_us(), turn.now_us, KNOWN_US);
        self.devices.turn(turn.since_us(), turn.now_us, KNOWN_US);
        self.countries.turn(turn.since_us(), turn.now_us, KNOWN_US);
        self.hosts.turn(turn.since_us(), turn.now_us, KNOWN_US);
    }

    /// Nothing is new to an account that was never let in.
    fn news(&self, seen: &Attempt) -> New {
        let some = self.past.successes() > 0;
        let new = |value: Option<u64>, has: &dyn Fn(u64) -> bool| {
            some && value.is_some_and(|value| !has(value))
        };
        New {
            address: new(seen.address, &|hash| self.addresses.has(hash)),
            network: new(seen.network, &|hash| self.networks.has(hash)),
            device: new(seen.device, &|hash| self.devices.has(hash)),
            country: new(seen.place.and_then(|p| p.country), &|hash| self.countries.has(hash)),
            host: new(seen.host, &|hash| self.hosts.has(hash)),
        }
    }

    fn journey(&self, seen: &Attempt, now_us: i64) -> Journey {
        let Some(place) = seen.place.filter(|_| self.past.successes() > 0) else {
            return Journey::default();
        };
        let country = place.country.map_or(0, |hash| hash as u32);
        let abroad = country != 0 && self.last.country != 0 && country != self.last.country;
        let (Some(from), Some(to)) = (self.last.point, place.point) else {
            return Journey { abroad, ..Journey::default() };
        };
        let km = place::distance_km(from, to);
        let hours = now_us.saturating_sub(self.last.placed_us).max(JOURNEY_US) as f64 / HOUR_US;
        // How fast, nobody knows where nobody knows when.
        let kmh = if seen.timed { km / hours as f32 } else { 0.0 };
        Journey { km, kmh, fast: km > NEAR_KM && kmh > FAST_KMH, abroad }
    }

    fn learn(&mut self, seen: &Attempt, turn: Turn, new: &New, journey: &Journey) {
        let success = seen.outcome == Outcome::Success;
        let stranger = seen.address.is_some_and(|address| !self.addresses.has(address));
        if turn.failures > 0.0 {
            if let Some(address) = seen.address {
                self.refused_hour.add(address);
                self.refused_day.add(address);
            }
            if let Some(network) = seen.network {
                self.refused_networks.add(network);
            }
        }
        let (strange, own) = if stranger { (turn.failures, 0.0) } else { (0.0, turn.failures) };
        for (sum, half_life) in self.strangers.iter_mut().zip([HOUR_US, DAY_US]) {
            sum.add(turn.elapsed_us, half_life, strange);
        }
        self.own.add(turn.elapsed_us, HOUR_US, own);
        self.expired.add(turn.elapsed_us, DAY_US, turn.expired(seen));
        let scripted = seen.agent.is_some_and(|agent| agent.scripted);
        let long = [new.network, true, journey.fast, scripted];
        for (sum, counts) in self.long.iter_mut().zip(long) {
            sum.add(turn.elapsed_us, LONG_US, flag(counts && success));
        }
        if success {
            self.let_in(seen, turn.now_us);
        }
    }

    fn let_in(&mut self, seen: &Attempt, now_us: i64) {
        let country = seen.place.and_then(|place| place.country);
        seen.address.map(|hash| self.addresses.add(hash));
        seen.network.map(|hash| self.networks.add(hash));
        seen.device.map(|hash| self.devices.add(hash));
        seen.host.map(|hash| self.hosts.add(hash));
        country.map(|hash| self.countries.add(hash));
        self.last.success_us = now_us;
        if let Some(place) = seen.place {
            self.last.placed_us = now_us;
            self.last.point = place.point;
            self.last.country = country.map_or(0, |hash| hash as u32);
        }
    }

    /// Attempts seen.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.past.attempts()
    }

    /// Event time of the newest event, microseconds UTC.
    #[must_use]
    pub fn last_us(&self) -> i64 {
        self.past.last_us()
    }
}

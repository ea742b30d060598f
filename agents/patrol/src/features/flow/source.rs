//! The past of a source: whom it tried in vain, when it works, how much it sends.

use super::{Connection, DAY_US, HOUR_US, SECOND_US, turn};
use crate::features::sketch::{Decayed, Recent, Sizes, hash};
use serde::{Deserialize, Serialize};

/// Attempts in vain are remembered so long, at least.
const SCAN_US: f64 = 300.0 * SECOND_US;
/// Half-life of the share of attempts that are in vain.
const SHARE_US: f64 = 120.0 * SECOND_US;
/// Destinations, or ports of few destinations, tried in vain from which it is a scan.
const HOSTS_SCANNED: f32 = 10.0;
const PORTS_SCANNED: f32 = 12.0;
const FEW_HOSTS: f32 = 3.5;
/// Least share of attempts in vain: a busy browser has some too.
const VAIN_MIN: f32 = 0.25;
/// Registered names that do not exist, asked for within minutes, from which a program guesses.
const NAMES_GUESSED: f32 = 14.0;
/// Least share of the questions that find nothing.
const NOTHING_MIN: f32 = 0.4;
/// Bytes of an hour from which an upload may be a burst: 20 MB.
const BURST_BYTES: f32 = 20e6;
/// Bytes of an hour from which something was uploaded in it.
const UPLOAD_BYTES: f32 = 1e5;
/// Deviations above the usual hour with uploads from which it is one.
const BURST_DEVIATIONS: f32 = 2.5;
/// Natural logarithm of how many times the largest such hour it must be: twice.
const BURST_BEYOND: f32 = 0.7;
/// Days before anything is said about hours.
const DAYS_MIN: f64 = 3.0;
/// Share of the source's hours with uploads up to which an hour is odd.
const ODD_SHARE: f32 = 0.02;

/// What is remembered of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    #[serde(rename = "l")]
    last_us: i64,
    #[serde(rename = "f")]
    first_us: i64,
    /// Destinations and ports tried in vain.
    #[serde(rename = "h")]
    hosts: Recent<2>,
    #[serde(rename = "p")]
    ports: Recent<2>,
    /// All attempts, and those in vain.
    #[serde(rename = "a")]
    tried: Decayed,
    #[serde(rename = "v")]
    vain: Decayed,
    /// Registered names that do not exist; all questions, and those that found nothing.
    #[serde(rename = "x")]
    names: Recent<2>,
    #[serde(rename = "q")]
    asked: Decayed,
    #[serde(rename = "z")]
    nothing: Decayed,
    /// Hours with uploads by hour of the day (UTC); halved when one is full.
    #[serde(rename = "o")]
    hours: [u8; 24],
    /// The hour that is under way, since 1970, and what went out in it.
    #[serde(rename = "w")]
    hour: i64,
    #[serde(rename = "u")]
    up: f32,
    /// Logarithms of what went out in hours with uploads.
    #[serde(rename = "s")]
    usual: Sizes,
}

/// What a source does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    /// Tries many ports of few hosts.
    ScansPorts {
        /// How many.
        ports: f32,
    },
    /// Tries many hosts.
    ScansHosts {
        /// How many.
        hosts: f32,
    },
    /// Sends far more than usual, at an hour at which it never works.
    UploadsOddly {
        /// Megabytes in the hour so far.
        megabytes: f32,
        /// Deviations above its usual hour.
        deviations: f32,
    },
}

impl Source {
    fn turn(&mut self, now_us: i64) -> (i64, i64) {
        let from = self.last_us;
        let (now, elapsed) = turn(&mut self.last_us, now_us);
        if from == 0 {
            self.first_us = now;
            return (now, elapsed);
        }
        for sketch in [&mut self.hosts, &mut self.ports, &mut self.names] {
            sketch.turn(from, now, SCAN_US);
        }
        (now, elapsed)
    }

    /// Learns a connection, and says what stands out.
    pub fn observe(&mut self, seen: &Connection<'_>, now_us: i64, timed: bool) -> Option<Does> {
        let (now, elapsed) = self.turn(now_us);
        let counts = seen.is_tcp() && !seen.is_cast();
        let vain = counts && seen.failed;
        self.tried.add(elapsed, SHARE_US, if counts { 1.0 } else { 0.0 });
        self.vain.add(elapsed, SHARE_US, if vain { 1.0 } else { 0.0 });
        if vain {
            self.hosts.add(hash(seen.dst));
            self.ports.add(hash(&seen.port.to_string()));
        }
        let upload = timed.then(|| self.upload(seen, now)).flatten();
        let scan = vain.then(|| self.scan()).flatten();
        scan.or(upload)
    }

    fn scan(&self) -> Option<Does> {
        let (hosts, ports) = (self.hosts.distinct(), self.ports.distinct());
        let share = self.vain.after(0, 1.0) / self.tried.after(0, 1.0).max(1.0);
        if share < VAIN_MIN {
            None
        } else if ports >= PORTS_SCANNED && hosts <= FEW_HOSTS {
            Some(Does::ScansPorts { ports })
        } else if hosts >= HOSTS_SCANNED {
            Some(Does::ScansHosts { hosts })
        } else {
            None
        }
    }

    fn upload(&mut self, seen: &Connection<'_>, now: i64) -> Option<Does> {
        let hour = now.div_euclid(HOUR_US as i64);
        let slot = usize::try_from(hour.rem_euclid(24)).unwrap_or(0);
        if hour != self.hour {
            self.close_hour();
            (self.hour, self.up) = (hour, 0.0);
        }
        let outward = seen.is_outward();
        self.up += if outward { seen.up.unwrap_or(0) as f32 } else { 0.0 };
        let all: u32 = self.hours.iter().map(|count| u32::from(*count)).sum();
        // An hour beside one at which it works is none at which it never does.
        let near = [slot + 23, slot, slot + 1].map(|hour| hour % 24);
        let own: u32 = near
            .iter()
            .filter_map(|hour| self.hours.get(*hour))
            .map(|count| u32::from(*count))
            .sum();
        let odd = own as f32 <= ODD_SHARE * all as f32;
        let known = now.saturating_sub(self.first_us) as f64 >= DAYS_MIN * DAY_US;
        let size = self.up.ln_1p();
        let deviations = self.usual.excess(size);
        // One that never uploaded has nothing to deviate from.
        let beyond = deviations >= BURST_DEVIATIONS && self.usual.beyond(size) > BURST_BEYOND;
        let burst = self.up >= BURST_BYTES && (beyond || self.usual.count() < 1.0);
        if !(outward && odd && known && burst) {
            return None;
        }
        Some(Does::UploadsOddly { megabytes: self.up / 1e6, deviations })
    }

    /// Learns the hour that is over, where something went out in it.
    fn close_hour(&mut self) {
        if self.up < UPLOAD_BYTES {
            return;
        }
        self.usual.add(self.up.ln_1p());
        let slot = usize::try_from(self.hour.rem_euclid(24)).unwrap_or(0);
        if let Some(count) = self.hours.get_mut(slot) {
            *count = count.saturating_add(1);
            if *count >= 200 {
                self.hours.iter_mut().for_each(|count| *count /= 2);
            }
        }
    }

    /// Learns a question for a registered name; how many it guessed, where it guesses.
    pub fn asked(&mut self, domain: &str, found_nothing: bool, now_us: i64) -> Option<f32> {
        let (_, elapsed) = self.turn(now_us);
        self.asked.add(elapsed, SHARE_US, 1.0);
        self.nothing.add(elapsed, SHARE_US, if found_nothing { 1.0 } else { 0.0 });
        if !found_nothing {
            return None;
        }
        self.names.add(hash(domain));
        let names = self.names.distinct();
        let share = self.nothing.after(0, 1.0) / self.asked.after(0, 1.0).max(1.0);
        (names >= NAMES_GUESSED && share >= NOTHING_MIN).then_some(names)
    }
}

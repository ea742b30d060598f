//! What one client did lately: counters that fade, and what is unusual in them.
//!
//! Every sign is one counter against one documented baseline, under the condition that makes it
//! an attack rather than a busy client, so a finding can always be explained by two numbers.
//! Neither counters nor baselines can be dodged by asking for something else in between: what is
//! counted per place is counted for several places at once ([`places`]).

mod call;
mod places;
mod signs;

pub use call::Call;
pub use signs::Sign;

use crate::features::sketch::{Bits, Decayed, hash};
use call::{answered, asset, login, package, shape_of, weight};
use places::Places;
use serde::{Deserialize, Serialize};
use signs::Flag;

/// Time after which half of a counter is gone.
const BRIEF_US: f64 = 2e6;
const MINUTE_US: f64 = 60e6;
const LONG_US: f64 = 600e6;
/// Of entries that scanners try: two within ten minutes still count as two.
const PROBES_US: f64 = 1200e6;
/// Of steps: somebody who reads chapter after chapter takes longer for each.
const STEPS_US: f64 = 180e6;
/// Of pages, for a client that shows pages to somebody, and for one that only takes them.
const READ_US: f64 = 20e6;
const TAKEN_US: f64 = 40e6;

/// Share of an entry that scanners try where the server has it: its owner asks for two of them
/// before logging in.
const ANSWERED: f32 = 0.6;

/// How long after the one before a request is taken to come whose time nobody knows: too slow for
/// a burst, and fast enough for numbers that are tried one after the other.
const UNTIMED_US: i64 = 15_000_000;

/// Quiet after which sketches begin anew: a new visit.
const VISIT_US: i64 = 1_800_000_000;

/// Share of a request for page furniture in what is counted of requests.
const FURNITURE: f32 = 0.25;

/// A client's recent past, a bit over 300 bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    last_us: i64,
    /// Requests over a minute and ten minutes, page furniture counted in part.
    minute: Decayed,
    long: Decayed,
    /// Requests for page furniture.
    furniture: Decayed,
    /// Distinct paths that were not there, that were refused, that were answered with an error.
    missing: Decayed,
    refused: Decayed,
    bad: Decayed,
    /// Requests that were answered in order.
    good: Decayed,
    /// Tries to log in, failed ones, ones with another account, and times that it went well.
    logins: Decayed,
    failed: Decayed,
    accounts: Decayed,
    entered: Decayed,
    /// Distinct paths whose content a pattern knows from scanners.
    probes: Decayed,
    paths: Bits<8>,
    users: Bits<2>,
    agents: Bits<1>,
    /// Its latest request carried a key, token or session.
    known: bool,
    /// It asked what it may fetch.
    asked: bool,
    places: Places,
    flag: Flag,
}

impl Client {
    /// Takes one request in and says what is most unusual now, if anything is.
    pub fn observe(&mut self, call: &Call<'_>) -> Option<Sign> {
        let elapsed = match call.timed {
            true => call.ts_us.saturating_sub(self.last_us).max(0),
            false => UNTIMED_US,
        };
        if elapsed > VISIT_US {
            *self = Self { asked: self.asked, ..Self::default() };
        }
        self.last_us = self.last_us.max(call.ts_us);
        self.fade(elapsed);
        self.agents.add(hash(call.agent));
        self.known = call.known;
        self.asked |= call.path == "/robots.txt";
        let path = hash(call.path);
        if call.probe > 0.0 && self.paths.add(path.rotate_left(43)) {
            self.probes.add(0, 1.0, call.probe * if answered(call) { ANSWERED } else { 1.0 });
        }
        if asset(call.path) {
            self.furniture();
            return self.says(call, None);
        }
        let at = self.ask(call, path);
        if self.paths.distinct() > 300.0 {
            self.paths.clear();
        }
        self.says(call, at)
    }

    /// What a page is made of is fetched dozens of times a page, so each counts for little.
    fn furniture(&mut self) {
        self.furniture.add(0, 1.0, 1.0);
        self.minute.add(0, 1.0, FURNITURE);
    }

    /// Counts a request for a thing, and says which place of [`Places`] it went to.
    fn ask(&mut self, call: &Call<'_>, path: u64) -> Option<usize> {
        let (shape, number) = shape_of(call);
        let counts = weight(call);
        self.minute.add(0, 1.0, 1.0);
        self.long.add(0, 1.0, 1.0);
        let at = self.places.visit(shape, counts);
        let new = self.paths.add(path ^ hash(call.query).rotate_left(7));
        let denied = matches!(call.status, Some(401 | 403));
        let mut page = 0.0;
        if login(call) {
            self.login(call);
        } else {
            let first = self.paths_new(path);
            self.outcome(call.status, first);
            let content = call.status.is_none_or(|status| status < 400) && call.method == "GET";
            let content = content && !package(call.path);
            if content && new && number.is_none_or(|(paged, _)| !paged) && !call.known {
                page = counts;
            }
        }
        let place = at.and_then(|at| self.places.get_mut(at))?;
        place.page(page);
        if let Some((false, number)) = number {
            place.step(number, denied || call.status == Some(404), new);
        }
        at
    }

    /// Whether a path, whatever its query, is new; remembered among the paths.
    fn paths_new(&mut self, path: u64) -> bool {
        self.paths.add(path.rotate_left(21))
    }

    /// Whether it takes pages without what pages are shown with, and told nobody why.
    fn bare(&self) -> bool {
        let (furniture, long) = (self.furniture.after(0, 1.0), self.long.after(0, 1.0));
        furniture < 0.2 * long && !self.known && !self.asked
    }

    fn fade(&mut self, elapsed: i64) {
        let pages_us = if self.bare() { TAKEN_US } else { READ_US };
        self.places.fade(elapsed, pages_us);
        for (sum, half_life) in [
            (&mut self.minute, MINUTE_US),
            (&mut self.long, LONG_US),
            (&mut self.furniture, LONG_US),
            (&mut self.missing, LONG_US),
            (&mut self.refused, LONG_US),
            (&mut self.bad, LONG_US),
            (&mut self.good, LONG_US),
            (&mut self.logins, MINUTE_US),
            (&mut self.failed, LONG_US),
            (&mut self.accounts, LONG_US),
            (&mut self.entered, LONG_US),
            (&mut self.probes, PROBES_US),
        ] {
            sum.add(elapsed, half_life, 0.0);
        }
    }

    fn login(&mut self, call: &Call<'_>) {
        self.logins.add(0, 1.0, 1.0);
        let new = !call.user.is_empty() && self.users.add(hash(call.user));
        match call.status {
            Some(400 | 401 | 403 | 422 | 423 | 429) => {
                self.failed.add(0, 1.0, 1.0);
                self.accounts.add(0, 1.0, f32::from(u8::from(new)));
            }
            Some(status) if status < 400 => self.entered.add(0, 1.0, 1.0),
            _ => {}
        }
    }

    fn outcome(&mut self, status: Option<u64>, new: bool) {
        let sum = match status {
            Some(404 | 410) if new => &mut self.missing,
            Some(401 | 403) if new => &mut self.refused,
            Some(400 | 405 | 406 | 414 | 500 | 501 | 502) => &mut self.bad,
            Some(status) if status < 400 => &mut self.good,
            _ => return,
        };
        sum.add(0, 1.0, 1.0);
    }
}

#[cfg(test)]
mod tests;

//! What is unusual in a client's counters, each against its baseline.
//!
//! The score of a sign is `1 − 2^(−(counter / baseline)³)`: a half at the baseline, 0.3 at four
//! fifths of it, 0.85 at seven fifths. A client that was flagged for scanning or fuzzing stays
//! under suspicion for ten minutes ([`Flag`]): a scan has pauses and harmless requests too.

use super::{Call, Client, places::Place};
use crate::features::sketch::{Decayed, hash};
use serde::{Deserialize, Serialize};

/// Baselines: where each counter scores one half.
const BURST: f32 = 12.0;
const FLOOD: f32 = 600.0;
const FAILED_LOGINS: f32 = 4.5;
const LOGIN_ACCOUNTS: f32 = 4.5;
const LOGIN_POSTS: f32 = 12.0;
const MISSING: f32 = 5.0;
const REFUSED: f32 = 4.5;
const BAD: f32 = 8.0;
const STEPS: f32 = 10.0;
const PAGES_READ: f32 = 15.0;
const PAGES_TAKEN: f32 = 13.0;
const PROBES: f32 = 1.7;

/// Something unusual in a client's recent calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    /// 0..=1.
    pub score: f32,
    /// Category.
    pub category: &'static str,
    /// Techniques.
    pub techniques: &'static [&'static str],
    /// What was counted.
    pub what: &'static str,
    /// The counter.
    pub value: f32,
    /// Where the counter becomes remarkable.
    pub baseline: f32,
}

impl Sign {
    /// The reason for a reader: which counter against which baseline.
    #[must_use]
    pub fn reason(&self) -> String {
        let Self { value, what, baseline, .. } = self;
        if *what == FLAGGED {
            return format!("client: {what} {}, {value:.0} s ago", self.category);
        }
        format!("client: {value:.0} {what}, remarkable from {baseline:.0} on")
    }
}

const FLAGGED: &str = "flagged for";
const SCAN: &[&str] = &["T1595.003"];
const FUZZING: &[&str] = &["T1595.002"];

/// How long suspicion lasts, seconds, and what is left of its score at the end.
const FLAGGED_S: f32 = 600.0;
const FLAGGED_FIRST: f32 = 0.84;
const FLAGGED_LAST: f32 = 0.5;

/// When a client was last flagged for scanning or fuzzing, and under what name of its program:
/// the others behind its address need not answer for it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Flag {
    #[serde(rename = "t")]
    at_us: i64,
    #[serde(rename = "a")]
    agent: u32,
    #[serde(rename = "k")]
    kind: u8,
}

impl Flag {
    fn raise(&mut self, call: &Call<'_>, sign: &Sign) {
        let kind = match sign.category {
            _ if sign.score < 0.5 => return,
            "scan" => 1,
            "fuzzing" => 2,
            _ => return,
        };
        *self = Self { at_us: call.ts_us, agent: hash(call.agent) as u32, kind };
    }

    /// What is left of the suspicion.
    fn sign(&self, call: &Call<'_>) -> Option<Sign> {
        let (category, techniques) = match self.kind {
            1 => ("scan", SCAN),
            2 => ("fuzzing", FUZZING),
            _ => return None,
        };
        let age_s = (call.ts_us.saturating_sub(self.at_us).max(0) as f64 / 1e6) as f32;
        if age_s > FLAGGED_S || self.agent != hash(call.agent) as u32 {
            return None;
        }
        let score = FLAGGED_FIRST + (FLAGGED_LAST - FLAGGED_FIRST) * age_s / FLAGGED_S;
        let (value, baseline) = (age_s, FLAGGED_S);
        Some(Sign { score, category, techniques, what: FLAGGED, value, baseline })
    }
}

impl Client {
    /// The worst sign of all, from a low level on; `at` is the place of the request.
    pub(super) fn says(&mut self, call: &Call<'_>, at: Option<usize>) -> Option<Sign> {
        let place = at.and_then(|at| self.places.get(at)).copied().unwrap_or_default();
        let of_place = self.signs_of_place(&place);
        let signs = of_place.into_iter().chain(self.signs());
        let worst = signs.max_by(|a, b| a.score.total_cmp(&b.score))?;
        self.flag.raise(call, &worst);
        let flagged = self.flag.sign(call).filter(|flagged| flagged.score > worst.score);
        let worst = match flagged {
            Some(flagged) if worst.score < 0.5 => flagged,
            _ => worst,
        };
        (worst.score >= 0.3).then_some(worst)
    }

    /// Several programs behind one address are several people, up to a point: whoever changes
    /// the name of its program with each request gains no more than this.
    fn people(&self) -> f32 {
        self.agents.distinct().clamp(1.0, 4.0)
    }

    /// Whoever shows a key is answerable, and its application may ask a lot at once.
    fn busy(&self) -> f32 {
        self.people() * if self.known { 2.0 } else { 1.0 }
    }

    /// Signs of the place that was asked for.
    fn signs_of_place(&self, place: &Place) -> [Sign; 3] {
        let seen = self.good.after(0, 1.0) >= 1.0 || self.long.after(0, 1.0) > 0.0;
        let pages = if seen { place.pages / self.people() } else { 0.0 };
        let pages_from = if self.bare() { PAGES_TAKEN } else { PAGES_READ };
        let steps = place.steps + 1.5 * place.refused;
        let what = "requests to one place within seconds";
        [
            sign("request_burst", &["T1498", "T1499"], what, place.burst / self.busy(), BURST),
            sign("id_enumeration", &["T1119"], "numbers tried one after the other", steps, STEPS),
            sign("scraping", &["T1213"], "pages of one kind within a minute", pages, pages_from),
        ]
    }

    fn signs(&self) -> [Sign; 8] {
        let now = |sum: Decayed| sum.after(0, 1.0);
        let good = now(self.good);
        let (missing, refused, bad) = (now(self.missing), now(self.refused), now(self.bad));
        let mostly = |part: f32| part / (part + good).max(1.0);
        let (failed, accounts) = (now(self.failed), now(self.accounts));
        let failing = failed / (failed + now(self.entered)).max(1.0);
        let guessed = if_(failing > 0.7 && accounts < failed / 2.0, failed);
        let logins = now(self.logins) / self.people();
        let minute = now(self.minute) / self.busy();
        // Whoever gets in may well own the entry that it looked for.
        let probes = if_(now(self.entered) < 0.5, now(self.probes));
        let (missing, refused) =
            (if_(mostly(missing) > 0.35, missing), if_(mostly(refused) > 0.4, refused));
        let bad = if_(mostly(bad) > 0.5, bad);
        let stuffed = if_(failing > 0.5, accounts);
        let accounts = "accounts with failed logins";
        let gone = "distinct paths that are not there";
        let shut = "distinct paths that were refused";
        [
            sign("request_flood", &["T1499"], "requests within a minute", minute, FLOOD),
            sign("credential_stuffing", &["T1110.004"], accounts, stuffed, LOGIN_ACCOUNTS),
            sign("brute_force", &["T1110"], "failed logins", guessed, FAILED_LOGINS),
            sign("brute_force", &["T1110"], "tries to log in within a minute", logins, LOGIN_POSTS),
            sign("scan", SCAN, gone, missing, MISSING),
            sign("scan", SCAN, "distinct entries that scanners try", probes, PROBES),
            sign("forbidden_access", &["T1190"], shut, refused, REFUSED),
            sign("fuzzing", FUZZING, "requests answered with an error", bad, BAD),
        ]
    }
}

fn if_(condition: bool, value: f32) -> f32 {
    if condition { value } else { 0.0 }
}

fn sign(
    category: &'static str,
    techniques: &'static [&'static str],
    what: &'static str,
    value: f32,
    baseline: f32,
) -> Sign {
    let ratio = value / baseline;
    let score = 1.0 - (-(ratio * ratio * ratio)).exp2();
    Sign { score: score.clamp(0.0, 0.999), category, techniques, what, value, baseline }
}

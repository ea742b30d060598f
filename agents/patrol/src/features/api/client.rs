//! What one client did lately: counters that fade, and what is unusual in them.
//!
//! Every sign is one counter against one documented baseline, under the condition that makes it
//! an attack rather than a busy client, so a finding can always be explained by two numbers.
//! The score of a sign is `1 − 2^(−(counter / baseline)³)`: a half at the baseline, 0.3 at four
//! fifths of it, 0.85 at seven fifths.

use crate::features::sketch::{Bits, Decayed, hash};
use serde::{Deserialize, Serialize};

/// One request, as far as its client's behaviour goes.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Microseconds since 1970.
    pub ts_us: i64,
    /// `ts_us` says when: else the request only came after the one before.
    pub timed: bool,
    /// Upper case or as sent.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Query, undecoded.
    pub query: &'a str,
    /// Status of the answer; `None` when nobody saw it.
    pub status: Option<u64>,
    /// The host that was asked.
    pub host: &'a str,
    /// What the client calls its program.
    pub agent: &'a str,
    /// Account that it named, where known.
    pub user: &'a str,
    /// It carried a key, token or session of its own.
    pub known: bool,
}

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

/// Time after which half of a counter is gone.
const BRIEF_US: f64 = 2e6;
const MINUTE_US: f64 = 60e6;
const LONG_US: f64 = 600e6;
/// Of steps: somebody who reads chapter after chapter takes longer for each.
const STEPS_US: f64 = 180e6;

/// How long after the one before a request is taken to come whose time nobody knows: too slow for
/// a burst, and fast enough for numbers that are tried one after the other.
const UNTIMED_US: i64 = 15_000_000;

/// Quiet after which sketches begin anew: a new visit.
const VISIT_US: i64 = 1_800_000_000;

/// Requests that fetch nothing but page furniture, by ending.
const ASSETS: [&str; 20] = [
    "js", "mjs", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
    "woff2", "ttf", "mp4", "webm", "mp3", "wasm", "ts",
];

/// Parameters that count pages: steps through them are no enumeration of things.
const PAGES: [&str; 12] = [
    "page", "p", "offset", "start", "from", "skip", "limit", "cursor", "size", "per_page", "pg",
    "_",
];

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
const PAGES_SEEN: f32 = 15.0;

/// A client's recent past, a bit over 300 bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    last_us: i64,
    /// Requests but for assets, over seconds, a minute and ten minutes.
    brief: Decayed,
    minute: Decayed,
    long: Decayed,
    /// Of those, the ones to the place that was asked for last.
    same: Decayed,
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
    /// Distinct pages of the shape that was asked for last, within a minute.
    pages: Decayed,
    paths: Bits<8>,
    users: Bits<2>,
    agents: Bits<1>,
    /// The place asked for last: its path with numbers left out.
    shape: u32,
    /// Its latest request carried a key, token or session.
    known: bool,
    /// Places whose numbers are watched.
    runs: [Run; 2],
}

/// Numbers that rise step by step in one place.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Run {
    shape: u32,
    last: u64,
    steps: f32,
    refused: f32,
}

impl Client {
    /// Takes one request in and says what is most unusual now, if anything is.
    pub fn observe(&mut self, call: &Call<'_>) -> Option<Sign> {
        let elapsed = match call.timed {
            true => call.ts_us.saturating_sub(self.last_us).max(0),
            false => UNTIMED_US,
        };
        if elapsed > VISIT_US {
            *self = Self::default();
        }
        self.last_us = self.last_us.max(call.ts_us);
        let ending = call.path.rsplit(['.', '/']).next().unwrap_or_default();
        let asset = ASSETS.iter().any(|known| known.eq_ignore_ascii_case(ending));
        self.fade(elapsed);
        self.agents.add(hash(call.agent));
        self.known = call.known;
        if asset {
            return self.worst();
        }
        let (shape, number) = shape_of(call);
        let path = hash(call.path);
        let again = shape == self.shape;
        self.shape = shape;
        for sum in [&mut self.brief, &mut self.minute, &mut self.long] {
            sum.add(0, 1.0, 1.0);
        }
        if !again {
            self.same = Decayed::default();
            self.pages = Decayed::default();
        }
        self.same.add(0, 1.0, 1.0);
        let new = self.paths.add(path ^ hash(call.query).rotate_left(7));
        let denied = matches!(call.status, Some(401 | 403));
        if login(call) {
            self.login(call);
        } else {
            let first = self.paths_new(path);
            self.outcome(call.status, first);
            let content = call.status.is_none_or(|status| status < 400) && call.method == "GET";
            if content && new && number.is_none_or(|(paged, _)| !paged) && !call.known {
                self.pages.add(0, 1.0, 1.0);
            }
        }
        if let Some((false, number)) = number {
            self.step(shape, number, denied || call.status == Some(404), new);
        }
        if self.paths.distinct() > 300.0 {
            self.paths.clear();
        }
        self.worst()
    }

    /// Whether a path, whatever its query, is new; remembered among the paths.
    fn paths_new(&mut self, path: u64) -> bool {
        self.paths.add(path.rotate_left(21))
    }

    fn fade(&mut self, elapsed: i64) {
        let left = (-(elapsed as f64) / STEPS_US).exp2() as f32;
        for run in &mut self.runs {
            run.steps *= left;
            run.refused *= left;
        }
        for (sum, half_life) in [
            (&mut self.brief, BRIEF_US),
            (&mut self.same, BRIEF_US),
            (&mut self.minute, MINUTE_US),
            (&mut self.pages, MINUTE_US / 3.0),
            (&mut self.long, LONG_US),
            (&mut self.missing, LONG_US),
            (&mut self.refused, LONG_US),
            (&mut self.bad, LONG_US),
            (&mut self.good, LONG_US),
            (&mut self.logins, MINUTE_US),
            (&mut self.failed, LONG_US),
            (&mut self.accounts, LONG_US),
            (&mut self.entered, LONG_US),
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

    fn step(&mut self, shape: u32, number: u64, refused: bool, new: bool) {
        let [first, second] = &mut self.runs;
        if second.shape == shape {
            std::mem::swap(first, second);
        } else if first.shape != shape {
            *second = std::mem::replace(first, Run { shape, last: number, ..Run::default() });
        }
        let off = number.abs_diff(first.last);
        if !new {
            // Pages that are read again are no enumeration.
        } else if (1..=3).contains(&off) {
            first.steps += 1.0;
            first.refused += f32::from(u8::from(refused));
        } else if (4..=12).contains(&off) {
            // Several workers of one client overtake each other.
            first.steps += 0.4;
        } else if off > 0 {
            first.steps = (first.steps - 3.0).max(0.0);
        }
        first.last = number;
    }

    /// The worst sign of all, from a low level on.
    fn worst(&self) -> Option<Sign> {
        let worst = self.signs().into_iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
        (worst.score >= 0.3).then_some(worst)
    }

    fn signs(&self) -> [Sign; 10] {
        let now = |sum: Decayed| sum.after(0, 1.0);
        // Several programs behind one address are several people, up to a point: whoever
        // changes the name of its program with each request gains no more than this.
        let people = self.agents.distinct().clamp(1.0, 4.0);
        let good = now(self.good);
        let mostly = |part: f32| part / (part + good).max(1.0);
        let (failed, accounts) = (now(self.failed), now(self.accounts));
        let failing = failed / (failed + now(self.entered)).max(1.0);
        let [run, _] = self.runs;
        // Whoever shows a key is answerable, and its application may ask a lot at once.
        let busy = people * if self.known { 2.0 } else { 1.0 };
        let burst = now(self.same).min(now(self.brief)) / busy;
        let pages =
            if good >= 1.0 || now(self.long) > 0.0 { now(self.pages) / people } else { 0.0 };
        let if_ = |condition: bool, value: f32| if condition { value } else { 0.0 };
        let steps = run.steps + 1.5 * run.refused;
        [
            sign(
                "request_burst",
                &["T1498", "T1499"],
                "requests to one place within seconds",
                burst,
                BURST,
            ),
            sign(
                "request_flood",
                &["T1499"],
                "requests within a minute",
                now(self.minute) / busy,
                FLOOD,
            ),
            sign(
                "credential_stuffing",
                &["T1110.004"],
                "accounts with failed logins",
                if_(failing > 0.5, accounts),
                LOGIN_ACCOUNTS,
            ),
            sign(
                "brute_force",
                &["T1110"],
                "failed logins",
                if_(failing > 0.7 && accounts < failed / 2.0, failed),
                FAILED_LOGINS,
            ),
            sign(
                "brute_force",
                &["T1110"],
                "tries to log in within a minute",
                now(self.logins) / people,
                LOGIN_POSTS,
            ),
            sign(
                "scan",
                &["T1595.003"],
                "distinct paths that are not there",
                if_(mostly(now(self.missing)) > 0.35, now(self.missing)),
                MISSING,
            ),
            sign(
                "forbidden_access",
                &["T1190"],
                "distinct paths that were refused",
                if_(mostly(now(self.refused)) > 0.4, now(self.refused)),
                REFUSED,
            ),
            sign(
                "fuzzing",
                &["T1595.002"],
                "requests answered with an error",
                if_(mostly(now(self.bad)) > 0.5, now(self.bad)),
                BAD,
            ),
            sign("id_enumeration", &["T1119"], "numbers tried one after the other", steps, STEPS),
            sign("scraping", &["T1213"], "pages of one kind within a minute", pages, PAGES_SEEN),
        ]
    }
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

/// Whether a request tries to log in.
fn login(call: &Call<'_>) -> bool {
    const WORDS: [&str; 13] = [
        "login", "log-in", "log_in", "signin", "sign-in", "sign_in", "logon", "auth", "token",
        "session", "wp-login", "xmlrpc", "password",
    ];
    let sends = matches!(call.method, "POST" | "PUT" | "post");
    let lower = call.path.get(..call.path.len().min(200)).unwrap_or(call.path).to_ascii_lowercase();
    sends && WORDS.iter().any(|word| lower.contains(word))
}

/// The place of a request: its path with numbers left out, and the number that names a thing:
/// whether it counts pages, and itself.
fn shape_of(call: &Call<'_>) -> (u32, Option<(bool, u64)>) {
    let mut shape = hash(call.host);
    let mut number = None;
    for segment in call.path.split('/').filter(|segment| !segment.is_empty()) {
        let token = segment.len() >= 16 && segment.bytes().any(|byte| byte.is_ascii_digit());
        let found = last_number(segment);
        shape = shape.rotate_left(5) ^ if found.is_some() || token { 1 } else { hash(segment) };
        number = found.map(|found| (false, found)).or(number);
    }
    for pair in call.query.split('&').take(8) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        shape = shape.rotate_left(5) ^ hash(name);
        let paged = PAGES.iter().any(|page| page.eq_ignore_ascii_case(name));
        if let Ok(value) = value.parse::<u64>() {
            // A number that names a thing counts before one that counts pages.
            number = match number {
                Some((false, _)) if paged => number,
                _ => Some((paged, value)),
            };
        }
    }
    ((shape ^ shape >> 32) as u32 | 1, number)
}

/// The number that a segment is, or ends in: `42`, `order-42`, `42.json`.
fn last_number(segment: &str) -> Option<u64> {
    let segment = segment.split('.').next().unwrap_or(segment);
    let digits = segment.bytes().rev().take_while(u8::is_ascii_digit).count();
    let text = segment.get(segment.len() - digits..)?;
    let lead = segment.get(..segment.len() - digits)?;
    let versioned = lead.eq_ignore_ascii_case("v") && digits <= 2;
    if versioned { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests;

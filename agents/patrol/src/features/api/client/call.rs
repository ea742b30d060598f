//! One request, as far as its client's behaviour goes: what place it asks for, and how much it
//! says about its client.

use super::FURNITURE;
use crate::features::sketch::hash;

/// One request, as far as its client's behaviour goes.
#[derive(Clone, Copy, Debug, Default)]
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
    /// Size of the answer; `None` when nobody saw it.
    pub resp_bytes: Option<u64>,
    /// The host that was asked.
    pub host: &'a str,
    /// The page that the request says it comes from.
    pub referer: &'a str,
    /// What the client calls its program.
    pub agent: &'a str,
    /// Account that it named, where known.
    pub user: &'a str,
    /// It carried a key, token or session of its own.
    pub known: bool,
    /// How much its content looks like what scanners ask every server for, 0..=1.
    pub probe: f32,
}

/// Requests that fetch nothing but page furniture, by ending.
const ASSETS: [&str; 20] = [
    "js", "mjs", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
    "woff2", "ttf", "mp4", "webm", "mp3", "wasm", "ts",
];

/// Packages and installers, which programs fetch by the dozen and nobody scrapes.
const PACKAGES: [&str; 22] = [
    "cab", "psf", "msi", "msu", "msix", "appx", "esd", "exe", "deb", "rpm", "apk", "dmg", "pkg",
    "whl", "jar", "pom", "gem", "crate", "tgz", "xz", "zst", "nupkg",
];

/// Parameters that count pages: steps through them are no enumeration of things.
const PAGES: [&str; 12] = [
    "page", "p", "offset", "start", "from", "skip", "limit", "cursor", "size", "per_page", "pg",
    "_",
];

/// An answer of so many bytes shows nobody anything: a pixel, an acknowledgement.
const PIXEL_BYTES: u64 = 100;

/// Whether a path names page furniture.
pub(super) fn asset(path: &str) -> bool {
    ends(path, &ASSETS)
}

/// Whether a path names a package or installer.
pub(super) fn package(path: &str) -> bool {
    ends(path, &PACKAGES)
}

fn ends(path: &str, endings: &[&str]) -> bool {
    let ending = path.rsplit(['.', '/']).next().unwrap_or_default();
    endings.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// Whether the server had what was asked for.
pub(super) fn answered(call: &Call<'_>) -> bool {
    call.status.is_some_and(|status| status < 400)
}

/// How much a request counts in bursts and for scraping: one, or less where the server's answer
/// shows that it was furniture, for packages, or where a page of another host had it fetched. It
/// never counts nothing: paths and referers are the client's to choose, and what is answered by a
/// redirect can be tried in bursts like anything else. Floods, steps and failures count every
/// request in full.
pub(super) fn weight(call: &Call<'_>) -> f32 {
    let fetches = matches!(call.method, "GET" | "HEAD" | "OPTIONS");
    let by_server = match call.status {
        // Nothing new, a piece of a file, a look elsewhere, or no request at all.
        Some(204 | 206 | 301 | 302 | 304 | 307 | 308 | 408) => true,
        Some(200..=299) => fetches && call.resp_bytes.is_some_and(|size| size <= PIXEL_BYTES),
        _ => false,
    };
    let file = fetches && package(call.path);
    if by_server || file || from_elsewhere(call) { FURNITURE } else { 1.0 }
}

/// Whether a page of another host had this fetched.
fn from_elsewhere(call: &Call<'_>) -> bool {
    let Some((_, rest)) = call.referer.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !call.host.is_empty() && !host.is_empty() && !host.eq_ignore_ascii_case(call.host)
}

/// Whether a request tries to log in.
pub(super) fn login(call: &Call<'_>) -> bool {
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
pub(super) fn shape_of(call: &Call<'_>) -> (u32, Option<(bool, u64)>) {
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

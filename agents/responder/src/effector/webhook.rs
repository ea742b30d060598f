//! The webhook: whoever holds what this responder cannot reach (a database, an identity provider,
//! a cloud) is told what is decided, and when it is over.
//!
//! # The request
//! `POST` of JSON: `id`, `tenant`, `what`, `name`, `system`, `state`, `until`, and `holds`, which
//! is false when the decision is to be undone. Headers:
//! - `idempotency-key`: the `id`, the same for every attempt at one change;
//! - `x-magsentinel-timestamp`: when it was signed, in seconds since 1970;
//! - `x-magsentinel-signature`: `v1=` and, in hexadecimal, the HMAC-SHA256 (RFC 2104) of timestamp,
//!   a dot and the body, under the bytes of `responder.webhook.key_file`.
//!
//! The receiver checks the signature, refuses timestamps that are minutes old, and answers 2xx
//! once it is done. Any other answer, or none, is a failure.
//!
//! # At least once
//! What is about to be posted is noted in the KV bucket `mag-<tenant>-hook` as unanswered, and as
//! accepted afterwards. Whoever dies in between posts again under the same key, or, where the decision
//! is over by then, that it is over: the receiver may hold it. A receiver that fails (no answer, 5xx, 408, 429) is left
//! alone for a while, which grows from one second to a minute, so that it holds up other effects by
//! one `timeout` at most each time. A post that it refuses (any other answer) is left alone in the
//! same way, by itself: the others go on.

mod pause;
mod post;

use super::{
    Change, Effector, Failures,
    decisions::{Decision, View, follow, key},
};
use crate::thing::{Listing, Thing};
use futures::{StreamExt, future::BoxFuture};
use magsentinel_bus_schema::{Tenant, Timestamp};
use magsentinel_runtime::{bus::Bus, settings::Span, table::Table};
use pause::Pause;
use post::{Post, post_id, signature};
use reqwest::{Client, Url, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

/// Section `responder.webhook`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where decisions are posted: `https`, or `http` to this host. Default none: nowhere.
    pub url: Option<String>,
    /// File with the key that signs, at least 32 bytes; white space around it does not count. Must
    /// be given with `url`. Default none.
    pub key_file: Option<PathBuf>,
    /// Longest wait for an answer, as a duration, 100ms to 30s. Default `2s`.
    pub timeout: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: None, key_file: None, timeout: Span::s(2) }
    }
}

impl Config {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(Err(why)) = self.url.as_deref().map(place) {
            problems.push(format!("url: {why}"));
        }
        if self.url.is_some() && self.key_file.is_none() {
            problems.push("key_file: must be given with webhook.url".to_owned());
        }
        let (least, most) = (Span::ms(100), Span::s(30));
        if self.timeout < least || self.timeout > most {
            problems.push(format!("timeout: must be {least} to {most}, not {}", self.timeout));
        }
        problems
    }
}

/// Reads a URL that decisions may be posted to.
fn place(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|e| format!("{e}"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() != "https" && !(url.scheme() == "http" && local) {
        return Err("must be https, or http to this host: decisions name people".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user and password: requests are signed by key_file".to_owned());
    }
    Ok(url)
}

/// The bucket's name after the tenant.
const BUCKET: &str = "hook";
/// Fewest bytes of a key: as many as the hash has (RFC 2104, section 3).
const KEY_BYTES_MIN: usize = 32;
/// Requests under way at once.
const AT_ONCE: usize = 8;
/// Posts that are noted as unanswered at once: a receiver that is away is asked for no more.
const NOTED_AT_ONCE: usize = 64;

/// Why a post was not accepted.
#[derive(Debug)]
enum Rejected {
    /// The receiver did not answer, or cannot take it now. It may hold it all the same.
    Receiver(String),
    /// The receiver was not reached, or not asked: it does not hold it.
    Away(String),
    /// The receiver does not take this one.
    Post(String),
}

/// Records of the bucket by their keys; none removes one.
type Noted = BTreeMap<String, Option<Vec<u8>>>;

/// What came of some posts.
#[derive(Default)]
struct Sent {
    /// What the receiver holds by now, as is to be noted: records by their keys, none for what is
    /// over.
    settled: Noted,
    /// What the receiver does not take, and why.
    refused: Vec<(Post, String)>,
    /// Why the others were not tried.
    ended: Option<String>,
}

/// The effector.
pub struct Webhook {
    url: Url,
    secret: Vec<u8>,
    tenant: Tenant,
    client: Client,
    table: Table,
    view: View,
    pause: Pause,
    /// Posts that were refused lately, by their ids. One whose decision is over is not tried any
    /// more, and is forgotten.
    refused: BTreeMap<String, Pause>,
}

impl Webhook {
    /// Reads the key and what was posted before.
    ///
    /// # Errors
    /// When the key cannot be read or is too short, or the server cannot be asked.
    pub async fn open(config: &Config, url: &str, bus: &Bus) -> Result<Self, String> {
        let url = place(url).map_err(|why| format!("responder.webhook.url: {why}"))?;
        let file = config.key_file.as_ref().ok_or("responder.webhook.key_file is missing")?;
        let told = |why: String| format!("responder.webhook.key_file {}: {why}", file.display());
        let secret = std::fs::read(file).map_err(|e| told(e.to_string()))?;
        let secret = secret.trim_ascii().to_vec();
        if secret.len() < KEY_BYTES_MIN {
            return Err(told(format!("must hold at least {KEY_BYTES_MIN} bytes")));
        }
        let client = Client::builder()
            .timeout(config.timeout.get())
            .redirect(redirect::Policy::none())
            .user_agent(concat!("magsentinel/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(|e| format!("responder.webhook: {e}"))?;
        let about = "What the receiver of the responder's webhook has accepted";
        let table = Table::open(bus, BUCKET, about).await.map_err(|e| e.to_string())?;
        let view = View::default();
        for record in table.all().await.map_err(|e| e.to_string())? {
            view.note(record.key, record.bytes.as_deref());
        }
        tokio::spawn(follow(table.clone(), view.clone()));
        let (tenant, pause) = (bus.tenant().clone(), Pause::default());
        let refused = BTreeMap::new();
        Ok(Self { url, secret, tenant, client, table, view, pause, refused })
    }

    /// What a change asks of the receiver; nothing where it knows already.
    fn post(&self, change: &Change) -> Option<Post> {
        let Change { thing: Thing::Posted(listing), until } = change else { return None };
        let known = self.view.of(listing);
        let accepted = known.as_ref().filter(|noted| !noted.unanswered).map(|noted| noted.until);
        if until.is_some() && *until == accepted {
            return None;
        }
        let end = until.or(known.map(|noted| noted.until))?;
        let (holds, listing) = (until.is_some(), listing.clone());
        let (id, decision) =
            (post_id(&self.tenant, &listing, end, holds), Decision::of(&listing, end));
        Some(Post { id, tenant: self.tenant.clone(), holds, decision, listing })
    }

    /// What is still to be posted of some changes, and why it is not.
    fn left(&self, changes: &[Change], why: &str) -> Failures {
        let left = changes.iter().filter(|change| self.post(change).is_some());
        left.map(|change| (change.thing.clone(), why.to_owned())).collect()
    }

    /// Posts. What is to be noted of it: none where what was posted is over.
    async fn send(&self, post: &Post, now: Timestamp) -> Result<Option<Vec<u8>>, Rejected> {
        let unwritten = |e: serde_json::Error| Rejected::Post(e.to_string());
        let noted = post.holds.then(|| serde_json::to_vec(&post.decision)).transpose();
        let noted = noted.map_err(unwritten)?;
        let body = serde_json::to_vec(post).map_err(unwritten)?;
        let seconds = (now.micros() / 1_000_000).to_string();
        let signature = signature(&self.secret, &seconds, &body).map_err(Rejected::Post)?;
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", &post.id)
            .header("x-magsentinel-signature", signature)
            .header("x-magsentinel-timestamp", seconds)
            .body(body);
        // The URL may hold a token: it is told nowhere.
        let away = |e: reqwest::Error| match e.is_connect() {
            true => Rejected::Away(reasons(&e.without_url())),
            false => Rejected::Receiver(reasons(&e.without_url())),
        };
        let status = request.send().await.map_err(away)?.status();
        let why = format!("the webhook's receiver answered {status}");
        match status.as_u16() {
            200..=299 => Ok(noted),
            408 | 429 | 500..=599 => Err(Rejected::Receiver(why)),
            _ => Err(Rejected::Post(why)),
        }
    }

    /// Posts until the receiver fails, what comes to hold only after that is noted as unanswered.
    async fn send_all(&mut self, posts: Vec<Post>, now: Timestamp) -> Result<Sent, String> {
        let mut all = Sent::default();
        let mut posts = posts.into_iter();
        loop {
            let some: Vec<Post> = posts.by_ref().take(NOTED_AT_ONCE).collect();
            if some.is_empty() || all.ended.is_some() {
                return Ok(all);
            }
            let before = self.note_unanswered(&some).await?;
            let mut sent = self.send_some(some, &before, now).await;
            self.note(std::mem::take(&mut sent.settled)).await?;
            all.refused.extend(sent.refused);
            all.ended = sent.ended;
        }
    }

    /// Posts until the receiver fails. What was not taken is noted as it was `before`.
    async fn send_some(&self, posts: Vec<Post>, before: &Noted, now: Timestamp) -> Sent {
        let failed = AtomicBool::new(false);
        let one = async |post: Post| {
            let answer = match failed.load(Ordering::Relaxed) {
                true => Err(Rejected::Away(String::new())),
                false => self.send(&post, now).await,
            };
            let over = matches!(answer, Err(Rejected::Receiver(_) | Rejected::Away(_)));
            failed.fetch_or(over, Ordering::Relaxed);
            (answer, post)
        };
        let mut sent = futures::stream::iter(posts).map(one).buffer_unordered(AT_ONCE);
        let mut all = Sent::default();
        while let Some((answer, post)) = sent.next().await {
            let key = key(&post.listing);
            let as_before = before.get(&key).map(|bytes| (key.clone(), bytes.clone()));
            match answer {
                Ok(noted) => drop(all.settled.insert(key, noted)),
                Err(Rejected::Post(why)) => {
                    all.settled.extend(as_before);
                    all.refused.push((post, why));
                }
                Err(Rejected::Away(why)) => {
                    all.settled.extend(as_before);
                    all.ended.get_or_insert(why);
                }
                Err(Rejected::Receiver(why)) => drop(all.ended.get_or_insert(why)),
            }
        }
        all
    }

    /// Notes that these are about to be posted. What stood there of those that come to hold, where the
    /// receiver has accepted it.
    async fn note_unanswered(&mut self, posts: &[Post]) -> Result<Noted, String> {
        let (mut before, mut now) = (Noted::new(), Noted::new());
        let written = |decision: &Decision| serde_json::to_vec(decision).map_err(|e| e.to_string());
        for post in posts.iter().filter(|post| post.holds) {
            let noted = self.view.of(&post.listing).filter(|noted| !noted.unanswered);
            let noted = noted.as_ref().map(written).transpose()?;
            before.insert(key(&post.listing), noted);
            let unanswered = Decision { unanswered: true, ..post.decision.clone() };
            now.insert(key(&post.listing), Some(written(&unanswered)?));
        }
        self.note(now).await?;
        Ok(before)
    }

    /// Notes what the receiver holds, or may hold.
    async fn note(&mut self, notes: Noted) -> Result<(), String> {
        if notes.is_empty() {
            return Ok(());
        }
        self.table.put_all(notes.clone()).await.map_err(|e| e.to_string())?;
        notes.into_iter().for_each(|(key, bytes)| self.view.note(key, bytes.as_deref()));
        Ok(())
    }

    /// Takes out the posts that were refused not long ago: they are left alone for now.
    fn left_alone(&self, posts: Vec<Post>) -> (Vec<Post>, Failures) {
        let mut failures = Failures::new();
        let due = posts.into_iter().filter_map(|post| {
            match self.refused.get(&post.id).and_then(Pause::why) {
                None => Some(post),
                Some(why) => {
                    failures.insert(Thing::Posted(post.listing), why);
                    None
                }
            }
        });
        (due.collect(), failures)
    }
}

/// An error with what caused it.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut told = format!("the webhook's receiver: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        told += &format!(": {error}");
        cause = error.source();
    }
    told
}

impl Effector for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn takes(&self, thing: &Thing) -> bool {
        matches!(thing, Thing::Posted(_))
    }

    fn apply<'a>(&'a mut self, changes: &'a [Change], now: Timestamp) -> BoxFuture<'a, Failures> {
        Box::pin(async move {
            let posts: Vec<Post> = changes.iter().filter_map(|c| self.post(c)).collect();
            if posts.is_empty() {
                return Failures::new();
            }
            if let Some(why) = self.pause.why() {
                return self.left(changes, &why);
            }
            let (posts, mut failures) = self.left_alone(posts);
            let ids: BTreeSet<String> = posts.iter().map(|post| post.id.clone()).collect();
            let (refused, ended) = match self.send_all(posts, now).await {
                Ok(Sent { refused, ended, .. }) => (refused, ended),
                Err(error) => return self.left(changes, &error),
            };
            // Of those that were tried now, only what was refused again is kept.
            let again: BTreeSet<&String> = refused.iter().map(|(post, _)| &post.id).collect();
            let now = Instant::now();
            self.refused.retain(|id, pause| match ids.contains(id) {
                true => again.contains(id),
                false => !pause.is_forgotten(now),
            });
            for (post, why) in refused {
                self.refused.entry(post.id).or_default().failed(&why);
                failures.insert(Thing::Posted(post.listing), why);
            }
            match ended {
                None => self.pause = Pause::default(),
                Some(why) => {
                    self.pause.failed(&why);
                    for (thing, why) in self.left(changes, &why) {
                        failures.entry(thing).or_insert(why);
                    }
                }
            }
            failures
        })
    }

    fn real(
        &mut self,
        _now: Timestamp,
    ) -> BoxFuture<'_, Result<BTreeMap<Thing, Timestamp>, String>> {
        Box::pin(async move {
            let (real, strange) = self.view.read();
            if !strange.is_empty() {
                tracing::warn!(keys = ?strange, "the webhook's bucket holds what was never posted");
                let none = strange.iter().map(|key| (key.clone(), None)).collect();
                self.table.put_all(none).await.map_err(|e| e.to_string())?;
                strange.into_iter().for_each(|key| self.view.note(key, None));
            }
            // What is unanswered is there until no time that anybody wants: posted again, or over.
            let never = Timestamp::from_micros(0);
            let open = |listing: &Listing| self.view.of(listing).is_some_and(|d| d.unanswered);
            let one = |(listing, until): (Listing, Timestamp)| {
                let until = if open(&listing) { never } else { until };
                (Thing::Posted(listing), until)
            };
            Ok(real.into_iter().map(one).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_safe_to_post_names_of_people_to() {
        for good in ["https://soc.example/hook?t=1", "http://127.0.0.1:8080/", "http://[::1]:1/"] {
            assert!(place(good).is_ok(), "{good}");
        }
        for (bad, part) in [
            ("http://soc.example/", "https"),
            ("ftp://127.0.0.1/", "https"),
            ("https://ann:secret@soc.example/", "user and password"),
            ("soc.example/hook", "relative"),
        ] {
            let why = place(bad).unwrap_err();
            assert!(why.contains(part) && !why.contains("secret"), "{bad}: {why}");
        }
        let unsigned = Config { url: Some("https://soc.example".to_owned()), ..Config::default() };
        assert!(unsigned.problems().iter().any(|p| p.starts_with("key_file")));
    }
}

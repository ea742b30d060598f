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
//! What was accepted is noted in the KV bucket `mag-<tenant>-hook` afterwards. Whoever dies in
//! between posts again under the same key. A receiver that fails is left alone for a while, which
//! grows from one second to a minute, so that it holds up other effects by one `timeout` at most
//! each time.

use super::{
    Change, Effector, Failures,
    decisions::{Decision, View, follow, key},
};
use crate::thing::Thing;
use futures::{StreamExt, future::BoxFuture};
use hmac::{Hmac, Mac};
use magsentinel_bus_schema::{Tenant, Timestamp};
use magsentinel_runtime::{bus::Bus, settings::Span, table::Table};
use reqwest::{Client, Url, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
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
/// How long a receiver that fails is left alone: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is posted.
#[derive(Debug, Serialize)]
struct Post {
    id: String,
    tenant: Tenant,
    holds: bool,
    #[serde(flatten)]
    decision: Decision,
}

/// What was accepted: records by their keys, none for what is over.
type Accepted = BTreeMap<String, Option<Vec<u8>>>;

/// A receiver that fails is left alone.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<(Instant, String)>,
}

impl Pause {
    /// Why nothing is posted now.
    fn why(&self) -> Option<String> {
        let (until, why) = self.until.as_ref().filter(|(until, _)| Instant::now() < *until)?;
        let left = until.saturating_duration_since(Instant::now()).as_secs() + 1;
        Some(format!("{why}; tried again in {left}s"))
    }

    fn failed(&mut self, why: &str) {
        let pause = PAUSE.0.saturating_mul(1 << self.failures.min(16)).min(PAUSE.1);
        self.until = Some((Instant::now() + pause, why.to_owned()));
        self.failures += 1;
    }
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
        Ok(Self { url, secret, tenant, client, table, view, pause })
    }

    /// What a change asks of the receiver; nothing where it knows already.
    fn post(&self, change: &Change) -> Option<Post> {
        let Change { thing: Thing::Posted(listing), until } = change else { return None };
        let (until, known) = (*until, self.view.until(listing));
        if until == known {
            return None;
        }
        let decision = Decision::of(listing, until.or(known)?);
        let holds = until.is_some();
        let id = post_id(&self.tenant, &decision, holds);
        Some(Post { id, tenant: self.tenant.clone(), holds, decision })
    }

    /// What is still to be posted of some changes, and why it is not.
    fn left(&self, changes: &[Change], why: &str) -> Failures {
        let left = changes.iter().filter(|change| self.post(change).is_some());
        left.map(|change| (change.thing.clone(), why.to_owned())).collect()
    }

    /// Posts. What is to be noted of it: none where what was posted is over.
    async fn send(&self, post: &Post, now: Timestamp) -> Result<Option<Vec<u8>>, String> {
        let noted = post.holds.then(|| serde_json::to_vec(&post.decision)).transpose();
        let noted = noted.map_err(|e| e.to_string())?;
        let body = serde_json::to_vec(post).map_err(|e| e.to_string())?;
        let seconds = (now.micros() / 1_000_000).to_string();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", &post.id)
            .header("x-magsentinel-signature", signature(&self.secret, &seconds, &body)?)
            .header("x-magsentinel-timestamp", seconds)
            .body(body);
        // The URL may hold a token: it is told nowhere.
        let answer = request.send().await.map_err(|e| reasons(&e.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(noted),
            status => Err(format!("the webhook's receiver answered {status}")),
        }
    }

    /// Posts until one fails: the key and record of each that was accepted, and why it ended.
    async fn send_all(&self, posts: Vec<Post>, now: Timestamp) -> (Accepted, Option<String>) {
        let sent = posts.into_iter().map(|post| async move { (self.send(&post, now).await, post) });
        let mut sent = futures::stream::iter(sent).buffer_unordered(AT_ONCE);
        let mut accepted = Accepted::new();
        while let Some((answer, post)) = sent.next().await {
            match answer {
                Ok(noted) => {
                    accepted.extend(post.decision.listing().map(|of| (key(&of), noted)));
                }
                Err(why) => return (accepted, Some(why)),
            }
        }
        (accepted, None)
    }
}

/// The same for every attempt at one change, and another for every other.
fn post_id(tenant: &Tenant, decision: &Decision, holds: bool) -> String {
    let mut hash = Sha256::new();
    let until = decision.until.micros().to_string();
    let what = decision.listing().as_ref().map(key).unwrap_or_default();
    for part in [tenant.as_str(), &what, &until, if holds { "holds" } else { "over" }] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn signature(secret: &[u8], seconds: &str, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|e| e.to_string())?;
    mac.update(seconds.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(format!("v1={}", hex(&mac.finalize().into_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
            let (accepted, failed) = self.send_all(posts, now).await;
            if let Err(error) = self.table.put_all(accepted.clone()).await {
                return self.left(changes, &error.to_string());
            }
            accepted.into_iter().for_each(|(key, bytes)| self.view.note(key, bytes.as_deref()));
            match failed {
                None => {
                    self.pause = Pause::default();
                    Failures::new()
                }
                Some(why) => {
                    self.pause.failed(&why);
                    self.left(changes, &why)
                }
            }
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
            Ok(real.into_iter().map(|(listing, until)| (Thing::Posted(listing), until)).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thing::Listing;

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

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // RFC 4231, test case 2, whose message is cut at the dot that is put there.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&mac.finalize().into_bytes()), known);
        let of = |secret: &[u8], seconds: &str| signature(secret, seconds, b"{}").unwrap();
        assert_eq!(of(b"k", "1").len(), 3 + 64);
        assert_ne!(of(b"k", "1"), of(b"k", "2"));
        assert_ne!(of(b"k", "1"), of(b"l", "1"));
    }

    #[test]
    fn every_attempt_at_one_change_has_one_id_and_every_other_change_another() {
        let listing = |name: &str| Listing {
            what: "user",
            name: name.to_owned(),
            system: Some("postgresql".to_owned()),
            state: "suspended",
        };
        let id = |name: &str, at, holds| {
            let decision = Decision::of(&listing(name), Timestamp::from_micros(at));
            post_id(&Tenant::default(), &decision, holds)
        };
        assert_eq!(id("ann", 1, true), id("ann", 1, true));
        let all = [id("ann", 1, true), id("ann", 1, false), id("ann", 2, true), id("bob", 1, true)];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_receiver_that_fails_is_left_alone_longer_and_longer_up_to_a_minute() {
        let mut pause = Pause::default();
        assert_eq!(pause.why(), None);
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            pause.failed("away");
            let until = pause.until.as_ref().unwrap().0;
            let left = until.saturating_duration_since(Instant::now());
            assert!(left + Duration::from_millis(500) > longest && left <= PAUSE.1);
            longest = left;
        }
        assert!(pause.why().unwrap().starts_with("away; tried again in"));
    }
}

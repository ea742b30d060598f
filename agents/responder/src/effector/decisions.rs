//! The decision list: who is refused, for gateways and applications that watch it.
//!
//! One key for each decision in the KV bucket `mag-<tenant>-decision`:
//! `<what>.<name in base32>.<state>`; its value says the same in JSON, with the time until which
//! it holds. Whoever watches must heed that time: the key is taken away a moment later.

use super::{Change, Effector, Failures};
use crate::{
    Network,
    thing::{Listing, Thing},
};
use futures::{StreamExt, future::BoxFuture};
use magsentinel_bus_schema::Timestamp;
use magsentinel_runtime::{bus::Bus, table::Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// Section `responder.decisions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keep the decision list in the KV bucket `mag-<tenant>-decision`. Default false.
    pub enabled: bool,
    /// Address and port where gateways ask about a request by HTTP: `auth_request` of nginx,
    /// `ext_authz` of Envoy. Default none: nobody can ask.
    pub listen: Option<SocketAddr>,
    /// Header in which the gateway names the client's address. The gateway must set it itself, over
    /// whatever the client sent. Default `x-real-ip`.
    pub client_header: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: false, listen: None, client_header: "x-real-ip".to_owned() }
    }
}

/// The bucket's name after the tenant.
const BUCKET: &str = "decision";

/// What a decision says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What the name names.
    pub what: String,
    /// The name; of a client, its address or network.
    pub name: String,
    /// The system that knows the name, where not everybody does.
    #[serde(default)]
    pub system: Option<String>,
    /// What is decided.
    pub state: String,
    /// Until when.
    pub until: Timestamp,
    /// It was posted, and whether it was accepted is not known: of the webhook's bucket alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

/// Every word that may stand in a listing: what is read from the bucket is no other.
const WHATS: &[&str] =
    &["client", "session", "user", "key", "device", "extension", "pod", "namespace"];
const STATES: &[&str] = &["blocked", "limited", "tarpit", "suspended", "revoked", "quarantined"];

fn word(words: &'static [&'static str], text: &str) -> Option<&'static str> {
    words.iter().copied().find(|word| *word == text)
}

impl Decision {
    pub(super) fn of(listing: &Listing, until: Timestamp) -> Self {
        let Listing { what, name, system, state } = listing.clone();
        let (what, state) = (what.to_owned(), state.to_owned());
        Self { what, name, system, state, until, unanswered: false }
    }

    pub(super) fn listing(&self) -> Option<Listing> {
        let (what, state) = (word(WHATS, &self.what)?, word(STATES, &self.state)?);
        Some(Listing { what, name: self.name.clone(), system: self.system.clone(), state })
    }
}

/// The key of a listing.
pub(super) fn key(listing: &Listing) -> String {
    let Listing { what, name, system, state } = listing;
    let system = system.as_deref().map_or_else(String::new, |s| format!(".{}", base32(s)));
    format!("{what}.{}.{state}{system}", base32(name))
}

/// RFC 4648, lower case, without padding: any name becomes a token.
fn base32(text: &str) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(5) {
        let mut bits = chunk.iter().fold(0_u64, |bits, b| bits << 8 | u64::from(*b));
        bits <<= 8 * (5 - chunk.len());
        for digit in 0..(chunk.len() * 8).div_ceil(5) {
            let at = usize::try_from(bits >> (35 - 5 * digit) & 31).unwrap_or(0);
            out.extend(DIGITS.get(at).map(|b| char::from(*b)));
        }
    }
    out
}

/// Listings with the times until which they hold.
type Held = BTreeMap<Listing, Timestamp>;

/// The list as this process sees it: what stands in the bucket.
#[derive(Clone, Debug, Default)]
pub struct View(Arc<RwLock<BTreeMap<String, Option<Decision>>>>);

impl View {
    pub(super) fn note(&self, key: String, bytes: Option<&[u8]>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match bytes {
            Some(bytes) => {
                held.insert(key, serde_json::from_slice(bytes).ok());
            }
            None => {
                held.remove(&key);
            }
        }
    }

    fn get(&self, listing: &Listing, now: Timestamp) -> bool {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = held.get(&key(listing));
        found.is_some_and(|d| d.as_ref().is_some_and(|d| d.until > now))
    }

    /// What is held, and the keys of what is no decision.
    pub(super) fn read(&self) -> (Held, Vec<String>) {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (mut real, mut strange) = (Held::new(), Vec::new());
        for (key, decision) in &*held {
            let read = decision.as_ref().and_then(|d| Some((d.listing()?, d.until)));
            match read.filter(|(listing, _)| self::key(listing) == *key) {
                Some((listing, until)) => drop(real.insert(listing, until)),
                None => strange.push(key.clone()),
            }
        }
        (real, strange)
    }

    /// What stands there of a listing.
    pub(super) fn of(&self, listing: &Listing) -> Option<Decision> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(&key(listing))?.clone()
    }

    /// How many decisions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is decided about a name.
    #[must_use]
    pub fn about(
        &self,
        what: &'static str,
        name: &str,
        system: Option<&str>,
        now: Timestamp,
    ) -> Option<&'static str> {
        STATES.iter().copied().find(|state| {
            let listing = |system: Option<&str>| Listing {
                what,
                name: name.to_owned(),
                system: system.map(str::to_owned),
                state,
            };
            self.get(&listing(None), now) || system.is_some() && self.get(&listing(system), now)
        })
    }

    /// What is decided about an address: about itself, its /64 or any network around it.
    #[must_use]
    pub fn about_client(&self, address: IpAddr, now: Timestamp) -> Option<&'static str> {
        let (address, single) = (address.to_canonical(), Network::blocked_with(address));
        let around = (0..=single.length())
            .rev()
            .filter_map(|bits| Some(Network::around(address, bits)?.to_string()));
        around.into_iter().find_map(|name| self.about("client", &name, None, now))
    }
}

/// The effector.
pub struct Decisions {
    table: Table,
    view: View,
}

impl Decisions {
    /// Opens the bucket, reads it, and follows it from then on.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn open(bus: &Bus) -> Result<(Self, View), String> {
        let about = "Who is refused, for gateways and applications";
        let table = Table::open(bus, BUCKET, about).await.map_err(|e| e.to_string())?;
        let view = View::default();
        for record in table.all().await.map_err(|e| e.to_string())? {
            view.note(record.key, record.bytes.as_deref());
        }
        tokio::spawn(follow(table.clone(), view.clone()));
        Ok((Self { table, view: view.clone() }, view))
    }
}

/// Follows for as long as the process lives.
pub(super) async fn follow(table: Table, view: View) {
    loop {
        match table.follow().await {
            Ok(mut changes) => {
                while let Some(Ok(record)) = changes.next().await {
                    view.note(record.key, record.bytes.as_deref());
                }
            }
            Err(error) => tracing::debug!(%error, "decisions are followed again"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

impl Effector for Decisions {
    fn name(&self) -> &'static str {
        "decisions"
    }

    fn takes(&self, thing: &Thing) -> bool {
        matches!(thing, Thing::Listed(_))
    }

    fn apply<'a>(&'a mut self, changes: &'a [Change], _now: Timestamp) -> BoxFuture<'a, Failures> {
        Box::pin(async move {
            let mut records = BTreeMap::new();
            for Change { thing, until } in changes {
                let Thing::Listed(listing) = thing else { continue };
                let decision = until.map(|until| Decision::of(listing, until));
                let bytes = decision.and_then(|d| serde_json::to_vec(&d).ok());
                records.insert(key(listing), bytes);
            }
            match self.table.put_all(records.clone()).await {
                Ok(()) => {
                    for (key, bytes) in records {
                        self.view.note(key, bytes.as_deref());
                    }
                    Failures::new()
                }
                Err(e) => changes.iter().map(|c| (c.thing.clone(), e.to_string())).collect(),
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
                let keys = &strange;
                tracing::warn!(?keys, "the decision list holds what is no decision: removing it");
                let none = strange.iter().map(|key| (key.clone(), None)).collect();
                self.table.put_all(none).await.map_err(|e| e.to_string())?;
                strange.into_iter().for_each(|key| self.view.note(key, None));
            }
            Ok(real.into_iter().map(|(listing, until)| (Thing::Listed(listing), until)).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_tokens() {
        // RFC 4648, section 10.
        for (text, coded) in [("", ""), ("f", "my"), ("fo", "mzxq"), ("foobar", "mzxw6ytboi")] {
            assert_eq!(base32(text), coded);
        }
    }

    #[test]
    fn a_client_is_found_by_its_address_its_64_and_networks_around_it() {
        let (view, now) = (View::default(), Timestamp::from_micros(1_700_000_000_000_000));
        let list = |name: &str, state, seconds| {
            let listing = Listing { what: "client", name: name.to_owned(), system: None, state };
            let until = now.plus(Duration::from_secs(seconds));
            let bytes = serde_json::to_vec(&Decision::of(&listing, until)).unwrap();
            view.note(key(&listing), Some(&bytes));
        };
        list("203.0.113.9", "blocked", 60);
        list("198.51.100.0/24", "blocked", 60);
        list("2001:db8:1:2::/64", "tarpit", 60);
        list("192.0.2.1", "blocked", 0);
        let about = |address: &str| view.about_client(address.parse().unwrap(), now);
        assert_eq!(about("203.0.113.9"), Some("blocked"));
        assert_eq!(about("::ffff:203.0.113.9"), Some("blocked"));
        assert_eq!(about("198.51.100.77"), Some("blocked"));
        assert_eq!(about("2001:db8:1:2:3::4"), Some("tarpit"));
        assert_eq!(about("203.0.113.10"), None);
        assert_eq!(about("2001:db8:1:3::1"), None);
        // Its time is up, although the key still stands there.
        assert_eq!(about("192.0.2.1"), None);
    }
}

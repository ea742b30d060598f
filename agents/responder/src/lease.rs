//! A lease: what was asked, what became of it, and until when.

use magsentinel_bus_schema::{Action, CodecError, Effect, Id, Timestamp, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// Cited events that a lease keeps; the outcome names the incident, which has them all.
const EVENTS_MAX: usize = 32;
/// Characters of a reason that a lease keeps.
const REASON_CHARS_MAX: usize = 512;
/// Bytes of what people say of it later that a lease keeps: of its approval, and of its end.
const WORDS_BYTES_MAX: usize = 512;

/// What people say of a lease, as much of it as is kept: its record must go on fitting into a
/// message.
#[must_use]
pub fn words(said: &str) -> String {
    let kept = (0..=WORDS_BYTES_MAX.min(said.len())).rev().find(|at| said.is_char_boundary(*at));
    said.get(..kept.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// Where a lease stands. No tag inside, and not flattened: what is read through either is read as
/// if it were JSON, where a bare number is another time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// It waits for approval.
    Waiting {
        /// When it is given up.
        until: Timestamp,
        /// Why it waits.
        why: String,
    },
    /// It holds.
    Active {
        /// When it ends by itself.
        until: Timestamp,
    },
    /// It holds no more. Kept for as long as its action could be delivered again.
    Ended {
        /// When it ended.
        at: Timestamp,
        /// Why.
        why: String,
        /// Whether it ever held.
        held: bool,
    },
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// What was asked; reason and cited events are cut.
    pub action: Action,
    /// Where it stands.
    pub life: Life,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When it took effect last, or was asked for.
    pub since: Timestamp,
    /// How often it was asked for anew, approved or extended: tells its outcomes apart.
    pub turn: u32,
    /// What an approval must name, where it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The newest order that changed it.
    #[serde(default)]
    pub order: Option<Id>,
    /// Who approved it.
    #[serde(default)]
    pub approved_by: Option<String>,
    /// W3C trace context of the action: what is told of it belongs to the same trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// It held already when it took effect last: that was told as renewed.
    #[serde(default)]
    pub renewed: bool,
    /// An operator ended it: it is not granted again, however often it is asked for.
    #[serde(default)]
    pub revoked: bool,
}

impl Life {
    /// That of an action which takes effect now. People are told once, and nothing is held.
    #[must_use]
    pub fn begun(action: &Action, now: Timestamp) -> Self {
        match action.effect {
            Effect::Notify { .. } => {
                Self::Ended { at: now, why: "it is told".to_owned(), held: true }
            }
            _ => Self::Active { until: now.plus(Duration::from_secs(action.ttl_s)) },
        }
    }
}

impl Lease {
    /// A lease for an action, asked for at `now` under a policy.
    #[must_use]
    pub fn new(action: &Action, life: Life, version: &str, now: Timestamp) -> Self {
        let waits = matches!(life, Life::Waiting { .. });
        let hash = waits.then(|| hash(action, version));
        let mut action = action.clone();
        action.events.truncate(EVENTS_MAX);
        if action.reason.chars().count() > REASON_CHARS_MAX {
            action.reason = action.reason.chars().take(REASON_CHARS_MAX).collect();
        }
        action.inverse = String::new();
        Self {
            action,
            life,
            asked: now,
            since: now,
            turn: 0,
            hash,
            order: None,
            approved_by: None,
            trace: None,
            renewed: false,
            revoked: false,
        }
    }

    /// Its id: that of its action.
    #[must_use]
    pub fn id(&self) -> Id {
        self.action.id
    }

    /// Whether what it did stays although its time is up: evidence is not undone, nor is what people
    /// were told, and to tell so would be wrong.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self.action.effect, Effect::PreserveEvidence {} | Effect::Notify { .. })
            && matches!(self.life, Life::Ended { held: true, .. })
            && !self.revoked
    }

    /// When it ends by itself, if it holds.
    #[must_use]
    pub fn holds_until(&self) -> Option<Timestamp> {
        match self.life {
            Life::Active { until } => Some(until),
            Life::Waiting { .. } | Life::Ended { .. } => None,
        }
    }
}

/// What an approval is bound to: the exact action, target and parameters, and the policy.
#[must_use]
pub fn hash(action: &Action, version: &str) -> String {
    let bound = (&action.id, &action.tenant, &action.effect, &action.target, action.ttl_s, version);
    // Told apart in any case: what cannot be written must not all have one hash.
    let told = |e: rmp_serde::encode::Error| format!("{e}: {bound:?}").into_bytes();
    let bytes = rmp_serde::to_vec_named(&bound).unwrap_or_else(told);
    Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The leases that one record of the store holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Version of this form.
    pub v: u16,
    /// The leases.
    pub leases: Vec<Lease>,
}

/// Whether enforcement is off, and since when: a record of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Off {
    /// Who switched it off.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A record of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Some leases.
    Leases(Page),
    /// Enforcement is off.
    Switch(Off),
}

impl Record {
    /// As it is stored.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it may be stored.
    pub fn bytes(&self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Leases(page) => encode(page),
            Self::Switch(off) => encode(off),
        }
    }
}

/// Records to store, by key; none removes one.
pub type Records = BTreeMap<String, Option<Record>>;

/// Key of the record that says whether enforcement is off.
pub const SWITCH: &str = "switch";

/// Key of a page: sorts as its number does.
#[must_use]
pub fn page_key(page: u64) -> String {
    format!("page.{page:016}")
}

/// The number of a page's key.
#[must_use]
pub fn page_of(key: &str) -> Option<u64> {
    key.strip_prefix("page.")?.parse().ok()
}

/// Reads a page.
///
/// # Errors
/// When it is none, or of a newer form.
pub fn read_page(bytes: &[u8]) -> Result<Page, String> {
    let page: Page = rmp_serde::from_slice(bytes).map_err(|e| e.to_string())?;
    if page.v > 1 {
        return Err(format!("it has version {}, this program reads 1", page.v));
    }
    Ok(page)
}

//! What is posted, under which id and signature. Pure.

use crate::{
    effector::decisions::{Decision, key},
    thing::Listing,
};
use hmac::{Hmac, Mac};
use magsentinel_bus_schema::{Tenant, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What is posted.
#[derive(Debug, Serialize)]
pub(super) struct Post {
    pub(super) id: String,
    pub(super) tenant: Tenant,
    pub(super) holds: bool,
    #[serde(flatten)]
    pub(super) decision: Decision,
    /// What it is about.
    #[serde(skip)]
    pub(super) listing: Listing,
}

/// The same for every attempt at one change, and another for every other.
pub(super) fn post_id(tenant: &Tenant, of: &Listing, until: Timestamp, holds: bool) -> String {
    let mut hash = Sha256::new();
    let (until, what) = (until.micros().to_string(), key(of));
    for part in [tenant.as_str(), &what, &until, if holds { "holds" } else { "over" }] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

pub(super) fn signature(secret: &[u8], seconds: &str, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|e| e.to_string())?;
    mac.update(seconds.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(format!("v1={}", hex(&mac.finalize().into_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            post_id(&Tenant::default(), &listing(name), Timestamp::from_micros(at), holds)
        };
        assert_eq!(id("ann", 1, true), id("ann", 1, true));
        let all = [id("ann", 1, true), id("ann", 1, false), id("ann", 2, true), id("bob", 1, true)];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}

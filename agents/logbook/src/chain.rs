//! The hash chain over the records.
//!
//! `hash(n) = SHA-256(domain, hash(n - 1), record n)`, with every field length-prefixed, so that
//! no two records are written alike, and `hash(0)` all zero. The bytes are fixed for ever:
//! a changed form would make every kept logbook look broken.

use sha2::{Digest, Sha256};

/// A link of the chain.
pub type Hash = [u8; 32];

/// The link before the first record.
pub const ROOT: Hash = [0; 32];

const DOMAIN: &[u8] = b"magsentinel logbook 1";

/// A record, as it is hashed.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Number of the record: 1, 2, 3, … without gaps.
    pub seq: i64,
    /// Tenant.
    pub tenant: &'a str,
    /// Stage.
    pub stage: &'a str,
    /// Message id.
    pub message_id: &'a str,
    /// Incident, where there is one.
    pub incident: Option<&'a str>,
    /// When the server stored the message, in microseconds since 1970.
    pub stored_us: i64,
    /// Subject.
    pub subject: &'a str,
    /// Sequence of the message in its stream.
    pub stream_seq: i64,
    /// Content type, where the message says it.
    pub content_type: Option<&'a str>,
    /// The message.
    pub payload: &'a [u8],
}

impl Link<'_> {
    /// The hash of this record after the record whose hash is `previous`.
    #[must_use]
    pub fn hash(&self, previous: &Hash) -> Hash {
        let mut sha = Sha256::new_with_prefix(DOMAIN);
        sha.update(previous);
        for number in [self.seq, self.stored_us, self.stream_seq] {
            sha.update(number.to_be_bytes());
        }
        let fields = [
            Some(self.tenant.as_bytes()),
            Some(self.stage.as_bytes()),
            Some(self.message_id.as_bytes()),
            self.incident.map(str::as_bytes),
            Some(self.subject.as_bytes()),
            self.content_type.map(str::as_bytes),
            Some(self.payload),
        ];
        for field in fields {
            sha.update([u8::from(field.is_some())]);
            let bytes = field.unwrap_or_default();
            sha.update((bytes.len() as u64).to_be_bytes());
            sha.update(bytes);
        }
        sha.finalize().into()
    }
}

/// A hash as hexadecimal text.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link<'static> = Link {
        seq: 1,
        tenant: "default",
        stage: "alert",
        message_id: "m",
        incident: Some("i"),
        stored_us: 2,
        subject: "mag.default.alert.high.x",
        stream_seq: 3,
        content_type: None,
        payload: b"payload",
    };

    #[test]
    fn the_form_is_fixed_for_ever() {
        assert_eq!(hex(&LINK.hash(&ROOT)), include_str!("chain/link1.sha256").trim());
    }

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let others = [
            Link { seq: 2, ..LINK },
            Link { tenant: "defaul", stage: "talert", ..LINK },
            Link { stage: "alertm", message_id: "", ..LINK },
            Link { incident: None, ..LINK },
            Link { incident: Some(""), ..LINK },
            Link { stored_us: 3, stream_seq: 2, ..LINK },
            Link { subject: "mag.default.alert.low.x", ..LINK },
            Link { content_type: Some(""), ..LINK },
            Link { payload: b"Payload", ..LINK },
        ];
        let mut hashes: Vec<_> = others.iter().chain([&LINK]).map(|l| l.hash(&ROOT)).collect();
        hashes.push(LINK.hash(&[1; 32]));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 2);
    }
}

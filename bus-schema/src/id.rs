//! Identifiers. Everything derived has a deterministic id, so that doing it twice is visible.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Namespace of all derived ids (a random UUID, fixed for ever).
const NAMESPACE: Uuid = Uuid::from_u128(0x6d61_6773_656e_4749_8e1c_7a53_0b9f_4d21);

/// The id of one message: a UUID, written as its hyphenated text in every encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(transparent)]
pub struct Id(#[schemars(with = "String")] Uuid);

impl Id {
    /// Derives an id (UUID version 5, RFC 9562) from the causes of a message. Parts are
    /// length-prefixed, so that `["ab", "c"]` and `["a", "bc"]` differ.
    #[must_use]
    pub fn derived<P: AsRef<[u8]>>(parts: &[P]) -> Self {
        let mut name = Vec::with_capacity(64);
        for part in parts {
            let part = part.as_ref();
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part);
        }
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }

    /// The id of an event whose publisher gave it one: a UUID is taken as it is, any other
    /// text is derived under its tenant, so that two tenants never collide.
    #[must_use]
    pub fn of_publisher(tenant: &str, given: &str) -> Self {
        given.parse().unwrap_or_else(|_| Self::derived(&["publisher", tenant, given]))
    }

    /// A fresh, time-ordered id (UUID version 7) for an event that nobody named.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id as a number, for where it is kept rather than sent.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The id that [`Id::as_u128`] gave.
    #[must_use]
    pub fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// The sixteen bytes of the UUID.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = uuid::Error;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(s).map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        s.serialize_str(self.0.as_hyphenated().encode_lower(&mut text))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Id::derived(&["ab", "c"]), Id::derived(&["a", "bc"]));
        assert_eq!(Id::derived(&["ab", "c"]), Id::derived(&["ab", "c"]));
    }

    #[test]
    fn a_publishers_uuid_is_kept_and_other_text_is_derived_under_the_tenant() {
        let given = "0192d5a0-7e8b-7cc1-9f5e-0123456789ab";
        assert_eq!(Id::of_publisher("a", given).to_string(), given);
        assert_ne!(Id::of_publisher("a", "order-1"), Id::of_publisher("b", "order-1"));
    }
}

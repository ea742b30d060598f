//! What an action changes in the world, as types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident = $token:literal),* $(,)?) => {
        /// What an action does, as a token in subjects.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Verb { $($(#[$doc])* $variant),* }
        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Verb] = &[$(Verb::$variant),*];
            /// Its token.
            #[must_use]
            pub fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),* }
            }
        }
    };
}

verbs! {
    /// Keep an address out.
    BlockAddress = "block_address",
    /// Keep a network out.
    BlockPrefix = "block_prefix",
    /// Let an address through slowly.
    RateLimit = "rate_limit",
    /// Answer an address as slowly as can be.
    Tarpit = "tarpit",
    /// End and refuse a session.
    SuspendSession = "suspend_session",
    /// Make a session's tokens invalid.
    RevokeSession = "revoke_session",
    /// Refuse a user or role.
    SuspendUser = "suspend_user",
    /// Make what a user holds invalid: tokens, sessions.
    RevokeUser = "revoke_user",
    /// Refuse an API key for good, as far as a lease can.
    RevokeKey = "revoke_key",
    /// Refuse an API key for a while.
    SuspendKey = "suspend_key",
    /// Isolate a device.
    QuarantineDevice = "quarantine_device",
    /// Stop an extension.
    QuarantineExtension = "quarantine_extension",
    /// Isolate a pod.
    QuarantinePod = "quarantine_pod",
    /// Isolate a namespace.
    QuarantineNamespace = "quarantine_namespace",
    /// Keep the evidence of an incident.
    PreserveEvidence = "preserve_evidence",
    /// Tell people.
    Notify = "notify",
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// What an action changes in the world. Typed: no text of an effect ever reaches a shell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Effect {
    /// Drop traffic from an address.
    BlockAddress {
        /// The address, IPv4 or IPv6.
        #[serde(with = "address_text")]
        #[schemars(with = "IpAddr")]
        address: IpAddr,
    },
    /// Drop traffic from a network.
    BlockPrefix {
        /// Its first address; bits beyond the length are zero.
        #[serde(with = "address_text")]
        #[schemars(with = "IpAddr")]
        address: IpAddr,
        /// Length of its prefix in bits.
        length: u8,
    },
    /// Let an address through at the responder's configured rate only.
    RateLimit {
        /// The address, IPv4 or IPv6.
        #[serde(with = "address_text")]
        #[schemars(with = "IpAddr")]
        address: IpAddr,
    },
    /// Have gateways answer an address as slowly as they can.
    Tarpit {
        /// The address, IPv4 or IPv6.
        #[serde(with = "address_text")]
        #[schemars(with = "IpAddr")]
        address: IpAddr,
    },
    /// End a session and refuse its resumption.
    SuspendSession {
        /// Session id.
        session: String,
        /// User or role of the session, where known.
        user: Option<String>,
        /// The system that holds the session: `postgresql`, an application.
        system: String,
    },
    /// Make the tokens of a session invalid.
    RevokeSession {
        /// Session id.
        session: String,
        /// The system that holds the session.
        system: String,
    },
    /// Refuse logins of a user or role.
    SuspendUser {
        /// User or role.
        user: String,
        /// The system that knows the user.
        system: String,
    },
    /// Make everything invalid that a user holds in a system.
    RevokeUser {
        /// User or role.
        user: String,
        /// The system that knows the user.
        system: String,
    },
    /// Refuse an API key.
    RevokeKey {
        /// Public id of the key.
        key: String,
    },
    /// Refuse an API key for as long as the lease holds.
    SuspendKey {
        /// Public id of the key.
        key: String,
    },
    /// Isolate a device.
    QuarantineDevice {
        /// Device id.
        device: String,
    },
    /// Stop an extension.
    QuarantineExtension {
        /// Extension id.
        extension: String,
    },
    /// Cut a pod off.
    QuarantinePod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        pod: String,
    },
    /// Cut a namespace off.
    QuarantineNamespace {
        /// Its name.
        namespace: String,
    },
    /// Keep the incident's evidence beyond what streams retain.
    PreserveEvidence {},
    /// Tell people.
    Notify {
        /// What to tell.
        message: String,
    },
}

/// An address as text in every encoding. Its own form in MessagePack is not text, but what is
/// read through the tag of an [`Effect`] is always read as if it were JSON.
mod address_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::net::IpAddr;

    pub(super) fn serialize<S: Serializer>(address: &IpAddr, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<IpAddr, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl Effect {
    /// The verb of this effect.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Self::BlockAddress { .. } => Verb::BlockAddress,
            Self::BlockPrefix { .. } => Verb::BlockPrefix,
            Self::RateLimit { .. } => Verb::RateLimit,
            Self::Tarpit { .. } => Verb::Tarpit,
            Self::SuspendSession { .. } => Verb::SuspendSession,
            Self::RevokeSession { .. } => Verb::RevokeSession,
            Self::SuspendUser { .. } => Verb::SuspendUser,
            Self::RevokeUser { .. } => Verb::RevokeUser,
            Self::RevokeKey { .. } => Verb::RevokeKey,
            Self::SuspendKey { .. } => Verb::SuspendKey,
            Self::QuarantineDevice { .. } => Verb::QuarantineDevice,
            Self::QuarantineExtension { .. } => Verb::QuarantineExtension,
            Self::QuarantinePod { .. } => Verb::QuarantinePod,
            Self::QuarantineNamespace { .. } => Verb::QuarantineNamespace,
            Self::PreserveEvidence { .. } => Verb::PreserveEvidence,
            Self::Notify { .. } => Verb::Notify,
        }
    }
}

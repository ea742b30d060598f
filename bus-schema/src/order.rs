//! What an operator orders about leases.

use crate::{Id, Tenant, Timestamp, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is to be done, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Ask {
    /// A lease that waits may take effect.
    Approve {
        /// The lease: the id of its action.
        lease: Id,
        /// What was approved: the hash that its outcome of status `pending` names. Another
        /// action, target, parameter or policy has another.
        hash: String,
    },
    /// A lease ends now, and its effect is undone.
    Revoke {
        /// The lease.
        lease: Id,
    },
    /// A lease holds longer.
    Extend {
        /// The lease.
        lease: Id,
        /// How long it holds from now on, in seconds.
        ttl_s: u64,
    },
    /// Every effect is undone, and nothing takes effect until `resume`.
    Panic {},
    /// Actions may take effect again.
    Resume {},
}

/// The verb of an order, as a token in subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderVerb {
    /// See [`Ask::Approve`].
    Approve,
    /// See [`Ask::Revoke`].
    Revoke,
    /// See [`Ask::Extend`].
    Extend,
    /// See [`Ask::Panic`].
    Panic,
    /// See [`Ask::Resume`].
    Resume,
}

impl OrderVerb {
    /// Every verb.
    pub const ALL: &'static [OrderVerb] =
        &[Self::Approve, Self::Revoke, Self::Extend, Self::Panic, Self::Resume];

    /// Its token.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Revoke => "revoke",
            Self::Extend => "extend",
            Self::Panic => "panic",
            Self::Resume => "resume",
        }
    }

    /// The verb of a token.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.token() == token)
    }
}

impl fmt::Display for OrderVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

impl Ask {
    /// Its verb: permissions are given by it.
    #[must_use]
    pub fn verb(&self) -> OrderVerb {
        match self {
            Self::Approve { .. } => OrderVerb::Approve,
            Self::Revoke { .. } => OrderVerb::Revoke,
            Self::Extend { .. } => OrderVerb::Extend,
            Self::Panic {} => OrderVerb::Panic,
            Self::Resume {} => OrderVerb::Resume,
        }
    }
}

/// An operator's order about leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Its id, fresh for every order.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// What is ordered.
    pub ask: Ask,
    /// Who orders it.
    pub by: String,
    /// Why, for a reader.
    #[serde(default)]
    pub reason: String,
    /// When.
    pub ts: Timestamp,
}

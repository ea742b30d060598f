//! What a lease holds in the world: the smallest thing that an effector adds, removes and lists.

use crate::{
    Network,
    effect::{POSTGRESQL, Step},
};
use std::fmt;

/// A thing that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// Packets from and to a network are dropped.
    Dropped(Network),
    /// Packets from an address come through at a bounded rate only.
    Slowed(Network),
    /// A name stands on the decision list.
    Listed(Listing),
    /// A webhook's receiver was told a decision.
    Posted(Listing),
}

/// A name on the decision list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listing {
    /// What the name names: `client`, `session`, `user`, `key`, `device`, …
    pub what: &'static str,
    /// The name; of a client, its address or network.
    pub name: String,
    /// The system that knows the name, where not everybody does.
    pub system: Option<String>,
    /// What is decided: `blocked`, `limited`, `tarpit`, `suspended`, `revoked`, `quarantined`.
    pub state: &'static str,
}

/// Which effectors a responder has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// nftables.
    pub nftables: bool,
    /// The decision list.
    pub decisions: bool,
    /// The webhook.
    pub webhook: bool,
    /// The store of evidence.
    pub evidence: bool,
}

impl Thing {
    /// What a step holds, with the effectors that there are. Evidence is no thing: it is kept after
    /// the outcome that says so, and stays when the lease is over. Nor is what people are told: the
    /// outcome tells them.
    ///
    /// # Errors
    /// A sentence that says which effector is missing.
    pub fn of(step: &Step, reach: Reach) -> Result<Vec<Self>, String> {
        if *step == Step::Preserve {
            let off = "evidence is not kept: set responder.evidence.enabled".to_owned();
            return if reach.evidence { Ok(Vec::new()) } else { Err(off) };
        }
        let Some(listing) = Listing::of(step) else { return Ok(Vec::new()) };
        let packets = match step {
            Step::DropPackets { network, .. } => Some(Self::Dropped(*network)),
            Step::SlowPackets { network, .. } => Some(Self::Slowed(*network)),
            _ => None,
        };
        // What is done to a database is for whoever holds its credentials, not for gateways.
        let gateways = (!step.is_of_postgresql()).then(|| Self::Listed(listing.clone()));
        let ways = [
            (packets, reach.nftables, "responder.nftables.enabled"),
            (gateways, reach.decisions, "responder.decisions.enabled"),
            (Some(Self::Posted(listing)), reach.webhook, "responder.webhook.url"),
        ];
        let ways = ways.into_iter().filter_map(|(thing, on, key)| Some((thing?, on, key)));
        let (on, off): (Vec<_>, Vec<_>) = ways.partition(|(_, on, _)| *on);
        if on.is_empty() {
            let keys: Vec<&str> = off.into_iter().map(|(_, _, key)| key).collect();
            let keys = keys.join(" or ");
            return Err(format!("no effector that carries it out is switched on: set {keys}"));
        }
        Ok(on.into_iter().map(|(thing, _, _)| thing).collect())
    }

    /// The sort of a thing: one target may be a thing of each.
    #[must_use]
    pub fn sort(&self) -> Sort {
        match self {
            Self::Dropped(_) | Self::Slowed(_) => Sort::Packets,
            Self::Listed(_) => Sort::List,
            Self::Posted(_) => Sort::Post,
        }
    }
}

/// By which sort of effector a thing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// Packets.
    Packets,
    /// The decision list.
    List,
    /// The webhook.
    Post,
}

impl Listing {
    /// What a step decides about whom; none where it is no decision about a name.
    #[must_use]
    pub fn of(step: &Step) -> Option<Self> {
        let client = |network: &Network, state| {
            let name = network.to_string();
            Self { what: "client", name, system: None, state }
        };
        let postgresql = || Some(POSTGRESQL.to_owned());
        Some(match step {
            Step::DropPackets { network, .. } => client(network, "blocked"),
            Step::SlowPackets { network, .. } => client(network, "limited"),
            Step::Decide { what, name, system, state, .. } => {
                Self { what, name: name.clone(), system: system.clone(), state }
            }
            Step::EndBackend { session, .. } => {
                let name = session.to_string();
                Self { what: "session", name, system: postgresql(), state: "suspended" }
            }
            Step::RefuseRole { role } => {
                let name = role.clone();
                Self { what: "user", name, system: postgresql(), state: "suspended" }
            }
            Step::Preserve | Step::Tell { .. } => return None,
        })
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(network) => write!(f, "dropped {network}"),
            Self::Slowed(network) => write!(f, "slowed {network}"),
            Self::Listed(listing) => {
                let Listing { what, name, state, .. } = listing;
                write!(f, "{what} {name:?} {state}")
            }
            Self::Posted(listing) => {
                let Listing { what, name, state, .. } = listing;
                write!(f, "{what} {name:?} {state}, posted")
            }
        }
    }
}

//! What a lease holds in the world: the smallest thing that an effector adds, removes and lists.

use crate::{Network, effect::Step};
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
}

impl Thing {
    /// What a step holds, with the effectors that there are.
    ///
    /// # Errors
    /// A sentence that says which effector is missing.
    pub fn of(step: &Step, reach: Reach) -> Result<Vec<Self>, String> {
        let mut things = Vec::new();
        let listed = |network: &Network, state| {
            let name = network.to_string();
            Self::Listed(Listing { what: "client", name, system: None, state })
        };
        match step {
            Step::DropPackets { network, .. } => {
                things.extend(reach.nftables.then_some(Self::Dropped(*network)));
                things.extend(reach.decisions.then(|| listed(network, "blocked")));
            }
            Step::SlowPackets { network, .. } => {
                things.extend(reach.nftables.then_some(Self::Slowed(*network)));
                things.extend(reach.decisions.then(|| listed(network, "limited")));
            }
            Step::Decide { what, name, system, state, .. } => {
                let listing = Listing { what, name: name.clone(), system: system.clone(), state };
                things.extend(reach.decisions.then_some(Self::Listed(listing)));
            }
            Step::EndBackend { .. }
            | Step::RefuseRole { .. }
            | Step::Preserve
            | Step::Tell { .. } => {
                return Err("no effector of this responder carries it out".to_owned());
            }
        }
        if things.is_empty() {
            return Err("no effector that carries it out is switched on: set \
                        responder.nftables.enabled or responder.decisions.enabled"
                .to_owned());
        }
        Ok(things)
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
        }
    }
}

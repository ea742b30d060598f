//! Orders about leases and what is preserved, of any bytes.

use super::Bytes;
use crate::examples;
use magsentinel_bus_schema::{Ask, Order, Preserved};

impl Bytes<'_> {
    pub(super) fn order(&mut self) -> Order {
        Order {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            ask: self.ask(),
            by: self.text(),
            reason: self.text(),
            ts: self.at(),
        }
    }

    fn ask(&mut self) -> Ask {
        match self.pick(&examples::asks()) {
            Ask::Approve { .. } => Ask::Approve { lease: self.id(), hash: self.text() },
            Ask::Revoke { .. } => Ask::Revoke { lease: self.id() },
            Ask::Extend { .. } => Ask::Extend { lease: self.id(), ttl_s: self.number() },
            other => other,
        }
    }

    pub(super) fn preserved(&mut self) -> Preserved {
        Preserved { object: self.text(), sha256: self.text(), bytes: self.number() }
    }
}

//! Receipts as a patrol gives them for what is ordinary.

use magsentinel_bus_schema::{Id, Level, Receipt, SCHEMA_VERSION, Subject, Tenant, Token};
use magsentinel_runtime::stage::Publish;

/// That of one message, by its number in the stream.
#[must_use]
pub fn receipt(patrol: &str, id: Id, seq: u64) -> Publish {
    let patrol: Token = patrol.parse().expect("a token");
    let receipt = Receipt {
        v: SCHEMA_VERSION,
        id,
        tenant: Tenant::default(),
        patrol: patrol.clone(),
        model: String::new(),
        patterns: String::new(),
        events: vec![id],
        seqs: vec![seq],
        backfilled: false,
    };
    let subject = Subject::Scored(patrol, Level::None);
    Publish::new(subject, id, &receipt).expect("it can be written")
}

//! Findings as the router sends them to the owner of a key: for tests of owners alone.

use magsentinel_bus_schema::{
    Class, Entity, Id, Keyed, Kind, Level, SCHEMA_VERSION, Scored, Shard, Subject, Tenant, Trust,
};
use magsentinel_runtime::{clock, stage::Publish};

/// Shards of a sandbox.
const SHARDS: u16 = 64;

/// The shard of a key.
#[must_use]
pub fn shard_of(key: &str) -> Shard {
    Shard::of(key, SHARDS)
}

/// An injection that a patrol found, for the user that it names; `name` tells it from others.
#[must_use]
pub fn injection(name: &str, user: &str) -> Publish {
    injection_from(name, user, None)
}

/// The same, seen to come from an address.
#[must_use]
pub fn injection_from(name: &str, user: &str, client: Option<&str>) -> Publish {
    let scored = found(name, user, client);
    let (class, key) = (Class::User, user.to_owned());
    let keyed = Keyed { v: SCHEMA_VERSION, class, key, seq: 1, scored };
    let id = Id::derived(&["keyed", name]);
    Publish::new(Subject::Keyed(class, shard_of(user)), id, &keyed).expect("it can be written")
}

/// An injection as its patrol publishes it, before it is routed.
#[must_use]
pub fn unrouted(name: &str, user: &str) -> Publish {
    let scored = found(name, user, None);
    let subject = Subject::Scored(scored.patrol.clone(), scored.level);
    Publish::new(subject, scored.id, &scored).expect("it can be written")
}

fn found(name: &str, user: &str, client: Option<&str>) -> Scored {
    let observed = |class, value: &str| {
        let value = value.to_owned();
        Entity { class, value, trust: Trust::Observed }
    };
    let user_too = [observed(Class::User, user)].into_iter();
    let entities = user_too.chain(client.map(|client| observed(Class::Client, client))).collect();
    Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["scored", name]),
        event: Id::derived(&["event", name]),
        seq: 1,
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: clock::now(),
        replayed: false,
        backfilled: false,
        patrol: "sql-guard".parse().expect("a token"),
        by_key: None,
        source: None,
        level: Level::High,
        score: 0.95,
        confidence: 0.9,
        category: "union_injection".parse().expect("a token"),
        techniques: vec![],
        reasons: vec![],
        entities,
        excerpt: String::new(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    }
}

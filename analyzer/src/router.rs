//! The router: each scored event goes once to the owner of each key that any chain groups by.

use crate::{
    Config,
    chain::{Book, named},
    parcel::{Parcels, Part},
};
use magsentinel_bus_schema::{
    Class, KeyedRef, Level, Limits, SCHEMA_VERSION, Scored, Shard, Subject, Tenant, Token, encode,
    subject,
};
use magsentinel_runtime::stage::{Batch, Delivery, Failed, Output, Stage};
use serde_json::json;

/// Name of the router's durable.
pub const NAME: &str = "analyzer-router";

/// Subject filters: every scored event that is not level none.
#[must_use]
pub fn filters(tenant: &Tenant) -> Vec<String> {
    subject::scored_at(tenant, &[Level::Low, Level::Medium, Level::High, Level::Critical])
}

/// Where a scored event goes: once per class that it names.
pub fn route<'s>(
    classes: &[Class],
    scored: &'s Scored,
    seq: u64,
) -> impl Iterator<Item = KeyedRef<'s>> {
    let entities = classes.iter().filter_map(|class| named(scored, *class));
    entities.map(move |entity| {
        let (class, key) = (entity.class, entity.value.as_str());
        KeyedRef { v: SCHEMA_VERSION, class, key, seq, scored }
    })
}

/// The router as a stage.
#[derive(Debug)]
pub struct Router {
    classes: Vec<Class>,
    shards: u16,
    routed: u64,
    published: u64,
    keyless: u64,
}

impl Router {
    /// A router for the chains of a book.
    #[must_use]
    pub fn new(config: &Config, book: &Book) -> Self {
        let (routed, published, keyless) = (0, 0, 0);
        Self { classes: book.classes(), shards: config.shards, routed, published, keyless }
    }

    fn route(&self, delivery: &Delivery) -> Result<Vec<(Shard, Part)>, Failed> {
        let poison = |why: String| Failed::Poison(why);
        let scored: Scored =
            delivery.decode(Limits::default()).map_err(|e| poison(e.to_string()))?;
        check_subject(delivery, &scored)?;
        let trace = scored.trace.clone().or_else(|| delivery.trace.clone());
        let mut parts = Vec::new();
        for keyed in route(&self.classes, &scored, delivery.seq) {
            let bytes = encode(&keyed).map_err(|e| poison(e.to_string()))?;
            let (length, most) = (bytes.len(), Limits::default().bytes_max);
            if length > most {
                return Err(poison(format!(
                    "keyed it is {length} bytes long, over the limit of {most}: its patrol must \
                     cut excerpt and reasons"
                )));
            }
            let shard = Shard::of(keyed.key, self.shards);
            let (class, scored) = (keyed.class, scored.id);
            parts.push((shard, Part { class, scored, bytes, trace: trace.clone() }));
        }
        Ok(parts)
    }
}

/// A message must be of the tenant, patrol and level that its subject says, because permissions
/// are given by subject.
fn check_subject(delivery: &Delivery, scored: &Scored) -> Result<(), Failed> {
    let (tenant, patrol, level): (Tenant, Token, Level) = match Subject::parse(&delivery.subject) {
        Ok((tenant, Subject::Scored(patrol, level))) => (tenant, patrol, level),
        _ => return Err(Failed::Poison(format!("{:?} is no scored subject", delivery.subject))),
    };
    if (&tenant, &patrol, level) == (&scored.tenant, &scored.patrol, scored.level) {
        return Ok(());
    }
    Err(Failed::Poison(format!(
        "published on {}, but says tenant {}, patrol {}, level {}",
        delivery.subject, scored.tenant, scored.patrol, scored.level
    )))
}

impl Stage for Router {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let mut parcels = Parcels::default();
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match self.route(delivery) {
                Ok(parts) => {
                    self.routed += 1;
                    self.keyless += u64::from(parts.is_empty());
                    self.published += parts.len() as u64;
                    parts.into_iter().for_each(|(shard, part)| parcels.add(shard, part, out));
                }
                Err(why) => out.fail(index, why),
            }
        }
        parcels.send(out);
    }

    fn report(&self) -> serde_json::Value {
        json!({ "routed": self.routed, "published": self.published, "keyless": self.keyless })
    }
}

//! The router: each scored event goes once to the owner of each key that any chain groups by.

use crate::{
    Config,
    chain::{Book, named},
    parcel::{Parcels, Part},
};
use magsentinel_bus_schema::{
    Class, CodecError, KeyedRef, Level, Limits, SCHEMA_VERSION, Scored, ScoredView, Shard, Subject,
    Tenant, Token, encode, subject,
};
use magsentinel_runtime::stage::{Batch, Delivery, Failed, Output, Stage};
use serde_json::json;

/// Name of the router, in its lease.
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

/// What a message goes through.
struct Way<'a> {
    parcels: &'a mut Parcels,
    out: &'a mut Output,
    /// Where an event for a key is written, again and again.
    space: &'a mut Vec<u8>,
    subjects: &'a mut Subjects,
}

/// The subject that was read last: most events of a batch came on the same.
#[derive(Debug, Default)]
struct Subjects {
    text: String,
    says: Option<(Tenant, Token, Level)>,
}

impl Subjects {
    /// What a subject says: tenant, patrol and level.
    fn read(&mut self, text: &str) -> Option<(&Tenant, &Token, Level)> {
        if self.text != text {
            text.clone_into(&mut self.text);
            self.says = match Subject::parse(text) {
                Ok((tenant, Subject::Scored(patrol, level))) => Some((tenant, patrol, level)),
                _ => None,
            };
        }
        self.says.as_ref().map(|(tenant, patrol, level)| (tenant, patrol, *level))
    }
}

impl Router {
    /// A router for the chains of a book.
    #[must_use]
    pub fn new(config: &Config, book: &Book) -> Self {
        let (routed, published, keyless) = (0, 0, 0);
        Self { classes: book.classes(), shards: config.shards, routed, published, keyless }
    }

    /// Routes a message; for how many keys.
    fn route(&self, delivery: &Delivery, way: &mut Way<'_>) -> Result<u64, Failed> {
        let limits = Limits::default();
        // As it lies, and as it lies it goes on: most of an event says nothing about its way.
        match ScoredView::read(&delivery.payload, delivery.content_type.as_deref(), limits) {
            Some(view) => self.pass_on(delivery, &view, way),
            None => self.write_anew(delivery, way),
        }
    }

    fn pass_on(
        &self,
        delivery: &Delivery,
        view: &ScoredView<'_>,
        way: &mut Way<'_>,
    ) -> Result<u64, Failed> {
        check_subject(delivery, way.subjects, (&view.tenant, &view.patrol, view.level))?;
        let of = |class: &Class| view.entity(*class).filter(|e| !e.value.trim().is_empty());
        let keys = || self.classes.iter().filter_map(of).map(|e| (e.class, e.value));
        // None of them goes on where one cannot.
        for (_, key) in keys() {
            check_length(delivery.payload.len() + key.len() + AROUND_MAX)?;
        }
        let trace = view.trace.or(delivery.trace.as_deref());
        let mut routed = 0;
        for (class, key) in keys() {
            way.space.clear();
            let written = view.write_keyed((class, key), delivery.seq, way.space);
            written.map_err(|e| Failed::Poison(e.to_string()))?;
            let part = Part { class, scored: view.id, bytes: way.space, trace };
            way.parcels.add(Shard::of(key, self.shards), &part, way.out);
            routed += 1;
        }
        Ok(routed)
    }

    /// The same of a message in JSON. It is here that one which cannot be read is told.
    fn write_anew(&self, delivery: &Delivery, way: &mut Way<'_>) -> Result<u64, Failed> {
        let poison = |e: CodecError| Failed::Poison(e.to_string());
        let scored: Scored = delivery.decode(Limits::default()).map_err(poison)?;
        check_subject(delivery, way.subjects, (&scored.tenant, &scored.patrol, scored.level))?;
        let trace = scored.trace.as_deref().or(delivery.trace.as_deref());
        let keyed = route(&self.classes, &scored, delivery.seq);
        let written = keyed.map(|keyed| Ok((keyed, encode(&keyed).map_err(poison)?)));
        let written: Vec<(KeyedRef<'_>, Vec<u8>)> = written.collect::<Result<_, Failed>>()?;
        for (_, bytes) in &written {
            check_length(bytes.len())?;
        }
        for (keyed, bytes) in &written {
            let part = Part { class: keyed.class, scored: scored.id, bytes, trace };
            way.parcels.add(Shard::of(keyed.key, self.shards), &part, way.out);
        }
        Ok(written.len() as u64)
    }
}

/// Most bytes that stand around a scored event in a keyed one, but for the key.
const AROUND_MAX: usize = 64;

fn check_length(length: usize) -> Result<(), Failed> {
    let most = Limits::default().bytes_max;
    if length <= most {
        return Ok(());
    }
    Err(Failed::Poison(format!(
        "keyed it is {length} bytes long, over the limit of {most}: its patrol must cut excerpt \
         and reasons"
    )))
}

/// A message must be of the tenant, patrol and level that its subject says, because permissions
/// are given by subject.
fn check_subject(
    delivery: &Delivery,
    subjects: &mut Subjects,
    says: (&Tenant, &Token, Level),
) -> Result<(), Failed> {
    match subjects.read(&delivery.subject) {
        Some(subject) if subject == says => Ok(()),
        Some(_) => Err(Failed::Poison(format!(
            "published on {}, but says tenant {}, patrol {}, level {}",
            delivery.subject, says.0, says.1, says.2
        ))),
        None => Err(Failed::Poison(format!("{:?} is no scored subject", delivery.subject))),
    }
}

impl Stage for Router {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        // They were routed before, and nothing is remembered of them.
        if batch.rebuilding {
            return;
        }
        let (mut parcels, mut space) = (Parcels::default(), Vec::new());
        let mut subjects = Subjects::default();
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            let (parcels, space) = (&mut parcels, &mut space);
            let mut way = Way { parcels, out, space, subjects: &mut subjects };
            match self.route(delivery, &mut way) {
                Ok(keys) => {
                    self.routed += 1;
                    self.keyless += u64::from(keys == 0);
                    self.published += keys;
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

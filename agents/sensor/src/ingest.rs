//! The door for publishers that compute neither envelope nor shard: `ingest.<kind>` → `event`.
//!
//! A message is one body, an array, newline-delimited JSON or Fluent Bit's pairs, as JSON or
//! MessagePack. Every element stands alone: a bad one is dead-lettered with its reason and its
//! place, the others become events. What cannot be split at all is dead-lettered whole.
//!
//! - **Time**: the body's `ts` in any form that [`Timestamp::from_value`] reads, else its
//!   `@timestamp` or `timestamp`; without one, or with one more than `future_max` ahead, the receipt
//!   time, marked `ts_missing`.
//!
//! [`Timestamp::from_value`]: magsentinel_bus_schema::Timestamp::from_value
//!
//! - **Id**: the body's `id`; of a message with a single element, its `ce-id` header; else
//!   derived from the message's place in the stream. A message that is delivered again gives
//!   the same ids in every case.
//! - **Trust**: the configured one, `claimed` unless told.

use crate::{
    Config,
    envelope::{Bounds, publish, time_of},
    shape::shape,
};
use magsentinel_bus_schema::{
    Event, Fields, Id, Kind, Limits, SCHEMA_VERSION, Source, Stream, Subject, SubjectError, Tenant,
    ingest::split, subject::all_of, trace,
};
use magsentinel_runtime::{
    service::Pool,
    stage::{Batch, Delivery, Failed, Output, Stage},
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// The consumers of the sensor.
///
/// # Errors
/// None with the names of today; a name that is no token would be one.
pub fn pools(config: &Config) -> Result<Vec<Pool>, SubjectError> {
    let stage = Ingest::new(config);
    Ok(vec![Pool {
        durable: "ingest".parse()?,
        stream: Stream::Ingest,
        filters: |tenant| vec![all_of(tenant, "ingest")],
        batch_max: config.ingest.batch_max,
        batches_in_flight: config.ingest.batches_in_flight,
        slow: false,
        max_deliver: config.ingest.max_deliver,
        ack_wait: config.ingest.ack_wait,
        make: Arc::new(move || Ok(Box::new(stage.clone()))),
    }])
}

/// The ingest stage.
#[derive(Clone, Debug)]
pub struct Ingest {
    bounds: Bounds,
    config: crate::config::IngestConfig,
    report: Report,
}

/// Figures since the stage was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events published.
    pub accepted: u64,
    /// Elements and messages dead-lettered.
    pub rejected: u64,
    /// Events without a time of their own.
    pub ts_missing: u64,
    /// Events whose time lay too far ahead.
    pub ts_ahead: u64,
}

/// What the elements of a message have in common.
struct Envelope<'a> {
    delivery: &'a Delivery,
    tenant: Tenant,
    kind: Kind,
    single: bool,
}

impl Ingest {
    /// With the bounds and the trust of the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (bounds, ingest) = (Bounds::from(config), config.ingest.clone());
        Self { bounds, config: ingest, report: Report::default() }
    }

    /// Figures since the stage was made.
    #[must_use]
    pub fn figures(&self) -> Report {
        self.report
    }

    fn delivery(&mut self, index: usize, delivery: &Delivery, out: &mut Output) {
        let (tenant, kind) = match Subject::parse(&delivery.subject) {
            Ok((tenant, Subject::Ingest(kind))) => (tenant, kind),
            Ok(_) => return self.poison(index, "subject is no ingest subject".into(), out),
            Err(e) => return self.poison(index, e.to_string(), out),
        };
        let limits = Limits { bytes_max: self.config.bytes_max };
        let elements = split(&delivery.payload, delivery.content_type.as_deref(), limits);
        let elements = match elements {
            Ok(elements) if elements.is_empty() => {
                return self.poison(index, "message holds no element".into(), out);
            }
            Ok(elements) => elements,
            Err(e) => return self.poison(index, e.to_string(), out),
        };
        let envelope = Envelope { delivery, tenant, kind, single: elements.len() == 1 };
        for (n, element) in elements.into_iter().enumerate() {
            let body = match element {
                Ok(_) if n >= self.config.elements_max => {
                    Err(format!("message has more than {} elements", self.config.elements_max))
                }
                other => other,
            };
            let message = body
                .and_then(|body| self.event(&envelope, n as u64, body))
                .and_then(|event| publish(event, self.bounds));
            match message {
                Ok(message) => {
                    self.report.accepted += 1;
                    out.publish_for(index, message);
                }
                Err(reason) => {
                    self.report.rejected += 1;
                    out.reject_element(index, n as u64, reason);
                }
            }
        }
    }

    fn poison(&mut self, index: usize, reason: String, out: &mut Output) {
        self.report.rejected += 1;
        out.fail(index, Failed::Poison(reason));
    }

    fn event(
        &mut self,
        envelope: &Envelope<'_>,
        element: u64,
        mut body: Fields,
    ) -> Result<Event, String> {
        let received = envelope.delivery.stored;
        let given = time_of(&body)?;
        shape(envelope.kind, &mut body)?;
        let latest = received.plus(self.config.future_max.get());
        let ts = given.filter(|ts| *ts <= latest);
        self.report.ts_missing += u64::from(given.is_none());
        self.report.ts_ahead += u64::from(given.is_some() && ts.is_none());
        Ok(Event {
            v: SCHEMA_VERSION,
            id: envelope.id(element, &body),
            tenant: envelope.tenant.clone(),
            kind: envelope.kind,
            ts: ts.unwrap_or(received),
            received,
            ts_missing: ts.is_none(),
            replayed: false,
            source: Source {
                sensor: "ingest".to_owned(),
                name: "publisher".to_owned(),
                trust: self.config.trust,
            },
            causes: Vec::new(),
            trace: envelope.delivery.trace.clone().filter(|context| trace::id(context).is_some()),
            body,
        })
    }
}

impl Envelope<'_> {
    fn id(&self, element: u64, body: &Fields) -> Id {
        let tenant = self.tenant.as_str();
        let own = match body.get("id") {
            Some(Value::String(id)) if !id.trim().is_empty() => Some(id.trim().to_owned()),
            Some(Value::Number(id)) => Some(id.to_string()),
            _ => None,
        };
        let header = || self.delivery.ce_id.clone().filter(|_| self.single);
        if let Some(given) = own.or_else(header) {
            return Id::of_publisher(tenant, &given);
        }
        // The time of storing tells a stream from one that was made anew and counts from one.
        let stream = Stream::Ingest.name(&self.tenant);
        let seq = self.delivery.seq.to_string();
        let stored = self.delivery.stored.micros().to_string();
        Id::derived(&["ingest", &stream, &seq, &stored, &element.to_string()])
    }
}

impl Stage for Ingest {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            self.delivery(index, delivery, out);
        }
    }

    fn report(&self) -> Value {
        serde_json::to_value(self.report).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

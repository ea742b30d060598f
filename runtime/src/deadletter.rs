//! Turning a message that cannot be handled into a dead letter.

use crate::stage::{Delivery, Publish};
use base64::{Engine, engine::general_purpose::STANDARD};
use magsentinel_bus_schema::{
    CodecError, DeadLetter, Failure, Id, Subject, Tenant, Timestamp, Token,
    ops::DEAD_LETTER_BYTES_MAX,
};

/// What went wrong with a delivery.
pub(crate) struct Wrong<'a> {
    pub(crate) failure: Failure,
    pub(crate) reason: &'a str,
    pub(crate) element: Option<u64>,
}

/// The dead letter of a delivery. Its id is derived from stream, sequence, element and
/// consumer, so that writing it twice has no second effect.
pub(crate) fn letter(
    delivery: &Delivery,
    tenant: &Tenant,
    (stream, consumer): (&str, &str),
    wrong: &Wrong<'_>,
    now: Timestamp,
) -> Result<Publish, CodecError> {
    let seq = delivery.seq.to_string();
    let element = wrong.element.map(|e| e.to_string()).unwrap_or_default();
    let id = Id::derived(&["dead-letter", stream, &seq, consumer, &element]);
    let kept = delivery.payload.get(..DEAD_LETTER_BYTES_MAX).unwrap_or(&delivery.payload);
    let letter = DeadLetter {
        v: magsentinel_bus_schema::SCHEMA_VERSION,
        id,
        tenant: tenant.clone(),
        stream: stream.to_owned(),
        seq: delivery.seq,
        subject: delivery.subject.clone(),
        consumer: consumer.to_owned(),
        element: wrong.element,
        failure: wrong.failure,
        reason: wrong.reason.chars().take(1024).collect(),
        ts: now,
        payload_len: delivery.payload.len() as u64,
        payload: STANDARD.encode(kept),
    };
    // The stage is the second token after the tenant: `mag.<tenant>.<stage>.…`.
    let stage = delivery.subject.split('.').nth(2).unwrap_or("unknown");
    Publish::new(Subject::DeadLetter(Token::sanitised(stage)), id, &letter)
}

/// The token of a failure in metrics.
pub(crate) fn token(failure: Failure) -> &'static str {
    match failure {
        Failure::Poison => "poison",
        Failure::GaveUp => "gave_up",
        Failure::Bug => "bug",
    }
}

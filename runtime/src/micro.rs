//! `$SRV.PING/INFO/STATS` (NATS micro services), and asking others for theirs.

use crate::{
    bus::{Bus, Error},
    context::Context,
    service::{Answer, Endpoint},
};
use async_nats::service::{self, ServiceExt};
use futures::StreamExt;
use magsentinel_bus_schema::{Limits, Message, Subject, Token, codec};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How long answers to a ping are gathered.
const GATHER: Duration = Duration::from_millis(250);

/// A running micro service; ends when dropped.
pub(crate) struct Micro {
    _task: AbortOnDrop,
}

/// The metadata key that names the tenant of an instance.
const TENANT: &str = "tenant";

/// Announces this process under `name` (and so under every lease that bears the name).
pub(crate) async fn announce(
    context: &Context,
    name: &Token,
    endpoints: &[Endpoint],
) -> Result<Micro, Error> {
    let bus = &context.bus;
    let told = context.clone();
    let metadata = [
        (TENANT.to_owned(), bus.tenant().to_string()),
        ("instance".to_owned(), context.instance.to_string()),
    ];
    let failed =
        |e: async_nats::Error| Error::Request { what: "the micro service", why: e.to_string() };
    let service = bus
        .client()
        .service_builder()
        .description("MagSentinel agent")
        .metadata(metadata.into_iter().collect())
        .stats_handler(move |_, _| status(&told))
        .start(name.as_str(), env!("CARGO_PKG_VERSION"))
        .await
        .map_err(failed)?;
    let subject = Subject::Status(name.clone()).of(bus.tenant());
    let mut endpoint =
        service.endpoint_builder().name("status").add(subject).await.map_err(failed)?;
    let mut served = Vec::new();
    for Endpoint { name, subject, answer } in endpoints {
        let subject = subject.of(bus.tenant());
        let asked = service.endpoint_builder().name(*name).add(subject).await.map_err(failed)?;
        served.push(serve(asked, Arc::clone(answer)));
    }
    let told = context.clone();
    let task = tokio::spawn(async move {
        let _served = served;
        // The service lives as long as its endpoint is served.
        let service = service;
        while let Some(request) = endpoint.next().await {
            let answer = serde_json::to_vec(&status(&told)).unwrap_or_default();
            if let Err(error) = request.respond(Ok(answer.into())).await {
                tracing::debug!(%error, "status was not sent");
            }
        }
        drop(service);
    });
    Ok(Micro { _task: AbortOnDrop(task) })
}

/// Answers what is asked of an endpoint, one request after the other; ends when dropped.
fn serve(mut asked: service::endpoint::Endpoint, answer: Arc<Answer>) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(async move {
        while let Some(request) = asked.next().await {
            let headers = request.message.headers.as_ref();
            let kind = headers.and_then(|h| h.get("Content-Type")).map(ToString::to_string);
            let (answer, payload) = (Arc::clone(&answer), request.message.payload.clone());
            let made = tokio::task::spawn_blocking(move || answer(&payload, kind.as_deref())).await;
            let reply = match made {
                Ok(Ok(bytes)) => Ok(bytes.into()),
                Ok(Err(status)) => Err(service::error::Error { status, code: 400 }),
                Err(bug) => Err(service::error::Error { status: bug.to_string(), code: 500 }),
            };
            if let Err(error) = request.respond(reply).await {
                tracing::debug!(%error, "an answer was not sent");
            }
        }
    }))
}

/// A task that ends with whoever started it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What this process says of itself.
fn status(context: &Context) -> Value {
    json!({
        "instance": &*context.instance,
        "tenant": context.bus.tenant(),
        "stopping": context.is_stopping(),
        "resident_bytes": crate::memory::resident_bytes(std::process::id()),
        "parts": context.reports(),
    })
}

/// Asks whoever serves a subject, and waits for the answer.
///
/// # Errors
/// When nobody serves it, nobody answered in time, or the answer is a refusal or cannot be read.
pub async fn ask<Q: Message, A: Message>(
    bus: &Bus,
    subject: &Subject,
    question: &Q,
    patience: Duration,
) -> Result<A, Error> {
    let failed = |why: String| Error::Request { what: "the services", why };
    let payload = codec::encode(question).map_err(|e| failed(e.to_string()))?;
    let request = async_nats::Request::new().payload(payload.into()).timeout(Some(patience));
    let subject = subject.of(bus.tenant());
    let answer = bus.client().send_request(subject.clone(), request).await;
    let answer = answer.map_err(|e| failed(format!("{subject}: {e}")))?;
    let refused = answer.headers.as_ref().and_then(|h| h.get("Nats-Service-Error"));
    if let Some(why) = refused {
        return Err(failed(format!("{subject}: {why}")));
    }
    codec::decode(&answer.payload, None, Limits::default()).map_err(|e| failed(e.to_string()))
}

/// Asks all services on the bus for something (`PING`, `INFO`, `STATS`) and gathers answers of
/// this tenant for a quarter of a second.
pub async fn ask_all(bus: &Bus, verb: &str, name: Option<&str>) -> Result<Vec<Value>, Error> {
    let failed = |why: String| Error::Request { what: "the services", why };
    let client = bus.client();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|e| failed(e.to_string()))?;
    let subject = match name {
        Some(name) => format!("$SRV.{verb}.{name}"),
        None => format!("$SRV.{verb}"),
    };
    let asked = client.publish_with_reply(subject, inbox, "".into()).await;
    asked.map_err(|e| failed(e.to_string()))?;
    let mut gathered = Vec::new();
    let deadline = tokio::time::Instant::now() + GATHER;
    while let Ok(Some(answer)) = tokio::time::timeout_at(deadline, answers.next()).await {
        let Ok(value) = serde_json::from_slice::<Value>(&answer.payload) else { continue };
        let tenant = value.pointer("/metadata/tenant").and_then(Value::as_str);
        if tenant.is_none_or(|t| t == bus.tenant().as_str()) {
            gathered.push(value);
        }
    }
    Ok(gathered)
}

/// How many processes of a service answer a ping.
pub(crate) async fn count(bus: &Bus, name: &str) -> usize {
    ask_all(bus, "PING", Some(name)).await.map_or(0, |answers| answers.len())
}

//! The bare loop that the mesh is measured against: publish, pull, republish, acknowledge,
//! pull, acknowledge; same sizes, same ids, nothing else.

use async_nats::jetstream::{self, consumer::pull, message::PublishMessage, stream};
use futures::StreamExt;
use magsentinel_tests::Mesh;
use std::time::Instant;

const BATCH: usize = 256;

async fn prepare(js: &jetstream::Context, name: &str) -> jetstream::consumer::PullConsumer {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        duplicate_window: std::time::Duration::from_secs(30),
        ..stream::Config::default()
    };
    let held = js.create_stream(config).await.expect("a stream");
    let config = pull::Config {
        durable_name: Some("bare".to_owned()),
        max_ack_pending: 20_000,
        ..pull::Config::default()
    };
    held.create_consumer(config).await.expect("a consumer")
}

async fn put(js: &jetstream::Context, subject: &str, payloads: &[(String, bytes::Bytes)]) {
    let mut acks = Vec::with_capacity(payloads.len());
    for (id, payload) in payloads {
        let message = PublishMessage::build().message_id(id).payload(payload.clone());
        acks.push(js.send_publish(subject.to_owned(), message).await.expect("sent"));
    }
    for ack in acks {
        ack.await.expect("stored");
    }
}

/// Pulls everything; each batch is handed on to `next`, if there is one, and acknowledged.
async fn drain(
    consumer: jetstream::consumer::PullConsumer,
    count: usize,
    next: Option<(jetstream::Context, &str)>,
) {
    let stream = consumer.stream().max_messages_per_batch(BATCH * 4).messages().await;
    let mut batches = stream.expect("messages").ready_chunks(BATCH);
    let mut done = 0;
    while done < count {
        let batch = batches.next().await.expect("a batch");
        let batch: Vec<_> = batch.into_iter().map(|m| m.expect("a message")).collect();
        if let Some((js, subject)) = &next {
            let id =
                |m: &jetstream::Message| format!("b{}", m.info().expect("info").stream_sequence);
            let out: Vec<_> = batch.iter().map(|m| (id(m), m.payload.clone())).collect();
            put(js, subject, &out).await;
        }
        for message in &batch {
            message.ack().await.expect("acknowledged");
        }
        done += batch.len();
    }
}

/// Events per second through two bare hops.
pub async fn two_hops(payloads: &[(String, bytes::Bytes)]) -> f64 {
    let mesh = Mesh::new();
    let client = || async { jetstream::new(mesh.client().await) };
    let (publisher, first, second) = (client().await, client().await, client().await);
    let one = prepare(&first, "one").await;
    let two = prepare(&second, "two").await;
    let count = payloads.len();
    let begun = Instant::now();
    let hop = tokio::spawn(async move { drain(one, count, Some((first, "two.x"))).await });
    let end = tokio::spawn(async move { drain(two, count, None).await });
    for chunk in payloads.chunks(BATCH * 4) {
        put(&publisher, "one.x", chunk).await;
    }
    hop.await.expect("the first hop");
    end.await.expect("the second hop");
    count as f64 / begun.elapsed().as_secs_f64()
}

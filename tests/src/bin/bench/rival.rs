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

/// Pulls for ever and hands on what `passes`, in batches of what is ready, as the mesh does.
async fn pass_on(
    consumer: jetstream::consumer::PullConsumer,
    js: jetstream::Context,
    subject: &str,
    passes: impl Fn(&[u8]) -> bool,
) {
    let stream = consumer.stream().max_messages_per_batch(BATCH).messages().await;
    let mut batches = stream.expect("messages").ready_chunks(BATCH);
    while let Some(batch) = batches.next().await {
        let batch: Vec<_> = batch.into_iter().map(|m| m.expect("a message")).collect();
        let id = |m: &jetstream::Message| format!("b{}", m.info().expect("info").stream_sequence);
        let out = batch.iter().filter(|m| passes(&m.payload));
        let out: Vec<_> = out.map(|m| (id(m), m.payload.clone())).collect();
        put(&js, subject, &out).await;
        for message in &batch {
            message.ack().await.expect("acknowledged");
        }
    }
}

/// Milliseconds, sorted, from a publish to the arrival of what came of it after five bare hops,
/// at `rate` events a second for `seconds`; after the second hop one event in fifty goes on.
pub async fn five_hops(rate: u64, seconds: u64) -> Vec<f64> {
    let mesh = Mesh::new();
    let names = ["one", "two", "three", "four", "five"];
    let mut hops = Vec::new();
    for (hop, name) in names.iter().enumerate() {
        let js = jetstream::new(mesh.client().await);
        let consumer = prepare(&js, name).await;
        if let Some(next) = names.get(hop + 1) {
            let subject = format!("{next}.x");
            let passes = move |payload: &[u8]| hop < 1 || number(payload) % 50 == 7;
            let pass = async move { pass_on(consumer, js, &subject, passes).await };
            hops.push(tokio::spawn(pass));
        }
    }
    let mut arrivals = mesh.client().await.subscribe("five.x").await.expect("a subscription");
    let publisher = mesh.client().await;
    publisher.flush().await.expect("connected");
    let mut sent = Vec::new();
    let mut ms = Vec::new();
    let begun = tokio::time::Instant::now();
    let mut n = 0;
    while ms.len() < usize::try_from(rate * seconds / 50).expect("few") {
        let next = begun + std::time::Duration::from_micros(n * 1_000_000 / rate);
        tokio::select! {
            () = tokio::time::sleep_until(next), if n < rate * seconds => {
                let mut payload = vec![b' '; 400];
                payload[..8].copy_from_slice(&n.to_be_bytes());
                sent.push(Instant::now());
                publisher.publish("one.x", payload.into()).await.expect("published");
                n += 1;
            }
            arrived = arrivals.next() => {
                let at = number(&arrived.expect("an open subscription").payload);
                let at = sent[usize::try_from(at).expect("sent")];
                ms.push(at.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    hops.iter().for_each(tokio::task::JoinHandle::abort);
    ms.sort_by(f64::total_cmp);
    ms
}

fn number(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
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

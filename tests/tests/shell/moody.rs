//! A service whose one stage does what its messages say, and how it is asked how it is.

use magsentinel_bus_schema::{Id, Kind, Level, Receipt, Stream, Subject, subject};
use magsentinel_runtime::{
    bus::Bus,
    health::HealthConfig,
    ledger::{self, Row},
    service::{self, Pool, Service},
    settings::Span,
    stage::{Batch, Delivery, Failed, Output, Publish, Stage},
};
use magsentinel_tests::{DEADLINE, Mesh, held, receipt, wait_for};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// Answers every message with a receipt; does what the message says.
struct Moody {
    seen: Seen,
    gate: Gate,
}

pub(crate) type Seen = Arc<Mutex<HashMap<String, u64>>>;

/// Where a stage that was told to hold waits until it is opened.
pub(crate) type Gate = Arc<(Mutex<bool>, Condvar)>;

pub(crate) fn open(gate: &Gate) {
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

/// More than a server takes in one message.
pub(crate) const HUGE: usize = 2 * 1024 * 1024;

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.payload).into_owned()
}

impl Stage for Moody {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            let text = text(delivery);
            let times = {
                let mut seen = self.seen.lock().unwrap();
                let times = seen.entry(text.clone()).or_default();
                *times += 1;
                *times
            };
            match text.split(' ').next().unwrap_or_default() {
                "panic" => panic!("asked to"),
                "poison" => out.fail(index, Failed::Poison("asked to".to_owned())),
                "transient" => out.fail(index, Failed::Transient("asked to".to_owned())),
                "hold" => {
                    let (shut, opened) = (self.gate.0.lock().unwrap(), &self.gate.1);
                    let waited = opened.wait_timeout_while(shut, DEADLINE, |open| !*open);
                    assert!(!waited.unwrap().1.timed_out(), "nobody opened the gate");
                    out.publish(receipt(delivery));
                }
                "large" => {
                    let payload = vec![0; HUGE].into();
                    out.publish_for(index, Publish { payload, ..receipt(delivery) });
                }
                "shared" => {
                    out.publish(Publish { payload: vec![0; HUGE].into(), ..receipt(delivery) });
                }
                "once" if times == 1 => out.fail(index, Failed::Transient("once".to_owned())),
                _ => out.publish(receipt(delivery)),
            }
        }
    }
}

pub(crate) fn receipt(delivery: &Delivery) -> Publish {
    receipt::receipt("moody", Id::derived(&[&delivery.payload[..]]), delivery.seq)
}

pub(crate) fn moody(seen: &Seen) -> Service {
    service_of(seen, &Gate::default(), false)
}

/// The same, which may be held up: handled where that keeps nobody else from working.
pub(crate) fn gated(seen: &Seen, gate: &Gate) -> Service {
    service_of(seen, gate, true)
}

fn service_of(seen: &Seen, gate: &Gate, slow: bool) -> Service {
    let mut service = Service::new("moody".parse().unwrap(), 64);
    let (seen, gate) = (Arc::clone(seen), Arc::clone(gate));
    service.pools.push(Pool {
        durable: "moody".parse().unwrap(),
        stream: Stream::Events,
        filters: |tenant| vec![subject::events_of(tenant, Kind::Sql)],
        batch_max: 16,
        batches_in_flight: 2,
        slow,
        max_deliver: 3,
        ack_wait: Span::s(5),
        make: Arc::new(move || {
            Ok(Box::new(Moody { seen: Arc::clone(&seen), gate: Arc::clone(&gate) }))
        }),
    });
    service
}

pub(crate) async fn answered(bus: &Bus) -> Vec<Receipt> {
    let filter = Subject::Scored("moody".parse().unwrap(), Level::None).of(bus.tenant());
    held(bus, Stream::Scored, filter).await
}

/// Runs a service with a health port; what ends it, and where it is asked.
pub(crate) fn run(mesh: &Mesh, service: Service, bus: Bus) -> (Running, SocketAddr) {
    assert!(!mesh.url().is_empty());
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let health = HealthConfig { listen: at };
    let run = tokio::spawn(async move { service::run(service, bus, &health, stopping).await });
    (Running { stop, run }, at)
}

pub(crate) struct Running {
    pub(crate) stop: watch::Sender<bool>,
    run: tokio::task::JoinHandle<Result<(), service::Error>>,
}

impl Running {
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        self.run.await.unwrap().unwrap();
    }
}

/// Status and body of a page; none while nobody answers.
pub(crate) async fn get(at: SocketAddr, path: &'static str) -> Option<(u16, String)> {
    let asked = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    });
    let text = asked.await.unwrap().ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

pub(crate) async fn until(at: SocketAddr, path: &'static str, status: u16, says: &str) -> String {
    wait_for(says, async || {
        let (code, body) = get(at, path).await?;
        (code == status && body.contains(says)).then_some(body)
    })
    .await
}

/// A figure of `/metrics`.
pub(crate) async fn figure(at: SocketAddr, name: &str) -> Option<u64> {
    let (code, text) = get(at, "/metrics").await?;
    assert_eq!(code, 200, "{text}");
    let line =
        text.lines().find(|line| line.starts_with(&format!("{name}{{consumer=\"moody\"")))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub(crate) async fn publish(mesh: &Mesh, subject: &'static str, texts: &[String]) {
    let js = async_nats::jetstream::new(mesh.client().await);
    for text in texts {
        js.publish(subject, text.clone().into()).await.unwrap().await.unwrap();
    }
}

pub(crate) async fn row(bus: &Bus) -> Option<Row> {
    ledger::rows(bus).await.ok()?.into_iter().find(|row| row.consumer == "moody")
}

/// The sum of everything that a row accounts for.
pub(crate) fn accounted(row: &Row) -> u64 {
    row.handled + row.dead_lettered + row.in_flight + row.waiting + row.shed + row.missing
}

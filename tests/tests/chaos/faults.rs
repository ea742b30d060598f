//! A mesh with replicas of everything, and what happens to it.

use crate::traffic::Numbers;
use magsentinel_bus_schema::{Kind, Lease, Limits, Stream, Token, subject};
use magsentinel_runtime::{bus::Bus, settings::Span, stage::Delivery};
use magsentinel_tests::{Mesh, proxy::Proxy, wait_for};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The patrols that run, and what they score.
pub(crate) const PATROLS: [(&str, Kind); 4] = [
    ("sql-guard", Kind::Sql),
    ("data-flow", Kind::Data),
    ("api-watch", Kind::Api),
    ("auth-sentry", Kind::Auth),
];

/// How far the wall clocks of replicas are off that are started one after the other, in seconds.
pub(crate) const CLOCKS: [i64; 3] = [0, 900, -900];
/// Analyzers that run, when none is down.
const ANALYZERS: usize = 3;
/// Longest that a number of events may take to be stored.
const PROGRESS_MAX: Duration = Duration::from_secs(600);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A role is killed and started again.
    Kill(&'static str),
    /// Two of the three analyzers are killed at the same time.
    KillTwo,
    /// An analyzer sleeps through its leases, and wakes.
    Pause,
    /// An analyzer cannot reach the server for longer than its leases last.
    Cut,
    /// What the server sends an analyzer is lost, and its connection is made anew at once: much
    /// sooner than its leases run out.
    ShortCut,
    /// An analyzer is asked to end, hands its shards over, and another one starts.
    HandOver,
    /// An analyzer more, and then one less.
    Scale,
    /// The server that leads the decisions is killed, and comes back.
    Leader,
}

const FAULTS: [Fault; 12] = [
    Fault::Kill("analyzer"),
    Fault::Kill("sql-guard"),
    Fault::Kill("data-flow"),
    Fault::Kill("api-watch"),
    Fault::Kill("auth-sentry"),
    Fault::KillTwo,
    Fault::Pause,
    Fault::Cut,
    Fault::ShortCut,
    Fault::HandOver,
    Fault::Scale,
    Fault::Leader,
];

/// How every process is set, and the one that it is compared with: nothing is late, every member
/// and target is named, and actions are asked for however long ago the evidence is.
pub(crate) const SETTINGS: [&str; 8] = [
    "analyzer.update_every=2s",
    "analyzer.snapshot_every=5s",
    "analyzer.evidence_events_max=256",
    // At this bound it counts which of two events comes first.
    "analyzer.events_per_key_max=65536",
    "analyzer.affected_max=64",
    "analyzer.action.max_age=1d",
    "analyzer.join.recent_max=65536",
    // Names that are merely claimed link nothing.
    "sensor.ingest.trust=observed",
];

pub(crate) struct Chaos {
    pub(crate) mesh: Mesh,
    bus: Bus,
    /// Replicas that run, by role.
    running: Vec<(&'static str, usize)>,
    proxy: Proxy,
    lateness: String,
    /// How many analyzers were started.
    analyzers: usize,
}

impl Chaos {
    /// Three analyzers, one of them behind a proxy, and two of all else; no two of a role with the
    /// same wall clock.
    pub(crate) async fn start(mesh: Mesh, lateness: Span) -> Self {
        let proxy = Proxy::to(&mesh.server.url()).await;
        let lateness = format!("analyzer.lateness={lateness}");
        // Makes the streams: a cluster needs a moment to agree on who leads.
        let bus = wait_for("the cluster", async || {
            mesh.try_bus("default").await.inspect_err(|e| println!("{e}")).ok()
        })
        .await;
        let mut chaos = Self { mesh, bus, running: Vec::new(), proxy, lateness, analyzers: 0 };
        let patrols = PATROLS.iter().map(|(name, _)| *name);
        for role in ["sensor", "analyzer"].into_iter().chain(patrols) {
            chaos.run(role);
            chaos.run(role);
        }
        let behind = format!("bus.url={}", chaos.proxy.url());
        let lateness = chaos.lateness.clone();
        let set = SETTINGS.into_iter().chain([lateness.as_str(), behind.as_str()]);
        let set: Vec<&str> = set.flat_map(|setting| ["--set", setting]).collect();
        let third = chaos.mesh.start("analyzer", &set);
        // Not among the running: it is cut off, never killed.
        println!("analyzer {third} is behind a proxy");
        chaos.mesh.ready().await;
        chaos
    }

    fn run(&mut self, role: &'static str) {
        let set = SETTINGS.into_iter().chain([self.lateness.as_str()]);
        let mut args: Vec<String> =
            set.flat_map(|setting| ["--set".to_owned(), setting.to_owned()]).collect();
        // Nothing is late here, so nothing is missed.
        if PATROLS.iter().any(|(name, _)| *name == role) {
            let blind_after = self.lateness.replace("analyzer.lateness", "blind_after");
            let section = role.replace('-', "_");
            args.extend(["--set".to_owned(), format!("patrols.{section}.{blind_after}")]);
        }
        if let Ok(library) = std::env::var("MAGSENTINEL_ONNXRUNTIME") {
            args.extend(["--set".to_owned(), format!("inference.onnxruntime={library}")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ahead = self.clock_of(role);
        let started = self.mesh.start_at(role, &args, ahead);
        self.running.push((role, started));
    }

    /// How far the wall clock of the next replica of a role is off. Sensors have to tell what comes
    /// from the future, so that theirs is right.
    fn clock_of(&mut self, role: &str) -> i64 {
        // In the long form alone: what an owner whose clock is ahead has folded, the next one tells by
        // that clock, minutes late.
        if std::env::var_os("MAGSENTINEL_CHAOS_EVENTS").is_none() {
            return 0;
        }
        match role {
            "sensor" => 0,
            "analyzer" => {
                self.analyzers += 1;
                CLOCKS[self.analyzers % CLOCKS.len()]
            }
            _ => CLOCKS[self.running.len() % CLOCKS.len()],
        }
    }

    /// Every fault once, in an order of the seed, spread over the events.
    pub(crate) async fn strike_all(&mut self, seed: u64, events: u64, stored: &AtomicU64) {
        let mut numbers = Numbers(seed ^ 0xc4a0_5000);
        let mut order = FAULTS.to_vec();
        for i in (1..order.len()).rev() {
            let j = usize::try_from(numbers.below(i as u64 + 1)).unwrap();
            order.swap(i, j);
        }
        for (n, fault) in (1..).zip(order) {
            progress(stored, events * n / (FAULTS.len() as u64 + 2)).await;
            println!("{} events stored: {fault:?}", stored.load(Ordering::Relaxed));
            self.strike(fault).await;
        }
        self.revive();
    }

    async fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(role) => self.kill_first(role),
            Fault::KillTwo => (0..2).for_each(|_| self.kill_first("analyzer")),
            Fault::Pause => {
                self.owners(ANALYZERS).await;
                let first = self.running.iter().find(|(name, _)| *name == "analyzer");
                let (_, role) = *first.unwrap();
                self.mesh.signal(role, "STOP");
                self.owners(ANALYZERS - 1).await;
                self.mesh.signal(role, "CONT");
            }
            Fault::Cut => {
                self.owners(ANALYZERS).await;
                self.proxy.cut();
                self.owners(ANALYZERS - 1).await;
                self.proxy.heal();
            }
            Fault::ShortCut => {
                self.owners(ANALYZERS).await;
                let before = self.proxy.lost();
                self.proxy.lose();
                wait_for("something to be lost", async || {
                    (self.proxy.lost() > before + 2000).then_some(())
                })
                .await;
                self.proxy.cut();
                self.proxy.heal();
            }
            Fault::HandOver => {
                self.end_first("analyzer");
                self.run("analyzer");
            }
            Fault::Scale => {
                self.run("analyzer");
                self.owners(ANALYZERS + 1).await;
                self.end_first("analyzer");
                self.owners(ANALYZERS).await;
            }
            Fault::Leader => {
                let leader =
                    wait_for("a leader", async || self.mesh.leader(Stream::Decisions).await).await;
                self.mesh.node(leader).kill();
                wait_for("another leader", async || {
                    self.mesh.leader(Stream::Decisions).await.filter(|new| *new != leader)
                })
                .await;
                self.mesh.node(leader).restart();
            }
        }
    }

    /// Waits until so many analyzers own shards, and all of them together own all.
    async fn owners(&mut self, wanted: usize) {
        wait_for("shards to be shared out", async || {
            self.revive();
            let owners = owners(&self.bus).await?;
            (owners.len() == wanted && owners.values().sum::<usize>() == 64).then_some(())
        })
        .await;
    }

    /// Starts again what ended because the servers did not answer when it was started, as whoever
    /// runs the mesh does.
    fn revive(&mut self) {
        for (role, process) in std::mem::take(&mut self.running) {
            if self.mesh.has_ended(process) {
                let log = self.mesh.log(process);
                assert!(log.contains("is not available"), "{role} ended by itself: {log}");
                println!("{role} {process} ended and is started again");
                self.run(role);
            } else {
                self.running.push((role, process));
            }
        }
    }

    /// Asks the replica of a role that runs longest to end.
    fn end_first(&mut self, role: &'static str) {
        let process = self.take_first(role);
        self.mesh.signal(process, "TERM");
        self.mesh.wait(process);
    }

    fn take_first(&mut self, role: &'static str) -> usize {
        let at = self.running.iter().position(|(name, _)| *name == role).unwrap();
        self.running.remove(at).1
    }

    /// Kills the replica of a role that runs longest, and starts another.
    fn kill_first(&mut self, role: &'static str) {
        let process = self.take_first(role);
        self.mesh.signal(process, "KILL");
        self.mesh.wait(process);
        self.run(role);
    }
}

/// How many shards each analyzer owns; nothing while the server cannot be asked.
async fn owners(bus: &Bus) -> Option<BTreeMap<String, usize>> {
    let service: Token = "analyzer".parse().unwrap();
    let filter = subject::leases_of(bus.tenant(), &service);
    let mut newest = BTreeMap::new();
    let show = |d: &Delivery| {
        let lease: Lease = d.decode(Limits::default()).unwrap();
        newest.insert(lease.shard, lease.owner);
    };
    bus.read_all(Stream::Decisions, vec![filter], show).await.ok()?;
    let mut counts = BTreeMap::new();
    for owner in newest.into_values().flatten() {
        *counts.entry(owner).or_default() += 1;
    }
    Some(counts)
}

async fn progress(stored: &AtomicU64, wanted: u64) {
    let begun = Instant::now();
    while stored.load(Ordering::Relaxed) < wanted {
        assert!(begun.elapsed() < PROGRESS_MAX, "{stored:?} of {wanted} events are stored");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

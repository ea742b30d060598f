//! What an operator sees and orders, a policy that changes, and panic.

use magsentinel_bus_schema::{Class, Effect, OutcomeStatus};
use magsentinel_tests::{
    Mesh,
    network::{nft, own_network},
    responses::{ENFORCING, action, ask, block, outcome},
    wait_for,
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// What a command prints, or what it says is wrong.
pub(crate) fn cli(mesh: &Mesh, args: &[&str]) -> Result<Value, String> {
    let out = mesh.output(&[&["--output", "json"], args].concat());
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&out.stdout).unwrap())
}

pub(crate) fn listed(mesh: &Mesh) -> Vec<Value> {
    cli(mesh, &["lease", "list"]).unwrap().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_approved_extended_and_revoked() {
    if !own_network("orders::what_waits_is_approved_extended_and_revoked") {
        return;
    }
    let mut mesh = Mesh::new();
    let asking = [ENFORCING, &["--set", "responder.policy.mode=ask"]].concat();
    mesh.start("responder", &asking);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let asked = block("198.51.100.7", 600);
    ask(&bus, std::slice::from_ref(&asked)).await;
    let pending = outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Pending).await;
    assert!(!nft("list ruleset").contains("198.51.100.7"));
    let (id, by) = (asked.id.to_string(), ["--by", "ann", "--reason", "agreed"]);
    let shown = cli(&mesh, &["lease", "show", &id]).unwrap();
    assert_eq!(shown["hash"].as_str(), pending.hash.as_deref());
    let early = cli(&mesh, &[&["lease", "extend", &id, "--for", "1h"], &by[..]].concat());
    assert!(early.unwrap_err().contains("does not hold"));
    let told = cli(&mesh, &[&["lease", "approve", &id[..8]], &by[..]].concat()).unwrap();
    assert_eq!(told["status"], "applied");
    assert!(nft("list ruleset").contains("198.51.100.7 timeout"));
    assert!(listed(&mesh)[0]["life"]["active"].is_object());
    let told = cli(&mesh, &[&["lease", "extend", &id, "--for", "1h"], &by[..]].concat()).unwrap();
    assert_eq!(told["status"], "renewed");
    let long = cli(&mesh, &[&["lease", "extend", &id, "--for", "40d"], &by[..]].concat());
    assert!(long.unwrap_err().contains("ttl_max"));
    let told = cli(&mesh, &[&["lease", "revoke", &id], &by[..]].concat()).unwrap();
    assert_eq!(told["status"], "reverted");
    assert!(told["detail"].as_str().unwrap().contains("revoked by \"ann\": agreed"), "{told}");
    assert!(!nft("list ruleset").contains("198.51.100.7"));
    assert!(listed(&mesh).is_empty());
    let again = cli(&mesh, &[&["lease", "approve", &id], &by[..]].concat());
    assert!(again.unwrap_err().contains("does not wait"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_file_takes_effect_whole_or_not_at_all() {
    if !own_network("orders::a_policy_file_takes_effect_whole_or_not_at_all") {
        return;
    }
    let mut mesh = Mesh::new();
    let file = mesh.dir().join("policy.yaml");
    std::fs::write(&file, "mode: enforce\n").unwrap();
    let set = format!("responder.policy_file={}", file.display());
    let role =
        mesh.start("responder", &["--set", &set, "--set", "responder.nftables.enabled=true"]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let held = block("198.51.100.7", 600);
    ask(&bus, std::slice::from_ref(&held)).await;
    outcome(&bus, held.id, |o| o.status == OutcomeStatus::Applied).await;
    // Broken in its second line: the first does not take effect either.
    std::fs::write(&file, "mode: dry-run\nttl_max: 90d\n").unwrap();
    wait_for("the refusal", async || {
        mesh.log(role).contains("line 2: ttl_max: must be").then_some(())
    })
    .await;
    let second = block("198.51.100.8", 600);
    ask(&bus, std::slice::from_ref(&second)).await;
    outcome(&bus, second.id, |o| o.status == OutcomeStatus::Applied).await;
    // What it protects now is let go at once.
    let text = "mode: enforce\nnever_block:\n  networks: [198.51.100.7]\n";
    std::fs::write(&file, text).unwrap();
    let end = outcome(&bus, held.id, |o| o.status == OutcomeStatus::Reverted).await;
    assert!(end.detail.contains("never-block list"), "{}", end.detail);
    let rules = nft("list ruleset");
    assert!(!rules.contains("198.51.100.7 timeout") && rules.contains("198.51.100.8 timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_undoes_everything_even_when_nats_is_away() {
    if !own_network("orders::panic_undoes_everything_even_when_nats_is_away") {
        return;
    }
    let mut mesh = Mesh::new();
    mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let first = block("198.51.100.7", 600);
    ask(&bus, std::slice::from_ref(&first)).await;
    outcome(&bus, first.id, |o| o.status == OutcomeStatus::Applied).await;
    mesh.server.kill();
    let said = cli(&mesh, &["panic", "--by", "ann", "--reason", "it is us"]).unwrap_err();
    assert!(said.contains("the mesh is not told") && said.contains("NATS"), "{said}");
    let gone = || !nft("list ruleset").contains("198.51.100.7");
    assert!(gone());
    // Longer than the responder takes to compare: it puts nothing back.
    let until = std::time::Instant::now() + Duration::from_secs(6);
    while std::time::Instant::now() < until {
        assert!(gone());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    mesh.server.restart();
    let told = outcome(&bus, first.id, |o| o.status == OutcomeStatus::Reverted).await;
    assert!(told.detail.contains("panic, by \"ann\": it is us"), "{}", told.detail);
    let second = block("198.51.100.8", 600);
    ask(&bus, std::slice::from_ref(&second)).await;
    let refused = outcome(&bus, second.id, |o| o.status == OutcomeStatus::Refused).await;
    assert!(refused.detail.contains("enforcement is off"), "{}", refused.detail);
    assert!(gone());
    cli(&mesh, &["panic", "--end", "--by", "ann"]).unwrap();
    wait_for("enforcement to be on again", async || {
        let third = block(&format!("198.51.100.{}", fresh()), 600);
        ask(&bus, std::slice::from_ref(&third)).await;
        let o = outcome(&bus, third.id, |_| true).await;
        (o.status == OutcomeStatus::Applied).then_some(())
    })
    .await;
}

/// Another number each time.
fn fresh() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(10);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The status line and what a gateway is told.
fn gate(port: u16, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        format!("GET /any/path HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let of = |line: &str| line.strip_prefix("x-magsentinel-decision: ").map(str::to_owned);
    (status, text.lines().find_map(of).unwrap_or_default())
}

/// Starts a responder that keeps a list for gateways; which role it is, and the list's port.
pub(crate) fn with_gate(mesh: &mut Mesh) -> (usize, u16) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listen = format!("responder.decisions.listen=127.0.0.1:{port}");
    let settings = ["responder.policy.mode=enforce", "responder.decisions.enabled=true", &listen];
    let args: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
    (mesh.start("responder", &args), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_are_told_who_is_refused() {
    let mut mesh = Mesh::new();
    let (_, port) = with_gate(&mut mesh);
    mesh.ready().await;
    let bus = mesh.bus().await;
    wait_for("the gate", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
    let client = |address: &str| gate(port, &format!("x-real-ip: {address}\r\n"));
    assert_eq!(client("198.51.100.7").0, 200);
    let effect = Effect::RevokeKey { key: "ak_7".to_owned() };
    let actions = [
        block("198.51.100.7", 8),
        block("2001:db8:1:2::9", 600),
        action(effect, Class::Key, "ak_7", 600),
    ];
    ask(&bus, &actions).await;
    for action in &actions {
        outcome(&bus, action.id, |o| o.status == OutcomeStatus::Applied).await;
    }
    assert_eq!(client("198.51.100.7"), (403, "client blocked".to_owned()));
    assert_eq!(client("2001:db8:1:2:3::4").0, 403);
    assert_eq!(client("198.51.100.8").0, 200);
    let both = "x-real-ip: 198.51.100.8\r\nx-magsentinel-key: ak_7\r\n";
    assert_eq!(gate(port, both), (403, "key revoked".to_owned()));
    // The victim named in a header that the gateway does not set is nobody to us.
    let forged = "x-real-ip: 198.51.100.8\r\nx-forwarded-for: 198.51.100.7\r\n";
    assert_eq!(gate(port, forged).0, 200);
    assert_eq!(gate(port, "").0, 400);
    assert_eq!(client("somebody").0, 400);
    outcome(&bus, actions[0].id, |o| o.status == OutcomeStatus::Reverted).await;
    assert_eq!(client("198.51.100.7").0, 200);
    // Whoever meddles with the list is undone.
    let js = async_nats::jetstream::new(mesh.client().await);
    let store = js.get_key_value("mag-default-decision").await.unwrap();
    store.put("client.x.blocked", "{}".into()).await.unwrap();
    store.purge("key.mfvv6ny.revoked").await.unwrap();
    wait_for("the list to be put right", async || {
        let strange = store.get("client.x.blocked").await.ok()?;
        let key = store.get("key.mfvv6ny.revoked").await.ok()?;
        (strange.is_none() && key.is_some()).then_some(())
    })
    .await;
}

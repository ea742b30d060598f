//! A webhook's receiver: what it is told, under which signature, how often, and what becomes of
//! actions while it is away.

use crate::receiver::{Receiver, Seen, webhook};
use magsentinel_bus_schema::{Action, Class, Effect, OutcomeStatus};
use magsentinel_runtime::{clock, micro};
use magsentinel_tests::{
    Mesh,
    responses::{action, ask, block, outcome, outcomes},
    wait_for,
};
use std::{collections::BTreeSet, net::TcpListener, sync::atomic::Ordering};

fn settings(mesh: &Mesh, port: u16) -> Vec<String> {
    let mut settings = webhook(mesh, port);
    settings.push("responder.policy.mode=enforce".to_owned());
    settings.push("responder.policy.approval.verbs=[]".to_owned());
    settings
}

fn start(mesh: &mut Mesh, settings: &[String]) -> usize {
    let args: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
    mesh.start("responder", &args)
}

/// A mesh with a responder that posts to a receiver, its settings, and which role it is.
async fn posting_to(receiver: &Receiver) -> (Mesh, Vec<String>, usize) {
    let port = receiver.start();
    let mut mesh = Mesh::new();
    let settings = settings(&mesh, port);
    let first = start(&mut mesh, &settings);
    mesh.ready().await;
    (mesh, settings, first)
}

/// What the shop's intrusion leads to: a session and a role of a database.
fn suspend(user: &str, ttl_s: u64) -> Action {
    let (user, system) = (user.to_owned(), "postgresql".to_owned());
    let target = user.clone();
    action(Effect::SuspendUser { user, system }, Class::User, &target, ttl_s)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_what_holds_and_what_is_over_signed_and_under_one_key() {
    let receiver = Receiver::default();
    receiver.refuses.store(2, Ordering::Relaxed);
    let (mut mesh, settings, first) = posting_to(&receiver).await;
    let bus = mesh.bus().await;
    let asked = suspend("shop_app", 8);
    ask(&bus, std::slice::from_ref(&asked)).await;
    let failed = outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Failed).await;
    assert!(failed.detail.contains("503") && failed.detail.contains("tried again"), "{failed:?}");
    assert!(!failed.detail.contains("team=red"), "{failed:?}");
    outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Applied).await;
    let told = receiver.about("shop_app");
    assert_eq!(told.len(), 3, "refused twice, then taken: {told:?}");
    assert!(told.iter().all(Seen::is_signed));
    let keys: BTreeSet<&String> =
        told.iter().map(|seen| &seen.headers["idempotency-key"]).collect();
    assert_eq!(keys.len(), 1, "every attempt has the same key");
    let body = told[2].json();
    assert_eq!(body["id"], **keys.first().unwrap());
    let words = ["what", "system", "state", "tenant"].map(|key| body[key].as_str().unwrap());
    assert_eq!(
        (words, body["holds"].as_bool()),
        (["user", "postgresql", "suspended", "default"], Some(true))
    );

    // Whoever comes after a responder that was killed does not tell it anew, and tells the end.
    mesh.signal(first, "KILL");
    mesh.wait(first);
    start(&mut mesh, &settings);
    outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Reverted).await;
    let told = receiver.about("shop_app");
    let over: Vec<&Seen> = told.iter().filter(|seen| seen.json()["holds"] == false).collect();
    assert_eq!((told.len(), over.len()), (4, 1), "{told:?}");
    assert_ne!(over[0].headers["idempotency-key"], told[0].headers["idempotency-key"]);
    assert!(over[0].is_signed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_keeps_nothing_else_from_being_done() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = away.local_addr().unwrap().port();
    drop(away);
    let mut mesh = Mesh::new();
    let mut settings = settings(&mesh, port);
    settings.push("responder.decisions.enabled=true".to_owned());
    start(&mut mesh, &settings);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let asked = block("198.51.100.7", 600);
    ask(&bus, std::slice::from_ref(&asked)).await;
    let failed = outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Failed).await;
    assert!(failed.detail.contains("receiver"), "{failed:?}");
    let js = async_nats::jetstream::new(mesh.client().await);
    let listed = js.get_key_value("mag-default-decision").await.unwrap();
    let key = wait_for("the decision list", async || {
        let watch = listed.status().await.ok()?;
        (watch.values() > 0).then_some(())
    });
    key.await;
    assert!(
        outcomes(&bus, asked.id).await.iter().all(|o| o.status != OutcomeStatus::Applied),
        "it is not told as done while a part of it is not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refuses_keeps_nothing_else_from_being_told() {
    let receiver = Receiver::default();
    let (mesh, ..) = posting_to(&receiver).await;
    let bus = mesh.bus().await;
    // More than are under way at once, and sorted before the good one.
    let unknown: Vec<Action> = (0..20).map(|n| suspend(&format!("unknown-{n:02}"), 600)).collect();
    let good = suspend("zoe", 600);
    ask(&bus, &unknown).await;
    for one in &unknown {
        let failed = outcome(&bus, one.id, |o| o.status == OutcomeStatus::Failed).await;
        assert!(failed.detail.contains("422"), "{failed:?}");
    }
    ask(&bus, std::slice::from_ref(&good)).await;
    outcome(&bus, good.id, |o| o.status == OutcomeStatus::Applied).await;
    assert_eq!(receiver.about("zoe").len(), 1);
    for one in &unknown {
        let told = outcomes(&bus, one.id).await;
        assert!(told.iter().all(|o| o.status != OutcomeStatus::Applied), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_until_its_time_was_up_is_never_told_as_done() {
    let (mesh, ..) = posting_to(&Receiver::default()).await;
    let bus = mesh.bus().await;
    let asked = suspend("unknown-7", 3);
    ask(&bus, std::slice::from_ref(&asked)).await;
    outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Failed).await;
    outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Reverted).await;
    wait_for("all to be told", async || {
        let services = micro::ask_all(&bus, "STATS", None).await.ok()?;
        let mut untold = services.iter().filter_map(|service| {
            service.pointer("/endpoints/0/data/parts/leases/untold")?.as_u64()
        });
        (untold.next()? == 0).then_some(())
    })
    .await;
    let told = outcomes(&bus, asked.id).await;
    assert!(told.iter().all(|o| o.status != OutcomeStatus::Applied), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_took_it_and_did_not_answer_is_told_when_it_is_over() {
    let receiver = Receiver::default();
    receiver.silent.store(u32::MAX, Ordering::Relaxed);
    let (mut mesh, settings, first) = posting_to(&receiver).await;
    let bus = mesh.bus().await;
    let asked = suspend("shop_app", 3);
    ask(&bus, std::slice::from_ref(&asked)).await;
    let failed = outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Failed).await;
    mesh.signal(first, "KILL");
    mesh.wait(first);
    let over = failed.until.unwrap();
    wait_for("its time to be up", async || (clock::now() > over).then_some(())).await;
    receiver.silent.store(0, Ordering::Relaxed);
    start(&mut mesh, &settings);
    outcome(&bus, asked.id, |o| o.status == OutcomeStatus::Reverted).await;
    let told = receiver.about("shop_app");
    let last = told.last().unwrap().json();
    assert_eq!(last["holds"], false, "what it may hold is over: {told:?}");
    let keys: BTreeSet<_> = told
        .iter()
        .map(|seen| (seen.json()["holds"] == true, &seen.headers["idempotency-key"]))
        .collect();
    assert_eq!(keys.len(), 2, "{told:?}");
}

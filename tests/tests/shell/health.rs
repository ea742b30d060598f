//! What a process tells of itself.

use crate::moody::{Gate, Seen, figure, gated, get, open, publish, run, until};
use magsentinel_tests::{Mesh, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_work_can_be_done_and_metrics_count_the_bugs() {
    let mut mesh = Mesh::new();
    let (seen, gate) = (Seen::default(), Gate::default());
    let (running, at) = run(&mesh, gated(&seen, &gate), mesh.bus().await);
    assert_eq!(until(at, "/livez", 200, "live").await, "live\n");
    until(at, "/readyz", 200, "ready").await;
    assert_eq!(figure(at, "magsentinel_shell_bugs_total").await, None);
    publish(&mesh, "mag.default.event.sql.0", &["panic now".to_owned(), "good".to_owned()]).await;
    wait_for("the panic to be counted", async || {
        figure(at, "magsentinel_shell_bugs_total").await.filter(|bugs| *bugs >= 1)
    })
    .await;
    wait_for("the good message to be counted", async || {
        figure(at, "magsentinel_shell_handled_total").await.filter(|handled| *handled >= 1)
    })
    .await;

    mesh.server.kill();
    until(at, "/readyz", 503, "not connected").await;
    until(at, "/livez", 200, "live").await;
    mesh.server.restart();
    until(at, "/readyz", 200, "ready").await;

    publish(&mesh, "mag.default.event.sql.0", &["hold on".to_owned()]).await;
    wait_for("it to be held", async || seen.lock().unwrap().get("hold on").copied()).await;
    running.stop.send_replace(true);
    until(at, "/readyz", 503, "draining").await;
    until(at, "/livez", 200, "live").await;
    open(&gate);
    running.end().await;
    assert_eq!(get(at, "/livez").await, None, "it is served no longer than the process works");
}

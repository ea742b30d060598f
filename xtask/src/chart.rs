//! `chart`: the Helm chart lints and renders, and what it renders holds what it must.

use crate::{provision, workspace};
use anyhow::{Result, bail};
use std::process::Command;

const CHART: &str = "helm/magsentinel";

/// Values that the schema must refuse.
const WRONG: [&str; 5] = [
    "patrolz.sql_guard.enabled=false",
    "patrols.sql_guard.replica=3",
    "roles.analyser.enabled=true",
    "nats.url=nats:4222",
    "healthPort=0",
];

/// What roles write must lie on the volume.
const WRITTEN: [(&str, &str); 4] = [
    ("state_dir", "sensor"),
    ("knowledge", "knowledge.db"),
    ("state_dir", "responder"),
    ("path", "logbook.db"),
];

/// Lints the chart, renders it with its defaults, and looks at the result.
pub(crate) fn run() -> Result<()> {
    let program = provision::helm()?;
    let helm = || {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root());
        command
    };
    let required = ["--set", "image.repository=registry.example/magsentinel"];
    workspace::output(helm().args(["lint", "--strict", CHART]).args(required))?;
    let render = |more: &[&str]| {
        let args = ["template", "check", CHART];
        workspace::output(helm().args(args).args(required).args(more))
    };
    let rendered = render(&[])?;
    let without = render(&["--set", "patrols.sql_guard.enabled=false"])?;
    let mut problems = problems(&rendered, &without);
    for wrong in WRONG {
        if render(&["--set", wrong]).is_ok() {
            problems.push(format!("`--set {wrong}` is not refused"));
        }
    }
    if !problems.is_empty() {
        bail!("{CHART}: {}", problems.join("; "));
    }
    println!("{CHART} lints, and renders {} objects", objects(&rendered));
    Ok(())
}

fn objects(rendered: &str) -> usize {
    rendered.lines().filter(|line| line.starts_with("kind: ")).count()
}

fn problems(rendered: &str, without: &str) -> Vec<String> {
    let count = |text: &str, needle: &str| text.lines().filter(|l| l.trim() == needle).count();
    let pods = count(rendered, "kind: Deployment") + count(rendered, "kind: StatefulSet");
    let mut problems = Vec::new();
    for each in ["enableServiceLinks: false", "livenessProbe:", "readinessProbe:"] {
        if count(rendered, each) != pods {
            problems.push(format!("{pods} pods, but {} times `{each}`", count(rendered, each)));
        }
    }
    for (key, file) in WRITTEN {
        let said = format!("{key}: /var/lib/magsentinel/{file}");
        if count(rendered, &said) != 1 {
            problems.push(format!("`{said}` is not said, and the root of a pod is read-only"));
        }
    }
    for patrol in ["sql-guard", "data-flow", "api-watch", "auth-sentry", "net-sentry"] {
        if !rendered.contains(&format!("name: check-magsentinel-patrol-{patrol}")) {
            problems.push(format!("no Deployment for patrol {patrol}"));
        }
    }
    if count(without, "kind: Deployment") + 1 != count(rendered, "kind: Deployment") {
        problems.push("a patrol that is not enabled still has its Deployment".to_owned());
    }
    problems
}

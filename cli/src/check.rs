//! `check`: everything that can be wrong before anything runs.

use crate::{
    args::{CheckArgs, Global},
    roles,
    settings::Settings,
};
use anyhow::{Result, bail};
use serde_json::json;

/// Checks configuration, models, patterns and chains; with `--connect` also the server.
pub async fn run(global: &Global, args: &CheckArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    let mut wrong = Vec::new();
    for role in roles::all() {
        let disabled = magsentinel_patrol::patrols::find(&role)
            .is_some_and(|entry| !(entry.shared)(&settings.patrols).enabled);
        if disabled {
            continue;
        }
        if let Err(e) = roles::service(&role, &settings) {
            wrong.push(format!("{role}: {e:#}"));
        }
    }
    if args.connect {
        roles::connect(&settings, "check").await?;
    }
    if !wrong.is_empty() {
        bail!("{} roles cannot start:\n  - {}", wrong.len(), wrong.join("\n  - "));
    }
    let report = json!({ "ok": true, "roles": roles::all() });
    global.output.print(&report, || format!("ok: {}\n", roles::all().join(", ")));
    Ok(())
}

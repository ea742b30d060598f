//! `check`: everything that can be wrong before anything runs.

use crate::{
    args::{CheckArgs, Global},
    exit::BadUsage,
    roles,
    settings::Settings,
};
use anyhow::{Result, bail};
use serde_json::json;

/// Checks configuration, models, patterns, chains, and the files of keys and certificates;
/// with `--connect` also the server.
pub async fn run(global: &Global, args: &CheckArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    let files = settings.bus.unusable_files().into_iter();
    let mut wrong: Vec<String> = files.map(|e| format!("{:#}", anyhow::Error::from(e))).collect();
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
    if !wrong.is_empty() {
        let (count, all) = (wrong.len(), wrong.join("\n  - "));
        bail!(BadUsage(format!("{count} things keep the mesh from starting:\n  - {all}")));
    }
    if args.connect {
        roles::connect(&settings, "check").await?;
    }
    let report = json!({ "ok": true, "roles": roles::all() });
    global.output.print(&report, || format!("ok: {}\n", roles::all().join(", ")));
    Ok(())
}

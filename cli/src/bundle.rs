//! `bundle`: models and patterns for a running mesh.

use crate::{
    args::{BundleCommand, Global, PublishArgs},
    exit::BadUsage,
    output::table,
    settings::Settings,
};
use anyhow::{Context, Result};
use magsentinel_patrol::{bundle::Bundle, patrols};
use magsentinel_runtime::{
    bundle::{self, Pointer},
    bus::Bus,
};
use serde_json::json;
use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// Carries out a command.
pub async fn run(global: &Global, command: BundleCommand) -> Result<()> {
    let settings = Settings::load(global)?;
    let connect = async || magsentinel_runtime::bus::connect(&settings.bus, "bundle").await;
    match command {
        BundleCommand::Key { file } => {
            let public = new_key(&file)?;
            let told = json!({ "public": public, "seed": file });
            global.output.print(&told, || format!("{public}\n"));
        }
        BundleCommand::Publish(args) => publish(global, &connect().await?, &args).await?,
        BundleCommand::List { patrol } => {
            let name = find(&patrol)?.spec.token();
            let all = bundle::list(&connect().await?, &name).await?;
            global.output.print(&all, || listed(&all));
        }
        BundleCommand::Rollback { patrol } => {
            let name = find(&patrol)?.spec.token();
            let (pointer, revision) = bundle::rollback(&connect().await?, &name).await?;
            global.output.print(&pointer, || told(&pointer, revision));
        }
        BundleCommand::Withdraw { patrol } => {
            let name = find(&patrol)?.spec.token();
            bundle::withdraw(&connect().await?, &name).await?;
            let text = || format!("{name} uses what is built in or configured again\n");
            global.output.print(&json!({ "withdrawn": name }), text);
        }
    }
    Ok(())
}

fn find(patrol: &str) -> Result<&'static patrols::Entry> {
    let unknown = || BadUsage(format!("there is no patrol {patrol:?}"));
    Ok(patrols::find(patrol).ok_or_else(unknown)?)
}

async fn publish(global: &Global, bus: &Bus, args: &PublishArgs) -> Result<()> {
    let entry = find(&args.patrol)?;
    let made = Bundle::of_files(entry, args.model.as_deref(), args.patterns.as_deref())?;
    let seed = std::fs::read_to_string(&args.key);
    let seed = seed.map_err(|e| BadUsage(format!("--key {}: {e}", args.key.display())))?;
    let bytes = made.to_bytes()?;
    let (pointer, revision) = bundle::publish(bus, &entry.spec.token(), &bytes, &seed).await?;
    global.output.print(&pointer, || told(&pointer, revision));
    Ok(())
}

fn told(pointer: &Pointer, revision: u64) -> String {
    format!(
        "{} revision {revision}: {} bytes, sha256 {}\n`magsentinel status` shows who uses it\n",
        pointer.consumer, pointer.bytes, pointer.digest
    )
}

fn listed(all: &[(Pointer, u64)]) -> String {
    let head = ["REVISION", "BYTES", "SHA256", "SIGNER"].map(ToOwned::to_owned).to_vec();
    let row = |(p, revision): &(Pointer, u64)| {
        vec![revision.to_string(), p.bytes.to_string(), p.digest.clone(), p.signer.clone()]
    };
    table(&std::iter::once(head).chain(all.iter().map(row)).collect::<Vec<_>>())
}

/// Writes a new seed into a file that only its owner can read; its public key.
pub fn new_key(file: &Path) -> Result<String> {
    let (seed, public) = bundle::new_key().map_err(anyhow::Error::msg)?;
    let made = File::options().write(true).create_new(true).mode(0o600).open(file);
    let mut made = made.with_context(|| format!("key {}", file.display()))?;
    writeln!(made, "{seed}")?;
    Ok(public)
}

//! `panic`: everything undone, on this host at once and in the mesh as soon as it can be told.

use crate::{
    args::{Global, PanicArgs},
    lease,
    settings::Settings,
};
use anyhow::{Result, anyhow, bail};
use magsentinel_bus_schema::Ask;
use magsentinel_responder::{Config, effector::nftables::Nftables, keeper::HostFlag};
use magsentinel_runtime::{clock, settings::Span};
use serde_json::json;

/// Carries it out: first what needs nobody else.
pub async fn run(global: &Global, args: PanicArgs) -> Result<()> {
    let settings = Settings::load(global);
    let config = settings.as_ref().map_or_else(|_| Config::default(), |s| s.responder.clone());
    let flag = HostFlag::of(&config.state_folder().map_err(|e| anyhow!(e))?);
    let mut done = Vec::new();
    let mut wrong = Vec::new();
    if args.end {
        match flag.lower() {
            Ok(true) => done.push(format!("{} is removed", flag.path().display())),
            Ok(false) => done.push(format!("{} was not there", flag.path().display())),
            Err(e) => wrong.push(format!("{}: {e}", flag.path().display())),
        }
    } else {
        // The switch first: a responder that runs here must not put back what is taken away.
        match flag.raise(&args.by, &args.reason, clock::now()) {
            Ok(()) => done.push(format!("{} keeps enforcement off", flag.path().display())),
            Err(e) => wrong.push(format!("{}: {e}", flag.path().display())),
        }
        match Nftables::remove_table() {
            Ok(()) => done.push("the table inet magsentinel is gone".to_owned()),
            Err(e) => wrong.push(format!("the table inet magsentinel may still be there: {e}")),
        }
    }
    match settings {
        Err(e) => wrong.push(format!("the mesh is not told: {e}")),
        Ok(_) if args.host_only => {}
        Ok(settings) => match tell(&settings, &args).await {
            Ok(()) => done.push("the mesh is told".to_owned()),
            Err(e) => wrong.push(format!(
                "the mesh is not told, which goes on elsewhere: {e:#}; once NATS can be reached, \
                 run this again"
            )),
        },
    }
    let report = json!({ "done": done, "wrong": wrong });
    global.output.print(&report, || done.iter().map(|line| format!("{line}\n")).collect());
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

async fn tell(settings: &Settings, args: &PanicArgs) -> Result<()> {
    let mut bus = settings.bus.clone();
    bus.startup = bus.startup.min(Span::s(3));
    let bus = magsentinel_runtime::bus::connect(&bus, "panic").await?;
    let ask = if args.end { Ask::Resume {} } else { Ask::Panic {} };
    let order = lease::made(&bus, ask, &args.by, &args.reason);
    lease::publish(&bus, &order).await
}

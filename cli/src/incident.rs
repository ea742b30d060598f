//! `incident`: what the logbook knows, and what an operator says of it.

use crate::{
    args::{CloseArgs, ExportArgs, Global, IncidentArgs, IncidentCommand},
    exit::{BadData, BadUsage},
    settings::Settings,
};
use anyhow::{Context, Result};
use magsentinel_bus_schema::{Closure, Id, Judgement, Level, SCHEMA_VERSION, Subject};
use magsentinel_logbook::{
    Filter, Incident, Logbook, render,
    report::{self, Form},
};
use magsentinel_runtime::{clock, stage::Publish};
use serde_json::json;

/// Lists, shows or closes.
pub async fn run(global: &Global, args: IncidentArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    let logbook = Logbook::open_configured(&settings.logbook)?;
    match args.command {
        IncidentCommand::List { level, limit } => {
            let level_min = Level::from_token(&level).ok_or_else(|| {
                let known = Level::ALL.iter().map(|l| l.token()).collect::<Vec<_>>().join(", ");
                BadUsage(format!("there is no level {level:?} (one of {known})"))
            })?;
            let rows = logbook.incidents(&Filter { level_min, limit, ..Filter::default() })?;
            global.output.print(&rows, || render::list(&rows));
        }
        IncidentCommand::Show { id } => {
            let found = find(&logbook, &id)?;
            global.output.print(&found, || render::incident(&found));
        }
        IncidentCommand::Export(args) => export(global, &find(&logbook, &args.id)?, &args)?,
        IncidentCommand::Close(args) => {
            let closure = closure(&find(&logbook, &args.id)?, &args)?;
            drop(logbook);
            let bus = magsentinel_runtime::bus::connect(&settings.bus, "incident").await?;
            let subject = Subject::Closure(closure.judgement);
            bus.publish_all(&[Publish::new(subject, closure.id, &closure)?]).await?;
            global.output.print(&closure, || told(&closure));
        }
    }
    Ok(())
}

fn export(global: &Global, found: &Incident, args: &ExportArgs) -> Result<()> {
    let form = Form::from_token(&args.format).ok_or_else(|| {
        BadUsage(format!("--format {:?} is none of md, html, stix, ocsf", args.format))
    })?;
    let text = report::write(found, form);
    // STIX and OCSF are JSON already, and go out as they are.
    let page = matches!(form, Form::Markdown | Form::Html);
    let told = |key: &str, value: &str| json!({ "incident": found.incident.id, "format": args.format, key: value });
    match &args.out {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("{}", path.display()))?;
            let told = told("file", &path.display().to_string());
            global.output.print(&told, String::new);
        }
        None if page => global.output.print(&told("report", &text), || text.clone()),
        None => print!("{text}"),
    }
    Ok(())
}

fn find(logbook: &Logbook, id: &str) -> Result<Incident> {
    let unknown = || BadData(format!("no incident {id:?}; `magsentinel incident list` shows them"));
    Ok(logbook.incident(id)?.ok_or_else(unknown)?)
}

fn closure(found: &Incident, args: &CloseArgs) -> Result<Closure> {
    let judgement = Judgement::from_token(&args.judgement).ok_or_else(|| {
        BadUsage(format!("--as {:?} is neither true-positive nor false-positive", args.judgement))
    })?;
    let (incident, ts) = (found.incident.id, clock::now());
    let at = ts.micros().to_le_bytes();
    let parts = [b"closure".as_slice(), incident.as_bytes(), judgement.token().as_bytes(), &at];
    Ok(Closure {
        v: SCHEMA_VERSION,
        id: Id::derived(&parts),
        incident,
        tenant: found.incident.tenant.clone(),
        judgement,
        by: args.by.clone(),
        note: args.note.clone(),
        patrols: found.shares(),
        ts,
    })
}

fn told(closure: &Closure) -> String {
    let of = |share: &magsentinel_bus_schema::closure::Share| share.patrol.to_string();
    let patrols: Vec<_> = closure.patrols.iter().map(of).collect();
    format!(
        "incident {} is closed as {}; told to {}\n`magsentinel status` shows how often each \
         patrol was right\n",
        closure.incident,
        closure.judgement,
        patrols.join(", ")
    )
}

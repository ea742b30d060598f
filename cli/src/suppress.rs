//! `suppress`: alerts that nobody wants to see for a while, set while the mesh runs.

use crate::{
    args::{Global, SuppressAdd, SuppressCommand, SuppressEnd, moment},
    exit::{BadData, BadUsage},
    output::{note, table},
    settings::Settings,
    unreadable::Unreadable,
};
use anyhow::{Result, bail};
use magsentinel_analyzer::{
    Config,
    suppression::live::{EFFECT_AFTER, PREFIX, Stored, ended},
};
use magsentinel_bus_schema::{Stream, SuppressionChange, Timestamp, subject::all_of};
use magsentinel_runtime::{
    bus::Bus,
    clock,
    policy::{self, Document},
    settings::Span,
};
use serde_json::json;
use std::time::Duration;

/// What has ended is forgotten this long after, when another is set.
const FORGET_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// Carries out a command.
pub async fn run(global: &Global, command: SuppressCommand) -> Result<()> {
    let settings = Settings::load(global)?;
    let bus = magsentinel_runtime::bus::connect(&settings.bus, "suppress").await?;
    match command {
        SuppressCommand::Add(args) => {
            let added = add(&bus, &settings.analyzer, args).await?;
            global.output.print(&added, || told(&added));
        }
        SuppressCommand::End(args) => {
            let ended = end(&bus, args).await?;
            global.output.print(&ended, || told(&ended));
        }
        SuppressCommand::List { changes: false } => {
            let mut all = Vec::new();
            for document in policy::list(&bus, PREFIX).await? {
                match Stored::read(&document) {
                    Ok(stored) => all.extend(stored),
                    Err(why) => note(&format!("{} is refused: {why}", document.name)),
                }
            }
            global.output.print(&all, || listed(&all, clock::now()));
        }
        SuppressCommand::List { changes: true } => {
            let (mut all, mut unreadable) =
                (Vec::<SuppressionChange>::new(), Unreadable::default());
            let filter = vec![all_of(bus.tenant(), "suppression")];
            bus.read_all(Stream::Decisions, filter, |d| all.extend(unreadable.read(d))).await?;
            unreadable.tell();
            // Told by several analyzers, or again after a restart.
            all.sort_by_key(|change| (change.revision, change.id));
            all.dedup_by_key(|change| change.id);
            global.output.print(&all, || changes(&all));
        }
    }
    Ok(())
}

/// The suppressions that are set in a running mesh, beside those of the configuration.
pub async fn with_stored(bus: &Bus, config: &mut Config) -> Result<()> {
    for document in policy::list(bus, PREFIX).await? {
        // What the analyzers refuse, they report.
        if let Ok(Some(stored)) = Stored::read(&document) {
            config.suppressions.push(stored.rule);
        }
    }
    Ok(())
}

async fn add(bus: &Bus, config: &Config, args: SuppressAdd) -> Result<Stored> {
    let now = clock::now();
    let from = now.plus(EFFECT_AFTER);
    let until = until(&args.until, now)?;
    // By way of the text that a file would hold, so that both are read alike.
    let rule = json!({
        "id": args.id, "effect": args.effect.replace('-', "_"), "chain": args.chain,
        "class": args.class, "key": args.key, "level_max": args.level_max, "reason": args.reason,
        "by": args.by, "from": from.to_string(), "until": until.to_string(),
    });
    let rule = serde_json::from_value(rule).map_err(|e| BadUsage(e.to_string()))?;
    let stored = Stored { rule, ended_by: None };
    let name = stored.rule.id.to_string();
    stored.check(&name).map_err(BadUsage)?;
    if config.suppressions.iter().any(|s| s.id == stored.rule.id) {
        return Err(BadUsage(format!("the configuration has a suppression {name:?}")).into());
    }
    let known = policy::list(bus, PREFIX).await?;
    forget(bus, &known, now).await?;
    let before = known.iter().find(|document| document.name == name);
    if let Some(Ok(Some(known))) = before.map(Stored::read)
        && known.rule.until >= now
    {
        let until = known.rule.until;
        let why = format!("{name:?} is set until {until}: end it first, or choose another --id");
        return Err(BadData(why).into());
    }
    write(bus, &stored, before.map_or(0, |document| document.revision)).await?;
    Ok(stored)
}

/// A time, or how long from now.
fn until(text: &str, now: Timestamp) -> Result<Timestamp, BadUsage> {
    match text.parse::<Span>() {
        Ok(span) => Ok(now.plus(span.get())),
        Err(_) => moment("--until", text),
    }
}

async fn end(bus: &Bus, args: SuppressEnd) -> Result<Stored> {
    let known = policy::list(bus, PREFIX).await?;
    let unknown = || {
        let id = &args.id;
        BadData(format!("no suppression {id:?} is set; `magsentinel suppress list` shows them"))
    };
    let document = known.iter().find(|document| document.name == args.id).ok_or_else(unknown)?;
    let stored = Stored::read(document).map_err(BadData)?.ok_or_else(unknown)?;
    let now = clock::now();
    if stored.rule.until < now {
        return Err(BadData(format!("{:?} ended at {}", args.id, stored.rule.until)).into());
    }
    let stored = ended(stored, args.by, now);
    stored.check(&document.name).map_err(BadUsage)?;
    write(bus, &stored, document.revision).await?;
    Ok(stored)
}

async fn write(bus: &Bus, stored: &Stored, before: u64) -> Result<()> {
    let name = stored.rule.id.to_string();
    let bytes = serde_json::to_vec(stored)?;
    if policy::put(bus, (PREFIX, &name), bytes, before).await?.is_none() {
        bail!("somebody else has changed {name:?} just now: look at it and try again");
    }
    Ok(())
}

/// Takes out of the store what ended long ago.
async fn forget(bus: &Bus, known: &[Document], now: Timestamp) -> Result<()> {
    for document in known {
        if let Ok(Some(stored)) = Stored::read(document)
            && stored.rule.until.plus(FORGET_AFTER) < now
        {
            policy::remove(bus, PREFIX, &document.name).await?;
        }
    }
    Ok(())
}

fn told(stored: &Stored) -> String {
    let rule = &stored.rule;
    let from = rule.from.map(|from| from.to_string()).unwrap_or_default();
    format!(
        "{} ({}): {} {:?}, events from {from} to {}\n`magsentinel status` shows what the \
         analyzers make of it\n",
        rule.id, rule.effect, rule.class, rule.key, rule.until
    )
}

fn listed(all: &[Stored], now: Timestamp) -> String {
    let head = ["ID", "EFFECT", "CHAIN", "KEY", "UP TO", "FROM", "UNTIL", "STATE", "BY", "REASON"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Stored { rule, ended_by } in all {
        let state = match (rule.until < now, ended_by) {
            (_, Some(by)) => format!("ended by {by:?}"),
            (true, None) => "over".to_owned(),
            (false, None) => "set".to_owned(),
        };
        rows.push(vec![
            rule.id.to_string(),
            rule.effect.to_string(),
            rule.chain.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string),
            format!("{} {:?}", rule.class, rule.key),
            rule.level_max.to_string(),
            rule.from.map(|from| from.to_string()).unwrap_or_default(),
            rule.until.to_string(),
            state,
            format!("{:?}", rule.by),
            format!("{:?}", rule.reason),
        ]);
    }
    table(&rows)
}

fn changes(all: &[SuppressionChange]) -> String {
    let head = ["TIME", "REVISION", "ID", "CHANGE", "UNTIL", "BY", "WHY"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for of in all {
        let rule = of.rule.as_ref();
        let by = rule.map(|rule| rule.ended_by.as_ref().unwrap_or(&rule.by));
        let why = rule.map(|rule| &rule.reason).or(of.why.as_ref());
        let changed = match rule.and_then(|rule| rule.ended_by.as_ref()) {
            Some(_) => "ended".to_owned(),
            None => format!("{:?}", of.changed).to_lowercase(),
        };
        rows.push(vec![
            of.ts.to_string(),
            of.revision.to_string(),
            of.suppression.to_string(),
            changed,
            rule.map(|rule| rule.until.to_string()).unwrap_or_default(),
            by.map(|by| format!("{by:?}")).unwrap_or_default(),
            why.map(|why| format!("{why:?}")).unwrap_or_default(),
        ]);
    }
    table(&rows)
}

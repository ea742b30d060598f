//! `explain`: why there is an alert on a key, or why there is none; or what one event is.

mod event;

use crate::{
    args::{ExplainArgs, Global, moment},
    exit::{BadData, BadUsage},
    settings::Settings,
    suppress,
    unreadable::Unreadable,
};
use anyhow::Result;
use magsentinel_analyzer::{Account, Explanation, chain::Book, explain};
use magsentinel_bus_schema::{Assessment, Class, Scored, Stream, Timestamp, subject::all_of};
use magsentinel_runtime::{bus::Bus, clock, stage::Delivery};
use std::sync::Arc;

/// Which key, and the times of its events that matter.
struct Asked {
    class: Class,
    key: String,
    from: Timestamp,
    to: Timestamp,
}

/// Reads the scored events of a key again, and tells how far every chain came.
pub async fn run(global: &Global, args: ExplainArgs) -> Result<()> {
    let mut settings = Settings::load(global)?;
    if let Some(id) = &args.event {
        if args.incident.as_deref() != Some("event") {
            let why = "two ids: `explain ID` is about an incident, `explain event ID` an event";
            return Err(BadUsage(why.to_owned()).into());
        }
        let bus = magsentinel_runtime::bus::connect(&settings.bus, "explain").await?;
        let told = event::explain(&bus, id).await?;
        global.output.print(&told, || event::text(&told));
        return Ok(());
    }
    let book = Arc::new(Book::rated(&settings.analyzer, &settings.inference)?);
    let at = args.at.as_deref().map(|at| moment("--at", at)).transpose()?;
    let bus = magsentinel_runtime::bus::connect(&settings.bus, "explain").await?;
    suppress::with_stored(&bus, &mut settings.analyzer).await?;
    let (class, key, first, last) = match (&args.incident, args.key) {
        (Some(id), _) => incident(&bus, id).await?,
        (None, key) => {
            let at = at.unwrap_or_else(clock::now);
            (class(&args.class)?, key.unwrap_or_default(), at, at)
        }
    };
    let window = book.window_max();
    let asked = Asked { class, key, from: first.minus(window), to: last.plus(window) };
    let scored = scored(&bus, &asked).await?;
    let told = explain(&book, &settings.analyzer, asked.class, &asked.key, &scored);
    if told.is_empty() {
        return Err(BadData(format!(
            "between {} and {} no patrol found anything that names {} {:?}; `magsentinel status` \
             shows what was scored",
            asked.from, asked.to, asked.class, asked.key
        ))
        .into());
    }
    global.output.print(&told, || told.iter().map(text).collect());
    Ok(())
}

fn class(token: &str) -> Result<Class> {
    let known = || Class::ALL.iter().map(|c| c.token()).collect::<Vec<_>>().join(", ");
    let unknown = || BadUsage(format!("there is no class {token:?} (one of {})", known()));
    Ok(Class::from_token(token).ok_or_else(unknown)?)
}

/// The key and the times of an incident, from its newest assessment.
async fn incident(bus: &Bus, id: &str) -> Result<(Class, String, Timestamp, Timestamp)> {
    let mut newest: Vec<Assessment> = Vec::new();
    let mut unreadable = Unreadable::default();
    let show = |delivery: &Delivery| {
        let Some(read) = unreadable.read::<Assessment>(delivery) else { return };
        if id.len() >= 4 && read.incident.to_string().starts_with(id) {
            newest.retain(|known| known.incident != read.incident);
            newest.push(read);
        }
    };
    bus.read_all(Stream::Decisions, vec![all_of(bus.tenant(), "assessment")], show).await?;
    unreadable.tell();
    let found: [Assessment; 1] = newest.try_into().map_err(|many: Vec<_>| {
        BadData(format!(
            "{} incidents begin with {id:?}; `magsentinel incident list` shows them",
            many.len()
        ))
    })?;
    let [found] = found;
    Ok((found.class, found.key, found.first, found.last))
}

async fn scored(bus: &Bus, asked: &Asked) -> Result<Vec<Scored>> {
    let (mut found, mut unreadable) = (Vec::new(), Unreadable::default());
    let show = |delivery: &Delivery| {
        let Some(scored) = unreadable.read::<Scored>(delivery) else { return };
        let named = scored.entities.iter().any(|e| e.class == asked.class && e.value == asked.key);
        if named && (asked.from..=asked.to).contains(&scored.ts) {
            found.push(scored);
        }
    };
    // Nothing is stored before it happened.
    let filters = vec![all_of(bus.tenant(), "scored")];
    bus.read_since(Stream::Scored, filters, asked.from, show).await?;
    unreadable.tell();
    Ok(found)
}

fn text(told: &Explanation) -> String {
    let replayed = if told.replayed { ", played back" } else { "" };
    let mut text = format!("{} {:?}{replayed}\n", told.class, told.key);
    for (patrol, levels) in &told.events {
        let levels: Vec<_> = levels.iter().rev().map(|(l, n)| format!("{n} {l}")).collect();
        text += &format!("  {patrol}: {}\n", levels.join(", "));
    }
    let (found, quiet): (Vec<_>, Vec<_>) = told.chains.iter().partition(|c| !c.found.is_empty());
    for account in found {
        for assessment in &account.found {
            text += &raised(account, assessment);
        }
    }
    for account in quiet {
        text += &format!("quiet  {}: {}\n", account.chain, account.reached);
    }
    text
}

fn raised(account: &Account, found: &Assessment) -> String {
    let Assessment { level, confidence, response, incident, .. } = found;
    let head = format!("found  {}: {level}, confidence {confidence:.3}, ", account.chain);
    let why: String = found.reasoning.iter().map(|why| format!("         {why}\n")).collect();
    format!("{head}{response}; incident {incident}\n{why}")
}

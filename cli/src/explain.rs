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
use magsentinel_bus_schema::{
    Assessment, Class, Keyed, Scored, Shard, Stream, Timestamp,
    subject::{all_of, keyed_at},
};
use magsentinel_runtime::{bus::Bus, clock, stage::Delivery};
use serde::Serialize;
use std::sync::Arc;

/// What is told: what was decided, and what the events come to when they are looked at again.
#[derive(Serialize)]
struct Told {
    /// The newest assessment of the incident that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<Box<Assessment>>,
    explained: Vec<Explanation>,
}

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
    let decided = match &args.incident {
        Some(id) => Some(Box::new(incident(&bus, id).await?)),
        None => None,
    };
    let (class, key, first, last) = match &decided {
        Some(of) => (of.class, of.key.clone(), of.first, of.last),
        None => {
            let at = at.unwrap_or_else(clock::now);
            (class(&args.class)?, args.key.unwrap_or_default(), at, at)
        }
    };
    let window = book.window_max();
    let asked = Asked { class, key, from: first.minus(window), to: last.plus(window) };
    let mut scored = scored(&bus, &asked).await?;
    scored.extend(joined(&bus, &asked, settings.analyzer.shards).await?);
    let explained = explain(&book, &settings.analyzer, asked.class, &asked.key, &scored);
    if explained.is_empty() && decided.is_none() {
        return Err(BadData(format!(
            "between {} and {} no patrol found anything that names {} {:?}; `magsentinel status` \
             shows what was scored",
            asked.from, asked.to, asked.class, asked.key
        ))
        .into());
    }
    let told = Told { decided, explained };
    global.output.print(&told, || {
        let decided = told.decided.as_deref().map(stored).unwrap_or_default();
        decided + &told.explained.iter().map(text).collect::<String>()
    });
    Ok(())
}

fn class(token: &str) -> Result<Class> {
    let known = || Class::ALL.iter().map(|c| c.token()).collect::<Vec<_>>().join(", ");
    let unknown = || BadUsage(format!("there is no class {token:?} (one of {})", known()));
    Ok(Class::from_token(token).ok_or_else(unknown)?)
}

/// The newest assessment of an incident.
pub async fn incident(bus: &Bus, id: &str) -> Result<Assessment> {
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
    Ok(found)
}

async fn scored(bus: &Bus, asked: &Asked) -> Result<Vec<Scored>> {
    let (mut found, mut unreadable) = (Vec::new(), Unreadable::default());
    let show = |delivery: &Delivery| {
        let Some(scored) = unreadable.read::<Scored>(delivery) else { return };
        // By whichever class: an alias gives the same key to several.
        let named = scored.entities.iter().any(|e| e.value == asked.key);
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

/// What other keys did that counts for this one: it does not name it itself, so only the stream of
/// keyed events tells.
async fn joined(bus: &Bus, asked: &Asked, shards: u16) -> Result<Vec<Scored>> {
    let (mut found, mut unreadable) = (Vec::new(), 0_u64);
    let show = |delivery: &Delivery| {
        let Ok(all) = delivery.decode_each::<Keyed>(bus.limits()) else {
            unreadable += 1;
            return;
        };
        let ours = |keyed: &Keyed| {
            let ts = keyed.scored.ts;
            keyed.key == asked.key && (asked.from..=asked.to).contains(&ts)
        };
        found.extend(all.into_iter().filter(ours).map(|keyed| keyed.scored));
    };
    let filters = vec![keyed_at(bus.tenant(), Shard::of(&asked.key, shards))];
    bus.read_since(Stream::Keyed, filters, asked.from, show).await?;
    if unreadable > 0 {
        tracing::warn!(unreadable, "keyed events cannot be read and are left out");
    }
    Ok(found)
}

/// What was decided, why, and on which events.
fn stored(of: &Assessment) -> String {
    let Assessment { chain, level, confidence, response, incident, revision, .. } = of;
    let status = format!("{:?}", of.status).to_lowercase();
    let head = format!(
        "decided  {chain}: {level}, confidence {confidence:.3}, {response}; incident {incident}, \
         {status}, revision {revision}, {} events\n",
        of.count
    );
    let why: String = of.reasoning.iter().map(|why| format!("         {why}\n")).collect();
    let cited = of.evidence.iter().map(|e| {
        format!(
            "         {} {} {} {}: event {}, scored {}\n",
            e.ts, e.patrol, e.level, e.category, e.event, e.scored
        )
    });
    head + &why + &cited.collect::<String>()
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

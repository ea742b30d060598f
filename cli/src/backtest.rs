//! `backtest`: changed chains or thresholds over the retained stream of scored events.

mod propose;

use crate::{
    args::{BacktestArgs, Global, moment},
    explain,
    output::table,
    progress,
    settings::Settings,
    suppress,
    unreadable::Unreadable,
};
use anyhow::Result;
use indicatif::ProgressBar;
use magsentinel_analyzer::{
    analyze_with,
    backtest::{Brief, Comparison, compare},
    chain::Book,
};
use magsentinel_bus_schema::{
    Assessment, Level, Message, Scored, Stream, Timestamp,
    subject::{all_of, scored_at},
};
use magsentinel_runtime::{bus::Bus, clock, stage::Delivery};
use std::sync::Arc;

/// Incidents that are listed one by one; `--output json` has all.
const LISTED_MAX: usize = 20;

/// Runs chains over what was scored, and sets what they find beside what was alerted.
pub async fn run(global: &Global, args: BacktestArgs) -> Result<()> {
    let mut settings = Settings::load(global)?;
    let of = |option: &str, text: &Option<String>| {
        text.as_deref().map(|text| moment(option, text)).transpose()
    };
    let from = of("--from", &args.from)?.unwrap_or_default();
    let to = of("--to", &args.to)?.unwrap_or_else(clock::now);
    let bus = magsentinel_runtime::bus::connect(&settings.bus, "backtest").await?;
    suppress::with_stored(&bus, &mut settings.analyzer).await?;
    let proposed = match &args.propose {
        Some(id) => Some(propose::Proposed::from(&explain::incident(&bus, id).await?)?),
        None => None,
    };
    let more = proposed.as_ref().map(propose::Proposed::file).or(args.chains);
    let book = Book::rated_with(&settings.analyzer, &settings.inference, more.as_deref())?;
    let book = Arc::new(book);
    let levels = [Level::Low, Level::Medium, Level::High, Level::Critical];
    let filters = scored_at(bus.tenant(), &levels);
    let bar = progress::counter(global, "messages read");
    let scored: Vec<Scored> = stored(&bus, Stream::Scored, filters, (from, to), &bar).await?;
    let events = scored.len();
    let first = scored.iter().map(|s| s.ts).min();
    let would = analyze_with(&book, &settings.analyzer, scored, to);
    let filters = vec![all_of(bus.tenant(), "assessment")];
    let mut did: Vec<Assessment> =
        stored(&bus, Stream::Decisions, filters, (from, to), &bar).await?;
    bar.finish_and_clear();
    // What began before the events that were read cannot be found again.
    did.retain(|a| first.is_some_and(|first| first <= a.first));
    let told = compare(&did, &would);
    if let Some(proposed) = proposed {
        let share_max = settings.patterns.budget().share_max;
        let verdict = proposed.judge(&would, &told, events, share_max);
        global.output.print(&verdict, || propose::text(&verdict));
        return Ok(());
    }
    global.output.print(&told, || text(&told, events));
    Ok(())
}

/// What a stream stored in a time.
async fn stored<T: Message>(
    bus: &Bus,
    stream: Stream,
    filters: Vec<String>,
    (from, to): (Timestamp, Timestamp),
    bar: &ProgressBar,
) -> Result<Vec<T>> {
    let (mut found, mut unreadable) = (Vec::new(), Unreadable::default());
    let show = |delivery: &Delivery| {
        bar.inc(1);
        if delivery.stored < to {
            found.extend(unreadable.read::<T>(delivery));
        }
    };
    bus.read_since(stream, filters, from, show).await?;
    unreadable.tell();
    Ok(found)
}

fn text(told: &Comparison, events: usize) -> String {
    let mut rows = vec![["CHAIN", "DID", "WOULD", "BOTH"].map(str::to_owned).to_vec()];
    for (chain, tally) in &told.chains {
        let counts = [tally.did, tally.would, tally.both].map(|n| n.to_string());
        rows.push([vec![chain.to_string()], counts.to_vec()].concat());
    }
    let mut text = format!("{events} scored events\n{}", table(&rows));
    let lists = [("would alert", &told.more), ("would no longer alert", &told.fewer)];
    for (title, briefs) in lists {
        let lines = briefs.iter().map(|b| format!("  {}\n", short(b)));
        text += &listed(title, briefs.len(), lines);
    }
    let lines = told.changed.iter().map(|(then, now)| {
        let (then, now) = ((then.level, then.response), now);
        format!("  {} (did: {} {})\n", short(now), then.0, then.1)
    });
    text += &listed("would decide otherwise", told.changed.len(), lines);
    text
}

fn listed(title: &str, count: usize, lines: impl Iterator<Item = String>) -> String {
    if count == 0 {
        return String::new();
    }
    let more = count.saturating_sub(LISTED_MAX);
    let rest = if more > 0 { format!("  … and {more} more\n") } else { String::new() };
    format!("{title}:\n{}{rest}", lines.take(LISTED_MAX).collect::<String>())
}

fn short(of: &Brief) -> String {
    let Brief { first, chain, class, key, level, response, count, incident } = of;
    format!("{first}  {chain}  {class} {key:?}  {level} {response}  {count} events  {incident}")
}

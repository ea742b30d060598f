//! `status`: every service's state, and the loss ledger.

mod services;

use crate::{
    args::{Global, StatusArgs},
    output::table,
    progress,
    settings::Settings,
};
use anyhow::Result;
use magsentinel_analyzer::router;
use magsentinel_bus_schema::{Gap, GapState, Stream, Timestamp, Token, subject};
use magsentinel_patrol::{patrols::TABLE, stage::consumer_of};
use magsentinel_runtime::{
    bus::Bus,
    gap,
    ledger::{self, Audit, Row},
    micro,
};
use serde::Serialize;
use serde_json::Value;
use services::Unserved;

#[derive(Serialize)]
struct Status {
    services: Vec<Value>,
    ledger: Vec<Row>,
    /// Consumers that no running service reads for.
    unserved: Vec<Unserved>,
    /// The newest word on every consumer's gaps.
    gaps: Vec<Gap>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audit: Vec<(String, Audit)>,
}

/// Asks every service and reads the ledger.
pub async fn run(global: &Global, args: StatusArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    let bus = magsentinel_runtime::bus::connect(&settings.bus, "status").await?;
    let services = micro::ask_all(&bus, "STATS", None).await?;
    let ledger = ledger(&bus).await?;
    let mut status = Status {
        unserved: services::unserved(&services, &ledger),
        services,
        ledger,
        gaps: gap::told(&bus).await?,
        audit: Vec::new(),
    };
    if args.audit {
        let bar = progress::bar(global, "patrols audited", TABLE.len() as u64);
        for entry in TABLE {
            let name: Token = entry.spec.name.parse()?;
            let audit = ledger::audit(&bus, &name, entry.spec.kinds).await?;
            status.audit.push((name.to_string(), audit));
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    global.output.print(&status, || text(&status));
    Ok(())
}

/// The rows of durables, and of the services that own shards.
async fn ledger(bus: &Bus) -> Result<Vec<Row>> {
    let mut rows = ledger::rows(bus).await?;
    let tenant = bus.tenant();
    for entry in TABLE {
        // A patrol that has a durable keeps no state.
        if rows.iter().any(|row| row.consumer == entry.spec.name) {
            continue;
        }
        for class in entry.spec.keys {
            let name = consumer_of(entry.spec, *class);
            let (stream, filters) = if name == entry.spec.token() {
                (Stream::Events, entry.spec.events_of(tenant))
            } else {
                let facts = subject::facts_of(tenant, &entry.spec.token(), *class);
                (Stream::Keyed, vec![facts])
            };
            rows.extend(ledger::sharded_row(bus, &name, stream, &filters).await?);
        }
    }
    let keyed = [subject::all_of(tenant, "keyed")];
    let analyzer: Token = "analyzer".parse()?;
    rows.extend(ledger::sharded_row(bus, &analyzer, Stream::Keyed, &keyed).await?);
    let router: Token = router::NAME.parse()?;
    let filters = router::filters(tenant);
    rows.extend(ledger::whole_row(bus, &router, Stream::Scored, filters).await?);
    let scored = TABLE.iter().filter(|e| rows.iter().any(|row| row.consumer == e.spec.name));
    let read: Vec<String> = scored.flat_map(|entry| entry.spec.events_of(tenant)).collect();
    rows.extend(ledger::unsubscribed(bus, &read).await?);
    Ok(rows)
}

fn text(status: &Status) -> String {
    let mut out =
        format!("{}\n{}", table(&services::rows(status)), table(&ledger_rows(&status.ledger)));
    if !status.unserved.is_empty() {
        out.push_str(&format!("\n{}", table(&services::unserved_rows(&status.unserved))));
    }
    for row in status.ledger.iter().filter(|row| !row.is_balanced()) {
        out.push_str(&format!(
            "\n{} of {}: NOT BALANCED: {} messages were neither handled nor dead-lettered, and are \
             delivered no more. They lie in the stream: read them there, and publish them again\n",
            row.consumer, row.stream, row.missing,
        ));
    }
    if !status.gaps.is_empty() {
        out.push_str(&format!("\n{}", gaps(&status.gaps)));
    }
    for (patrol, audit) in &status.audit {
        let verdict = if audit.is_balanced() { "balanced" } else { "NOT BALANCED" };
        out.push_str(&format!(
            "\naudit of {patrol}: {} received = {} scored + {} dead-lettered; {} missing, {} \
             doubled: {verdict}\n",
            audit.received,
            audit.scored,
            audit.dead_lettered,
            audit.missing.len(),
            audit.doubled.len(),
        ));
    }
    out
}

fn ledger_rows(ledger: &[Row]) -> Vec<Vec<String>> {
    /// Which column says how many wait.
    const WAITING: usize = 6;
    let head = [
        "STREAM",
        "CONSUMER",
        "RECEIVED",
        "HANDLED",
        "DEAD",
        "IN FLIGHT",
        "WAITING",
        "SINCE",
        "SHED",
        "UNSUBSCRIBED",
        "MISSING",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in ledger {
        let counts = [
            row.received,
            row.handled,
            row.dead_lettered,
            row.in_flight,
            row.waiting,
            row.shed,
            row.unsubscribed,
            row.missing,
        ];
        let mut cells = vec![row.stream.to_owned(), row.consumer.clone()];
        cells.extend(counts.map(|n| n.to_string()));
        // How long it has waited tells a patrol that is blind from one that is busy.
        let since = row.waiting_since.map_or_else(|| "-".to_owned(), |at| at.to_string());
        cells.insert(WAITING + 1, since);
        rows.push(cells);
    }
    rows
}

/// From when to when each consumer was blind last. While a gap is open, its end is not known.
fn gaps(gaps: &[Gap]) -> String {
    let head = ["GAP OF", "STATE", "FROM", "TO", "EVENTS", "SEQUENCES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for gap in gaps {
        let open = gap.state == GapState::Open;
        let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let least = if open { "at least " } else { "" };
        rows.push(vec![
            gap.patrol.to_string(),
            gap.state.to_string(),
            time(gap.from),
            time(gap.to),
            format!("{least}{}", gap.count),
            format!("{}..={}", gap.from_seq, gap.to_seq),
        ]);
    }
    table(&rows)
}

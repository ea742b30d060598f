//! `lease`: what the responder holds and what waits, and what an operator orders about it.

use crate::{
    args::{Global, LeaseCommand, OrderArgs},
    exit::{BadData, BadUsage},
    output::table,
    settings::Settings,
};
use anyhow::{Result, anyhow, bail};
use futures::StreamExt;
use magsentinel_bus_schema::{
    Ask, Id, Order, Outcome, OutcomeStatus, Stream, Subject, Timestamp, subject::all_of,
};
use magsentinel_responder::{
    keeper,
    lease::{Lease, Life, Off},
};
use magsentinel_runtime::{bus::Bus, clock, settings::Span, stage::Publish};
use std::time::Duration;

/// How long an order may go unanswered.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Carries out a command.
pub async fn run(global: &Global, command: LeaseCommand) -> Result<()> {
    let settings = Settings::load(global)?;
    let bus = magsentinel_runtime::bus::connect(&settings.bus, "lease").await?;
    if let LeaseCommand::Evidence { id, out } = &command {
        return crate::evidence::fetch(global, &bus, id, out).await;
    }
    let (leases, off) = keeper::read(&bus).await.map_err(|e| anyhow!(e))?;
    match command {
        LeaseCommand::List { all } => {
            let shown = |lease: &&Lease| all || !matches!(lease.life, Life::Ended { .. });
            let shown: Vec<&Lease> = leases.iter().filter(shown).collect();
            global.output.print(&shown, || listed(&shown, off.as_ref()));
        }
        LeaseCommand::Show { id } => {
            let lease = find(&leases, &id)?;
            global.output.print(lease, || told(lease));
        }
        // Of leases that are long forgotten, too.
        LeaseCommand::Evidence { .. } => {}
        LeaseCommand::Revoke(args) => {
            let lease = find(&leases, &args.id)?;
            if let Life::Ended { at, why, .. } = &lease.life {
                return Err(BadData(format!("it ended at {at}: {why}")).into());
            }
            let ask = Ask::Revoke { lease: lease.id() };
            answer(global, &order(&bus, ask, &args).await?)?;
        }
        LeaseCommand::Approve(args) => {
            let lease = find(&leases, &args.id)?;
            let waits = matches!(lease.life, Life::Waiting { .. });
            let Some(hash) = lease.hash.clone().filter(|_| waits) else {
                return Err(BadData("it does not wait for approval".to_owned()).into());
            };
            let ask = Ask::Approve { lease: lease.id(), hash };
            answer(global, &order(&bus, ask, &args).await?)?;
        }
        LeaseCommand::Extend { order: args, span } => {
            let lease = find(&leases, &args.id)?;
            let span: Span = span.parse().map_err(|e| BadUsage(format!("--for: {e}")))?;
            let ask = Ask::Extend { lease: lease.id(), ttl_s: span.get().as_secs() };
            answer(global, &order(&bus, ask, &args).await?)?;
        }
    }
    Ok(())
}

fn find<'a>(leases: &'a [Lease], id: &str) -> Result<&'a Lease> {
    if id.len() < 4 {
        return Err(BadUsage(format!("{id:?} is too short: at least four characters")).into());
    }
    let id = id.to_lowercase();
    let mut found = leases.iter().filter(|lease| lease.id().to_string().starts_with(&id));
    match (found.next(), found.next()) {
        (Some(lease), None) => Ok(lease),
        (Some(_), Some(_)) => Err(BadUsage(format!("{id:?} begins several leases")).into()),
        (None, _) => {
            let why =
                format!("there is no lease {id:?}; `magsentinel lease list --all` shows them");
            Err(BadData(why).into())
        }
    }
}

/// Publishes an order and waits for what becomes of it.
async fn order(bus: &Bus, ask: Ask, args: &OrderArgs) -> Result<Outcome> {
    let order = made(bus, ask, &args.by, &args.reason);
    let outcomes = vec![all_of(bus.tenant(), "outcome")];
    let mut outcomes = bus.follow(Stream::Decisions, outcomes).await?;
    publish(bus, &order).await?;
    let mine = async {
        while let Some(delivery) = outcomes.next().await {
            let read = delivery.decode::<Outcome>(bus.limits());
            if let Some(outcome) = read.ok().filter(|o| o.order == Some(order.id)) {
                return Some(outcome);
            }
        }
        None
    };
    match tokio::time::timeout(ANSWER_MAX, mine).await {
        Ok(Some(outcome)) => Ok(outcome),
        _ => bail!(
            "the order is stored, but no responder has answered it in {ANSWER_MAX:?}; it is \
             carried out when one runs: `magsentinel status` shows whether one does"
        ),
    }
}

/// An order of somebody's.
pub fn made(bus: &Bus, ask: Ask, by: &str, reason: &str) -> Order {
    Order {
        v: magsentinel_bus_schema::SCHEMA_VERSION,
        id: Id::fresh(),
        tenant: bus.tenant().clone(),
        ask,
        by: by.to_owned(),
        reason: reason.to_owned(),
        ts: clock::now(),
    }
}

/// Stores an order.
pub async fn publish(bus: &Bus, order: &Order) -> Result<()> {
    let message = Publish::new(Subject::Order(order.ask.verb()), order.id, order)?;
    bus.publish_all(&[message]).await?;
    Ok(())
}

fn answer(global: &Global, outcome: &Outcome) -> Result<()> {
    if outcome.status == OutcomeStatus::Refused {
        return Err(BadData(outcome.detail.clone()).into());
    }
    global.output.print(outcome, || {
        let until = outcome.until.map_or_else(String::new, |until| format!(", until {until}"));
        format!("{}: {}{until}\n", outcome.effect.verb(), outcome.detail)
    });
    Ok(())
}

fn state(lease: &Lease) -> (&'static str, Option<Timestamp>, String) {
    match &lease.life {
        Life::Waiting { until, why } => ("waits", Some(*until), why.clone()),
        Life::Active { until } => {
            let by = lease.approved_by.as_ref().map(|by| format!("approved by {by:?}"));
            ("holds", Some(*until), by.unwrap_or_default())
        }
        Life::Ended { at, why, .. } => ("ended", Some(*at), why.clone()),
    }
}

fn listed(leases: &[&Lease], off: Option<&Off>) -> String {
    let head = ["ID", "ACTION", "TARGET", "STATE", "UNTIL", "WHY"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for lease in leases {
        let (state, until, why) = state(lease);
        let target = &lease.action.target;
        rows.push(vec![
            lease.id().to_string(),
            lease.action.effect.verb().to_string(),
            format!("{} {:?}", target.class, target.value),
            state.to_owned(),
            until.map(|until| until.to_string()).unwrap_or_default(),
            why,
        ]);
    }
    let off = off.map_or_else(String::new, |off| {
        let Off { by, reason, since } = off;
        format!("enforcement is off since {since}, by {by:?}: {reason}\n")
    });
    off + &table(&rows)
}

fn told(lease: &Lease) -> String {
    let (state, until, why) = state(lease);
    let action = &lease.action;
    let effect = serde_json::to_string(&action.effect).unwrap_or_default();
    let rows = [
        ("lease", lease.id().to_string()),
        ("effect", effect),
        ("target", format!("{} {:?}", action.target.class, action.target.value)),
        ("state", format!("{state}: {why}")),
        ("until", until.map(|until| until.to_string()).unwrap_or_default()),
        ("holds for", format!("{}s", action.ttl_s)),
        ("asked", lease.asked.to_string()),
        ("reason", action.reason.clone()),
        ("incident", action.incident.to_string()),
        ("events", action.events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        ("hash", lease.hash.clone().unwrap_or_default()),
    ];
    table(&rows.map(|(name, value)| vec![name.to_owned(), value]))
}

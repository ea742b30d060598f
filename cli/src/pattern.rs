//! `pattern`: rules that are proposed, tested, promoted and taken back while the mesh runs.

use crate::{
    args::{Global, PatternCommand, PatternOf, PatternSay, PatternTest},
    exit::{BadData, BadUsage},
    output::{note, table},
    progress,
    settings::Settings,
    unreadable::Unreadable,
};
use anyhow::{Result, bail};
use magsentinel_analyzer::proposed::{self, Ground};
use magsentinel_bus_schema::{
    Assessment, Id, Kind, Pattern, Stream, Tenant, Token,
    pattern::{Gate, Origin, Proof, State, Verdict},
    subject::all_of,
};
use magsentinel_patrol::{
    keeper::{Parts, testing::Testing},
    patrols::{self, Entry},
    patterns::{Bounds, Proposal},
    scorer::Blueprint,
};
use magsentinel_pattern::{
    Input, PREFIX, Stored,
    keeper::Test,
    record::{Draft, name_of, proposed},
    seal, step,
};
use magsentinel_runtime::{bus::Bus, clock, keeper::Work, policy, stage::Delivery};
use std::sync::Arc;

/// Carries out a command.
pub async fn run(global: &Global, command: PatternCommand) -> Result<()> {
    let settings = Settings::load(global)?;
    let bus = magsentinel_runtime::bus::connect(&settings.bus, "pattern").await?;
    match command {
        PatternCommand::Propose(args) => {
            let (_, pattern) = draft(&settings, &bus, &args.of, &args.by).await?;
            let bytes = serde_json::to_vec(&pattern)?;
            let place = (PREFIX, &*name_of(&pattern));
            if policy::put(&bus, place, bytes, 0).await?.is_none() {
                let id = pattern.pattern;
                let why = format!("it is proposed already: `magsentinel pattern show {id}`");
                return Err(BadData(why).into());
            }
            global.output.print(&pattern, || said(&pattern));
        }
        PatternCommand::Test(args) => test(global, &settings, &bus, &args).await?,
        PatternCommand::List { patrol, all } => {
            let mut found = stored(&bus).await?;
            found.retain(|of| patrol.as_ref().is_none_or(|p| of.pattern.patrol.as_str() == p));
            found.retain(|of| all || !of.pattern.state().is_final());
            let found: Vec<Pattern> = found.into_iter().map(|of| of.pattern).collect();
            global.output.print(&found, || listed(&found));
        }
        PatternCommand::Show { id } => {
            let found = find(&bus, &id).await?.pattern;
            global.output.print(&found, || shown(&found));
        }
        PatternCommand::Promote { id, key, by } => {
            let found = find(&bus, &id).await?;
            let seed = std::fs::read_to_string(&key)
                .map_err(|e| BadUsage(format!("--key {}: {e}", key.display())))?;
            let sealed = promotion(&settings, bus.tenant(), &found.pattern, &seed)?;
            take(global, &settings, &bus, found, Input::Promoted(sealed), &by).await?;
        }
        PatternCommand::Reject(PatternSay { id, reason, by }) => {
            let found = find(&bus, &id).await?;
            take(global, &settings, &bus, found, Input::Rejected(reason), &by).await?;
        }
        PatternCommand::Rollback(PatternSay { id, reason, by }) => {
            let found = find(&bus, &id).await?;
            take(global, &settings, &bus, found, Input::RolledBack(reason), &by).await?;
        }
    }
    Ok(())
}

/// A signature that patrols will trust.
fn promotion(
    settings: &Settings,
    tenant: &Tenant,
    pattern: &Pattern,
    seed: &str,
) -> Result<magsentinel_bus_schema::pattern::Seal> {
    let sealed = seal::sign(tenant, pattern, seed).map_err(BadUsage)?;
    let signed = Pattern { seal: Some(sealed.clone()), ..pattern.clone() };
    seal::check(tenant, &signed, &settings.patterns.signers).map_err(BadUsage)?;
    Ok(sealed)
}

/// Takes a step and stores it, unless somebody else was first.
async fn take(
    global: &Global,
    settings: &Settings,
    bus: &Bus,
    found: Stored,
    input: Input,
    by: &str,
) -> Result<()> {
    let budget = settings.patterns.budget();
    // While it is in shadow its counts change every few seconds: then it is read and tried again.
    let mut found = found;
    for _ in 0..5 {
        let after = step(&found.pattern, input.clone(), by, clock::now(), &budget);
        let after = after.map_err(|e| BadData(e.to_string()))?;
        let name = name_of(&after);
        let bytes = serde_json::to_vec(&after)?;
        if policy::put(bus, (PREFIX, &name), bytes, found.revision).await?.is_some() {
            global.output.print(&after, || said(&after));
            return Ok(());
        }
        found = find(bus, &after.pattern.to_string()).await?;
    }
    bail!("others change the pattern again and again: look at it and try once more")
}

/// All patterns that can be read; what cannot is told.
async fn stored(bus: &Bus) -> Result<Vec<Stored>> {
    let mut all = Vec::new();
    for document in policy::list(bus, PREFIX).await? {
        match Stored::read(&document) {
            Ok(found) => all.extend(found),
            Err(why) => note(&format!("{} is passed over: {why}", document.name)),
        }
    }
    all.sort_by_key(|of| of.pattern.steps.first().map(|step| step.ts));
    Ok(all)
}

async fn find(bus: &Bus, id: &str) -> Result<Stored> {
    let mut all = stored(bus).await?;
    all.retain(|of| id.len() >= 4 && of.pattern.pattern.to_string().starts_with(id));
    let [found]: [Stored; 1] = all.try_into().map_err(|many: Vec<_>| {
        BadData(format!(
            "{} patterns begin with {id:?} (at least four characters); `magsentinel pattern list \
             --all` shows them",
            many.len()
        ))
    })?;
    Ok(found)
}

/// Who is to use a pattern.
enum User {
    /// A patrol: a Sigma rule over the events of its kind.
    Patrol(&'static Entry),
    /// The analyzer: a chain or a threshold over what all patrols find.
    Analyzer(Box<Ground>),
}

impl User {
    fn find(settings: &Settings, name: &str) -> Result<Self> {
        if name == proposed::NAME {
            let (config, inference) = (&settings.analyzer, &settings.inference);
            let ground = magsentinel_analyzer::ground(config, inference, &settings.patterns)?;
            return Ok(Self::Analyzer(Box::new(ground)));
        }
        let unknown = || {
            let name = format!("{name:?}; for a chain it is {:?}", proposed::NAME);
            BadUsage(format!("there is no patrol {name}"))
        };
        Ok(Self::Patrol(patrols::find(name).ok_or_else(unknown)?))
    }

    fn name(&self) -> Token {
        match self {
            Self::Patrol(entry) => entry.spec.token(),
            Self::Analyzer(_) => Token::sanitised(proposed::NAME),
        }
    }

    /// Whether it looks at events of a kind.
    fn reads(&self, kind: Kind) -> bool {
        match self {
            Self::Patrol(entry) => entry.spec.kinds.contains(&kind),
            Self::Analyzer(_) => true,
        }
    }

    /// The kinds of what it looks at, for a reader.
    fn kinds_told(&self) -> String {
        match self {
            Self::Patrol(entry) => entry.spec.kinds_told(),
            Self::Analyzer(_) => String::new(),
        }
    }

    /// The title of a rule that can be loaded.
    fn title(&self, settings: &Settings, rule: &str) -> Result<String, String> {
        match self {
            Self::Patrol(entry) => {
                let bounds = Bounds::from(&settings.patterns);
                Proposal::compile(entry.spec, rule, bounds).map(|proposal| proposal.title)
            }
            Self::Analyzer(ground) => {
                let book = ground.compile(rule)?;
                Ok(book.chains().first().map(|chain| chain.title.clone()).unwrap_or_default())
            }
        }
    }

    /// The gates, before anything was read.
    fn begin(&self, settings: &Settings, pattern: &Pattern) -> Result<Box<dyn Test>> {
        Ok(match self {
            Self::Patrol(entry) => {
                let patrols = &settings.patrols;
                let blueprint = Arc::new(Blueprint::new(entry, patrols, &settings.inference)?);
                let parts = Parts::new(entry, patrols, &blueprint, &settings.patterns);
                let parts = parts.map_err(BadUsage)?;
                Box::new(Testing::begin(&parts, pattern).map_err(BadData)?)
            }
            Self::Analyzer(ground) => {
                let begun = proposed::Testing::begin(ground, pattern, clock::now());
                Box::new(begun.map_err(BadData)?)
            }
        })
    }
}

/// A proposal from a file, with the events that it must match.
async fn draft(
    settings: &Settings,
    bus: &Bus,
    of: &PatternOf,
    by: &str,
) -> Result<(User, Pattern)> {
    let user = User::find(settings, &of.patrol)?;
    let rule = std::fs::read_to_string(&of.file)
        .map_err(|e| BadData(format!("{} cannot be read: {e}", of.file.display())))?;
    // Told here and now, rather than by the patrol's first gate.
    let title = user
        .title(settings, &rule)
        .map_err(|why| BadData(format!("{}: {why}", of.file.display())))?;
    let (incident, events) = match &of.incident {
        Some(id) => {
            let (incident, events) = cited(bus, &user, id).await?;
            (Some(incident), events)
        }
        None => {
            let read =
                |id: &String| id.parse::<Id>().map_err(|_| BadUsage(format!("{id:?} is no id")));
            (None, of.event.iter().map(read).collect::<Result<_, _>>()?)
        }
    };
    let patrol = user.name();
    let draft = Draft { patrol, origin: Origin::Operator, incident, events, title, rule };
    Ok((user, proposed(draft, by, clock::now())))
}

/// An incident and those of the events that it cites that the user of a pattern looks at.
async fn cited(bus: &Bus, user: &User, id: &str) -> Result<(Id, Vec<Id>)> {
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
    let [found]: [Assessment; 1] = newest.try_into().map_err(|many: Vec<_>| {
        BadData(format!(
            "{} incidents begin with {id:?}; `magsentinel incident list` shows them",
            many.len()
        ))
    })?;
    let of_kind = found.evidence.iter().filter(|e| user.reads(e.kind));
    let events: Vec<Id> = of_kind.map(|evidence| evidence.event).collect();
    if events.is_empty() {
        let (name, kinds) = (user.name(), user.kinds_told());
        let why = format!("the incident cites no {kinds} events, which {name} scores");
        return Err(BadData(why).into());
    }
    Ok((found.incident, events))
}

/// What the gates would say, without proposing anything.
#[derive(serde::Serialize)]
struct Tested {
    title: String,
    gate: Option<Gate>,
    why: String,
    proof: Proof,
}

async fn test(global: &Global, settings: &Settings, bus: &Bus, args: &PatternTest) -> Result<()> {
    let (user, pattern) = draft(settings, bus, &args.of, "test").await?;
    let mut testing = user.begin(settings, &pattern)?;
    let bar = progress::counter(global, "retained events");
    let input = loop {
        if let Work::Read { stream, filters } = testing.work(bus.tenant()) {
            let see = |delivery: &Delivery| {
                bar.inc(1);
                testing.see(delivery);
            };
            bus.read_all(stream, filters, see).await?;
        }
        match testing.go_on() {
            Ok(more) => testing = more,
            Err(input) => break *input,
        }
    };
    bar.finish_and_clear();
    let title = pattern.title.clone();
    let told = match input {
        Input::Stopped(gate, why, proof) => {
            Tested { title, gate: Some(gate), why, proof: proof.unwrap_or_default() }
        }
        Input::Passed(proof) => Tested { title, gate: None, why: String::new(), proof },
        _ => bail!("the test ended without a word"),
    };
    global.output.print(&told, || {
        let outcome = match told.gate {
            Some(gate) => format!("stopped at {gate}: {}", told.why),
            None => "it would run in shadow".to_owned(),
        };
        format!("{:?}: {outcome}\n{}", told.title, proof(&told.proof))
    });
    if told.gate.is_some() {
        return Err(BadData("the pattern does not pass".to_owned()).into());
    }
    Ok(())
}

fn said(pattern: &Pattern) -> String {
    format!(
        "pattern {} of {} is {}\n`magsentinel pattern show {}` tells what becomes of it\n",
        pattern.pattern,
        pattern.patrol,
        pattern.state(),
        pattern.pattern
    )
}

fn listed(all: &[Pattern]) -> String {
    let head = ["ID", "PATROL", "STATE", "SINCE", "FROM", "EVENTS", "HITS", "ALONE", "TITLE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for of in all {
        let since = of.steps.last().map(|step| step.ts.to_string()).unwrap_or_default();
        let tally = &of.tally;
        rows.push(vec![
            of.pattern.to_string().chars().take(8).collect(),
            of.patrol.to_string(),
            of.state().to_string(),
            since,
            of.origin.to_string(),
            tally.events.to_string(),
            tally.hits.to_string(),
            tally.alone.to_string(),
            format!("{:?}", of.title),
        ]);
    }
    table(&rows)
}

fn proof(proof: &Proof) -> String {
    let mut text = format!(
        "  own events   {} of {}\n  known good   {} of {}\n  retained     {} of {}, {} unexplained\n",
        proof.own_hits,
        proof.own_events,
        proof.good_hits,
        proof.good_events,
        proof.hits,
        proof.events,
        proof.false_hits
    );
    for id in &proof.samples {
        text += &format!("    {id}\n");
    }
    text
}

fn shown(of: &Pattern) -> String {
    let mut text = format!("{} {:?} for {}, from {}\n", of.pattern, of.title, of.patrol, of.origin);
    if let Some(incident) = of.incident {
        text += &format!("incident {incident}\n");
    }
    for step in &of.steps {
        let gate = step.gate.map(|gate| format!(" at {gate}")).unwrap_or_default();
        // Another's words are quoted, so that they cannot pose as a line of this text.
        let why = if step.why.is_empty() { String::new() } else { format!(": {:?}", step.why) };
        text += &format!("  {}  {}{gate} by {:?}{why}\n", step.ts, step.state, step.by);
    }
    if let Some(found) = &of.proof {
        text += &proof(found);
    }
    let tally = &of.tally;
    text += &format!("  {} events, {} hits, {} alone\n", tally.events, tally.hits, tally.alone);
    for id in &tally.samples {
        text += &format!("    {id}\n");
    }
    for Verdict { incident, judgement, events, .. } in &of.verdicts {
        text += &format!("  incident {incident} is {judgement}: {events} hits\n");
    }
    if let Some(sealed) = &of.seal {
        text += &format!("signed by {}\n", sealed.signer);
    }
    text += &indented(&of.rule);
    if of.state() == State::Ready {
        text += &format!("promote it by `magsentinel pattern promote {} --key FILE`\n", of.pattern);
    }
    text
}

/// A rule's lines, so that none of them poses as ours; control characters become `?`.
fn indented(rule: &str) -> String {
    let clean = |line: &str| -> String {
        line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    };
    rule.lines().map(|line| format!("  | {}\n", clean(line))).collect()
}

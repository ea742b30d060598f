//! Incidents as text for a terminal. Pure; every text from outside goes through [`escape`].
//! For programs there are the serde types themselves ([`IncidentRow`], [`Incident`]).

use crate::{
    Incident, IncidentRow,
    escape::{line, paragraph},
    incident::timeline::{author, outcome_status, status},
    report::{rests_on, suggestions},
};
use magsentinel_bus_schema::{
    Analysis, Id, Mode, Timestamp,
    decision::{Claim, Evidence},
};

#[cfg(doc)]
use crate::escape;

/// Characters of a cell of a table.
const CELL_CHARS_MAX: usize = 60;
/// Characters of a line of text.
const LINE_CHARS_MAX: usize = 400;
/// Characters of a text of several lines.
const TEXT_CHARS_MAX: usize = 8000;
/// Characters of an id that tell it from others, nearly always.
const ID_CHARS: usize = 8;

/// A listing, newest first, ending in the next commands to type.
#[must_use]
pub fn list(rows: &[IncidentRow]) -> String {
    let Some(newest) = rows.first() else {
        return "no incidents\n".to_owned();
    };
    let head = ["ID", "LEVEL", "STATUS", "ATTACK TYPE", "KEY", "EVENTS", "LAST EVENT", "DONE"];
    let mut table = vec![head.map(str::to_owned)];
    table.extend(rows.iter().map(|row| {
        [
            short(row.id),
            row.level.to_string(),
            status(row.status).to_owned(),
            row.attack_type.to_string(),
            key(row),
            row.count.to_string(),
            time(row.last),
            done(row),
        ]
    }));
    let mut text = aligned(&table, "");
    text.push_str("\nNext\n");
    text.push_str(&format!("  magsentinel incident show {}\n", short(newest.id)));
    text
}

/// What followed an incident: analyses, actions and outcomes.
fn done(row: &IncidentRow) -> String {
    let IncidentRow { analyses, actions, outcomes, .. } = row;
    let replayed = match (row.backfilled, row.replayed) {
        (true, _) => ", back-filled",
        (false, true) => ", replayed",
        (false, false) => "",
    };
    let judged = row.judgement.map(|judgement| format!(", {judgement}")).unwrap_or_default();
    format!("{analyses} analyses, {actions} actions, {outcomes} outcomes{replayed}{judged}")
}

fn key(row: &IncidentRow) -> String {
    match row.class {
        Some(class) => format!("{class} {}", line(&row.key, CELL_CHARS_MAX)),
        None => "-".to_owned(),
    }
}

/// An incident: head, timeline, evidence, analysis, actions with their outcomes, and the next
/// commands to type.
#[must_use]
pub fn incident(incident: &Incident) -> String {
    let mut text = head(incident);
    text.push_str(&timeline(incident));
    text.push_str(&evidence(&incident.evidence));
    text.push_str(&match incident.analysis() {
        Some(found) => analysis(found),
        None if incident.incident.escalate => "\nAnalysis\n  none yet\n".to_owned(),
        None => "\nAnalysis\n  none: not escalated\n".to_owned(),
    });
    text.push_str(&actions(incident));
    text.push_str(&next(incident));
    text
}

fn head(incident: &Incident) -> String {
    let row = &incident.incident;
    let mut text = format!(
        "Incident {}  {}  {}  {}\n",
        row.id,
        row.level,
        row.attack_type,
        status(row.status)
    );
    if !row.title.is_empty() {
        text.push_str(&format!("  {}\n", line(&row.title, LINE_CHARS_MAX)));
    }
    text.push_str(&format!(
        "  {} · {} events · {} to {}\n",
        key(row),
        row.count,
        time(row.first),
        time(row.last)
    ));
    let escalated = if row.escalate { " · escalated" } else { "" };
    let replayed = match (row.backfilled, row.replayed) {
        (true, _) => " · from back-fill: a patrol was blind when it happened, never acted on",
        (false, true) => " · from played-back events, never acted on",
        (false, false) => "",
    };
    text.push_str(&format!(
        "  response {} · confidence {:.2} · tenant {}{escalated}{replayed}\n",
        row.response, row.confidence, row.tenant
    ));
    if let Some(judgement) = row.judgement {
        text.push_str(&format!("  an operator says: {judgement}\n"));
    }
    if incident.omitted > 0 {
        text.push_str(&format!("  {} older records are not shown\n", incident.omitted));
    }
    for unreadable in &incident.unreadable {
        let reason = line(&unreadable.reason, LINE_CHARS_MAX);
        text.push_str(&format!("  record {} cannot be read: {reason}\n", unreadable.seq));
    }
    text
}

fn timeline(incident: &Incident) -> String {
    let rows: Vec<_> = incident
        .timeline
        .iter()
        .map(|entry| {
            [
                time(entry.at),
                entry.what.token().to_owned(),
                entry.level.map_or_else(|| "-".to_owned(), |level| level.to_string()),
                line(&entry.text, LINE_CHARS_MAX),
            ]
        })
        .collect();
    format!("\nTimeline\n{}", aligned(&rows, "  "))
}

fn evidence(evidence: &[Evidence]) -> String {
    if evidence.is_empty() {
        return "\nEvidence\n  none kept\n".to_owned();
    }
    let head = ["EVENT", "TIME", "LEVEL", "SCORE", "PATROL", "CATEGORY", "WHO AND WHAT", "EXCERPT"];
    let mut table = vec![head.map(str::to_owned)];
    table.extend(evidence.iter().map(|e| {
        let named: Vec<_> = e.entities.iter().map(|n| format!("{} {}", n.class, n.value)).collect();
        [
            short(e.event),
            time(e.ts),
            e.level.to_string(),
            format!("{:.2}", e.score),
            e.patrol.to_string(),
            e.category.to_string(),
            line(&named.join(", "), CELL_CHARS_MAX),
            line(&e.excerpt, 2 * CELL_CHARS_MAX),
        ]
    }));
    format!("\nEvidence\n{}", aligned(&table, "  "))
}

fn analysis(analysis: &Analysis) -> String {
    let mut text = format!("\nAnalysis (by the {}", author(analysis.author));
    for (what, said) in [("model", &analysis.model), ("because", &analysis.fallback_reason)] {
        if let Some(said) = said {
            text.push_str(&format!("; {what} {}", line(said, LINE_CHARS_MAX)));
        }
    }
    text.push_str(")\n");
    text.push_str(&paragraph(&analysis.executive, "  ", TEXT_CHARS_MAX));
    if let Some(cites) = rests_on(&analysis.executive_cites) {
        text.push_str(&format!("  {cites}\n"));
    }
    let suggested = suggestions(analysis);
    let attribution = [analysis.attribution.clone()];
    let vector = [analysis.attack_vector.clone()];
    for (title, claims) in [
        ("Attack vector", vector.as_slice()),
        ("Chain", &analysis.chain),
        ("Blast radius", &analysis.blast_radius),
        ("Attribution", &attribution),
        ("Remediation", &analysis.remediation),
        ("Prevention", &analysis.prevention),
        ("Suggested actions", &suggested),
    ] {
        text.push_str(&section(title, claims));
    }
    if !analysis.technical.trim().is_empty() {
        text.push_str("  Technical\n");
        text.push_str(&paragraph(&analysis.technical, "    ", TEXT_CHARS_MAX));
        if let Some(cites) = rests_on(&analysis.technical_cites) {
            text.push_str(&format!("    {cites}\n"));
        }
    }
    if analysis.omitted > 0 {
        text.push_str(&format!("  {} events did not fit and were left out\n", analysis.omitted));
    }
    for left in &analysis.left_out {
        text.push_str(&format!("  left out: {}\n", line(left, LINE_CHARS_MAX)));
    }
    if let Some(grounding) = &analysis.grounding {
        text.push_str(&format!(
            "  of the model's {} statements the evidence bears out {:.0} %\n",
            grounding.statements,
            grounding.score * 100.0
        ));
        for removed in &grounding.removed {
            let (part, reason) = (line(&removed.part, 40), line(&removed.reason, LINE_CHARS_MAX));
            text.push_str(&format!("    removed from {part}: {reason}\n"));
        }
    }
    text
}

fn section(title: &str, claims: &[Claim]) -> String {
    let told: Vec<_> = claims.iter().filter(|claim| !claim.text.trim().is_empty()).collect();
    if told.is_empty() {
        return String::new();
    }
    let mut text = format!("  {title}\n");
    for claim in told {
        let cites: Vec<_> = claim.cites.iter().map(|id| short(*id)).collect();
        let cited =
            if cites.is_empty() { String::new() } else { format!(" [{}]", cites.join(" ")) };
        text.push_str(&format!("    - {}{cited}\n", line(&claim.text, LINE_CHARS_MAX)));
    }
    text
}

fn actions(incident: &Incident) -> String {
    let mut text = "\nActions\n".to_owned();
    if incident.actions.is_empty() {
        text.push_str("  none\n");
    }
    for action in incident.actions.iter().map(|stored| &stored.message) {
        text.push_str(&format!(
            "  {} on {} {} ({}, {}s): {}\n",
            action.effect.verb(),
            action.target.class,
            line(&action.target.value, CELL_CHARS_MAX),
            mode(action.mode),
            action.ttl_s,
            line(&action.reason, LINE_CHARS_MAX)
        ));
        let mut answered = false;
        for outcome in incident.outcomes_of(action.id).map(|stored| &stored.message) {
            answered = true;
            let detail = line(&outcome.detail, LINE_CHARS_MAX);
            text.push_str(&format!("    {}: {detail}\n", outcome_status(outcome)));
            let inverse = line(&outcome.inverse, LINE_CHARS_MAX);
            text.push_str(&format!("    undone by: {inverse}\n"));
        }
        if !answered {
            text.push_str("    no outcome yet\n");
        }
    }
    text
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::DryRun => "dry-run",
        Mode::Ask => "ask",
        Mode::Enforce => "enforce",
    }
}

fn next(incident: &Incident) -> String {
    let id = short(incident.incident.id);
    let close = match incident.incident.judgement {
        Some(_) => String::new(),
        None => format!("  magsentinel incident close {id} --as true-positive|false-positive\n"),
    };
    format!(
        "\nNext\n  magsentinel incident show {id} --output json\n  magsentinel incident export {id} \
         --format html\n{close}  magsentinel incident list\n"
    )
}

fn short(id: Id) -> String {
    id.to_string().chars().take(ID_CHARS).collect()
}

/// A time to the millisecond, UTC.
fn time(at: Timestamp) -> String {
    let text = at.to_string().replace('T', " ");
    let seconds = text.get(..19).unwrap_or(&text);
    format!("{seconds}.{:03}Z", at.micros().rem_euclid(1_000_000) / 1000)
}

/// Rows with their columns under each other. The last column is as wide as it likes.
fn aligned<const N: usize>(rows: &[[String; N]], indent: &str) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(indent);
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;

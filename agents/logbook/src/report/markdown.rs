//! The report as Markdown (CommonMark with tables).

use super::{
    CELL_CHARS_MAX, ENTITIES_MAX, EVENTS_MAX, TEXT_CHARS_MAX, entities, millis, plan, rests_on,
    short, suggestions, techniques, title, trust,
};
use crate::{
    Incident, escape,
    incident::timeline::{author, outcome_status, status},
};
use magsentinel_bus_schema::{Analysis, decision::Claim};
use std::fmt::Write as _;

/// One line that means nothing to Markdown or to the HTML in it, cut.
fn escaped(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let line = escape::line(text, chars_max);
    for (at, c) in line.char_indices() {
        let from_here = || line.get(at..).unwrap_or_default();
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A link, image, heading, list, emphasis, code or cell begins with one of these.
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|'
            | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // Nothing is a link by its looks alone.
            ':' if from_here().starts_with("://") => out.push_str("&#58;"),
            '.' if out.to_ascii_lowercase().ends_with("www") => out.push_str("&#46;"),
            '@' => out.push_str("&#64;"),
            _ => out.push(c),
        }
    }
    out
}

pub(super) fn page(incident: &Incident) -> String {
    let row = &incident.incident;
    let mut text = format!("# {}\n\n", escaped(&title(incident), CELL_CHARS_MAX));
    let judged = row.judgement.map_or_else(|| "not judged".to_owned(), |j| j.to_string());
    let key = row.class.map(|class| format!("{class} {}", row.key)).unwrap_or_default();
    let replayed = if row.replayed { "yes, never acted on" } else { "no" };
    let facts = [
        ("Incident", row.id.to_string()),
        ("Tenant", row.tenant.to_string()),
        ("Level", row.level.to_string()),
        ("Status", status(row.status).to_owned()),
        ("Attack type", row.attack_type.to_string()),
        ("Key", key),
        ("Confidence", format!("{:.2}", row.confidence)),
        ("Response", row.response.to_string()),
        ("Events", format!("{} from {} to {}", row.count, millis(row.first), millis(row.last))),
        ("Played back", replayed.to_owned()),
        ("An operator says", judged),
        ("ATT&CK", techniques(incident).join(", ")),
    ];
    text.push_str("| | |\n| --- | --- |\n");
    for (name, value) in facts {
        text.push_str(&table_row(&[name.to_owned(), value]));
    }
    text.push_str(
        &incident.analysis().map_or_else(|| "\n## Analysis\n\nNone.\n".to_owned(), analysis),
    );
    text.push_str(&response(incident));
    text.push_str("\n## Timeline\n\n| time | what | level | |\n| --- | --- | --- | --- |\n");
    for entry in incident.timeline.iter().take(EVENTS_MAX) {
        let level = entry.level.map(|level| level.to_string()).unwrap_or_default();
        let cells = [millis(entry.at), entry.what.token().to_owned(), level, entry.text.clone()];
        text.push_str(&table_row(&cells));
    }
    more(&mut text, incident.timeline.len(), EVENTS_MAX, "entries");
    text.push_str(&entity_table(incident));
    text.push_str(&evidence_table(incident));
    for unreadable in &incident.unreadable {
        let reason = escaped(&unreadable.reason, CELL_CHARS_MAX);
        let _ = writeln!(text, "\nRecord {} cannot be read: {reason}", unreadable.seq);
    }
    if incident.omitted > 0 {
        let _ = writeln!(text, "\n{} older records are not shown.", incident.omitted);
    }
    text
}

fn analysis(a: &Analysis) -> String {
    let mut text = format!("\n## Analysis\n\nBy the {}", author(a.author));
    for (what, said) in [("model", &a.model), ("because", &a.fallback_reason)] {
        if let Some(said) = said {
            let _ = write!(text, "; {what} {}", escaped(said, CELL_CHARS_MAX));
        }
    }
    text.push_str(".\n");
    for part in a.executive.split("\n\n").filter(|part| !part.trim().is_empty()) {
        let _ = writeln!(text, "\n{}", escaped(part, TEXT_CHARS_MAX));
    }
    if let Some(cites) = rests_on(&a.executive_cites) {
        let _ = writeln!(text, "\n{cites}");
    }
    let suggested = suggestions(a);
    let (vector, blame) = ([a.attack_vector.clone()], [a.attribution.clone()]);
    for (title, claims) in [
        ("Attack vector", vector.as_slice()),
        ("Chain", &a.chain),
        ("Blast radius", &a.blast_radius),
        ("Attribution", &blame),
        ("Remediation", &a.remediation),
        ("Prevention", &a.prevention),
        ("Suggested actions", &suggested),
    ] {
        text.push_str(&section(title, claims));
    }
    if !a.technical.trim().is_empty() {
        text.push_str("\n### Technical\n\n");
        for line in a.technical.lines() {
            // A hard break, so that the lines stay lines.
            let _ = writeln!(text, "{}  ", escaped(line.trim(), TEXT_CHARS_MAX));
        }
        if let Some(cites) = rests_on(&a.technical_cites) {
            let _ = writeln!(text, "\n{cites}");
        }
    }
    let events = (a.omitted > 0).then(|| format!("{} events", a.omitted));
    let left: Vec<String> = events.into_iter().chain(a.left_out.iter().cloned()).collect();
    if !left.is_empty() {
        let _ = writeln!(text, "\nLeft out: {}.", escaped(&left.join("; "), TEXT_CHARS_MAX));
    }
    if let Some(grounding) = &a.grounding {
        let (share, all) = (grounding.score * 100.0, grounding.statements);
        let _ = writeln!(
            text,
            "\nOf the model's {all} statements the evidence bears out {share:.0} %."
        );
        for removed in &grounding.removed {
            let told = format!("Removed from {}: {}", removed.part, removed.reason);
            let _ = writeln!(text, "- {}", escaped(&told, CELL_CHARS_MAX));
        }
    }
    text
}

fn section(title: &str, claims: &[Claim]) -> String {
    let told: Vec<&Claim> = claims.iter().filter(|claim| !claim.text.trim().is_empty()).collect();
    if told.is_empty() {
        return String::new();
    }
    let mut text = format!("\n### {title}\n\n");
    for claim in told {
        let cites: Vec<String> = claim.cites.iter().map(|id| short(*id)).collect();
        let said = escaped(&claim.text, TEXT_CHARS_MAX);
        let _ = writeln!(text, "- {said} ({})", cites.join(" "));
    }
    text
}

fn response(incident: &Incident) -> String {
    let mut text = "\n## Response\n\n".to_owned();
    for (number, step) in (1..).zip(plan(incident)) {
        let _ = writeln!(text, "{number}. {}", escaped(step, CELL_CHARS_MAX));
    }
    if incident.actions.is_empty() {
        return text + "\nNo action was asked for.\n";
    }
    text.push_str("\n| action | target | reason | outcome |\n| --- | --- | --- | --- |\n");
    for action in incident.actions.iter().map(|stored| &stored.message) {
        let outcomes: Vec<String> = incident
            .outcomes_of(action.id)
            .map(|stored| format!("{}: {}", outcome_status(&stored.message), stored.message.detail))
            .collect();
        let target = format!("{} {}", action.target.class, action.target.value);
        let verb = action.effect.verb().to_string();
        text.push_str(&table_row(&[verb, target, action.reason.clone(), outcomes.join("; ")]));
    }
    text
}

fn entity_table(incident: &Incident) -> String {
    let all = entities(incident);
    let mut text =
        "\n## Entities\n\n| class | name | trust | events |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for named in all.iter().take(ENTITIES_MAX) {
        let entity = &named.entity;
        let (class, value) = (entity.class.to_string(), entity.value.clone());
        let cells = [class, value, trust(entity.trust).to_owned(), named.events.len().to_string()];
        text.push_str(&table_row(&cells));
    }
    more(&mut text, all.len(), ENTITIES_MAX, "entities");
    text
}

fn evidence_table(incident: &Incident) -> String {
    let mut text = "\n## Evidence\n\n| event | time | level | patrol | category | reasons | \
                    excerpt (untrusted text) |\n| --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for e in incident.evidence.iter().take(EVENTS_MAX) {
        text.push_str(&table_row(&[
            short(e.event),
            millis(e.ts),
            format!("{} {:.2}", e.level, e.score),
            e.patrol.to_string(),
            e.category.to_string(),
            e.reasons.join("; "),
            e.excerpt.clone(),
        ]));
    }
    more(&mut text, incident.evidence.len(), EVENTS_MAX, "events");
    text
}

fn table_row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell, CELL_CHARS_MAX)).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        let _ = writeln!(text, "\n{} more {what} are not listed.", all - shown);
    }
}

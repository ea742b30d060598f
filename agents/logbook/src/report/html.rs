//! The report as one HTML page: no script, nothing loaded from elsewhere, and a policy that says
//! so to the browser.

use super::{
    CELL_CHARS_MAX, ENTITIES_MAX, EVENTS_MAX, TEXT_CHARS_MAX, entities, millis, plan, rests_on,
    short, suggestions, techniques, timeline, title, trust,
};
use crate::{
    Incident, escape,
    incident::timeline::{author, outcome_status, status},
};
use magsentinel_bus_schema::{Analysis, decision::Claim};
use std::fmt::Write as _;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1c20}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d5d8de}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #e4e6ea;overflow-wrap:anywhere}
code{font-size:12px}.cites{color:#667;font-size:12px}svg{width:100%;height:auto;font-size:12px}
svg line{stroke:#d5d8de}svg .end{text-anchor:end}
.none{fill:#8a919e}.low{fill:#3f8f5f}.medium{fill:#c79a1b}.high{fill:#d2691e}.critical{fill:#b3202a}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;background:#f5f6f8;padding:.75rem}
@media print{body{margin:0;max-width:none}}
";

/// Text that means nothing to HTML, cut. Control and direction-changing characters are shown as
/// their codes.
pub(super) fn escaped(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escape::line(text, chars_max).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

pub(super) fn page(incident: &Incident) -> String {
    let row = &incident.incident;
    let heading = escaped(&title(incident), CELL_CHARS_MAX);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<title>Incident {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{heading}</h1>\n",
        short(row.id)
    );
    let judged = row.judgement.map_or_else(|| "not judged".to_owned(), |j| j.to_string());
    let key = row.class.map(|class| format!("{class} {}", row.key)).unwrap_or_default();
    let facts = [
        ("Incident", row.id.to_string()),
        ("Tenant", row.tenant.to_string()),
        ("Level", row.level.to_string()),
        ("Status", status(row.status).to_owned()),
        ("Attack type", row.attack_type.to_string()),
        ("Key", key),
        ("Confidence", format!("{:.2}", row.confidence)),
        ("Response", row.response.to_string()),
        ("Events", row.count.to_string()),
        ("First event", millis(row.first)),
        ("Last event", millis(row.last)),
        ("An operator says", judged),
        ("ATT&CK", techniques(incident).join(", ")),
    ];
    page.push_str("<table>\n");
    for (name, value) in &facts {
        let (name, value) = (escaped(name, CELL_CHARS_MAX), escaped(value, CELL_CHARS_MAX));
        let _ = writeln!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    page.push_str("</table>\n");
    if row.replayed {
        page.push_str("<p>Built from played-back events; never acted on.</p>\n");
    }
    let _ = write!(page, "<h2>Timeline</h2>\n{}", timeline::drawing(&incident.timeline));
    page.push_str(
        &incident
            .analysis()
            .map_or_else(|| "<h2>Analysis</h2>\n<p>None.</p>\n".to_owned(), analysis),
    );
    page.push_str(&response(incident));
    page.push_str(&entity_table(incident));
    page.push_str(&evidence_table(incident));
    for unreadable in &incident.unreadable {
        let reason = escaped(&unreadable.reason, CELL_CHARS_MAX);
        let _ = writeln!(page, "<p>Record {} cannot be read: {reason}</p>", unreadable.seq);
    }
    if incident.omitted > 0 {
        let _ = writeln!(page, "<p>{} older records are not shown.</p>", incident.omitted);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn analysis(a: &Analysis) -> String {
    let mut text = format!("<h2>Analysis</h2>\n<p>By the {}", author(a.author));
    for (what, said) in [("model", &a.model), ("because", &a.fallback_reason)] {
        if let Some(said) = said {
            let _ = write!(text, "; {what} {}", escaped(said, CELL_CHARS_MAX));
        }
    }
    text.push_str(".</p>\n");
    for part in a.executive.split("\n\n").filter(|part| !part.trim().is_empty()) {
        let _ = writeln!(text, "<p>{}</p>", escaped(part, TEXT_CHARS_MAX));
    }
    if let Some(cites) = rests_on(&a.executive_cites) {
        let _ = writeln!(text, "<p class=\"cites\">{cites}</p>");
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
        let lines = a.technical.lines().map(|line| escaped(line, TEXT_CHARS_MAX));
        let lines = lines.collect::<Vec<_>>().join("\n");
        let _ = writeln!(text, "<h3>Technical</h3>\n<pre>{lines}</pre>");
        if let Some(cites) = rests_on(&a.technical_cites) {
            let _ = writeln!(text, "<p class=\"cites\">{cites}</p>");
        }
    }
    if a.omitted > 0 || !a.left_out.is_empty() {
        let events = (a.omitted > 0).then(|| format!("{} events", a.omitted));
        let left: Vec<String> = events.into_iter().chain(a.left_out.iter().cloned()).collect();
        let _ = writeln!(text, "<p>Left out: {}.</p>", escaped(&left.join("; "), TEXT_CHARS_MAX));
    }
    if let Some(grounding) = &a.grounding {
        let _ = writeln!(
            text,
            "<p>Of the model&#39;s {} statements the evidence bears out {:.0} %.</p>",
            grounding.statements,
            grounding.score * 100.0
        );
        for removed in &grounding.removed {
            let told = format!("Removed from {}: {}", removed.part, removed.reason);
            let _ = writeln!(text, "<p>{}</p>", escaped(&told, CELL_CHARS_MAX));
        }
    }
    text
}

fn section(title: &str, claims: &[Claim]) -> String {
    let told: Vec<&Claim> = claims.iter().filter(|claim| !claim.text.trim().is_empty()).collect();
    if told.is_empty() {
        return String::new();
    }
    let mut text = format!("<h3>{title}</h3>\n<ul>\n");
    for claim in told {
        let cites: Vec<String> = claim.cites.iter().map(|id| short(*id)).collect();
        let said = escaped(&claim.text, TEXT_CHARS_MAX);
        let _ = writeln!(text, "<li>{said} <span class=\"cites\">{}</span></li>", cites.join(" "));
    }
    text + "</ul>\n"
}

fn response(incident: &Incident) -> String {
    let mut text = "<h2>Response</h2>\n".to_owned();
    if !plan(incident).is_empty() {
        text.push_str("<ol>\n");
        for step in plan(incident) {
            let _ = writeln!(text, "<li>{}</li>", escaped(step, CELL_CHARS_MAX));
        }
        text.push_str("</ol>\n");
    }
    if incident.actions.is_empty() {
        return text + "<p>No action was asked for.</p>\n";
    }
    text.push_str(
        "<table>\n<tr><th>Action</th><th>Target</th><th>Reason</th><th>Outcome</th></tr>\n",
    );
    for action in incident.actions.iter().map(|stored| &stored.message) {
        let outcomes: Vec<String> = incident
            .outcomes_of(action.id)
            .map(|stored| format!("{}: {}", outcome_status(&stored.message), stored.message.detail))
            .collect();
        let target = format!("{} {}", action.target.class, action.target.value);
        let cells =
            [action.effect.verb().to_string(), target, action.reason.clone(), outcomes.join("; ")];
        text.push_str(&table_row(&cells));
    }
    text + "</table>\n"
}

fn entity_table(incident: &Incident) -> String {
    let all = entities(incident);
    let mut text = "<h2>Entities</h2>\n<table>\n<tr><th>Class</th><th>Name</th><th>Trust</th>\
                    <th>Events</th></tr>\n"
        .to_owned();
    for named in all.iter().take(ENTITIES_MAX) {
        let entity = &named.entity;
        let (class, value) = (entity.class.to_string(), entity.value.clone());
        let cells = [class, value, trust(entity.trust).to_owned(), named.events.len().to_string()];
        text.push_str(&table_row(&cells));
    }
    text.push_str("</table>\n");
    more(&mut text, all.len(), ENTITIES_MAX, "entities");
    text
}

fn evidence_table(incident: &Incident) -> String {
    let mut text = "<h2>Evidence</h2>\n<table>\n<tr><th>Event</th><th>Time</th><th>Level</th>\
                    <th>Patrol</th><th>Category</th><th>Reasons</th><th>Excerpt (untrusted text)\
                    </th></tr>\n"
        .to_owned();
    for e in incident.evidence.iter().take(EVENTS_MAX) {
        let cells = [
            short(e.event),
            millis(e.ts),
            format!("{} {:.2}", e.level, e.score),
            e.patrol.to_string(),
            e.category.to_string(),
            e.reasons.join("; "),
            e.excerpt.clone(),
        ];
        text.push_str(&table_row(&cells));
    }
    text.push_str("</table>\n");
    more(&mut text, incident.evidence.len(), EVENTS_MAX, "events");
    text
}

fn table_row(cells: &[String]) -> String {
    let cell = |text: &String| format!("<td>{}</td>", escaped(text, CELL_CHARS_MAX));
    format!("<tr>{}</tr>\n", cells.iter().map(cell).collect::<String>())
}

fn more(text: &mut String, all: usize, shown: usize, what: &str) {
    if all > shown {
        let _ = writeln!(text, "<p>{} more {what} are not listed.</p>", all - shown);
    }
}

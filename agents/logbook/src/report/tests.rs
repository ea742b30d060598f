//! `MAGSENTINEL_GOLDEN=write` writes the golden reports anew after a form was changed on purpose.

mod ocsf;
mod stix;

use super::*;
use crate::{
    Content, IncidentRow, Stored,
    incident::tests::{at, life},
};
use magsentinel_bus_schema::{
    Effect, Mode, Tenant,
    decision::{Grounding, Removed},
};
use std::path::PathBuf;

pub(super) fn assembled(contents: Vec<Content>) -> Incident {
    let id = contents[0].incident().unwrap();
    let mut row = IncidentRow::new(Tenant::default(), id, 1, at(0));
    contents.iter().for_each(|content| row.apply(content));
    let records = contents.into_iter().zip(1..);
    let stored =
        records.map(|(content, seq)| Stored { seq, stored: at(10 + seq), message: Ok(content) });
    Incident::assemble(row, stored.collect(), 0)
}

fn suggestion(target: &str, cites: Vec<Id>) -> Suggestion {
    let address = "203.0.113.9".parse().unwrap();
    Suggestion {
        effect: Effect::BlockAddress { address },
        target: Entity { class: Class::Client, value: target.to_owned(), trust: Trust::Observed },
        mode: Mode::Ask,
        reason: "Every cited event comes from it.".to_owned(),
        cites,
    }
}

/// An incident with all that a report tells.
pub(super) fn whole() -> Incident {
    let mut contents = life("report");
    for content in &mut contents {
        match content {
            Content::Assessment(m) => {
                m.techniques = vec!["T1190".to_owned(), "T1213.006".to_owned()];
                m.plan = vec!["suspend the role shop".to_owned()];
                for e in &mut m.evidence {
                    let named = |class, value: &str, trust| Entity {
                        class,
                        value: value.to_owned(),
                        trust,
                    };
                    e.entities.push(named(Class::Client, "203.0.113.9", Trust::Observed));
                    e.entities.push(named(Class::Client, "10.0.0.5", Trust::Claimed));
                    e.entities.push(named(Class::Session, "65a1.4d", Trust::Observed));
                    e.entities.push(named(Class::Resource, "public.orders", Trust::Observed));
                    e.entities.push(named(Class::Host, "2001:db8::9", Trust::Verified));
                    e.reasons = vec!["a union with another table".to_owned()];
                }
            }
            Content::Analysis(m) => {
                m.omitted = 3;
                m.left_out = vec!["2 of 4 mitigations of T1190".to_owned()];
                let removed =
                    Removed { part: "chain".to_owned(), reason: "it names \"x\"".to_owned() };
                m.grounding =
                    Some(Grounding { score: 0.9, statements: 10, removed: vec![removed] });
                m.technical = "One line.\nAnother line.".to_owned();
                let cites = m.chain[0].cites.clone();
                m.executive_cites.clone_from(&cites);
                m.technical_cites.clone_from(&cites);
                m.suggested = vec![suggestion("203.0.113.9", cites)];
            }
            _ => {}
        }
    }
    assembled(contents)
}

/// The same with every text from outside written by somebody who wants more than to be read.
pub(super) fn hostile() -> Incident {
    let bad = "</td></svg><script>alert(1)</script><img src=x onerror=y>\"'&\u{202e}\u{1b}[2J\n\
               # Head\n| a | b |\n[x](javascript:alert(1)) ![i](http://192.0.2.77/i) `c` *b* \
               http://192.0.2.77 me@example.net WWW.example.net";
    let mut contents = life("hostile");
    for content in &mut contents {
        match content {
            Content::Assessment(m) => {
                m.key = bad.to_owned();
                m.plan = vec![bad.to_owned()];
                m.techniques = vec![bad.to_owned()];
                for e in &mut m.evidence {
                    e.excerpt = bad.to_owned();
                    e.reasons = vec![bad.to_owned()];
                    e.entities[0].value = bad.to_owned();
                }
            }
            Content::Alert(m) => m.title = bad.to_owned(),
            Content::Analysis(m) => {
                m.executive = bad.to_owned();
                m.technical = bad.to_owned();
                m.attack_vector.text = bad.to_owned();
                m.remediation[0].text = bad.to_owned();
                m.suggested = vec![suggestion(bad, m.chain[0].cites.clone())];
                m.suggested[0].reason = bad.to_owned();
            }
            Content::Action(m) => {
                m.reason = bad.to_owned();
                m.target.value = bad.to_owned();
            }
            Content::Outcome(m) => m.detail = bad.to_owned(),
            _ => {}
        }
    }
    assembled(contents)
}

#[test]
fn reports_are_as_they_were_read_and_found_good() {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
    for form in Form::ALL {
        let path = folder.join("src/report/golden").join(format!("report.{}", form.token()));
        let found = write(&whole(), *form);
        if std::env::var("MAGSENTINEL_GOLDEN").is_ok_and(|v| v == "write") {
            std::fs::write(&path, &found).unwrap();
        }
        let want = std::fs::read_to_string(&path).unwrap();
        assert_eq!(found, want, "the report differs from {}", path.display());
    }
}

#[test]
fn a_page_holds_no_mark_up_of_others_and_loads_nothing() {
    let page = write(&hostile(), Form::Html);
    for bad in ["<script", "<img", "onerror=y>", "</td></svg>", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("default-src 'none'"));
    // Every tag is one of ours.
    let tags = page.split('<').skip(1).map(|rest| {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '/').collect();
        name.trim_start_matches('/').to_owned()
    });
    let ours = "html head meta title style body h1 h2 h3 table tr th td p ul ol li span pre svg \
                text line circle";
    for tag in tags.filter(|tag| !tag.is_empty()) {
        assert!(ours.split_whitespace().any(|own| own == tag), "<{tag}");
    }
    for load in ["src=", "href=", "url(", "@import"] {
        assert!(!page.replace("src=x", "").contains(load), "{load}");
    }
}

#[test]
fn markdown_of_others_stays_text() {
    let page = write(&hostile(), Form::Markdown);
    for bad in
        ["<script", "](javascript", "![i]", "\n# Head", "http://", "me@example", "WWW.e", "\u{1b}"]
    {
        assert!(!page.contains(bad), "{bad}");
    }
    // A row of the evidence has its seven cells, whatever stands in them.
    let rows = page.split("## Evidence").nth(1).unwrap().lines().skip(4);
    let mut counted = 0;
    for row in rows.filter(|row| row.starts_with('|')) {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 8, "{row}");
        counted += 1;
    }
    assert_eq!(counted, 2);
}

#[test]
fn the_timeline_is_drawn_whole() {
    let page = write(&whole(), Form::Html);
    assert_eq!(page.matches("<circle").count(), whole().timeline.len());
    let lanes = page.matches("class=\"lane\"").count();
    assert_eq!(lanes, 6, "event, assessment, alert, analysis, action, outcome");
}

#[test]
fn an_incident_without_analysis_evidence_or_actions_has_a_report_too() {
    let only = life("bare").into_iter().filter(|c| matches!(c, Content::Alert(_))).collect();
    let incident = assembled(only);
    assert!(incident.evidence.is_empty());
    for form in Form::ALL {
        let text = write(&incident, *form);
        assert!(text.contains(&incident.incident.id.to_string()), "{form:?}");
    }
}

/// Folder with the schemas of STIX and OCSF; `cargo xtask provision` fetches it.
pub(super) fn schemas() -> Option<PathBuf> {
    let folder = std::env::var_os("MAGSENTINEL_SCHEMAS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: MAGSENTINEL_SCHEMAS names no folder; cargo xtask provision fetches it");
    }
    folder
}

use super::*;
use crate::{
    Content, Stored,
    incident::tests::{at, life},
};
use magsentinel_bus_schema::Tenant;

fn assembled(contents: Vec<Content>) -> Incident {
    let id = contents[0].incident().unwrap();
    let mut row = IncidentRow::new(Tenant::default(), id, 1, at(0));
    contents.iter().for_each(|content| row.apply(content));
    let records = contents.into_iter().zip(1..);
    let stored =
        records.map(|(content, seq)| Stored { seq, stored: at(10 + seq), message: Ok(content) });
    Incident::assemble(row, stored.collect(), 0)
}

/// An incident in which every text from outside carries escapes.
fn planted() -> Incident {
    let bad = "x\u{1b}[2J\u{1b}]0;pwned\u{7}\r\nIncident 0000  none\u{202e}\u{9b}1m\u{2066}\0";
    let mut contents = life("a");
    for content in &mut contents {
        match content {
            Content::Assessment(m) => {
                m.key = bad.to_owned();
                for evidence in &mut m.evidence {
                    evidence.excerpt = bad.to_owned();
                    evidence.entities[0].value = bad.to_owned();
                }
            }
            Content::Alert(m) => {
                m.key = bad.to_owned();
                m.title = bad.to_owned();
            }
            Content::Analysis(m) => {
                m.executive = bad.to_owned();
                m.technical = bad.to_owned();
                m.model = Some(bad.to_owned());
                m.fallback_reason = Some(bad.to_owned());
                m.attack_vector.text = bad.to_owned();
                m.remediation[0].text = bad.to_owned();
            }
            Content::Action(m) => {
                m.reason = bad.to_owned();
                m.target.value = bad.to_owned();
            }
            Content::Outcome(m) => {
                m.detail = bad.to_owned();
                m.inverse = bad.to_owned();
            }
            _ => {}
        }
    }
    assembled(contents)
}

#[test]
fn an_incident_shows_all_its_parts_and_what_to_type_next() {
    let shown = incident(&assembled(life("a")));
    for part in [
        "critical  sql_injection  updated",
        "an injection and a dump",
        "session key of a · 2 events · 2023-11-14 22:13:21.000Z to 2023-11-14 22:13:22.000Z",
        "response block · confidence 0.90 · tenant default · escalated",
        "2023-11-14 22:13:21.000Z  event       high",
        "revision 2 updated: sql_injection of 2 events, block, escalated",
        "user shop",
        "Analysis (by the playbook)",
        "somebody dumped the shop",
        "- rotate the password of the role [",
        "suspend_user on user shop (dry-run, 900s): injection followed by a dump",
        "would apply (dry run): ALTER ROLE \"shop\" NOLOGIN",
        "undone by: ALTER ROLE \"shop\" LOGIN",
        "magsentinel incident show ",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
}

#[test]
fn planted_escapes_never_reach_the_terminal() {
    let planted = planted();
    for shown in [incident(&planted), list(std::slice::from_ref(&planted.incident))] {
        let harmful =
            |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}');
        assert!(!shown.chars().any(harmful), "{shown:?}");
        assert!(shown.contains("\\u{1b}[2J"), "{shown}");
        // No planted line end makes a line that passes for one of ours.
        let heads = shown.lines().filter(|line| line.starts_with("Incident 0000")).count();
        assert_eq!(heads, 0);
    }
}

#[test]
fn an_incident_in_the_making_is_shown_as_far_as_it_is() {
    let shown = incident(&assembled(life("a").into_iter().skip(4).take(1).collect()));
    for part in ["none  unknown  opened", "none kept", "none: not escalated", "no outcome yet"] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    assert_eq!(list(&[]), "no incidents\n");
}

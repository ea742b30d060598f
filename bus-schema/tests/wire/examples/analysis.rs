//! Analyses.

use super::{entities, id, token};
use magsentinel_bus_schema::{
    Analysis, Effect, Level, Mode, Tenant,
    decision::{Author, Claim, Grounding, Removed, Suggestion},
};

pub(crate) fn analysis() -> Analysis {
    let claim = |text: &str| Claim { text: text.to_owned(), cites: vec![id("event")] };
    Analysis {
        v: 1,
        id: id("analysis"),
        incident: id("incident"),
        assessment: id("assessment"),
        tenant: Tenant::default(),
        attack_type: token("sql_injection_exfiltration"),
        author: Author::Model,
        model: Some("small".to_owned()),
        fallback_reason: Some("cited an unknown event".to_owned()),
        level: Level::Critical,
        attack_vector: claim("the search field"),
        chain: vec![claim("injected"), claim("dumped")],
        blast_radius: vec![claim("every order")],
        attribution: claim("one address"),
        attribution_confidence: 0.25,
        remediation: vec![claim("rotate the password")],
        prevention: vec![claim("bind parameters")],
        executive: "Somebody dumped the orders.".to_owned(),
        executive_cites: vec![],
        technical: "A union read them.\nThen they left.".to_owned(),
        technical_cites: vec![],
        suggested: vec![],
        omitted: 3,
        left_out: vec![],
        grounding: None,
    }
}

/// An analysis of which some was removed.
pub(crate) fn analysis_grounded() -> Analysis {
    let removed = Removed {
        part: "remediation".to_owned(),
        reason: "it names \"mallory\", which is not in the evidence".to_owned(),
    };
    Analysis {
        fallback_reason: None,
        left_out: vec!["3 of 5 mitigations of T1190".to_owned()],
        grounding: Some(Grounding { score: 0.75, statements: 4, removed: vec![removed] }),
        ..analysis()
    }
}

/// An analysis whose summaries cite events, and that suggests an action.
pub(crate) fn analysis_suggesting() -> Analysis {
    let suggestion = Suggestion {
        effect: Effect::BlockAddress { address: "203.0.113.9".parse().unwrap() },
        target: entities().remove(0),
        mode: Mode::Ask,
        reason: "Every cited event comes from it.".to_owned(),
        cites: vec![id("event")],
    };
    Analysis {
        executive_cites: vec![id("event")],
        technical_cites: vec![id("event"), id("other")],
        suggested: vec![suggestion],
        ..analysis_grounded()
    }
}

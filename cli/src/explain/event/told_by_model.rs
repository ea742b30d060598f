//! What a language model adds to an account of an event, where the commander runs one.
//!
//! It is asked as it is about an incident: the event becomes the one piece of evidence, and what the
//! model says has passed the same checks. What the event *is* stays the account's word: whoever wrote
//! the event may have written to the model.

use super::{Account, What};
use magsentinel_bus_schema::{
    Analysis, Assessment, Class, Event, Id, Level, Response, SCHEMA_VERSION, Status, Subject,
    Tenant, Token,
    decision::{Author, Evidence},
};
use magsentinel_runtime::{bus::Bus, micro};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Longest that a model is waited for; the commander has a deadline of its own before that.
const PATIENCE: Duration = Duration::from_secs(120);
/// Characters of the event that a model is shown.
const EXCERPT_CHARS: usize = 600;

/// What a model said of an event, or why it said nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByModel {
    /// The model.
    pub model: String,
    /// What it said, as far as the event bears it out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<String>,
    /// Why there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<String>,
}

/// What a model says, where a commander with one runs.
pub async fn ask(bus: &Bus, event: &Event, account: &Account) -> Option<ByModel> {
    let services = micro::ask_all(bus, "STATS", Some("commander")).await.ok()?;
    let model = services.iter().find_map(model_of)?;
    let question = assessment(bus.tenant(), event, account);
    let asked = micro::ask(bus, &Subject::Incident, &question, PATIENCE).await;
    Some(match asked {
        Ok(analysis) => told(model, analysis),
        Err(e) => ByModel { model, text: Vec::new(), nothing: Some(e.to_string()) },
    })
}

/// The model of a commander, if it has one.
fn model_of(service: &Value) -> Option<String> {
    let part = service.pointer("/endpoints/0/data/parts/commander")?;
    part.get("model_name").and_then(Value::as_str).map(str::to_owned)
}

fn told(model: String, analysis: Analysis) -> ByModel {
    if analysis.author == Author::Playbook {
        let why = analysis.fallback_reason.unwrap_or_else(|| "it was not asked".to_owned());
        return ByModel { model, text: Vec::new(), nothing: Some(why) };
    }
    let text = vec![analysis.executive, analysis.attack_vector.text, analysis.attribution.text];
    ByModel { model, text, nothing: None }
}

/// The event as an incident of its own, that nobody decided anything about.
fn assessment(tenant: &Tenant, event: &Event, account: &Account) -> Assessment {
    let gravest = account.said.iter().max_by_key(|said| said.level);
    let level = gravest.map_or(Level::Low, |said| said.level);
    let entity = account.habit.entity.clone().or_else(|| account.entities.first().cloned());
    let (class, key) = entity.map_or((Class::Resource, String::new()), |e| (e.class, e.value));
    let attack_type = Token::sanitised(match account.what {
        What::ExploitAttempt => "exploit_attempt",
        What::Beacon => "beacon",
        What::Telemetry => "telemetry",
        What::AutomatedClient => "automated_client",
        What::LegitimateUse => "single_event",
    });
    let excerpt: String = serde_json::to_string(&event.body)
        .unwrap_or_default()
        .chars()
        .take(EXCERPT_CHARS)
        .collect();
    let evidence = Evidence {
        event: event.id,
        scored: Id::derived(&[b"explained".as_slice(), event.id.as_bytes()]),
        ts: event.ts,
        kind: event.kind,
        patrol: Token::sanitised(gravest.map_or("explain", |said| said.patrol.as_str())),
        level,
        score: 0.0,
        category: Token::sanitised(gravest.map_or("unflagged", |said| said.category.as_str())),
        techniques: Vec::new(),
        reasons: gravest.map(|said| said.reasons.clone()).unwrap_or_default(),
        entities: account.entities.clone(),
        excerpt,
    };
    Assessment {
        v: SCHEMA_VERSION,
        id: Id::derived(&[b"explain".as_slice(), event.id.as_bytes()]),
        incident: event.id,
        revision: 1,
        tenant: tenant.clone(),
        chain: Token::sanitised("explain"),
        class,
        key,
        status: Status::Opened,
        level,
        confidence: 0.0,
        attack_type,
        response: Response::Allow,
        escalate: false,
        replayed: event.replayed,
        backfilled: false,
        first: event.ts,
        last: event.ts,
        reasoning: account.because.clone(),
        techniques: Vec::new(),
        affected: Vec::new(),
        plan: Vec::new(),
        evidence: vec![evidence],
        count: 1,
        members: String::new(),
        tactics: Vec::new(),
        suppressed: Vec::new(),
        rated: None,
    }
}

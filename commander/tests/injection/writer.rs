//! A writer that obeys, before the real stage.

use crate::judge::Told;
use magsentinel_bus_schema::{
    Analysis, Assessment, Limits, PatternChange, Subject, Tenant, decode, encode, pattern::State,
};
use magsentinel_commander::{
    Cancel, Config, Desk, Factory, WriteError, Writer, briefing::Briefing, parts_with,
};
use magsentinel_runtime::stage::{Batch, Delivery, Output, Stage};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Places of a draft that hold text.
pub(crate) const PARTS: &[&str] = &[
    "/attack_vector/text",
    "/chain/0/text",
    "/blast_radius/0/text",
    "/remediation/0/text",
    "/prevention/0/text",
    "/executive/text",
    "/technical/text",
];

/// An answer, and what in it does somebody's bidding.
pub(crate) struct Draft {
    pub(crate) answer: String,
    pub(crate) said: String,
}

impl Draft {
    /// The honest draft but for one place.
    pub(crate) fn with(part: &str, value: Value, said: String) -> Self {
        let mut answer = honest();
        *answer.pointer_mut(part).expect("a part of a draft") = value;
        Self { answer: answer.to_string(), said }
    }

    /// The analysis that this would be if it were believed.
    pub(crate) fn as_published(&self, a: &Assessment, nonce: &str) -> Analysis {
        let answer = self.answer.replace("{nonce}", nonce);
        let draft: Value = serde_json::from_str(&answer).expect("JSON");
        let level = draft["level"].as_str().and_then(magsentinel_bus_schema::Level::from_token);
        let known = magsentinel_commander::knowledge::Known::default();
        let limits = magsentinel_commander::playbook::Limits { events_max: 64, excerpt_chars: 300 };
        let mut analysis =
            magsentinel_commander::playbook::write(a, &known, limits).expect("the playbook's");
        analysis.level = level.expect("a level");
        let texts = PARTS.iter().filter_map(|part| draft.pointer(part)?.as_str());
        analysis.executive = texts.collect::<Vec<_>>().join(" ");
        analysis.author = magsentinel_bus_schema::decision::Author::Model;
        analysis
    }
}

/// What a writer says who looks only at the evidence.
pub(crate) fn honest() -> Value {
    let claim = |text: &str| json!({"text": text, "cites": ["E1", "E4"]});
    json!({
        "level": "critical",
        "attack_vector": claim("An injection was sent by the role shop_web of the shop."),
        "chain": [claim("The session 6571.1a2 injected and then read in bulk.")],
        "blast_radius": [claim("The table customers was read in bulk.")],
        "attribution_confidence": 0.2,
        "remediation": [claim("End the session 6571.1a2 and keep the logs.")],
        "prevention": [claim("Pass all input as bound parameters.")],
        "executive": claim("An attacker read customer data; treat it as disclosed."),
        "technical": claim("The injection joined a second table to the answer of the shop."),
    })
}

/// The real stage with a writer that answers what it is told to.
pub(crate) struct Obedient {
    stage: Box<dyn Stage>,
    answer: Arc<Mutex<String>>,
    told: Arc<Mutex<Told>>,
    /// The chain that the course of the incident suggests, before anything is written into it.
    chain: Option<String>,
    _folder: tempfile::TempDir,
}

struct Scripted(Arc<Mutex<String>>, Arc<Mutex<Told>>);

impl Writer for Scripted {
    fn write(&mut self, briefing: &Briefing, _: &Cancel) -> Result<String, WriteError> {
        *self.1.lock().expect("one at a time") =
            Told { system: briefing.system.clone(), nonce: briefing.nonce.clone() };
        // It gives away what it was asked to keep.
        let answer = self.0.lock().expect("one at a time");
        Ok(answer.replace("{nonce}", &briefing.nonce))
    }
}

impl Obedient {
    pub(crate) fn new() -> Self {
        let answer = Arc::new(Mutex::new(String::new()));
        let told: Arc<Mutex<Told>> = Arc::default();
        let (says, notes) = (Arc::clone(&answer), Arc::clone(&told));
        let factory: Factory = Arc::new(move || {
            Ok(Box::new(Scripted(Arc::clone(&says), Arc::clone(&notes))) as Box<dyn Writer>)
        });
        let desk = Arc::new(Desk::new(("obedient".to_owned(), factory)));
        let folder = tempfile::TempDir::new().expect("a folder");
        let knowledge = Some(folder.path().join("knowledge.db"));
        let config = Config { knowledge, past_incidents_max: 0, ..Config::default() };
        let parts = parts_with(&config, Some(desk)).expect("parts");
        let stage = (parts.pools[1].make)().expect("a stage");
        let a = crate::assessment();
        let chain = magsentinel_commander::chain::suggested(&a, a.last).map(|of| of.rule);
        assert!(chain.is_some());
        Self { stage, answer, told, chain, _folder: folder }
    }

    /// What the prompt of the newest case holds that is not to be given away.
    pub(crate) fn told(&self) -> Told {
        self.told.lock().expect("one at a time").clone()
    }

    /// What is published when the writer answers so.
    pub(crate) fn publish(&mut self, a: &Assessment, answer: &str) -> Vec<(Subject, Analysis)> {
        answer.clone_into(&mut self.answer.lock().expect("one at a time"));
        let delivery = Delivery {
            subject: Subject::Assessment(a.level).of(&Tenant::default()),
            seq: 1,
            stored: a.last,
            attempt: 1,
            content_type: None,
            message_id: None,
            ce_id: None,
            trace: None,
            payload: bytes::Bytes::from(encode(a).expect("encoded")),
        };
        let mut out = Output::default();
        let deliveries = &[delivery];
        let batch = Batch { shard: None, deliveries, now: a.last, rebuilding: false };
        self.stage.handle(&batch, &mut out);
        assert_eq!(out.failures().len(), 0);
        let (analyses, rest): (Vec<_>, Vec<_>) =
            out.published().iter().partition(|p| matches!(p.subject, Subject::Analysis(_)));
        assert_eq!(analyses.len(), 1);
        // A chain may be proposed of an incident's course; nothing that was written is in it.
        for publish in rest {
            let change: PatternChange =
                decode(&publish.payload, None, Limits::default()).expect("a pattern");
            assert_eq!(Some(&change.of.rule), self.chain.as_ref(), "{:?}", publish.subject);
            assert_eq!(change.taken.state, State::Proposed);
        }
        let read = |payload| decode(payload, None, Limits::default()).expect("an analysis");
        analyses.iter().map(|p| (p.subject.clone(), read(&p.payload))).collect()
    }
}

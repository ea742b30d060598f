//! What a draft costs: tokens a second with and without the schema, and what checking the answer
//! takes beside that.
//!
//! `cargo run --release -p magsentinel-commander --features llm --example generation -- [MODEL]`
//! with a model's directory; without one, a model of two layers with random weights is made. With
//! the feature `cuda` or `metal` it computes on the accelerator.
#![expect(clippy::print_stdout, reason = "a table for a terminal")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends")]

#[allow(dead_code, clippy::indexing_slicing, reason = "shared with the tests")]
#[path = "../tests/llm/tiny.rs"]
mod tiny;

use magsentinel_bus_schema::{Analysis, Assessment, decision::Claim};
use magsentinel_commander::{
    Config,
    briefing::{self, Briefing},
    draft,
    grounding::{Grounds, ground},
    knowledge::{Known, techniques_of},
    playbook,
};
use mistralrs::{
    Constraint, Model, ModelDType, RequestBuilder, TextMessageRole, TextModelBuilder, TokenSource,
    Usage,
};
use serde_json::{Value, json};
use std::{hint::black_box, path::PathBuf, time::Instant};

/// Tokens of each draft: enough that the first ones do not count.
const TOKENS: usize = 512;
/// Answers that are checked, to measure one.
const CHECKS: u32 = 100;

#[tokio::main]
async fn main() {
    let temp = tempfile::tempdir().expect("a directory");
    let place = std::env::args().nth(1).map_or_else(
        || {
            tiny::write(temp.path());
            temp.path().to_path_buf()
        },
        PathBuf::from,
    );
    let text = include_str!("../tests/cases/injection_and_dump.json");
    let assessment: Assessment = serde_json::from_str(text).expect("a case");
    let known = Known::shipped(&techniques_of(&assessment, 16).0);
    let config = Config { tokens_max: TOKENS, ..Config::default() };
    let briefing = briefing::build(&assessment, &known, (&config).into(), "0f0f");
    let briefing = briefing.expect("a briefing");
    let model = load(&place).await;
    // The first request also fills what the second would find filled.
    let _first = usage(&model, &briefing, false).await;
    let free = usage(&model, &briefing, false).await;
    let bound = usage(&model, &briefing, true).await;
    let [free_s, bound_s] = [&free, &bound].map(|u| {
        f64::from(u.total_completion_time_sec)
            / u32::try_from(u.completion_tokens).map_or(1.0, f64::from)
    });
    println!(
        "prompt                       {:>10} tokens {:>10.3} s",
        bound.prompt_tokens, bound.total_prompt_time_sec
    );
    println!("tokens/s without the schema  {:>10.1}", 1.0 / free_s);
    println!("tokens/s with the schema     {:>10.1}", 1.0 / bound_s);
    println!(
        "the schema costs             {:>10.1} % of generation",
        100.0 * (bound_s - free_s) / free_s
    );
    let check_s = checking(&assessment, &known, &briefing, &config);
    let whole = f64::from(bound.total_completion_time_sec);
    println!(
        "grounding costs              {:>10.3} % of generation ({:.3} ms)",
        100.0 * check_s / whole,
        1e3 * check_s
    );
    println!(
        "time to an analysis          {:>10.3} s for {} tokens",
        f64::from(bound.total_time_sec) + check_s,
        bound.completion_tokens
    );
}

async fn load(place: &std::path::Path) -> Model {
    let builder = TextModelBuilder::new(place.to_string_lossy())
        .with_token_source(TokenSource::None)
        .with_max_num_seqs(1);
    let accelerated = cfg!(any(feature = "cuda", feature = "metal"));
    let builder =
        if accelerated { builder } else { builder.with_force_cpu().with_dtype(ModelDType::F32) };
    builder.build().await.expect("a model")
}

async fn usage(model: &Model, briefing: &Briefing, schema: bool) -> Usage {
    let mut request = RequestBuilder::new()
        .add_message(TextMessageRole::System, &briefing.system)
        .add_message(TextMessageRole::User, &briefing.user)
        .enable_thinking(false)
        .set_deterministic_sampler()
        .set_sampler_max_len(TOKENS);
    if schema {
        request = request.set_constraint(Constraint::JsonSchema(briefing.schema.clone()));
    }
    model.send_chat_request(request).await.expect("an answer").usage
}

/// Most tokens that the bounds of a draft grow with: the playbook's sentences fit into them.
const DRAFT_TOKENS: usize = 8192;
/// Most claims that every list of a draft may have.
const CLAIMS: usize = 4;

/// The playbook's analysis as a model would have written it, as far as a draft may be long.
fn draft_of(of: &Analysis) -> Value {
    let claim = |claim: &Claim| json!({"text": claim.text, "cites": ["E1"]});
    let claims = |claims: &[Claim]| claims.iter().take(CLAIMS).map(claim).collect::<Vec<_>>();
    json!({
        "level": of.level, "attack_vector": claim(&of.attack_vector), "chain": claims(&of.chain),
        "blast_radius": claims(&of.blast_radius),
        "attribution_confidence": 0.1, "remediation": claims(&of.remediation),
        "prevention": claims(&of.prevention), "executive": {"text": of.executive, "cites": ["E1"]},
        "technical": {"text": of.technical, "cites": ["E1"]},
    })
}

/// Seconds for one draft: the playbook's own claims.
fn checking(assessment: &Assessment, known: &Known, briefing: &Briefing, config: &Config) -> f64 {
    let limits = playbook::Limits { events_max: 8, excerpt_chars: 120 };
    let playbook = playbook::write(assessment, known, limits).expect("the playbook's");
    let text = draft_of(&playbook).to_string();
    let begun = Instant::now();
    for _ in 0..CHECKS {
        let draft = draft::read(&text, DRAFT_TOKENS).expect("a draft");
        let grounds = Grounds {
            assessment,
            known,
            briefing,
            playbook: &playbook,
            score_min: config.grounding_min,
        };
        black_box(ground(&draft, &grounds, "measured").ok());
    }
    begun.elapsed().as_secs_f64() / f64::from(CHECKS)
}

//! The commander without a model: how long the playbook, a briefing, the sifting of a draft and
//! retrieval take, and what 100,000 incidents of the past hold in memory.

use super::{quantile, score::cpu_seconds};
use magsentinel_bus_schema::{
    Analysis, Assessment, Class, Entity, Id, Kind, Level, Response, Status, Tenant, Timestamp,
    Token, Trust,
    decision::{Claim, Evidence},
};
use magsentinel_commander::{
    Config, Library, briefing, draft,
    grounding::{Grounds, ground},
    knowledge::{Gathered, Known, library::Limits},
    playbook,
};
use magsentinel_runtime::memory::resident_bytes;
use serde_json::json;
use std::path::PathBuf;

const EVENTS: usize = 10_000;
const INCIDENTS: usize = 100_000;
const LEARNT_AT_ONCE: usize = 500;
const QUERIES: usize = 2_000;
const ROUNDS: usize = 20;

/// Numbers that look drawn, and are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % n
    }
}

fn say(what: &str, value: impl std::fmt::Display) {
    println!("{what:<58} {value:>14}");
}

/// Prints the figures.
pub fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits =
        Limits { mitigations_max: 2, similar_max: 3, incidents_max: INCIDENTS, audit_max: 12 };
    let path = folder.path().join("knowledge.db");
    let mut library = Library::open_file(&path, limits).expect("opened");
    let objects = import(&mut library);
    let large = assessment(&mut Draw(1), 0, EVENTS);
    let known = library.known(&large);
    written(&large, &known);
    let before = resident_bytes(std::process::id());
    let mut draw = Draw(2);
    for batch in 0..INCIDENTS / LEARNT_AT_ONCE {
        let all: Vec<Assessment> = (0..LEARNT_AT_ONCE)
            .map(|n| assessment(&mut draw, 1 + batch * LEARNT_AT_ONCE + n, 3))
            .collect();
        library.learn(all.iter(), [].iter());
    }
    let grown = resident_bytes(std::process::id())
        .unwrap_or_default()
        .saturating_sub(before.unwrap_or_default());
    say("commander, 100,000 past incidents: memory (MB)", format!("{:.1}", grown as f64 / 1e6));
    let asked: Vec<Assessment> =
        (0..QUERIES).map(|n| assessment(&mut draw, 1_000_000 + n, 3)).collect();
    let times = asked.iter().map(|a| timed(|| assert!(library.known(a).past.len() <= 3)));
    tell("commander, retrieval for an assessment", times.collect());
    let words = ["injection public application", "brute force password", "T1213.006", "web shell"];
    let mut search = |n: usize| {
        let words = words[n % words.len()];
        timed(|| drop(library.search(words, 10).expect("searched")))
    };
    // The first search makes the index.
    search(0);
    tell(
        &format!("commander, search of {objects} ATT&CK objects"),
        (0..QUERIES).map(search).collect(),
    );
}

fn written(large: &Assessment, known: &Known) {
    let config = Config::default();
    let playbook =
        || timed(|| drop(playbook::write(large, known, (&config).into()).expect("an analysis")));
    tell("commander, playbook for 10,000 events", (0..ROUNDS).map(|_| playbook()).collect());
    let brief = || {
        timed(|| drop(briefing::build(large, known, (&config).into(), "n").expect("a briefing")))
    };
    tell("commander, briefing for 10,000 events", (0..ROUNDS).map(|_| brief()).collect());
    checked(large, known);
}

/// What a model's answer costs beside the model: its schema, its reading, and its sifting. The
/// answer is the playbook's own analysis in a model's form.
fn checked(large: &Assessment, known: &Known) {
    let config = Config::default();
    let brief = briefing::build(large, known, (&config).into(), "n").expect("a briefing");
    let playbook = playbook::write(large, known, (&config).into()).expect("an analysis");
    let labels = brief.labels.len();
    let schema = || timed(|| drop(draft::schema(labels, large.level, config.tokens_max)));
    tell("commander, schema of an answer", (0..ROUNDS).map(|_| schema()).collect());
    let answer = answer(&playbook).to_string();
    let read = || timed(|| drop(draft::read(&answer, config.tokens_max).expect("a draft")));
    tell("commander, reading of an answer", (0..ROUNDS).map(|_| read()).collect());
    let draft = draft::read(&answer, config.tokens_max).expect("a draft");
    let grounds =
        Grounds { assessment: large, known, briefing: &brief, playbook: &playbook, score_min: 0.0 };
    let sift = || timed(|| drop(ground(&draft, &grounds, "bench")));
    tell("commander, grounding of an answer", (0..ROUNDS).map(|_| sift()).collect());
}

/// An analysis as a model would answer it, within the schema's bounds.
fn answer(of: &Analysis) -> serde_json::Value {
    let text = |text: &str| format!("{text:<20}").chars().take(190).collect::<String>();
    let claim = |claim: &Claim| json!({"text": text(&claim.text), "cites": ["E1", "E2"]});
    let claims = |of: &[Claim], most: usize| of.iter().take(most).map(claim).collect::<Vec<_>>();
    json!({
        "level": of.level,
        "attack_vector": claim(&of.attack_vector),
        "chain": claims(&of.chain, 8),
        "blast_radius": claims(&of.blast_radius, 4),
        "attribution_confidence": 0.2,
        "remediation": claims(&of.remediation, 5),
        "prevention": claims(&of.prevention, 5),
        "executive": {"text": text(&of.executive), "cites": ["E1"]},
        "technical": {"text": text(&of.technical), "cites": ["E1"]},
    })
}

/// ATT&CK of the curated data, where it is at hand; how many objects.
fn import(library: &mut Library) -> usize {
    let Some(data) = std::env::var_os("MAGSENTINEL_DATA").map(PathBuf::from) else { return 0 };
    let mut gathered = Gathered::default();
    for name in ["attack_enterprise_objects", "attack_enterprise_relationships", "cisa_kev"] {
        let file = data.join("threat_intel").join(format!("{name}.jsonl.gz"));
        gathered.read(&file).expect("read");
    }
    library.import(&gathered.finish().expect("parts")).expect("imported").objects
}

fn timed(work: impl FnOnce()) -> f64 {
    let before = cpu_seconds();
    work();
    (cpu_seconds() - before) * 1e3
}

fn tell(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let (half, most) = (quantile(&times, 0.5), quantile(&times, 0.99));
    say(&format!("{what}: p50, p99 (ms)"), format!("{half:.3}, {most:.3}"));
}

fn assessment(draw: &mut Draw, number: usize, events: usize) -> Assessment {
    let token = |text: String| Token::sanitised(&text);
    let at = |n: usize| Timestamp::from_micros(1_700_000_000_000_000 + n as i64 * 1_000_000);
    let (user, host) = (draw.below(20_000), draw.below(50_000));
    let entity = |class, value: String| Entity { class, value, trust: Trust::Observed };
    let entities = vec![
        entity(Class::User, format!("user{user}")),
        entity(Class::Client, format!("10.{}.{}.{}", host >> 16, host >> 8 & 255, host & 255)),
        entity(Class::Session, format!("s{number}")),
        entity(Class::Resource, format!("table{}", draw.below(3_000))),
    ];
    let techniques = ["T1190", "T1213", "T1078", "T1110", "T1048", "T1030", "T1059", "T1595"];
    let kind = draw.below(18);
    let mut evidence = |n: usize| Evidence {
        event: Id::derived(&["event", &number.to_string(), &n.to_string()]),
        scored: Id::derived(&["scored", &number.to_string(), &n.to_string()]),
        ts: at(number + n),
        kind: Kind::Sql,
        patrol: Token::sanitised("sql-guard"),
        level: if n.is_multiple_of(97) { Level::High } else { Level::Medium },
        score: 0.5 + (n % 50) as f32 / 100.0,
        category: token(format!("category{}", draw.below(60))),
        techniques: vec![techniques[(n + number) % techniques.len()].to_owned()],
        reasons: vec![format!("{} rows, more than this user reads in an hour", 100 + n)],
        entities: entities.clone(),
        excerpt: format!(
            "SELECT id, name, price FROM products WHERE id = {n} UNION SELECT 1, 2, 3"
        ),
    };
    let evidence: Vec<Evidence> = (0..events).map(&mut evidence).collect();
    let incident = Id::derived(&["incident", &number.to_string()]);
    Assessment {
        v: 1,
        id: Id::derived(&["assessment", &number.to_string()]),
        incident,
        revision: 1,
        tenant: Tenant::default(),
        chain: token(format!("chain{kind}")),
        class: Class::User,
        key: format!("user{user}"),
        status: Status::Opened,
        level: Level::High,
        confidence: 0.8,
        attack_type: token(format!("type{kind}")),
        response: Response::Alert,
        escalate: true,
        replayed: false,
        backfilled: false,
        first: at(number),
        last: at(number + events),
        reasoning: vec![],
        techniques: vec!["T1190".to_owned()],
        affected: vec![],
        plan: vec![],
        count: evidence.len() as u64,
        evidence,
        suppressed: vec![],
        members: String::new(),
        tactics: vec![],
        rated: None,
    }
}

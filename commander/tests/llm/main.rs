//! The real path through the model library, with a model that the test makes.
#![cfg(feature = "llm")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking and tell what they saw"
)]

mod asked;
mod gguf;
mod tiny;

use asked::{PATIENCE, assessment, briefing_of, known, short, wait_for};
use bytes::Bytes;
use magsentinel_bus_schema::{
    Analysis, Level, Limits, Subject, Tenant, decision::Author, decode, encode,
};
use magsentinel_commander::{
    Config, Desk, Quantisation, WriteError, briefing, draft,
    grounding::{Grounds, ground},
    model, parts, playbook,
};
use magsentinel_runtime::{
    settings::Span,
    stage::{Batch, Delivery, Output},
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command, sync::LazyLock, time::Duration};

/// What the stage remembers of incidents lies here.
static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a directory"));

fn config(model: &Path) -> Config {
    Config {
        model: Some(model.to_str().expect("UTF-8").to_owned()),
        deadline: Span::s(300),
        tokens_max: 4096,
        knowledge: Some(FOLDER.path().join("knowledge.db")),
        // A token is a byte to this model, and the build is not optimised.
        context_tokens: 5120,
        evidence_events_max: 2,
        excerpt_chars: 40,
        ..Config::default()
    }
}

fn desk(config: &Config) -> Desk {
    Desk::new(model::factory(config).expect("a model is configured"))
}

fn analysis(config: &Config) -> Analysis {
    let a = assessment();
    let delivery = Delivery {
        subject: Subject::Assessment(a.level).of(&Tenant::default()),
        seq: 1,
        stored: a.last,
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: Bytes::from(encode(&a).expect("encoded")),
    };
    let mut stage = (parts(config).expect("parts").pools[1].make)().expect("a stage");
    let mut out = Output::default();
    let batch = Batch { shard: None, deliveries: &[delivery], now: a.last, rebuilding: false };
    stage.handle(&batch, &mut out);
    eprintln!("{}", stage.report());
    decode(&out.published()[0].payload, None, Limits::default()).expect("an analysis")
}

#[test]
fn a_model_writes_json_of_the_schema_stops_at_its_deadline_and_is_believed_only_if_grounded() {
    let temp = tempfile::tempdir().expect("a directory");
    tiny::write(temp.path());
    let config = config(temp.path());
    let desk = desk(&config);
    assert_eq!(desk.status(), "not loaded");
    let briefing = briefing_of(&config);
    let answer = desk.ask(briefing.clone(), PATIENCE).expect("an answer");
    assert_eq!(desk.status(), "ready");
    let prompt = briefing.system.len() + briefing.user.len();
    eprintln!("{} characters for {prompt}: {answer}", answer.len());
    let draft = draft::read(&answer, config.tokens_max).expect("a draft of the schema");
    let (assessment, known) = (assessment(), known());
    let limits = playbook::Limits { events_max: 2, excerpt_chars: 40 };
    let playbook = playbook::write(&assessment, &known, limits).expect("the playbook's");
    let grounds = Grounds {
        assessment: &assessment,
        known: &known,
        briefing: &briefing,
        playbook: &playbook,
        score_min: config.grounding_min,
    };
    let refusal = ground(&draft, &grounds, "tiny").expect_err("noise");
    eprintln!("refused: {refusal}");
    // A deadline that cannot be met is kept, and the model is free for the next one, to which it
    // answers as it did before.
    let question = short(&config, Level::High);
    let before = desk.ask(question.clone(), PATIENCE);
    let brief = Duration::from_millis(1);
    assert_eq!(desk.ask(briefing, brief), Err(WriteError::Deadline(brief)));
    assert!(before.is_ok() && desk.ask(question, PATIENCE) == before, "{before:?}");
}

#[test]
fn an_ungrounded_draft_and_a_missed_deadline_leave_the_playbooks_analysis() {
    let temp = tempfile::tempdir().expect("a directory");
    tiny::write(temp.path());
    let config = config(temp.path());
    let found = analysis(&config);
    assert_eq!(found.author, Author::Playbook);
    let reason = found.fallback_reason.unwrap_or_default();
    assert!(reason.contains("the model's draft was refused"), "{reason}");
    assert_eq!(found.model, config.model);

    let found = analysis(&Config { deadline: Span::ms(1), ..config });
    assert_eq!(found.author, Author::Playbook);
    let reason = found.fallback_reason.unwrap_or_default();
    assert!(reason.contains("1ms"), "{reason}");
}

/// A question that takes a while to answer: so many characters, one token each.
fn long(config: &Config) -> briefing::Briefing {
    let schema = json!({
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 400, "maxLength": 400}},
        "required": ["text"], "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false},
    });
    briefing::Briefing { schema, ..short(config, Level::High) }
}

/// While the model writes, eight wait; the next of their level is refused at once, and a graver one
/// takes a place.
#[test]
fn a_full_queue_refuses_the_next_and_makes_room_for_a_graver_one() {
    const WAITING: u64 = 8;
    let temp = tempfile::tempdir().expect("a directory");
    tiny::write(temp.path());
    let config = config(temp.path());
    let desk = desk(&config);
    let ask = |level: Level| desk.ask(short(&config, level), PATIENCE);
    ask(Level::High).expect("loaded");
    let answers: Vec<Result<String, WriteError>> = std::thread::scope(|scope| {
        let long = scope.spawn(|| desk.ask(long(&config), PATIENCE));
        // It is taken up at once.
        wait_for("the long one", || desk.load().asked == 2 && desk.load().waiting == 0);
        let waiting: Vec<_> = (0..WAITING).map(|_| scope.spawn(|| ask(Level::High))).collect();
        wait_for("a full queue", || desk.load().waiting == WAITING);
        assert_eq!(ask(Level::High), Err(WriteError::Busy));
        assert_eq!(desk.load().refused, 1);
        let graver = scope.spawn(|| ask(Level::Critical));
        wait_for("room to be made", || desk.load().refused == 2);
        long.join().expect("asked").expect("an answer");
        graver.join().expect("asked").expect("an answer");
        waiting.into_iter().map(|one| one.join().expect("asked")).collect()
    });
    let busy = answers.iter().filter(|answer| **answer == Err(WriteError::Busy)).count();
    assert_eq!((busy, answers.iter().filter(|answer| answer.is_ok()).count()), (1, 7));
    assert_eq!((desk.load().waiting, desk.load().finished), (0, 10));
}

/// The prompt is counted by the model's own tokenizer, to which a byte is a token here.
#[test]
fn a_prompt_is_counted_by_the_models_tokenizer_before_anything_is_written() {
    let temp = tempfile::tempdir().expect("a directory");
    tiny::write(temp.path());
    let config = config(temp.path());
    let desk = desk(&config);
    let briefing = briefing_of(&config);
    let bytes = briefing.system.len() + briefing.user.len();
    let narrow = briefing::Briefing { context_tokens: bytes - 1, ..briefing };
    let told = desk.ask(narrow, PATIENCE).expect_err("too long");
    let WriteError::TooLong { tokens, max } = told else { panic!("{told}") };
    assert!(max == bytes - 1 && (bytes..bytes + 64).contains(&tokens), "{tokens} for {bytes}");
}

#[test]
fn weights_are_rounded_while_they_are_loaded() {
    let temp = tempfile::tempdir().expect("a directory");
    tiny::write(temp.path());
    for quantisation in [Quantisation::Q8_0, Quantisation::Q4_0] {
        let config = Config { quantisation: Some(quantisation), ..config(temp.path()) };
        let answer = desk(&config).ask(short(&config, Level::High), PATIENCE).expect("an answer");
        assert!(answer.starts_with("{\"verdict\":"), "{quantisation:?}: {answer}");
    }
}

/// With a question of its own: the library computes GGUF models in half precision, which takes
/// minutes for a whole analysis in a build that is not optimised.
#[test]
fn a_gguf_file_is_a_model_too() {
    let temp = tempfile::tempdir().expect("a directory");
    let file = temp.path().join("tiny.gguf");
    gguf::write(&file);
    let config = config(&file);
    let desk = desk(&config);
    let short = short(&config, Level::High);
    let answer = desk.ask(short, PATIENCE).expect("an answer");
    assert_eq!(desk.status(), "ready");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert!(["attack", "none"].iter().any(|v| answer == json!({"verdict": v})), "{answer}");

    let whole = fs::read(&file).expect("read");
    fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let desk = self::desk(&config);
    let told = desk.ask(briefing_of(&config), PATIENCE).expect_err("half a file");
    eprintln!("cut: {told}");
    assert!(matches!(told, WriteError::Load(_)), "{told}");
}

/// A hub id is looked up where the hub's own tools keep what they downloaded: a place that an
/// environment variable names, so the test runs itself again with it set.
#[test]
fn a_hub_id_is_loaded_from_the_local_cache() {
    const CACHE: &str = "HF_HUB_CACHE";
    const ID: &str = "test/magsentinel-tiny";
    let prepared = std::env::var(CACHE).is_ok_and(|c| Path::new(&c).join("by-this-test").exists());
    if prepared {
        let config = config(Path::new(ID));
        let answer = desk(&config).ask(short(&config, Level::High), PATIENCE).expect("an answer");
        assert!(answer.starts_with("{\"verdict\":"), "{answer}");
        return;
    }
    let cache = tempfile::tempdir().expect("a directory");
    let root = cache.path().join("models--test--magsentinel-tiny");
    let snapshot = root.join("snapshots/0123456789abcdef");
    fs::create_dir_all(&snapshot).expect("a directory");
    fs::create_dir_all(root.join("refs")).expect("a directory");
    fs::write(root.join("refs/main"), "0123456789abcdef").expect("a file");
    fs::write(cache.path().join("by-this-test"), "").expect("a file");
    tiny::write(&snapshot);
    let run = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "--nocapture", "a_hub_id_is_loaded_from_the_local_cache"])
        .env(CACHE, cache.path())
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn files_that_are_no_model_are_told_with_the_reason() {
    type Broken<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);
    let break_it: [Broken<'_>; 4] = [
        (
            "missing",
            &|d| fs::remove_file(d.join("tokenizer.json")).expect("removed"),
            "tokenizer.json",
        ),
        (
            "corrupt",
            &|d| fs::write(d.join("model.safetensors"), [0xff; 64]).expect("written"),
            "header",
        ),
        (
            "cut",
            &|d| {
                let path = d.join("model.safetensors");
                let whole = fs::read(&path).expect("read");
                fs::write(path, &whole[..whole.len() / 2]).expect("written");
            },
            "",
        ),
        (
            "architecture",
            &|d| {
                let config = tiny::config("WineForCausalLM").to_string();
                fs::write(d.join("config.json"), config).expect("written");
            },
            "Wine",
        ),
    ];
    for (name, break_it, why) in break_it {
        let temp = tempfile::tempdir().expect("a directory");
        tiny::write(temp.path());
        break_it(temp.path());
        let config = config(temp.path());
        let desk = desk(&config);
        let told = desk.ask(briefing_of(&config), PATIENCE).expect_err(name);
        eprintln!("{name}: {told}");
        let WriteError::Load(reason) = &told else { panic!("{name}: {told}") };
        assert!(reason.to_lowercase().contains(&why.to_lowercase()), "{name}: {reason}");
        assert_eq!(desk.status(), format!("failed: {reason}"));
    }
}

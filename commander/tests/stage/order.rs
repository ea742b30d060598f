//! Who is written about first, what all stages share, and prompts that are too long.

use super::*;

/// One entry per consumer: what it is called and what it reads.
#[test]
fn every_level_has_a_consumer_of_its_own_and_none_is_read_twice() {
    let parts = parts_with(&config(), None).expect("parts");
    let tenant = Tenant::default();
    let reads: Vec<(String, Vec<String>)> = parts
        .pools
        .iter()
        .map(|pool| (pool.durable.to_string(), (pool.filters)(&tenant)))
        .collect();
    for level in [Level::Critical, Level::High, Level::Medium] {
        let subject = Subject::Assessment(level).of(&tenant);
        let of = reads.iter().filter(|(_, filters)| filters.contains(&subject));
        let names: Vec<&str> = of.map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [format!("commander-{level}")]);
    }
}

/// While the model writes about something mild, a critical incident and a high one come: the critical
/// one is written next, whatever came first.
#[test]
fn the_model_writes_the_gravest_next_although_milder_ones_came_first() {
    let (begun, begins) = std::sync::mpsc::channel::<Level>();
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let begun = Mutex::new(begun);
    let goes = Mutex::new(goes);
    let script: Script = Box::new(move |briefing, _| {
        begun.lock().expect("one writer").send(briefing.level).expect("somebody listens");
        goes.lock().expect("one writer").recv().expect("somebody says go");
        Ok(good_draft())
    });
    let script = Arc::new(Mutex::new(script));
    let factory: Factory = Arc::new(move || Ok(Box::new(Scripted(Arc::clone(&script)))));
    let desk = Arc::new(Desk::new(("scripted".to_owned(), factory)));
    let config = Config { deadline: Span::s(60), ..config() };
    let parts = parts_with(&config, Some(Arc::clone(&desk))).expect("parts");
    let waits_for = |waiting: u64| {
        let deadline = std::time::Instant::now() + Span::s(30).get();
        while desk.load().waiting != waiting {
            assert!(std::time::Instant::now() < deadline, "{:?}", desk.load());
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let analyse = |pool: usize, level: Level| {
            let mut stage = (parts.pools[pool].make)().expect("a stage");
            let incident = magsentinel_bus_schema::Id::derived(&[level.token()]);
            let a = Assessment { level, incident, ..assessment() };
            scope.spawn(move || handle(&mut *stage, &[delivery(&a)], a.last).published().len());
        };
        analyse(3, Level::Medium);
        assert_eq!(begins.recv_timeout(Span::s(30).get()), Ok(Level::Medium));
        analyse(2, Level::High);
        waits_for(1);
        analyse(1, Level::Critical);
        waits_for(2);
        go.send(()).expect("the writer waits");
        assert_eq!(begins.recv_timeout(Span::s(30).get()), Ok(Level::Critical));
        go.send(()).expect("the writer waits");
        assert_eq!(begins.recv_timeout(Span::s(30).get()), Ok(Level::High));
        go.send(()).expect("the writer waits");
    });
}

/// What the incident is known by is opened once in a process, whoever asks.
#[test]
fn the_endpoint_knows_what_the_stages_remember() {
    let config = config();
    let parts = parts_with(&config, None).expect("parts");
    let mut notary = (parts.pools[0].make)().expect("a stage");
    let like =
        Assessment { incident: magsentinel_bus_schema::Id::derived(&["like"]), ..assessment() };
    assert!(handle(&mut *notary, &[delivery(&like)], like.last).failures().is_empty());
    let asked = encode(&assessment()).expect("encoded");
    let answer = (parts.endpoints[0].answer)(&asked, None).expect("an answer");
    let told: Analysis = decode(&answer, None, Limits::default()).expect("an analysis");
    assert!(told.technical.contains(&like.incident.to_string()), "{}", told.technical);
    assert_eq!(open_files(config.knowledge.as_deref().expect("a file")), 1);
}

/// How often this process has a file open.
fn open_files(path: &std::path::Path) -> usize {
    let path = path.canonicalize().expect("it is there");
    let open = std::fs::read_dir("/proc/self/fd").expect("the process's files");
    open.flatten().filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == path)).count()
}

/// A prompt that the model's tokenizer finds too long is made again, shorter, and within the same
/// deadline; the evidence that it leaves out is counted.
#[test]
fn a_prompt_of_too_many_tokens_is_made_again_until_it_fits() {
    let mut a = assessment();
    let model = a.evidence[0].clone();
    for n in 0..40_u8 {
        let mut e = model.clone();
        e.event = magsentinel_bus_schema::Id::derived(&[[n]]);
        e.excerpt = "\u{30dd}".repeat(300);
        a.evidence.push(e);
    }
    a.count = a.evidence.len() as u64;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    // The tokenizer of a model that knows no such text: every byte is a token.
    let mut stage = with_model(Span::s(30), move |b, _| {
        let tokens = b.system.len() + b.user.len();
        seen.lock().expect("one writer").push(tokens);
        if tokens > b.context_tokens {
            return Err(WriteError::TooLong { tokens, max: b.context_tokens });
        }
        assert!(!b.labels.is_empty());
        Ok(good_draft().replace("E4", "E1"))
    });
    let found = analyses(&handle(&mut *stage, &[delivery(&a)], a.last)).remove(0);
    let sizes = sizes.lock().expect("nobody else").clone();
    assert!(sizes.len() > 1 && sizes.windows(2).all(|two| two[1] < two[0]), "{sizes:?}");
    assert!(sizes.last().is_some_and(|last| (4096..=8192).contains(last)), "{sizes:?}");
    let told = found.fallback_reason.clone().unwrap_or_default();
    assert!(!told.contains("tokens"), "{told}");
}

//! Bundles are swapped in under load: nothing is lost, nothing grows, and what cannot be used
//! changes nothing.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Fields, Level, Timestamp};
use magsentinel_patrol::{
    Config,
    bundle::Bundle,
    inference,
    patrol::Seen,
    patrols::{Entry, find},
    scorer::{Blueprint, Scorer, Verdict},
};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const RULE: &str = "title: A word that only this bundle knows
id: 5d2f3c0e-4a55-4a2e-9f0e-6d1d5c0a7b11
logsource: {product: magsentinel, category: sql}
tags: [mag.odd_fruit]
detection:
  word: {text|contains: kumquat}
  condition: word
level: high
";

fn entry() -> &'static Entry {
    find("sql-guard").unwrap()
}

fn blueprint() -> Arc<Blueprint> {
    let (config, inference) = (Config::default(), inference::Config::default());
    Arc::new(Blueprint::new(entry(), &config, &inference).unwrap())
}

/// The shipped model, with one rule of its own or with its usual ones.
fn bundle(own_rule: bool) -> Bundle {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/sql-guard.onnx");
    let patterns = own_rule.then(|| vec![("own.yml".to_owned(), RULE.to_owned())]);
    Bundle { patterns, ..Bundle::of_files(entry(), Some(&models), None).unwrap() }
}

fn scorer(blueprint: &Arc<Blueprint>) -> Scorer {
    blueprint.scorer(Arc::new(Mutex::new(blueprint.armed().unwrap())), None)
}

fn found(scorer: &mut Scorer, texts: &[&str]) -> Vec<bool> {
    let bodies: Vec<Fields> = texts
        .iter()
        .map(|text| Fields(json!({ "text": text }).as_object().cloned().unwrap()))
        .collect();
    let ts = Timestamp::from_micros(1);
    let seen = |body| Seen { body, ts, ts_refused: false, repeated: false };
    let mut verdicts = Vec::new();
    scorer.score(&bodies.iter().map(seen).collect::<Vec<_>>(), &mut verdicts);
    let is_found = |verdict: &Verdict| match verdict {
        Verdict::Found(finding) => finding.level >= Level::High,
        Verdict::Ordinary(_) => false,
        other => panic!("{other:?}"),
    };
    verdicts.iter().map(is_found).collect()
}

#[test]
fn a_bundle_is_used_from_the_next_batch_on_and_taken_back() {
    let blueprint = blueprint();
    let mut scorer = scorer(&blueprint);
    let texts = ["SELECT kumquat FROM fruit", "1' UNION SELECT NULL,NULL,NULL-- -"];
    assert_eq!(found(&mut scorer, &texts), [false, true]);
    let standard = scorer.arms().patterns_digest().to_owned();
    blueprint.rearm(Some(&bundle(true).to_bytes().unwrap())).unwrap();
    assert_eq!(found(&mut scorer, &texts), [true, true]);
    assert_ne!(scorer.arms().patterns_digest(), standard);
    blueprint.rearm(None).unwrap();
    assert_eq!(found(&mut scorer, &texts), [false, true]);
    assert_eq!(scorer.arms().patterns_digest(), standard);
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason_and_changes_nothing() {
    let blueprint = blueprint();
    let mut scorer = scorer(&blueprint);
    let good = bundle(true);
    let other = Bundle { patrol: "data-flow".to_owned(), ..good.clone() };
    let newer = Bundle { v: 2, ..good.clone() };
    let rule = vec![("bad.yml".to_owned(), "detection: {".to_owned())];
    let no_rule = Bundle { patterns: Some(rule), ..good.clone() };
    let mut corrupt = good.clone();
    corrupt.model.as_mut().unwrap().onnx.truncate(4000);
    let mut liar = good.clone();
    liar.model.as_mut().unwrap().selftest[0]["score"] = json!(0.123);
    for (bundle, why) in [
        (other, "data-flow"),
        (newer, "version 2"),
        (no_rule, "bad.yml"),
        (corrupt, "cannot be loaded"),
        (liar, "self test"),
    ] {
        let told = blueprint.rearm(Some(&bundle.to_bytes().unwrap())).unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    }
    assert!(blueprint.rearm(Some(b"{\"v\":1")).is_err());
    assert_eq!(found(&mut scorer, &["SELECT kumquat FROM fruit"]), [false]);
}

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap()
}

#[test]
fn a_thousand_reloads_under_load_lose_nothing_and_do_not_grow() {
    let blueprint = blueprint();
    let stop = Arc::new(AtomicBool::new(false));
    let reloads = Arc::new(AtomicU64::new(0));
    let load = {
        let (mut scorer, stop, reloads) =
            (scorer(&blueprint), Arc::clone(&stop), Arc::clone(&reloads));
        std::thread::spawn(move || {
            let texts = ["SELECT a FROM t WHERE id = 7", "1' UNION SELECT NULL,NULL,NULL-- -"];
            let mut batches = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                // A few batches a reload: what a run itself costs is measured elsewhere.
                if batches > 5 * reloads.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                    continue;
                }
                // One or the other, never half: the model is the same, so are its verdicts.
                assert_eq!(found(&mut scorer, &texts), [false, true]);
                batches += 1;
            }
            batches
        })
    };
    let both = [true, false].map(|own| bundle(own).to_bytes().unwrap());
    let mut settled = 0;
    for n in 0..1000 {
        blueprint.rearm(Some(&both[n % 2])).unwrap();
        reloads.fetch_add(1, Ordering::Relaxed);
        if n == 200 {
            settled = resident();
        }
    }
    let grown = resident().saturating_sub(settled);
    stop.store(true, Ordering::Relaxed);
    assert!(load.join().unwrap() > 1000);
    assert!(grown < 16 << 20, "{grown} bytes more after 800 further reloads");
}

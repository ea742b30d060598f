//! The native ONNX Runtime and the built-in tract give the same scores.
//!
//! A process has one backend, so this test starts its own executable once for each, as a child
//! that runs [`scores_of_this_process`] alone. The native library is found through
//! `MAGSENTINEL_ONNXRUNTIME`; where that is unset, the test fails in continuous integration
//! (`CI` is set) and says that it compared nothing elsewhere.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use magsentinel_bus_schema::Fields;
use magsentinel_patrol::{inference, patrols, score_rows};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, process::Command};

const LIBRARY: &str = "MAGSENTINEL_ONNXRUNTIME";
const CHILD: &str = "MAGSENTINEL_TEST_BACKEND";

fn rows(patrol: &str) -> Vec<Fields> {
    let body = |value: serde_json::Value| Fields(value.as_object().cloned().unwrap_or_default());
    let texts = ["", "1' OR 1=1 --", "O'Brien", "SELECT a, b FROM t WHERE c = 'd' ORDER BY 1"];
    (0..300_u64)
        .map(|n| match patrol {
            "sql-guard" => {
                let text = texts[n as usize % texts.len()].repeat(1 + n as usize % 5);
                body(json!({"text": format!("{text} {n}")}))
            }
            "api-watch" => {
                let text = texts[n as usize % texts.len()];
                body(json!({"client": format!("c{}", n % 9), "path": format!("/a/{n}"),
                            "query": format!("q={text} <{n}>"), "body": {"a": text, "n": "x;y"}}))
            }
            // Some who belong here, then one who guesses.
            "auth-sentry" if n < 90 => body(json!({
                "ts": 1_700_000_000 + 3600 * n, "event": "login", "outcome": "success",
                "user": format!("u{}", n % 7), "src_ip": format!("203.0.113.{}", n % 5),
            })),
            "auth-sentry" => body(json!({
                "ts": 1_700_330_000 + 3 * n, "event": "login", "outcome": "failure",
                "user": format!("x{n}"), "src_ip": "198.51.100.7",
            })),
            "net-sentry" if n.is_multiple_of(2) => body(json!({
                "qname": format!("mail{n}.green-river-{}.example.com", n % 7),
            })),
            "net-sentry" => body(json!({
                "qname": format!("{:x}.{:x}.org", n * 7_919_337_331, n * 104_729_918_273),
            })),
            // Ordinary reads, then somebody who takes all there is.
            _ if n < 200 => body(json!({
                "ts": 1_700_000_000 + 3600 * n, "user": format!("u{}", n % 7), "action": "select",
                "resource": format!("t{}", n % 11), "rows": 10 + n % 40,
            })),
            _ => body(json!({
                "ts": 1_700_720_000 + 30 * n, "user": format!("u{}", n % 7), "action": "export",
                "resource": format!("all{n}"), "rows": 100_000 * n, "bytes_out": 40_000_000 * n,
            })),
        })
        .collect()
}

#[test]
#[ignore = "started by native_and_tract_agree, once for each backend"]
fn scores_of_this_process() {
    let Ok(backend) = std::env::var(CHILD) else { return };
    let onnxruntime = (backend != "tract").then(|| PathBuf::from(backend));
    let inference = inference::Config { onnxruntime, ..inference::Config::default() };
    let config = patrols::Config::default();
    for entry in patrols::TABLE {
        let name = entry.spec.name;
        let scored = score_rows(name, &config, &inference, rows(name).into_iter()).unwrap();
        let scores: Vec<f64> = scored.map(|row| row["scored"]["score"].as_f64().unwrap()).collect();
        println!("SCORES {}", json!({ name: scores }));
    }
}

fn scores(backend: &str) -> BTreeMap<String, Vec<f64>> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "scores_of_this_process", "--include-ignored", "--nocapture"])
        .env(CHILD, backend)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{backend}: {told}{}", String::from_utf8_lossy(&child.stderr));
    let lines = told.lines().filter_map(|line| Some(line.split_once("SCORES ")?.1));
    lines
        .flat_map(|line| serde_json::from_str::<BTreeMap<String, Vec<f64>>>(line).unwrap())
        .collect()
}

#[test]
fn native_and_tract_agree() {
    let Some(library) = std::env::var_os(LIBRARY) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "{LIBRARY} is unset: name a libonnxruntime.so, or run the tests through cargo xtask"
        );
        println!("{LIBRARY} is unset: the two backends were not compared");
        return;
    };
    let native = scores(library.to_str().unwrap());
    let tract = scores("tract");
    assert_eq!(native.len(), patrols::TABLE.len());
    for (patrol, native) in &native {
        let tract = &tract[patrol];
        assert_eq!((native.len(), tract.len()), (300, 300));
        let apart = native.iter().zip(tract).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart <= 1e-4, "{patrol}: {apart}");
        let spread =
            native.iter().copied().fold(0.0, f64::max) - native.iter().copied().fold(1.0, f64::min);
        assert!(spread > 0.1, "{patrol}: scores that are all alike compare nothing");
    }
}

//! How far the parser of authentication logs agrees with the curated data, whose rows carry
//! the line that they were made of.

use flate2::read::GzDecoder;
use magsentinel_sensor::{
    Format, Tail,
    parse::{Parsed, Parser},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

/// Share of rows whose event, user and address must all be the same.
const AGREEMENT_MIN: f64 = 0.97;

#[test]
fn the_parser_agrees_with_the_curated_rows() {
    let Some(data) = std::env::var_os("MAGSENTINEL_DATA") else {
        eprintln!("skipped: MAGSENTINEL_DATA names no folder");
        return;
    };
    let file = File::open(PathBuf::from(data).join("auth/auth_events.jsonl.gz")).unwrap();
    let mut parsers: BTreeMap<String, Parser> = BTreeMap::new();
    let (mut total, mut same) = (0_u32, BTreeMap::<&str, u32>::new());
    let mut differences: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |field: &str| row[field].as_str().unwrap_or("").to_owned();
        let parser = parsers
            .entry(text("source"))
            .or_insert_with(|| Parser::new(&Tail::new(Format::Sshd, "auth.log"), 4096).unwrap());
        let received = "2017-12-31T00:00:00Z".parse().unwrap();
        let body = match parser.line(&text("raw"), received) {
            Ok(Parsed::Events(found)) => found[0].body.clone(),
            Ok(Parsed::Skipped(reason)) => {
                total += 1;
                let entry = differences.entry(format!("skipped {reason}")).or_default();
                *entry = (entry.0 + 1, text("raw"));
                continue;
            }
            Err(reject) => {
                total += 1;
                let entry = differences.entry(format!("rejected: {reject}")).or_default();
                *entry = (entry.0 + 1, text("raw"));
                continue;
            }
        };
        total += 1;
        let mut all = true;
        for field in ["event", "user", "src_ip"] {
            // The curation left a colon at the end of some addresses.
            let want = text(field).trim_end_matches(':').to_owned();
            let found = body.get(field).and_then(Value::as_str).unwrap_or("");
            if found == want {
                *same.entry(field).or_default() += 1;
            } else {
                all = false;
                let what = if want.is_empty() { "data has none" } else { "differs" };
                let key = format!("{} {field}: {what}", text("event"));
                let entry = differences.entry(key).or_default();
                *entry = (entry.0 + 1, format!("{found:?} for {want:?} in {}", text("raw")));
            }
        }
        *same.entry("all three").or_default() += u32::from(all);
    }
    println!("{total} rows");
    for (field, count) in &same {
        println!("{field}: {count} ({:.2} %)", f64::from(*count) / f64::from(total) * 100.0);
    }
    for (key, (count, example)) in &differences {
        println!("  {count} {key}, e.g. {example}");
    }
    assert!(f64::from(same["all three"]) / f64::from(total) >= AGREEMENT_MIN);
}

//! The playbook's reports, compared with reports that were read and found good.
//!
//! `MAGSENTINEL_GOLDEN=write cargo test -p magsentinel-commander --test playbook` writes them anew
//! after a template was changed on purpose.
#![expect(clippy::expect_used, reason = "tests fail by panicking and tell what they saw")]

use magsentinel_bus_schema::{Analysis, Assessment, decision::Claim};
use magsentinel_commander::{
    knowledge::{Known, techniques_of},
    playbook::{Limits, write},
};
use std::{fmt::Write as _, path::PathBuf};

const LIMITS: Limits = Limits { events_max: 64, excerpt_chars: 300 };

/// What this build knows by itself.
fn shipped(a: &Assessment) -> Known {
    Known::shipped(&techniques_of(a, 16).0)
}

/// Asked for at run time: the build may have happened in another checkout.
fn folder() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    PathBuf::from(package).join("tests")
}

fn assessment(case: &str) -> Assessment {
    let path = folder().join(format!("cases/{case}.json"));
    let text = std::fs::read_to_string(&path).expect("the case file");
    serde_json::from_str(&text).expect("the case is an assessment")
}

fn report(a: &Analysis) -> String {
    let mut out = format!("level {}, attribution {}\n", a.level, a.attribution_confidence);
    let mut part = |name: &str, claims: &[Claim]| {
        let _ = writeln!(out, "\n== {name}");
        for claim in claims {
            let cites: Vec<String> =
                claim.cites.iter().map(|id| id.to_string()[..8].to_owned()).collect();
            let _ = writeln!(out, "* {} [{}]", claim.text, cites.join(" "));
        }
    };
    part("attack vector", std::slice::from_ref(&a.attack_vector));
    part("chain", &a.chain);
    part("blast radius", &a.blast_radius);
    part("attribution", std::slice::from_ref(&a.attribution));
    part("remediation", &a.remediation);
    part("prevention", &a.prevention);
    let _ = writeln!(out, "\n== executive\n{}\n\n== technical\n{}", a.executive, a.technical);
    let _ = writeln!(out, "\nomitted {}", a.omitted);
    for left in &a.left_out {
        let _ = writeln!(out, "left out: {left}");
    }
    out
}

fn compare(case: &str) {
    let a = assessment(case);
    let analysis = write(&a, &shipped(&a), LIMITS).expect("an analysis");
    let found = report(&analysis);
    let path = folder().join(format!("golden/{case}.txt"));
    if std::env::var("MAGSENTINEL_GOLDEN").is_ok_and(|v| v == "write") {
        std::fs::write(&path, &found).expect("written");
    }
    let want = std::fs::read_to_string(&path).expect("the golden file");
    assert_eq!(found, want, "{case}: the report differs from {}", path.display());
}

#[test]
fn an_injection_that_turns_into_a_dump() {
    compare("injection_and_dump");
}

#[test]
fn an_injection() {
    compare("injection");
}

#[test]
fn a_bulk_read_by_an_insider() {
    compare("bulk");
}

#[test]
fn an_attack_type_without_a_template_of_its_own() {
    compare("unknown_type");
}

#[test]
fn what_is_not_in_the_evidence_is_not_in_the_report() {
    let mut a = assessment("injection");
    let with = report(&write(&a, &shipped(&a), LIMITS).expect("an analysis"));
    assert!(!with.contains("rows") || with.contains("changed rows"), "{with}");
    for e in &mut a.evidence {
        e.entities.clear();
    }
    let without = report(&write(&a, &shipped(&a), LIMITS).expect("an analysis"));
    assert!(!without.contains("shop_web") && without.contains("No attribution"), "{without}");
}

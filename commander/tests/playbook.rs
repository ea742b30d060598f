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
    let _ = writeln!(out, "\n== suggested");
    for s in &a.suggested {
        let (verb, target) = (s.effect.verb(), &s.target);
        let cites = s.cites.len();
        let _ = writeln!(
            out,
            "* {verb} {} {} ({:?}), {:?}, {cites} cited: {}",
            target.class, target.value, target.trust, s.mode, s.reason
        );
    }
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

/// Every attack type of the shipped chains, but for those above.
const SHIPPED: [&str; 13] = [
    "account_takeover",
    "beacon_upload",
    "brute_force_takeover",
    "distributed_login_attack",
    "extension_exfiltration",
    "intrusion",
    "iot_botnet",
    "key_abuse",
    "login_attack",
    "multi_vector",
    "slow_drain",
    "takeover_abuse",
    "web_attack",
];

#[test]
fn every_shipped_attack_type() {
    SHIPPED.iter().for_each(|case| compare(case));
}

/// A chain that is added to the book without a template is told here, not by an operator.
#[test]
fn every_attack_type_of_the_shipped_book_has_words_of_its_own() {
    let book = folder().join("../../analyzer/chains");
    let mut told: Vec<String> = Vec::new();
    for file in std::fs::read_dir(book).expect("the book") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("a chain");
        let types = text.lines().filter_map(|line| line.trim().strip_prefix("attack_type: "));
        told.extend(types.map(str::to_owned));
    }
    assert!(told.len() >= 16, "{told:?}");
    let generic = with_type("odd");
    for attack in told {
        let own = with_type(&attack);
        assert_ne!(own.executive, generic.executive.replace("odd", &attack.replace('_', " ")));
        assert!(own.remediation != generic.remediation, "{attack} is told in general words");
        assert!(own.prevention != generic.prevention, "{attack} is told in general words");
    }
}

fn with_type(attack: &str) -> Analysis {
    let mut a = assessment("injection_and_dump");
    a.attack_type = attack.parse().expect("a token");
    write(&a, &shipped(&a), LIMITS).expect("an analysis")
}

/// Nobody is to suspend the accounts that somebody guesses at.
#[test]
fn who_is_guessed_at_is_not_contained() {
    let a = assessment("login_attack");
    let analysis = write(&a, &shipped(&a), LIMITS).expect("an analysis");
    let named = |text: &str| text.contains("j.lindt");
    assert!(!analysis.remediation.iter().any(|claim| named(&claim.text)), "{analysis:#?}");
    assert!(!analysis.suggested.iter().any(|s| named(&s.target.value)), "{analysis:#?}");
    assert!(analysis.suggested.iter().any(|s| s.target.value == "203.0.113.44"));
}

#[test]
fn what_was_decided_and_done_before_is_told() {
    let a = assessment("injection");
    let entry = magsentinel_commander::knowledge::audit::Entry {
        at: a.first,
        text: "An operator judged the incident a true-positive".to_owned(),
        quote: "seen\nby Dana".to_owned(),
    };
    let known = Known { audit: vec![entry], ..shipped(&a) };
    let analysis = write(&a, &known, LIMITS).expect("an analysis");
    let told = "An operator judged the incident a true-positive. Words (untrusted text): \
                \"seen by Dana\"";
    assert!(analysis.technical.contains(told), "{}", analysis.technical);
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

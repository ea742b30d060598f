//! Bundles are swapped in, and what cannot be used changes nothing.

use super::fixture::{alone, blueprint, bundle, found, scorer};
use magsentinel_patrol::bundle::Bundle;
use serde_json::json;

#[test]
fn a_bundle_is_used_from_the_next_batch_on_and_taken_back() {
    let _alone = alone();
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
    let _alone = alone();
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

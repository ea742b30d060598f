//! Models that must load, and those that must not.

use crate::patrols::{TABLE, find};
use magsentinel_inference::{Config, Error, Input, Model, Rows, Runtime, Source};
use std::path::{Path, PathBuf};

fn runtime() -> Runtime {
    Runtime::of(&Config::default()).unwrap()
}

fn source(dir: &Path, onnx: &[u8], selftest: &str) -> Result<Source, Error> {
    let path = dir.join("m.onnx");
    std::fs::write(&path, onnx).unwrap();
    std::fs::write(dir.join("m.selftest.json"), selftest).unwrap();
    Source::read("m", TABLE[0].spec.model, Some(&path))
}

#[test]
fn every_embedded_model_passes_and_its_batches_agree() {
    for entry in TABLE {
        let spec = entry.spec;
        let source = Source::read(spec.name, spec.model, None).unwrap();
        let mut model = Model::load(&runtime(), &source, spec.input).unwrap();
        let mut rows = Rows::new(spec.input);
        for number in 0..70 {
            match spec.input {
                Input::Ids(_) => rows.ids().iter_mut().enumerate().for_each(|(at, to)| {
                    *to = i32::try_from((at * 37 + number * 101) % 16_000).unwrap();
                }),
                Input::Values(_) => rows.values().iter_mut().enumerate().for_each(|(at, to)| {
                    *to = ((at * 7 + number) % 13) as f32 / 3.0;
                }),
            }
        }
        let mut together = Vec::new();
        model.run(&rows, &mut together).unwrap();
        assert_eq!(together.len(), 70);
        rows.truncate(1);
        let mut one = Vec::new();
        model.run(&rows, &mut one).unwrap();
        assert_eq!(one.len(), 1);
        assert!((one[0] - together[0]).abs() < 1e-5, "{}", spec.name);
    }
}

#[test]
fn every_patrol_has_a_card_that_names_its_sources_and_licences() {
    let models = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("models");
    for entry in TABLE {
        let name = entry.spec.name;
        let read = |ending: &str| {
            let file = models.join(format!("{name}.{ending}"));
            std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        };
        let card = read("md");
        for heading in ["\n**Purpose.**", "\n## Data", "\n## Results", "\n## Limits"] {
            assert!(card.contains(heading), "{name}.md has no {heading:?}");
        }
        let sources: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&read("sources.json")).unwrap();
        for (source, what) in &sources {
            let licence = what["licence"].as_str().unwrap();
            assert!(licence == "own" || card.contains(source.as_str()), "{name}.md: {source}");
            assert!(licence == "own" || card.contains(licence), "{name}.md: {source}: {licence}");
        }
    }
}

#[test]
fn a_model_that_cannot_be_right_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let guard = find("sql-guard").unwrap().spec;
    let flow = find("data-flow").unwrap().spec;
    let missing = Source::read("m", guard.model, Some(Path::new("/nowhere/m.onnx"))).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/m.onnx"), "{missing}");

    let load = |onnx: &[u8], test: &str| {
        let source = source(dir.path(), onnx, test)?;
        Model::load(&runtime(), &source, guard.input).map(|_| ())
    };
    let good = guard.model.onnx;
    load(good, guard.model.selftest).unwrap();
    for corrupt in [&b""[..], b"not a model", &good[..100], &good[..good.len() / 2], &good[1..]] {
        let error = load(corrupt, guard.model.selftest).unwrap_err();
        assert!(matches!(error, Error::Load { .. } | Error::Shape { .. }), "{error}");
    }
    let other = load(flow.model.onnx, guard.model.selftest).unwrap_err();
    assert!(other.to_string().contains("its input is \"x\", expected \"ids\""), "{other}");
    let drifted = guard.model.selftest.replacen("\"score\": 0.", "\"score\": 1.", 1);
    let error = load(good, &drifted).unwrap_err();
    assert!(error.to_string().contains("self test: row"), "{error}");
    for test in ["", "[]", "{}", "[{\"body\":{},\"x\":[1],\"score\":0}]"] {
        assert!(matches!(load(good, test), Err(Error::SelfTest { .. })), "{test}");
    }
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let path = PathBuf::from("/nowhere/libonnxruntime.so");
    let other = Config { onnxruntime: Some(path.clone()), ..Config::default() };
    let error = Runtime::of(&other).unwrap_err();
    assert!(matches!(&error, Error::Library { path: named, .. } if *named == path), "{error}");
    assert!(error.to_string().contains("no such file"), "{error}");
}

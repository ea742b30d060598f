//! Models that must load, and those that must not.

use super::*;
use crate::patrols::{TABLE, find};

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
fn a_symbolic_width_leaves_out_padding_and_nothing_else() {
    let mut ids = vec![0; 3 * 64];
    ids[..20].fill(7);
    ids[64..64 + 33].fill(8);
    let mut out = Vec::new();
    assert_eq!(rows::trim(&ids, 64, &mut out), 48);
    assert_eq!(out.iter().sum::<i32>(), ids.iter().sum::<i32>());
    assert_eq!((out.len(), out[48]), (3 * 48, 8));
    ids[127] = 9;
    assert_eq!(rows::trim(&ids, 64, &mut out), 64);

    // The embedded model with its width made symbolic, if it is not yet: the dimension's tag and
    // value become a name of the same length. It passes its self test, so the scores stay.
    let guard = find("sql-guard").unwrap().spec;
    let (fixed, named) = (*b"\x0a\x03\x08\x80\x02", *b"\x0a\x03\x12\x01W");
    let mut onnx = guard.model.onnx.to_vec();
    if let Some(at) = onnx.windows(5).rposition(|part| part == fixed) {
        onnx[at..at + 5].copy_from_slice(&named);
    }
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path(), &onnx, guard.model.selftest).unwrap();
    assert!(Model::load(&runtime(), &source, guard.input).unwrap().trims);
}

#[test]
fn one_process_has_one_backend() {
    let tract = runtime();
    let other = Config {
        onnxruntime: Some(PathBuf::from("/nowhere/libonnxruntime.so")),
        ..Config::default()
    };
    let error = Runtime::of(&other).unwrap_err();
    assert!(matches!(&error, Error::Chosen { running, .. } if running == tract.name()), "{error}");
    assert!(native(Path::new("/nowhere/lib.so")).unwrap_err().to_string().contains("no such file"));
}

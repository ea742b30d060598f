//! Which sources a model was trained on, and further models that were not trained on one.
//!
//! Training writes both: `<patrol>.sources.json` beside a model names its sources, and nothing
//! else does.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The labels of a source's rows that were in training; `None` is all of them.
type Labels = Option<BTreeSet<i64>>;

/// A model and the sources that it was trained on.
struct Model {
    /// Its file; `None` is the one in the program.
    file: Option<PathBuf>,
    sources: BTreeMap<String, Labels>,
}

/// The models of a patrol or of the analyzer, the shipped one first.
pub(crate) struct Models {
    /// Empty where the training of the shipped one left no list.
    all: Vec<Model>,
}

/// What of a source a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trained<'a> {
    /// Nothing says so.
    Unknown,
    /// None of it.
    Never,
    /// Its rows, or those of some labels.
    On(&'a Labels),
}

impl Trained<'_> {
    /// Whether it was trained on rows of a label; `None` where nothing says so.
    pub(crate) fn on(self, label: i64) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Never => Some(false),
            Self::On(labels) => Some(labels.as_ref().is_none_or(|known| known.contains(&label))),
        }
    }

    /// Whether it was trained on any row of it; `None` where nothing says so.
    pub(crate) fn ever(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Never => Some(false),
            Self::On(_) => Some(true),
        }
    }
}

/// The model that judges a source.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    /// Its file; `None` is the one in the program.
    pub(crate) file: Option<&'a Path>,
    /// What of the source it was trained on.
    pub(crate) trained: Trained<'a>,
}

impl Models {
    /// Reads the lists of the shipped model and of those in `left_out/<name>`.
    pub(crate) fn find(models: &Path, left_out: Option<&Path>, name: &str) -> Result<Self> {
        let Some(sources) = sources_of(&models.join(format!("{name}.sources.json")))? else {
            return Ok(Self { all: Vec::new() });
        };
        // That in the folder, so that one which is not in the program yet can be judged.
        let file = Some(models.join(format!("{name}.onnx"))).filter(|file| file.is_file());
        let mut all = vec![Model { file, sources }];
        let folder = left_out.map(|folder| folder.join(name)).filter(|folder| folder.is_dir());
        if let Some(folder) = folder {
            let files = fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path()));
            let mut files = files.collect::<Result<Vec<_>, _>>()?;
            files.sort();
            for file in files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "onnx")) {
                let list = sources_of(&file.with_extension("sources.json"))?;
                let sources = list.with_context(|| format!("{}: no list", file.display()))?;
                all.push(Model { file: Some(file), sources });
            }
        }
        Ok(Self { all })
    }

    /// The first that was not trained on the source, else the shipped one.
    pub(crate) fn for_source(&self, source: &str) -> Judge<'_> {
        if self.all.is_empty() {
            return Judge { file: None, trained: Trained::Unknown };
        }
        match self.all.iter().find(|model| !model.sources.contains_key(source)) {
            Some(model) => Judge { file: model.file.as_deref(), trained: Trained::Never },
            None => {
                let shipped = self.all.first();
                let labels = shipped.and_then(|model| model.sources.get(source));
                let file = shipped.and_then(|model| model.file.as_deref());
                Judge { file, trained: labels.map_or(Trained::Never, Trained::On) }
            }
        }
    }
}

/// Of each source what is said: `{"licence", "rows"}`, and `labels` where rows of others were left
/// out.
#[derive(Deserialize)]
struct Source {
    labels: Labels,
}

fn sources_of(file: &Path) -> Result<Option<BTreeMap<String, Labels>>> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)?;
    let list: BTreeMap<String, Source> =
        serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    Ok(Some(list.into_iter().map(|(name, source)| (name, source.labels)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_judged_by_a_model_that_never_saw_it() {
        let sources = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), None)).collect();
        let models = Models {
            all: vec![
                Model { file: None, sources: sources(&["a", "b"]) },
                Model { file: Some("no-b.onnx".into()), sources: sources(&["a"]) },
            ],
        };
        let judge = |source| {
            let Judge { file, trained } = models.for_source(source);
            (file.map(|file| file.display().to_string()), trained.ever())
        };
        assert_eq!(judge("c"), (None, Some(false)));
        assert_eq!(judge("b"), (Some("no-b.onnx".to_owned()), Some(false)));
        assert_eq!(judge("a"), (None, Some(true)));
        let none = Models { all: Vec::new() };
        assert_eq!(none.for_source("a").trained.on(1), None);
    }

    #[test]
    fn rows_that_were_left_out_of_training_were_not_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let list = r#"{"a": {"licence": "MIT", "rows": 7, "labels": [0]}, "b": {"rows": 1}}"#;
        fs::write(folder.path().join("x.sources.json"), list).unwrap();
        let models = Models::find(folder.path(), None, "x").unwrap();
        let trained = |source, label| models.for_source(source).trained.on(label);
        assert_eq!((trained("a", 0), trained("a", 1)), (Some(true), Some(false)));
        assert_eq!((trained("b", 0), trained("b", 1)), (Some(true), Some(true)));
        assert_eq!(trained("c", 1), Some(false));
        assert!(models.for_source("a").file.is_none(), "the folder holds none");
        let model = folder.path().join("x.onnx");
        fs::write(&model, "").unwrap();
        let models = Models::find(folder.path(), None, "x").unwrap();
        assert_eq!(models.for_source("a").file, Some(model.as_path()));
        assert_eq!(models.for_source("c").file, Some(model.as_path()));
    }
}

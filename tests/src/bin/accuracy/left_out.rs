//! Which sources a model was trained on, and further models that were not trained on one.
//!
//! Training writes both: `<patrol>.sources.json` beside a model names its sources, and nothing
//! else does.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A model and the sources that it was trained on.
struct Model {
    /// Its file; `None` is the one in the program.
    file: Option<PathBuf>,
    sources: BTreeSet<String>,
}

/// The models of a patrol or of the analyzer, the shipped one first.
pub(crate) struct Models {
    /// Empty where the training of the shipped one left no list.
    all: Vec<Model>,
}

/// The model that judges a source.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    /// Its file; `None` is the one in the program.
    pub(crate) file: Option<&'a Path>,
    /// Whether it was trained on the source; `None` where nothing says so.
    pub(crate) trained: Option<bool>,
}

impl Models {
    /// Reads the lists of the shipped model and of those in `left_out/<name>`.
    pub(crate) fn find(models: &Path, left_out: Option<&Path>, name: &str) -> Result<Self> {
        let Some(sources) = sources_of(&models.join(format!("{name}.sources.json")))? else {
            return Ok(Self { all: Vec::new() });
        };
        let mut all = vec![Model { file: None, sources }];
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
            return Judge { file: None, trained: None };
        }
        match self.all.iter().find(|model| !model.sources.contains(source)) {
            Some(model) => Judge { file: model.file.as_deref(), trained: Some(false) },
            None => Judge { file: None, trained: Some(true) },
        }
    }
}

fn sources_of(file: &Path) -> Result<Option<BTreeSet<String>>> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)?;
    let list: Map<String, Value> =
        serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    Ok(Some(list.into_iter().map(|(source, _)| source).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_judged_by_a_model_that_never_saw_it() {
        let sources = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let models = Models {
            all: vec![
                Model { file: None, sources: sources(&["a", "b"]) },
                Model { file: Some("no-b.onnx".into()), sources: sources(&["a"]) },
            ],
        };
        let judge = |source| {
            let Judge { file, trained } = models.for_source(source);
            (file.map(|file| file.display().to_string()), trained)
        };
        assert_eq!(judge("c"), (None, Some(false)));
        assert_eq!(judge("b"), (Some("no-b.onnx".to_owned()), Some(false)));
        assert_eq!(judge("a"), (None, Some(true)));
        let none = Models { all: Vec::new() };
        assert_eq!(none.for_source("a").trained, None);
    }
}

//! A bundle: a model, patterns, or both, to be used instead of what is built in.

use crate::{
    inference::{self, Source},
    patrols::Entry,
    patterns,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// What is put into the object store for a patrol, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Version of this form.
    pub v: u16,
    /// The patrol.
    pub patrol: String,
    /// A model; without one the model stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<BundledModel>,
    /// All patterns, by file name; without any the patterns stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patterns: Option<Vec<(String, String)>>,
}

/// A model with the rows that it must score as published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledModel {
    /// The ONNX file, base64.
    pub onnx: String,
    /// Its self test.
    pub selftest: Value,
}

/// Version of [`Bundle`].
const VERSION: u16 = 1;

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Read(String),
    /// It is for another patrol.
    #[error("the bundle is for {0}")]
    Other(String),
    /// Its model.
    #[error(transparent)]
    Inference(#[from] inference::Error),
    /// Its patterns.
    #[error(transparent)]
    Patterns(#[from] patterns::Error),
}

impl Bundle {
    /// Makes a bundle from files: an ONNX file with its self test beside it, and a directory of
    /// Sigma rules.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_files(
        entry: &Entry,
        model: Option<&Path>,
        rules: Option<&Path>,
    ) -> Result<Self, Error> {
        let source = model.map(|path| Source::read(entry.spec.name, entry.spec.model, Some(path)));
        let model = match source.transpose()? {
            Some(source) => {
                let selftest = serde_json::from_str(source.selftest());
                let selftest = selftest.map_err(|e| Error::Read(e.to_string()))?;
                Some(BundledModel { onnx: STANDARD.encode(source.onnx()), selftest })
            }
            None => None,
        };
        let patterns = rules.map(patterns::read_dir).transpose()?;
        Ok(Self { v: VERSION, patrol: entry.spec.name.to_owned(), model, patterns })
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|e| Error::Read(e.to_string()))
    }

    /// A patrol's bundle from its bytes.
    ///
    /// # Errors
    /// When the bytes are none, of another version, or for another patrol.
    pub fn read(patrol: &str, bytes: &[u8]) -> Result<Self, Error> {
        let bundle: Self = serde_json::from_slice(bytes).map_err(|e| Error::Read(e.to_string()))?;
        if bundle.v != VERSION {
            return Err(Error::Read(format!("its form is of version {}", bundle.v)));
        }
        if bundle.patrol != patrol {
            return Err(Error::Other(bundle.patrol));
        }
        Ok(bundle)
    }

    /// Its model, not yet loaded.
    pub(crate) fn source(&self, name: &str) -> Result<Option<Source>, Error> {
        let Some(model) = &self.model else { return Ok(None) };
        let onnx = STANDARD.decode(&model.onnx).map_err(|e| Error::Read(e.to_string()))?;
        Ok(Some(Source::new(name, onnx, model.selftest.to_string())?))
    }
}

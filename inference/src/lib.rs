//! Small ONNX models: loaded, checked and run, by tract, which is compiled in, or by the native ONNX
//! Runtime, loaded from the shared library that [`Config::onnxruntime`] names. Both give the
//! same scores within [`TOLERANCE`]; every model proves it on its self-test rows when loaded.

mod native;
mod port;
mod rows;
mod selftest;
mod tract;

pub use rows::{Input, Row, Rows};
pub use selftest::{Row as SelfTestRow, TOLERANCE};

use magsentinel_runtime::{bundle::BundleConfig, settings::Section};
use ort::environment::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

/// Section `inference`: how models are run, the same for everything in the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path of a native ONNX Runtime library (`libonnxruntime.so`, 1.24 or later). Default: none,
    /// which runs models with tract, built in: slower per event, smaller in memory.
    pub onnxruntime: Option<PathBuf>,
    /// Models and patterns that are published while the mesh runs.
    pub bundles: BundleConfig,
}

impl Section for Config {
    const NAME: &'static str = "inference";

    fn problems(&self) -> Vec<String> {
        self.bundles.problems().into_iter().map(|problem| format!("bundles.{problem}")).collect()
    }
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The native library cannot be loaded.
    #[error(
        "ONNX Runtime at {} cannot be loaded: {why}; correct inference.onnxruntime, or remove it \
         to use the built-in tract", path.display()
    )]
    Library {
        /// The configured path.
        path: PathBuf,
        /// What the loader said.
        why: String,
    },
    /// The process already runs another native library.
    #[error(
        "this process already runs models with {}, not with {}: start another",
        running.display(), wanted.display()
    )]
    Chosen {
        /// What runs.
        running: PathBuf,
        /// What was asked for.
        wanted: PathBuf,
    },
    /// A file cannot be read.
    #[error("{} cannot be read; correct the `model` in its section", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are no model that the backend can run.
    #[error("model {model} cannot be loaded: {why}; it is corrupt or no ONNX model")]
    Load {
        /// The model.
        model: String,
        /// What the backend said.
        why: String,
    },
    /// The model takes or gives something else.
    #[error("model {model} does not fit: {why}")]
    Shape {
        /// The model.
        model: String,
        /// What differs.
        why: String,
    },
    /// The model does not give the scores that it was published with.
    #[error("model {model} fails its self test: {why}; publish model and self test together")]
    SelfTest {
        /// The model.
        model: String,
        /// The first difference.
        why: String,
    },
    /// Running failed.
    #[error("model {model} cannot be run: {why}")]
    Run {
        /// The model.
        model: String,
        /// What the backend said.
        why: String,
    },
}

/// What runs models. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    name: String,
    library: Option<Environment>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Runtime {
    /// The backend that the configuration names. A process can load one native library; asking
    /// for a second is an error.
    pub fn of(config: &Config) -> Result<Self, Error> {
        Ok(match &config.onnxruntime {
            None => Self { name: "tract".to_owned(), library: None },
            Some(path) => Self {
                name: format!("onnxruntime {}", path.display()),
                library: Some(native::library(path)?),
            },
        })
    }

    /// `tract`, or `onnxruntime PATH`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn session(&self, bytes: &[u8]) -> Result<Session, String> {
        match &self.library {
            None => tract::Session::new(bytes).map(Session::Tract),
            Some(library) => native::Session::new(library, bytes).map(Session::Native),
        }
    }
}

/// A model in the hands of a backend.
#[derive(Debug)]
enum Session {
    Tract(tract::Session),
    Native(native::Session),
}

impl Session {
    fn check(&self, input: Input) -> Result<(), String> {
        match self {
            Self::Tract(it) => port::check(&it.inputs(), &it.outputs(), input),
            Self::Native(it) => port::check(&it.inputs(), &it.outputs(), input),
        }
    }

    fn run(&mut self, part: Row<'_>, count: usize, scores: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::Tract(it) => it.run(part, count, scores),
            Self::Native(it) => it.run(part, count, scores),
        }
    }
}

/// Where a model's bytes come from.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The ONNX file.
    pub onnx: &'static [u8],
    /// Its self test, JSON.
    pub selftest: &'static str,
}

/// A model's bytes and its self test, read but not yet loaded.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    onnx: Cow<'static, [u8]>,
    selftest: Cow<'static, str>,
    rows: Vec<SelfTestRow>,
    digest: String,
}

impl Source {
    /// The embedded model, or the file at `path`, whose self test lies beside it with the
    /// ending `.selftest.json` instead of `.onnx`.
    pub fn read(name: &str, embedded: Embedded, path: Option<&Path>) -> Result<Self, Error> {
        let (name, onnx, selftest) = match path {
            None => {
                let selftest = Cow::Borrowed(embedded.selftest);
                (name.to_owned(), Cow::Borrowed(embedded.onnx), selftest)
            }
            Some(path) => {
                let beside = path.with_extension("selftest.json");
                let unread = |path: &Path, source| Error::File { path: path.to_owned(), source };
                let onnx = std::fs::read(path).map_err(|e| unread(path, e))?;
                let test = std::fs::read_to_string(&beside).map_err(|e| unread(&beside, e))?;
                (path.display().to_string(), Cow::Owned(onnx), Cow::Owned(test))
            }
        };
        Self::of(name, onnx, selftest)
    }

    /// A model from its bytes and its self test.
    pub fn new(name: &str, onnx: Vec<u8>, selftest: String) -> Result<Self, Error> {
        Self::of(name.to_owned(), Cow::Owned(onnx), Cow::Owned(selftest))
    }

    fn of(
        name: String,
        onnx: Cow<'static, [u8]>,
        selftest: Cow<'static, str>,
    ) -> Result<Self, Error> {
        let rows = selftest::read(&name, &selftest)?;
        let digest = digest_of(&[&onnx]);
        Ok(Self { name, onnx, selftest, rows, digest })
    }

    /// The ONNX file.
    #[must_use]
    pub fn onnx(&self) -> &[u8] {
        &self.onnx
    }

    /// The self test, JSON.
    #[must_use]
    pub fn selftest(&self) -> &str {
        &self.selftest
    }

    /// First 16 hexadecimal digits of the SHA-256 of the model's bytes.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The self-test rows.
    #[must_use]
    pub fn rows(&self) -> &[SelfTestRow] {
        &self.rows
    }
}

/// First 16 hexadecimal digits of the SHA-256 of some bytes.
#[must_use]
pub fn digest_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A loaded model that has passed its self test.
pub struct Model {
    name: String,
    input: Input,
    session: Session,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).field("input", &self.input).finish()
    }
}

impl Model {
    /// Loads a model, checks its input and output, and runs its self test.
    pub fn load(runtime: &Runtime, source: &Source, input: Input) -> Result<Self, Error> {
        let name = source.name.clone();
        let session = runtime
            .session(&source.onnx)
            .map_err(|why| Error::Load { model: name.clone(), why })?;
        session.check(input).map_err(|why| Error::Shape { model: name.clone(), why })?;
        let mut model = Self { name, input, session };
        selftest::run(&mut model, &source.rows)?;
        Ok(model)
    }

    /// What it takes.
    #[must_use]
    pub fn input(&self) -> Input {
        self.input
    }

    /// Scores all rows: one number per row into `scores`, which is cleared first. A score may
    /// be anything that the model computes, so the caller checks it.
    pub fn run(&mut self, rows: &Rows, scores: &mut Vec<f32>) -> Result<(), Error> {
        scores.clear();
        while scores.len() < rows.len() {
            let count = (rows.len() - scores.len()).min(ROWS_AT_ONCE);
            let run = self.run_part(rows.part(scores.len(), count), count, scores);
            run.map_err(|why| Error::Run { model: self.name.clone(), why })?;
        }
        Ok(())
    }

    fn run_part(
        &mut self,
        part: Row<'_>,
        count: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), String> {
        if !self.input.takes(part) {
            return Err("the rows are of another type than its input".to_owned());
        }
        let before = scores.len();
        self.session.run(part, count, scores)?;
        match scores.len() - before {
            found if found == count => Ok(()),
            found => Err(format!("{found} scores for {count} rows")),
        }
    }
}

/// Most rows in one run of a model: its scratch memory is bounded whatever a batch holds.
const ROWS_AT_ONCE: usize = 64;

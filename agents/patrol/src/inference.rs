//! The models: loaded, checked and run through ort. The only module that names it.
//!
//! ort speaks to one backend per process: tract, which is compiled in, or the native ONNX
//! Runtime, loaded from the shared library that [`Config::onnxruntime`] names. Both give the
//! same scores within [`TOLERANCE`]; every model proves it on its self-test rows when loaded.

mod rows;
mod selftest;

pub use rows::{Input, Row, Rows};
pub use selftest::{Row as SelfTestRow, TOLERANCE};

use magsentinel_runtime::{bundle::BundleConfig, settings::Section};
use ort::{
    environment::Environment,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{TensorElementType, TensorRef, ValueType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
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
    /// The process already runs another backend.
    #[error("this process already runs models with {running}, not with {wanted}: start another")]
    Chosen {
        /// What runs.
        running: String,
        /// What was asked for.
        wanted: String,
    },
    /// A file cannot be read.
    #[error("{} cannot be read; correct the patrol's `model`", path.display())]
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

/// The process's backend. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    name: String,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

static CHOSEN: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// The backend that the configuration names. The first call in a process decides for good;
    /// a later one that asks for another backend is an error.
    pub fn of(config: &Config) -> Result<Self, Error> {
        let wanted = match &config.onnxruntime {
            Some(path) => format!("onnxruntime {}", path.display()),
            None => "tract".to_owned(),
        };
        let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = chosen.as_ref() {
            if running.name == wanted {
                return Ok(running.clone());
            }
            return Err(Error::Chosen { running: running.name.clone(), wanted });
        }
        let environment = match &config.onnxruntime {
            Some(path) => native(path)?,
            None => tract()?,
        };
        let runtime = Self { environment, name: wanted };
        *chosen = Some(runtime.clone());
        Ok(runtime)
    }

    /// `tract`, or `onnxruntime PATH`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn session(&self, bytes: &[u8]) -> Result<Session, ort::Error> {
        let builder = SessionBuilder::new(&self.environment)?;
        // tract has one thread and refuses the option; what it does not know does no harm.
        let builder = builder.with_intra_threads(1).unwrap_or_else(ort::Error::recover);
        let builder = builder.with_intra_op_spinning(false).unwrap_or_else(ort::Error::recover);
        let all = GraphOptimizationLevel::All;
        let mut builder = builder.with_optimization_level(all).unwrap_or_else(ort::Error::recover);
        builder.commit_from_memory(bytes)
    }
}

fn tract() -> Result<Environment, Error> {
    let failed = |why: String| Error::Load { model: "tract".to_owned(), why };
    if !ort::set_api(ort_tract::api()) {
        return Err(failed("another part of this process has already chosen a backend".to_owned()));
    }
    ort::init().with_telemetry(false).build().map_err(|e| failed(e.to_string()))
}

fn native(path: &Path) -> Result<Environment, Error> {
    let failed = |why: String| Error::Library { path: path.to_owned(), why };
    // A relative path would be looked up beside the executable first.
    let whole = std::path::absolute(path).map_err(|e| failed(e.to_string()))?;
    if !whole.is_file() {
        return Err(failed("there is no such file".to_owned()));
    }
    let builder = ort::init_from(&whole).map_err(|e| failed(e.to_string()))?;
    builder.with_telemetry(false).build().map_err(|e| failed(e.to_string()))
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
pub(crate) fn digest_of(parts: &[&[u8]]) -> String {
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
    /// The width of its input is symbolic, so the padding that all rows share can be left out.
    trims: bool,
    trimmed: Vec<i32>,
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
            .map_err(|e| Error::Load { model: name.clone(), why: e.to_string() })?;
        let trims =
            check(&session, input).map_err(|why| Error::Shape { model: name.clone(), why })?;
        let mut model = Self { name, input, session, trims, trimmed: Vec::new() };
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
        let width = self.input.width();
        let tensor = match (part, self.input) {
            (Row::Ids(mut part), Input::Ids(_)) => {
                let mut columns = width;
                if self.trims {
                    columns = rows::trim(part, width, &mut self.trimmed);
                    part = &self.trimmed;
                }
                TensorRef::from_array_view(([count, columns], part)).map(|t| t.into_dyn())
            }
            (Row::Values(part), Input::Values(_)) => {
                TensorRef::from_array_view(([count, width], part)).map(|t| t.into_dyn())
            }
            _ => return Err("the rows are of another type than its input".to_owned()),
        };
        let tensor = tensor.map_err(|e| e.to_string())?;
        // By name: ort 2.0.0-rc.14 never frees what it makes of inputs that are given by position,
        // some 280 bytes a run. (With tract, 56 bytes a run stay lost: the type of the output.)
        let named = ort::inputs![self.input.name() => tensor];
        let run = self.session.run(named).map_err(|e| e.to_string())?;
        let output = run.get(OUTPUT).ok_or("it gave no score")?;
        let (_, found) = output.try_extract_tensor::<f32>().map_err(|e| e.to_string())?;
        if found.len() != count {
            return Err(format!("{} scores for {count} rows", found.len()));
        }
        scores.extend_from_slice(found);
        Ok(())
    }
}

/// Most rows in one run of a model: its scratch memory is bounded whatever a batch holds.
const ROWS_AT_ONCE: usize = 64;

/// Name of every model's output: float32 `[N, 1]`.
const OUTPUT: &str = "score";

/// What differs between a model's declared input and output and ours; whether the width of its
/// input is symbolic.
fn check(session: &Session, input: Input) -> Result<bool, String> {
    let [found] = session.inputs() else {
        return Err(format!("it has {} inputs, expected one", session.inputs().len()));
    };
    if found.name() != input.name() {
        return Err(format!("its input is {:?}, expected {:?}", found.name(), input.name()));
    }
    let width = i64::try_from(input.width()).unwrap_or(i64::MAX);
    let columns = columns_of(found.dtype(), input.element());
    let columns = columns.map_err(|why| format!("its input {why}"))?;
    let symbolic = columns < 1 && matches!(input, Input::Ids(_));
    if columns != width && !symbolic {
        return Err(format!("its input has {columns} columns, expected {width}"));
    }
    let Some(score) = session.outputs().iter().find(|o| o.name() == OUTPUT) else {
        let names: Vec<_> = session.outputs().iter().map(|o| o.name().to_owned()).collect();
        return Err(format!("its outputs are {names:?}, expected {OUTPUT:?}"));
    };
    match columns_of(score.dtype(), TensorElementType::Float32) {
        Ok(1) => Ok(symbolic),
        Ok(columns) => Err(format!("its output has {columns} columns, expected 1")),
        Err(why) => Err(format!("its output {why}")),
    }
}

/// The second dimension of a tensor of two, the first being the batch, which must not be fixed.
fn columns_of(found: &ValueType, element: TensorElementType) -> Result<i64, String> {
    let ValueType::Tensor { ty, shape, .. } = found else {
        return Err(format!("is {found:?}, expected a tensor"));
    };
    // A dimension below 1 is symbolic.
    match shape.iter().as_slice() {
        [batch, columns] if *ty == element && *batch < 1 => Ok(*columns),
        _ => Err(format!("is {ty:?} {shape}, expected {element:?} [N, columns]")),
    }
}

#[cfg(test)]
mod tests;

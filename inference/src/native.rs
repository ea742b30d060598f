//! Models run by the native ONNX Runtime, through ort. The only module that names it.
//!
//! ort binds to one shared library per process, for good.

use crate::{
    Error, Row,
    port::{Element, OUTPUT, Port},
};
use ort::{
    environment::Environment,
    session::builder::{GraphOptimizationLevel, SessionBuilder},
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The library at `path`. The first call in a process decides for good; a later one that asks
/// for another library is an error.
pub(crate) fn library(path: &Path) -> Result<Environment, Error> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match loaded.as_ref() {
        Some((running, environment)) if running == path => Ok(environment.clone()),
        Some((running, _)) => {
            Err(Error::Chosen { running: running.clone(), wanted: path.to_owned() })
        }
        None => {
            let environment = load(path)?;
            *loaded = Some((path.to_owned(), environment.clone()));
            Ok(environment)
        }
    }
}

fn load(path: &Path) -> Result<Environment, Error> {
    let failed = |why: String| Error::Library { path: path.to_owned(), why };
    // A relative path would be looked up beside the executable first.
    let whole = std::path::absolute(path).map_err(|e| failed(e.to_string()))?;
    if !whole.is_file() {
        return Err(failed("there is no such file".to_owned()));
    }
    let builder = ort::init_from(&whole).map_err(|e| failed(e.to_string()))?;
    builder.with_telemetry(false).build().map_err(|e| failed(e.to_string()))
}

/// A loaded model.
#[derive(Debug)]
pub(crate) struct Session(ort::session::Session);

impl Session {
    pub(crate) fn new(environment: &Environment, bytes: &[u8]) -> Result<Self, String> {
        Self::commit(environment, bytes).map_err(|e| e.to_string())
    }

    fn commit(environment: &Environment, bytes: &[u8]) -> ort::Result<Self> {
        let builder = SessionBuilder::new(environment)?;
        let builder = builder.with_intra_threads(1)?.with_intra_op_spinning(false)?;
        let mut builder = builder.with_optimization_level(GraphOptimizationLevel::All)?;
        builder.commit_from_memory(bytes).map(Self)
    }

    pub(crate) fn inputs(&self) -> Vec<Port> {
        self.0.inputs().iter().map(port).collect()
    }

    pub(crate) fn outputs(&self) -> Vec<Port> {
        self.0.outputs().iter().map(port).collect()
    }

    /// Runs `count` rows and adds what the model gives to `scores`.
    pub(crate) fn run(
        &mut self,
        part: Row<'_>,
        count: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), String> {
        self.turn(part, count, scores).map_err(|e| e.to_string())
    }

    fn turn(&mut self, part: Row<'_>, count: usize, scores: &mut Vec<f32>) -> ort::Result<()> {
        let width = part.len().checked_div(count).unwrap_or(0);
        let (name, tensor) = match part {
            Row::Ids(part) => {
                ("ids", TensorRef::from_array_view(([count, width], part))?.into_dyn())
            }
            Row::Values(part) => {
                ("x", TensorRef::from_array_view(([count, width], part))?.into_dyn())
            }
        };
        // By name: ort 2.0.0-rc.14 never frees what it makes of inputs that are given by position,
        // some 280 bytes a run.
        let outputs = self.0.run(ort::inputs![name => tensor])?;
        if let Some(found) = outputs.get(OUTPUT) {
            scores.extend_from_slice(found.try_extract_tensor::<f32>()?.1);
        }
        Ok(())
    }
}

fn port(outlet: &Outlet) -> Port {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Int32 => Element::Int32,
                TensorElementType::Float32 => Element::Float32,
                _ => Element::Other,
            };
            // A dimension below 1 is symbolic.
            let dimension = |d: &i64| usize::try_from(*d).ok().filter(|d| *d > 0);
            (element, shape.iter().map(dimension).collect())
        }
        _ => (Element::Other, Vec::new()),
    };
    Port { name: outlet.name().to_owned(), element, shape }
}

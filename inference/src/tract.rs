//! Models run by tract, which is compiled in. The only module that names it.

use crate::{
    Row,
    port::{Element, OUTPUT, Port},
};
use tract_onnx::prelude::*;

/// A model, planned, and the scratch memory of its runs.
#[derive(Debug)]
pub(crate) struct Session {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    state: TypedSimpleState,
    score: Option<usize>,
}

impl Session {
    pub(crate) fn new(mut bytes: &[u8]) -> Result<Self, String> {
        Self::plan(&mut bytes).map_err(|e| format!("{e:#}"))
    }

    fn plan(bytes: &mut &[u8]) -> TractResult<Self> {
        let model = tract_onnx::onnx().model_for_read(bytes)?.into_typed()?;
        let ports = |outlets: &[OutletId]| -> TractResult<Vec<Port>> {
            outlets.iter().map(|outlet| port(&model, *outlet)).collect()
        };
        let inputs = ports(model.input_outlets()?)?;
        let outputs = ports(model.output_outlets()?)?;
        let score = outputs.iter().position(|port| port.name == OUTPUT);
        let state = model.into_optimized()?.into_runnable()?.spawn()?;
        Ok(Self { inputs, outputs, state, score })
    }

    pub(crate) fn inputs(&self) -> Vec<Port> {
        self.inputs.clone()
    }

    pub(crate) fn outputs(&self) -> Vec<Port> {
        self.outputs.clone()
    }

    /// Runs `count` rows and adds what the model gives to `scores`.
    pub(crate) fn run(
        &mut self,
        part: Row<'_>,
        count: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), String> {
        let score = self.score.ok_or("it gives no score")?;
        self.turn(part, count, score, scores).map_err(|e| format!("{e:#}"))
    }

    fn turn(
        &mut self,
        part: Row<'_>,
        count: usize,
        score: usize,
        scores: &mut Vec<f32>,
    ) -> TractResult<()> {
        let width = part.len().checked_div(count).unwrap_or(0);
        let tensor = match part {
            Row::Ids(part) => Tensor::from_shape(&[count, width], part)?,
            Row::Values(part) => Tensor::from_shape(&[count, width], part)?,
        };
        let outputs = self.state.run(tvec!(tensor.into()))?;
        if let Some(found) = outputs.get(score) {
            scores.extend_from_slice(found.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        Ok(())
    }
}

fn port(model: &TypedModel, outlet: OutletId) -> TractResult<Port> {
    let fact = model.outlet_fact(outlet)?;
    let name = match model.outlet_label(outlet) {
        Some(label) => label.to_owned(),
        None => model.node(outlet.node).name.clone(),
    };
    let element = match fact.datum_type {
        DatumType::I32 => Element::Int32,
        DatumType::F32 => Element::Float32,
        _ => Element::Other,
    };
    let dimension = |d: &TDim| usize::try_from(d.to_i64().ok()?).ok();
    let shape = fact.shape.iter().map(dimension).collect();
    Ok(Port { name, element, shape })
}

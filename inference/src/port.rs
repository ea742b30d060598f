//! What a model declares of an input or output, whatever runs it.

use crate::Input;
use std::fmt;

/// One declared tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub element: Element,
    /// Its dimensions; none where one is symbolic.
    pub shape: Vec<Option<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Int32,
    Float32,
    Other,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dimension = |d: &Option<usize>| d.map_or_else(|| "N".to_owned(), |d| d.to_string());
        let shape: Vec<_> = self.shape.iter().map(dimension).collect();
        write!(f, "{:?} [{}]", self.element, shape.join(", "))
    }
}

/// Name of every model's output: float32 `[N, 1]`.
pub(crate) const OUTPUT: &str = "score";

/// What differs between a model's declared inputs and outputs and ours.
pub(crate) fn check(inputs: &[Port], outputs: &[Port], input: Input) -> Result<(), String> {
    let [found] = inputs else {
        return Err(format!("it has {} inputs, expected one", inputs.len()));
    };
    if found.name != input.name() {
        return Err(format!("its input is {:?}, expected {:?}", found.name, input.name()));
    }
    let width = input.width();
    match columns(found, input.element()) {
        Ok(columns) if columns == width => {}
        Ok(columns) => return Err(format!("its input has {columns} columns, expected {width}")),
        Err(why) => return Err(format!("its input {why}")),
    }
    let Some(score) = outputs.iter().find(|o| o.name == OUTPUT) else {
        let names: Vec<_> = outputs.iter().map(|o| &o.name).collect();
        return Err(format!("its outputs are {names:?}, expected {OUTPUT:?}"));
    };
    match columns(score, Element::Float32) {
        Ok(1) => Ok(()),
        Ok(columns) => Err(format!("its output has {columns} columns, expected 1")),
        Err(why) => Err(format!("its output {why}")),
    }
}

/// The second dimension of a tensor of two, the first being the batch, which must not be fixed.
fn columns(port: &Port, element: Element) -> Result<usize, String> {
    match port.shape.as_slice() {
        [None, Some(columns)] if port.element == element => Ok(*columns),
        _ => Err(format!("is {port}, expected {element:?} [N, columns]")),
    }
}

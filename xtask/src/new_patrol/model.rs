//! A model to start with, small enough to be written by hand: one weight and a sigmoid.
//!
//! ONNX is a protocol-buffer message; the field numbers are those of `onnx.proto`
//! (IR version 8, opset 17).

use std::fmt::Write as _;

/// The score passes 0.5 at a text of about 3,000 characters, 0.85 at about 7,000.
const WEIGHT: f32 = 2.0;
const BIAS: f32 = -16.0;

/// The model's bytes and its self test, which both runtimes must reproduce.
pub(super) fn starting() -> (Vec<u8>, String) {
    let node = |op: &str, inputs: &[&str], output: &str| {
        let mut node = Vec::new();
        inputs.iter().for_each(|input| bytes(&mut node, 1, input.as_bytes()));
        bytes(&mut node, 2, output.as_bytes());
        bytes(&mut node, 4, op.as_bytes());
        node
    };
    let mut graph = Vec::new();
    bytes(&mut graph, 1, &node("MatMul", &["x", "weight"], "product"));
    bytes(&mut graph, 1, &node("Add", &["product", "bias"], "logit"));
    bytes(&mut graph, 1, &node("Sigmoid", &["logit"], "score"));
    bytes(&mut graph, 2, b"start");
    bytes(&mut graph, 5, &tensor("weight", &[1, 1], WEIGHT));
    bytes(&mut graph, 5, &tensor("bias", &[1], BIAS));
    bytes(&mut graph, 11, &value("x"));
    bytes(&mut graph, 12, &value("score"));
    let mut opset = Vec::new();
    number(&mut opset, 2, 17);
    let mut model = Vec::new();
    number(&mut model, 1, 8);
    bytes(&mut model, 2, b"magsentinel-xtask");
    bytes(&mut model, 7, &graph);
    bytes(&mut model, 8, &opset);
    (model, selftest())
}

fn selftest() -> String {
    let rows = [5_u16, 40, 3000, 9000].map(|chars| {
        let text = "a".repeat(usize::from(chars));
        let x = f32::from(chars).ln_1p();
        let score = 1.0 / (1.0 + (-(x * WEIGHT + BIAS)).exp());
        let mut row = String::new();
        let _ = write!(row, r#"{{"body": {{"note": "{text}"}}, "x": [{x}], "score": {score}}}"#);
        row
    });
    format!("[\n{}\n]\n", rows.join(",\n"))
}

/// A float32 constant with one element.
fn tensor(name: &str, dims: &[u64], of: f32) -> Vec<u8> {
    let mut tensor = Vec::new();
    dims.iter().for_each(|dim| number(&mut tensor, 1, *dim));
    number(&mut tensor, 2, 1);
    bytes(&mut tensor, 8, name.as_bytes());
    bytes(&mut tensor, 9, &of.to_le_bytes());
    tensor
}

/// An input or output: float32 `[N, 1]`.
fn value(name: &str) -> Vec<u8> {
    let (mut any, mut one, mut shape) = (Vec::new(), Vec::new(), Vec::new());
    bytes(&mut any, 2, b"N");
    number(&mut one, 1, 1);
    bytes(&mut shape, 1, &any);
    bytes(&mut shape, 1, &one);
    let mut tensor = Vec::new();
    number(&mut tensor, 1, 1);
    bytes(&mut tensor, 2, &shape);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut value = Vec::new();
    bytes(&mut value, 1, name.as_bytes());
    bytes(&mut value, 2, &kind);
    value
}

fn number(to: &mut Vec<u8>, field: u64, of: u64) {
    varint(to, field << 3);
    varint(to, of);
}

fn bytes(to: &mut Vec<u8>, field: u64, of: &[u8]) {
    varint(to, field << 3 | 2);
    varint(to, of.len() as u64);
    to.extend_from_slice(of);
}

fn varint(to: &mut Vec<u8>, mut of: u64) {
    while of >= 0x80 {
        to.push(of.to_le_bytes()[0] | 0x80);
        of >>= 7;
    }
    to.push(of.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_protocol_buffers_write_them() {
        // The example of the protocol-buffer encoding guide: field 1 with value 150.
        let mut to = Vec::new();
        number(&mut to, 1, 150);
        assert_eq!(to, [0x08, 0x96, 0x01]);
    }

    #[test]
    fn the_self_test_has_scores_on_both_sides() {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&starting().1).unwrap();
        let scores: Vec<f64> = rows.iter().map(|row| row["score"].as_f64().unwrap()).collect();
        assert!(scores[0] < 0.3 && scores[3] > 0.85, "{scores:?}");
    }
}

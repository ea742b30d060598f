//! The same tiny model as one GGUF file, its tokenizer and chat template inside.
//!
//! Form: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, version 3.

use crate::tiny::{self, Tensor};
use std::{fs, path::Path};

const ALIGNMENT: usize = 32;
const VERSION: u32 = 3;
const TYPE_F32: u32 = 0;

/// What may stand in the header.
enum Value {
    U32(u32),
    U64(u64),
    F32(f32),
    I32s(Vec<i32>),
    Text(String),
    Texts(Vec<String>),
}

/// Writes the model's file.
pub(crate) fn write(path: &Path) {
    fs::write(path, bytes(&metadata(), &tiny::tensors())).expect("a file");
}

fn metadata() -> Vec<(&'static str, Value)> {
    let tokens = tiny::vocabulary();
    let plain = 1;
    let control = 3;
    let types = (0..tokens.len()).map(|i| if i < 256 { plain } else { control }).collect();
    vec![
        ("general.architecture", Value::Text("llama".into())),
        ("llama.attention.head_count", Value::U32(tiny::HEADS)),
        ("llama.attention.head_count_kv", Value::U32(tiny::HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.block_count", Value::U32(tiny::LAYERS)),
        ("llama.context_length", Value::U64(tiny::CONTEXT)),
        ("llama.embedding_length", Value::U32(u32::try_from(tiny::HIDDEN).expect("small"))),
        (
            "llama.rope.dimension_count",
            Value::U32(u32::try_from(tiny::HIDDEN).expect("small") / tiny::HEADS),
        ),
        ("tokenizer.chat_template", Value::Text(tiny::CHAT_TEMPLATE.into())),
        ("tokenizer.ggml.model", Value::Text("gpt2".into())),
        ("tokenizer.ggml.tokens", Value::Texts(tokens)),
        ("tokenizer.ggml.token_type", Value::I32s(types)),
        ("tokenizer.ggml.merges", Value::Texts(Vec::new())),
        ("tokenizer.ggml.bos_token_id", Value::U32(tiny::BOS)),
        ("tokenizer.ggml.eos_token_id", Value::U32(tiny::EOS)),
    ]
}

/// The names that GGUF gives the tensors.
fn name(tensor: &str) -> String {
    [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ]
    .iter()
    .fold(tensor.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
}

fn bytes(metadata: &[(&str, Value)], tensors: &[Tensor]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(VERSION.to_le_bytes());
    put_length(&mut out, tensors.len());
    put_length(&mut out, metadata.len());
    for (key, value) in metadata {
        put_text(&mut out, key);
        put_value(&mut out, value);
    }
    let mut data: Vec<u8> = Vec::new();
    for tensor in tensors {
        put_text(&mut out, &name(&tensor.name));
        out.extend(u32::try_from(tensor.shape.len()).expect("few").to_le_bytes());
        // The fastest dimension first, the other way round than safetensors.
        for dimension in tensor.shape.iter().rev() {
            put_length(&mut out, *dimension);
        }
        out.extend(TYPE_F32.to_le_bytes());
        put_length(&mut out, data.len());
        data.extend(tensor.values.iter().flat_map(|v| v.to_le_bytes()));
        align(&mut data);
    }
    align(&mut out);
    out.extend(data);
    out
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let kind = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_le_bytes());
    match value {
        Value::U32(v) => {
            kind(out, 4);
            out.extend(v.to_le_bytes());
        }
        Value::F32(v) => {
            kind(out, 6);
            out.extend(v.to_le_bytes());
        }
        Value::Text(v) => {
            kind(out, 8);
            put_text(out, v);
        }
        Value::U64(v) => {
            kind(out, 10);
            out.extend(v.to_le_bytes());
        }
        Value::I32s(values) => {
            kind(out, 9);
            kind(out, 5);
            put_length(out, values.len());
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        Value::Texts(values) => {
            kind(out, 9);
            kind(out, 8);
            put_length(out, values.len());
            values.iter().for_each(|v| put_text(out, v));
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend(text.as_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u64::try_from(length).expect("it fits").to_le_bytes());
}

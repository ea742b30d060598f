//! A model of two layers with random weights, small enough to be made by a test.

use serde_json::{Value, json};
use std::{fs, path::Path};

pub(crate) const HIDDEN: usize = 64;
pub(crate) const HEADS: u32 = 4;
pub(crate) const LAYERS: u32 = 2;
pub(crate) const CONTEXT: u64 = 16_384;
pub(crate) const BOS: u32 = 256;
pub(crate) const EOS: u32 = 257;
pub(crate) const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}\
     {% if add_generation_prompt %}assistant: {% endif %}";
const SPECIAL: [&str; 3] = ["<s>", "</s>", "<unk>"];
const VOCABULARY: usize = 256 + SPECIAL.len();
const MLP: usize = 128;

/// Writes the model's files. The weights are random but always the same.
pub(crate) fn write(directory: &Path) {
    let put = |name: &str, value: &Value| {
        fs::write(directory.join(name), value.to_string()).expect("a file");
    };
    put("config.json", &config("MistralForCausalLM"));
    put("tokenizer.json", &tokenizer());
    put(
        "tokenizer_config.json",
        &json!({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                "chat_template": CHAT_TEMPLATE}),
    );
    fs::write(directory.join("model.safetensors"), safetensors(&tensors())).expect("a file");
}

pub(crate) fn config(architecture: &str) -> Value {
    json!({
        "architectures": [architecture], "model_type": "mistral", "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "hidden_act": "silu",
        "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "float32",
        "bos_token_id": BOS, "eos_token_id": EOS,
    })
}

/// One token for every byte, named as byte-level tokenizers name them: printable Latin-1 as it is,
/// the others from U+0100 on. Then the special ones.
pub(crate) fn vocabulary() -> Vec<String> {
    let mut next = 0x100;
    let byte = |byte: u8| {
        let own = char::from(byte);
        if matches!(own, '!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}') {
            return own.to_string();
        }
        next += 1;
        char::from_u32(next - 1).expect("a character").to_string()
    };
    (0..=255_u8).map(byte).chain(SPECIAL.map(str::to_owned)).collect()
}

fn tokenizer() -> Value {
    let bytes: serde_json::Map<String, Value> =
        vocabulary().into_iter().zip(0..256).map(|(name, id)| (name, json!(id))).collect();
    let special = |id: usize, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                            "use_regex": false});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(256, SPECIAL[0]), special(257, SPECIAL[1]),
                         special(258, SPECIAL[2])],
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "vocab": bytes, "merges": []},
    })
}

pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

pub(crate) fn tensors() -> Vec<Tensor> {
    let mut random = Random(0x5eed);
    let mut matrix = |name: String, rows: usize, columns: usize, scale: f32| {
        let values = (0..rows * columns).map(|_| random.next() * scale).collect();
        Tensor { name, shape: vec![rows, columns], values }
    };
    let ones = |name: String| Tensor { name, shape: vec![HIDDEN], values: vec![1.0; HIDDEN] };
    let mut embeddings = matrix("model.embed_tokens.weight".into(), VOCABULARY, HIDDEN, 1.0);
    let mut head = matrix("lm_head.weight".into(), VOCABULARY, HIDDEN, 0.4);
    // The first dimension of every embedding is the same and large, so that the head's first
    // column acts as a bias: it makes ends of strings and lists likely.
    for row in embeddings.values.chunks_mut(HIDDEN) {
        row[0] = 8.0;
    }
    for (token, row) in head.values.chunks_mut(HIDDEN).enumerate() {
        row[0] = match token {
            0x22 => 1.5,
            0x5d | 0x7d => 0.3,
            _ => 0.0,
        };
    }
    let mut all = vec![embeddings, head, ones("model.norm.weight".into())];
    for layer in 0..LAYERS {
        let at = |part: &str| format!("model.layers.{layer}.{part}.weight");
        all.push(ones(at("input_layernorm")));
        all.push(ones(at("post_attention_layernorm")));
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            all.push(matrix(at(&format!("self_attn.{part}")), HIDDEN, HIDDEN, 0.1));
        }
        all.push(matrix(at("mlp.gate_proj"), MLP, HIDDEN, 0.1));
        all.push(matrix(at("mlp.up_proj"), MLP, HIDDEN, 0.1));
        all.push(matrix(at("mlp.down_proj"), HIDDEN, MLP, 0.1));
    }
    all
}

/// The safetensors format: length of the header (8 bytes, little endian), the header (JSON: type,
/// shape and place of each tensor), then the values.
fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend(tensor.values.iter().flat_map(|v| v.to_le_bytes()));
        let place = json!({"dtype": "F32", "shape": tensor.shape,
                           "data_offsets": [start, data.len()]});
        header.insert(tensor.name.clone(), place);
    }
    let header = Value::Object(header).to_string();
    let length = u64::try_from(header.len()).expect("short");
    [&length.to_le_bytes(), header.as_bytes(), &data].concat()
}

/// SplitMix64 (Steele, Lea and Flood), as numbers from -1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = (z ^ (z >> 31)) >> 40;
        unit as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

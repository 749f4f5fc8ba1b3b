//! ONNX files: read again as protocol buffers, every name and weight in its place; what cannot be written is refused. The
//! answers of ONNX Runtime are compared by `tests/peers/onnx_runtime.py`, for which this writes models.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use etude::data::EncoderInput;
use etude::export::{OnnxOptions, write_onnx};
use etude::interrupt::Interrupt;
use etude::nn::quant::NF4_MAP;
use etude::nn::{
    Cache, ForwardCtx, Gpt2Config, LlamaConfig, LoraConfig, Model, ModelConfig, MusicTransformerConfig, RopeParameters,
    T5Config,
};
use etude::proto::{Field, fields};
use serde_json::json;

use crate::peers;

/// A new model whose biases and norms are not those that models begin with, so that each of them counts.
fn fresh(config: impl Into<ModelConfig>) -> Model {
    let model = Model::new(config, &Device::Cpu, 3).unwrap();
    for (i, parameter) in model.parameters().iter().enumerate().filter(|(_, p)| p.var.rank() == 1) {
        let moved: Vec<f32> = (0..parameter.var.elem_count()).map(|j| ((i * 31 + j * 7) as f32).sin() * 0.2).collect();
        let moved = Tensor::from_vec(moved, parameter.var.shape(), &Device::Cpu).unwrap();
        parameter.var.set(&(parameter.var.as_tensor() + moved).unwrap()).unwrap();
    }
    model
}

fn llama(change: impl FnOnce(&mut LlamaConfig)) -> Model {
    let mut config = LlamaConfig {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 80, // rows of it do not end with a block of 64
        max_position_embeddings: 512,
        rope_theta: 2500.0,
        initializer_range: 0.15,
        ..LlamaConfig::default()
    };
    change(&mut config);
    fresh(config)
}

fn stretched(kind: &str) -> Model {
    let rope = RopeParameters {
        rope_type: kind.into(),
        factor: Some(3.0),
        original_max_position_embeddings: matches!(kind, "yarn" | "llama3" | "dynamic").then_some(64),
        low_freq_factor: (kind == "llama3").then_some(1.0),
        high_freq_factor: (kind == "llama3").then_some(4.0),
        ..RopeParameters::default()
    };
    llama(|config| config.rope_parameters = Some(rope))
}

fn gpt2(change: impl FnOnce(&mut Gpt2Config)) -> Model {
    let mut config = Gpt2Config {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: 512,
        initializer_range: 0.15,
        ..Gpt2Config::default()
    };
    change(&mut config);
    fresh(config)
}

fn t5(feed_forward: &str, tied: bool) -> Model {
    fresh(T5Config {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_decoder_layers: Some(3),
        num_attention_heads: 4,
        intermediate_size: 128,
        max_position_embeddings: 512,
        feed_forward_proj: feed_forward.into(),
        tie_word_embeddings: tied,
        ..T5Config::default()
    })
}

fn music_transformer(encoder: bool) -> Model {
    fresh(MusicTransformerConfig {
        vocab_size: 61,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_encoder_layers: encoder.then_some(1),
        is_encoder_decoder: encoder,
        num_attention_heads: 4,
        intermediate_size: 128,
        max_position_embeddings: 512,
        max_relative_positions: Some(50),
        initializer_range: 0.2,
        ..MusicTransformerConfig::default()
    })
}

fn write(model: &Model, path: &Path, quantized: bool) -> etude::Result<Vec<PathBuf>> {
    let options = OnnxOptions { quantized, tokenizer: Some("{\"a\": 1}".into()), sampler: None };
    write_onnx(model, path, &options, &Interrupt::new())
}

fn messages(bytes: &[u8], field: u32) -> Vec<&[u8]> {
    let chosen = fields(bytes).filter(|(number, _)| *number == field);
    chosen.filter_map(|(_, value)| if let Field::Bytes(bytes) = value { Some(bytes) } else { None }).collect()
}

fn texts(bytes: &[u8], field: u32) -> Vec<String> {
    messages(bytes, field).into_iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

fn numbers(bytes: &[u8], field: u32) -> Vec<u64> {
    let chosen = fields(bytes).filter(|(number, _)| *number == field);
    chosen.filter_map(|(_, value)| if let Field::Int(number) = value { Some(number) } else { None }).collect()
}

/// A tensor of a file: type, shape and bytes.
type Stored = (u64, Vec<u64>, Vec<u8>);

/// A file that was read.
struct OnnxFile {
    inputs: Vec<String>,
    outputs: Vec<String>,
    tensors: HashMap<String, Stored>,
    operators: HashSet<String>,
    metadata: HashMap<String, String>,
}

impl OnnxFile {
    /// Reads a file and checks that each name is made once, and before it is read.
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let graph = messages(&bytes, 7)[0];
        let name = |info: &&[u8]| texts(info, 1)[0].clone();
        let inputs: Vec<String> = messages(graph, 11).iter().map(name).collect();
        let outputs: Vec<String> = messages(graph, 12).iter().map(name).collect();
        let tensors: HashMap<String, Stored> = messages(graph, 5)
            .iter()
            .map(|tensor| {
                let stored = (numbers(tensor, 2)[0], numbers(tensor, 1), messages(tensor, 9)[0].to_vec());
                (texts(tensor, 8)[0].clone(), stored)
            })
            .collect();
        assert_eq!(tensors.len(), messages(graph, 5).len(), "each tensor is stored once");
        let mut known: HashSet<String> = inputs.iter().chain(tensors.keys()).cloned().collect();
        let mut operators = HashSet::new();
        follow(graph, &mut known, &mut operators);
        assert!(outputs.iter().all(|output| known.contains(output)));
        let entry = |entry: &&[u8]| (texts(entry, 1)[0].clone(), texts(entry, 2)[0].clone());
        let metadata = messages(&bytes, 14).iter().map(entry).collect();
        Self { inputs, outputs, tensors, operators, metadata }
    }
}

fn follow(graph: &[u8], known: &mut HashSet<String>, operators: &mut HashSet<String>) {
    let nodes = messages(graph, 1);
    assert!(!nodes.is_empty());
    for node in nodes {
        let operator = texts(node, 4)[0].clone();
        for input in texts(node, 1) {
            assert!(known.contains(&input), "{operator} reads '{input}' before it is made");
        }
        for branch in messages(node, 5).into_iter().flat_map(|attribute| messages(attribute, 6)) {
            let mut inside = known.clone();
            follow(branch, &mut inside, operators);
            assert!(messages(branch, 12).iter().all(|info| inside.contains(&texts(info, 1)[0])));
        }
        for output in texts(node, 2) {
            assert!(known.insert(output.clone()), "'{output}' is made twice");
        }
        operators.insert(operator);
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn a_decoder_has_the_names_of_optimum_and_the_weights_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let model = llama(|_| ());
    assert_eq!(write(&model, dir.path(), false).unwrap(), [dir.path().join("model.onnx")]);
    let file = OnnxFile::read(&dir.path().join("model.onnx"));
    assert_eq!(file.inputs[..3], ["input_ids", "attention_mask", "position_ids"]);
    assert_eq!(
        file.inputs[3..],
        ["past_key_values.0.key", "past_key_values.0.value", "past_key_values.1.key", "past_key_values.1.value"]
    );
    assert_eq!(file.outputs, ["logits", "present.0.key", "present.0.value", "present.1.key", "present.1.value"]);
    let name = "model.layers.1.mlp.down_proj.weight";
    let (kind, dims, bytes) = &file.tensors[name];
    let weight = model.weights(name).unwrap().t().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!((*kind, &dims[..], floats(bytes)), (1, &[80, 64][..], weight));
    assert_eq!(file.metadata["etude.model_type"], "llama");
    assert_eq!(file.metadata["etude.tokenizer"], "{\"a\": 1}");
    assert!(file.metadata["etude.config"].contains("\"num_key_value_heads\": 2"), "{:?}", file.metadata);
    assert!(!file.operators.contains("MatMulBnb4"));
    assert_eq!(std::fs::read_to_string(dir.path().join("tokenizer.json")).unwrap(), "{\"a\": 1}");
    assert!(ModelConfig::from_hf_json(&std::fs::read_to_string(dir.path().join("config.json")).unwrap()).is_ok());
}

#[test]
fn four_bits_are_those_of_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let model = llama(|_| ());
    let small = model.quantize("nf4").unwrap();
    small.save(dir.path()).unwrap();
    let checkpoint = safetensors::load(dir.path().join("model.safetensors"), &Device::Cpu).unwrap();
    // A model that is not in 4 bits yet is put into them.
    for (model, path) in [(&model, dir.path().join("a.onnx")), (&small, dir.path().join("b.onnx"))] {
        write(model, &path, true).unwrap();
        let file = OnnxFile::read(&path);
        assert!(file.operators.contains("MatMulBnb4"));
        let name = "model.layers.0.mlp.down_proj.weight";
        let (kind, dims, codes) = &file.tensors[name];
        let theirs: Vec<u8> = checkpoint[name].flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!((*kind, &dims[..], codes), (2, &[64 * 80 / 2][..], &theirs));
        let scales = floats(&file.tensors[&format!("{name}.absmax")].2);
        assert_eq!(scales.len(), 64 * 80 / 64);
        let code = |i: usize| if i.is_multiple_of(2) { codes[i / 2] >> 4 } else { codes[i / 2] & 15 };
        let values: Vec<f32> = (0..64 * 80).map(|i| NF4_MAP[usize::from(code(i))] * scales[i / 64]).collect();
        let weight = small.weights(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, weight);
    }
    let sizes = ["a.onnx", "b.onnx"].map(|name| std::fs::read(dir.path().join(name)).unwrap());
    assert_eq!(sizes[0], sizes[1]);
}

#[test]
fn an_encoder_decoder_is_two_files() {
    for model in [t5("gated-gelu", false), music_transformer(true)] {
        let dir = tempfile::tempdir().unwrap();
        let files = write(&model, dir.path(), true).unwrap();
        let names = ["encoder_model_bnb4.onnx", "decoder_model_merged_bnb4.onnx"];
        assert_eq!(files, names.map(|name| dir.path().join(name)));
        let encoder = OnnxFile::read(&files[0]);
        assert_eq!(
            (&encoder.inputs[..], &encoder.outputs[..]),
            (&["input_ids", "attention_mask"].map(String::from)[..], &[String::from("last_hidden_state")][..])
        );
        let decoder = OnnxFile::read(&files[1]);
        let layers = model.spec().decoder.layers;
        assert_eq!((decoder.inputs.len(), decoder.outputs.len()), (4 + 4 * layers, 1 + 4 * layers));
        for name in
            ["encoder_hidden_states", "encoder_attention_mask", "use_cache_branch", "past_key_values.1.encoder.key"]
        {
            assert!(decoder.inputs.iter().any(|input| input == name), "{name}");
        }
        assert!(decoder.outputs.contains(&"present.1.encoder.value".into()));
        assert!(decoder.operators.contains("If"));
        let error = write(&model, &dir.path().join("all.onnx"), false).unwrap_err();
        assert!(error.message().contains("two files") && error.hint().unwrap().contains("folder"), "{error}");
    }
}

#[test]
fn adapters_are_merged_in_f32_and_refused_in_4_bits() {
    let dir = tempfile::tempdir().unwrap();
    let adapted = adapted(&llama(|_| ()));
    write(&adapted, &dir.path().join("adapted.onnx"), false).unwrap();
    write(&adapted.merge().unwrap(), &dir.path().join("merged.onnx"), false).unwrap();
    let [a, b] = ["adapted.onnx", "merged.onnx"].map(|name| OnnxFile::read(&dir.path().join(name)));
    assert_eq!(a.tensors, b.tensors);
    let two = llama(|_| ()).add_fresh_adapter("a", &LoraConfig::default(), 1).unwrap();
    let two = two.add_fresh_adapter("b", &LoraConfig::default(), 2).unwrap();
    let mixed = two.mix_adapters(&[("a".into(), 0.5), ("b".into(), 0.5)]).unwrap();
    let path = dir.path().join("small.onnx");
    for model in [&adapted, &mixed] {
        let error = write(model, &path, true).unwrap_err();
        assert!(error.message().contains("adapters") && error.hint().unwrap().contains("merge()"), "{error}");
        assert!(!path.exists());
    }
    write(&two.disable_adapter(), &path, true).unwrap();
    let stopped = Interrupt::new();
    stopped.trigger();
    let path = dir.path().join("stopped.onnx");
    let error = write_onnx(&adapted, &path, &OnnxOptions::default(), &stopped).unwrap_err();
    assert!(error.is_interrupted() && !path.exists(), "{error}");
}

#[test]
fn rows_of_tokens_that_an_adapter_trains_are_in_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let base = llama(|_| ());
    let config = LoraConfig { r: 4, use_dora: true, trainable_token_indices: vec![3, 5], ..LoraConfig::default() };
    let adapted = peers::adapted(&base, &config);
    let table = |model: &Model| {
        let path = dir.path().join("model.onnx");
        write(model, &path, false).unwrap();
        floats(&OnnxFile::read(&path).tensors["model.embed_tokens.weight"].2)
    };
    let hidden = base.spec().decoder.hidden_size;
    let (before, after) = (table(&base), table(&adapted));
    let changed = before.chunks(hidden).zip(after.chunks(hidden)).enumerate().filter(|(_, (a, b))| a != b);
    assert_eq!(changed.map(|(id, _)| id).collect::<Vec<_>>(), [3, 5]);
}

/// The fewest ids between two that are the same.
const APART: usize = 8;

fn adapted(model: &Model) -> Model {
    peers::adapted(model, &LoraConfig { r: 4, ..LoraConfig::default() })
}

/// Ids that follow a prompt, each the likeliest that is none of the last [`APART`], since a randomly initialised model would
/// say one thing for ever; and the logits behind the prompt.
fn greedy(model: &Model, source: Option<&[u32]>, prompt: &[u32], count: usize) -> (Vec<u32>, Vec<f32>) {
    let (mut cache, ctx) = (Cache::new(), ForwardCtx::default());
    if let Some(source) = source {
        model.read_source(&EncoderInput::padded(&[source.to_vec()], 0), &mut cache, &ctx).unwrap();
    }
    let step = |ids: &[u32], cache: &mut Cache| {
        let ids = Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu).unwrap();
        model.step(&ids, cache, &ctx).unwrap().flatten_all().unwrap()
    };
    let mut logits = step(prompt, &mut cache);
    let first = logits.to_vec1::<f32>().unwrap();
    let mut ids = Vec::new();
    for _ in 0..count {
        let logits_of = logits.to_vec1::<f32>().unwrap();
        let recent = &ids[ids.len().saturating_sub(APART)..];
        let allowed = (0..logits_of.len() as u32).filter(|id| !recent.contains(id));
        let next = allowed.max_by(|a, b| logits_of[*a as usize].total_cmp(&logits_of[*b as usize])).unwrap();
        ids.push(next);
        logits = step(&[next], &mut cache);
    }
    (ids, first)
}

#[test]
#[ignore = "tests/peers/onnx_runtime.py runs it, with ETUDE_PEERS set to a folder"]
fn write_onnx_for_the_peers() {
    let out = PathBuf::from(std::env::var("ETUDE_PEERS").expect("ETUDE_PEERS names a folder"));
    let plain = llama(|_| ());
    let mut models = vec![
        ("llama", plain.clone()),
        ("llama_bias", llama(|config| (config.attention_bias, config.tie_word_embeddings) = (true, false))),
        ("llama_merged", adapted(&plain)),
        ("gpt2", gpt2(|config| config.scale_attn_by_inverse_layer_idx = true)),
        ("gpt2_erf", gpt2(|config| (config.activation_function, config.tie_word_embeddings) = ("gelu".into(), false))),
        ("music_transformer", music_transformer(false)),
        ("music_transformer_seq2seq", music_transformer(true)),
        ("t5", t5("relu", true)),
        ("t5_gated", t5("gated-gelu", false)),
        ("base", Model::base(&Device::Cpu).unwrap()),
    ];
    models.extend(["linear", "dynamic", "llama3", "yarn"].map(|kind| (kind, stretched(kind))));
    for (name, model) in models {
        let quantized = [false, true].into_iter().filter(|quantized| !quantized || model.active_adapters().is_empty());
        for quantized in quantized {
            let dir = out.join(if quantized { format!("{name}_bnb4") } else { name.to_owned() });
            write(&model, &dir, quantized).unwrap();
            let answering = match quantized {
                true => model.quantize("nf4").unwrap(),
                false => model.merge().unwrap(),
            };
            let (prompt, source) = ([1, 17, 40, 23, 9, 55, 31], [5, 44, 12, 60, 7, 7, 29, 33, 2, 51]);
            let source = model.has_encoder().then_some(&source[..]);
            let (tokens, logits) = greedy(&answering, source, &prompt, 300);
            let heads = model.spec().decoder.kv_heads;
            let expected = json!({
                "prompt": prompt, "source": source, "greedy": tokens, "logits": logits, "kv_heads": heads,
                "head_dim": model.spec().decoder.head_dim, "layers": model.spec().decoder.layers,
            });
            std::fs::write(dir.join("expected.json"), expected.to_string()).unwrap();
        }
    }
}

//! T5 against `transformers` and `peft`: the same logits, loss, attention, gradients and greedy continuations; trained, saved,
//! loaded and decoded here.
//!
//! The checkpoints and answers are in `golden/t5`; `golden/t5/make.py` made them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use etude::data::{Batch, EncoderInput};
use etude::nn::{Cache, ForwardCtx, LlamaConfig, LoraConfig, Model, ModelConfig, T5Config};
use etude::train::{AdamW, AdamWOptions, Grads};

use crate::expected::{Expected, largest_difference};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/t5").join(name)
}

fn load(name: &str) -> Model {
    Model::load(&golden(name), &Device::Cpu).unwrap()
}

fn expected(name: &str) -> Expected {
    Expected::of(&golden(name))
}

#[test]
fn a_t5_of_transformers_answers_as_it_does_there() {
    assert_eq!(expected("plain").check(&load("plain")), 10);
    assert_eq!(expected("gated").check(&load("gated")), 3);
    expected("silu").check(&load("silu"));
    expected("nf4").check(&load("nf4"));
    let (tied, own) = (load("plain"), load("again"));
    expected("again").check(&own);
    assert!(tied.spec().tied_head && tied.spec().head_scale.is_some());
    assert!(!own.spec().tied_head && own.spec().head_scale.is_none(), "the weights say that the head is its own");
}

#[test]
fn greedy_continuations_are_those_of_transformers() {
    for name in ["plain", "gated", "silu"] {
        let (model, expected, ctx) = (load(name), expected(name), ForwardCtx::default());
        let source = expected.batch().encoder.unwrap();
        let theirs: Vec<u32> = expected.ids("greedy").iter().map(|&id| id as u32).collect();
        let (rows, width) = (source.rows(), theirs.len() / source.rows());
        let mut cache = Cache::new();
        model.read_source(&source, &mut cache, &ctx).unwrap();
        let mut ids: Vec<Vec<u32>> = vec![vec![1]; rows];
        for _ in 1..width {
            let last: Vec<u32> = ids.iter().map(|row| row[row.len() - 1]).collect();
            let last = Tensor::from_vec(last, (rows, 1), &Device::Cpu).unwrap();
            let next: Vec<u32> = model.step(&last, &mut cache, &ctx).unwrap().argmax(1).unwrap().to_vec1().unwrap();
            ids.iter_mut().zip(next).for_each(|(row, id)| row.push(id));
        }
        assert_eq!(ids.concat(), theirs, "{name}");
    }
}

#[test]
fn a_t5_adapter_of_peft_answers_as_it_does_there() {
    let model = load("gated").load_adapter(&golden("adapter")).unwrap();
    assert_eq!(model.parameters().len(), 2 * (2 * (4 + 3) + 3 * (4 + 4 + 3)));
    expected("adapter").check(&model);
    expected("adapter").check(&model.merge().unwrap());
    let folder = tempfile::tempdir().unwrap();
    model.save_adapter(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("adapter_config.json")).unwrap();
    assert!(text.contains("\"task_type\": \"SEQ_2_SEQ_LM\""), "{text}");
    let file = |dir: &Path| safetensors::load(dir.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    same(&file(folder.path()), &file(&golden("adapter")));
}

type Tensors = std::collections::HashMap<String, Tensor>;

fn same(ours: &Tensors, theirs: &Tensors) {
    assert_eq!(ours.len(), theirs.len());
    for (name, tensor) in theirs {
        assert_eq!(largest_difference(&ours[name], tensor), 0.0, "{name}");
    }
}

#[test]
fn what_is_saved_is_what_transformers_saved() {
    for name in ["plain", "gated", "silu"] {
        let folder = tempfile::tempdir().unwrap();
        load(name).save(folder.path()).unwrap();
        let file = |dir: &Path| safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
        same(&file(folder.path()), &file(&golden(name)));
        expected(name).check(&Model::load(folder.path(), &Device::Cpu).unwrap());
        let read = |dir: &Path| -> serde_json::Value {
            serde_json::from_str(&std::fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
        };
        let (ours, theirs) = (read(folder.path()), read(&golden(name)));
        // "dtype" is "torch_dtype" here, as older releases have it.
        for (key, value) in theirs
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| !["dtype", "transformers_version"].contains(&key.as_str()))
        {
            assert_eq!(&ours[key], value, "{name}: {key}");
        }
    }
}

#[test]
fn four_bits_are_those_of_bitsandbytes() {
    let ours = load("plain").quantize("nf4").unwrap();
    let folder = tempfile::tempdir().unwrap();
    ours.save(folder.path()).unwrap();
    let bytes = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
    let (ours, theirs) = (bytes(folder.path()), bytes(&golden("nf4")));
    let tensors = |bytes: &[u8]| -> Vec<(String, Vec<u8>)> {
        let file = ::safetensors::SafeTensors::deserialize(bytes).unwrap();
        let mut all: Vec<_> = file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
        all.sort();
        all
    };
    let (ours, theirs) = (tensors(&ours), tensors(&theirs));
    assert_eq!(
        ours.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        theirs.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs).filter(|((name, _), _)| !name.contains("quant_state")) {
        assert_eq!(ours, theirs, "{name}");
    }
}

/// The logits after each of the ids, the first three read at once: (rows, ids, vocabulary).
fn steps(model: &Model, batch: &Batch, ctx: &ForwardCtx) -> Tensor {
    let tokens = Tensor::from_slice(&batch.input_ids, (batch.rows, batch.width), &Device::Cpu).unwrap();
    let mut cache = Cache::new();
    model.read_source(batch.encoder.as_ref().unwrap(), &mut cache, ctx).unwrap();
    let mut logits = vec![model.step(&tokens.narrow(1, 0, 3).unwrap(), &mut cache, ctx).unwrap()];
    for at in 3..batch.width {
        logits.push(model.step(&tokens.narrow(1, at, 1).unwrap(), &mut cache, ctx).unwrap());
    }
    Tensor::stack(&logits, 1).unwrap()
}

#[test]
fn the_cache_answers_as_the_whole_sequence_does() {
    for name in ["plain", "gated", "silu"] {
        for model in [load(name), load(name).quantize("nf4").unwrap()] {
            let (batch, ctx) = (expected(name).batch(), ForwardCtx::default());
            let whole = model.logits(&batch, &ctx).unwrap().narrow(1, 2, batch.width - 2).unwrap();
            let off = largest_difference(&steps(&model, &batch, &ctx), &whole);
            assert!(off < 1e-4, "{name}: {off}");
            let tokens = Tensor::from_slice(&batch.input_ids, (batch.rows, batch.width), &Device::Cpu).unwrap();
            let with = model.forward_with(&tokens, batch.encoder.as_ref().unwrap(), &ctx).unwrap();
            assert_eq!(largest_difference(&with, &model.logits(&batch, &ctx).unwrap()), 0.0);
        }
    }
}

#[test]
fn padding_of_a_source_changes_nothing() {
    let (model, batch, ctx) = (load("plain"), expected("plain").batch(), ForwardCtx::default());
    let both = model.logits(&batch, &ctx).unwrap();
    let source = batch.encoder.clone().unwrap();
    let one = Batch {
        input_ids: batch.input_ids[batch.width..].to_vec(),
        labels: batch.labels[batch.width..].to_vec(),
        encoder: Some(EncoderInput::padded(&[source.input_ids[source.width..source.width + 11].to_vec()], 0)),
        rows: 1,
        width: batch.width,
        ..Batch::default()
    };
    let alone = model.logits(&one, &ctx).unwrap();
    assert!(largest_difference(&both.narrow(0, 1, 1).unwrap(), &alone) < 1e-5);
}

#[test]
fn a_t5_learns_with_adapters_in_4_bits_and_comes_back_from_disk() {
    let base = load("gated").quantize("nf4").unwrap();
    let model = base.lora(&LoraConfig { r: 4, ..LoraConfig::default() }, 7).unwrap();
    let batch = expected("gated").batch();
    let loss = |model: &Model| model.loss_value(&batch, &ForwardCtx::default()).unwrap();
    let (first, parameters) = (loss(&model), model.parameters());
    let mut optimizer = AdamW::new(parameters.clone(), AdamWOptions { lr: 1e-2, ..AdamWOptions::default() }).unwrap();
    for _ in 0..15 {
        let (loss, tape) = model.taped_loss(&batch, &ForwardCtx::default()).unwrap();
        optimizer.step(&Grads::backward_tape(&tape, &loss, &parameters).unwrap()).unwrap();
    }
    assert!(loss(&model) < first - 0.5, "{first} -> {}", loss(&model));
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let back = Model::load(folder.path(), &Device::Cpu).unwrap();
    assert_eq!(loss(&back), loss(&model));
    assert_eq!(back.layers(), model.layers());
    let merged = model.merge().unwrap();
    assert_eq!(merged.trainable(), merged.params());
    assert!((loss(&merged) - loss(&model)).abs() < 1e-4);
}

#[test]
fn gradients_are_the_same_whether_activations_are_kept_or_computed_again() {
    for name in ["plain", "gated"] {
        let batch = expected(name).batch();
        for model in [load(name), load(name).lora(&LoraConfig::default(), 1).unwrap()] {
            let parameters = model.parameters();
            let (loss, tape) = model.taped_loss(&batch, &ForwardCtx::default()).unwrap();
            let kept = Grads::backward_tape(&tape, &loss, &parameters).unwrap();
            let (again_loss, again) = Grads::recomputed(&model, &batch, &ForwardCtx::default()).unwrap();
            assert_eq!(largest_difference(&loss.reshape(1).unwrap(), &again_loss.reshape(1).unwrap()), 0.0);
            assert_eq!(kept.entries().len(), parameters.len());
            for ((name, a), (other, b)) in kept.entries().iter().zip(again.entries()) {
                assert_eq!(name, other);
                assert!(largest_difference(a, b) < 1e-6, "{name}");
            }
        }
    }
}

#[test]
fn the_description_counts_the_weights() {
    let plain = T5Config {
        vocab_size: 29,
        hidden_size: 24,
        num_hidden_layers: 2,
        num_decoder_layers: Some(3),
        num_attention_heads: 4,
        head_dim: Some(5),
        intermediate_size: 40,
        feed_forward_proj: "relu".into(),
        ..T5Config::default()
    };
    let gated = T5Config { feed_forward_proj: "gated-gelu".into(), tie_word_embeddings: false, ..plain.clone() };
    for config in [ModelConfig::from(plain), gated.into()] {
        let model = Model::new(&config, &Device::Cpu, 1).unwrap();
        let spec = model.spec();
        assert_eq!(spec.weights(), model.params() as u128, "{config:?}");
        let linears = || model.layers().into_iter().filter(|l| l.kind == "linear");
        let count = |l: &etude::nn::Layer| l.shape.iter().product::<usize>() as u128;
        let head = if spec.tied_head { (spec.vocab_size * spec.decoder.hidden_size) as u128 } else { 0 };
        assert_eq!(spec.matrix_weights(), linears().map(|l| count(&l)).sum::<u128>() + head, "{config:?}");
        let of_source = |name: &str| {
            name.starts_with("encoder.") || name.ends_with("EncDecAttention.k") || name.ends_with("EncDecAttention.v")
        };
        let source: u128 = linears().filter(|l| of_source(&l.name)).map(|l| count(&l)).sum();
        assert_eq!(spec.source_matrix_weights(), source);
        assert_eq!(spec.decoder_matrix_weights() + source, spec.matrix_weights());
    }
}

#[test]
fn fresh_weights_keep_the_loss_near_that_of_the_uniform_distribution() {
    for tied in [true, false] {
        let config = T5Config {
            vocab_size: 200,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 128,
            tie_word_embeddings: tied,
            ..T5Config::default()
        };
        let model = Model::new(&config, &Device::Cpu, 5).unwrap();
        let ids: Vec<u32> = (0..64).map(|i| (i * 37 + i * i) % 200).collect();
        let labels = ids.iter().skip(1).copied().chain([3]).collect();
        let encoder = Some(EncoderInput::padded(&[(0..20).collect(), (5..12).collect()], 0));
        let batch = Batch { input_ids: ids, labels, encoder, rows: 2, width: 32, ..Batch::default() };
        let loss = model.loss_value(&batch, &ForwardCtx::default()).unwrap();
        assert!((loss - 200_f64.ln()).abs() < 1.2, "{loss}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_remedy() {
    let (model, batch, ctx) = (load("plain"), expected("plain").batch(), ForwardCtx::default());
    let text = |error: etude::Error| format!("{error} {}", error.hint().unwrap_or_default());
    let without = text(model.logits(&Batch { encoder: None, ..batch.clone() }, &ctx).unwrap_err());
    assert!(without.contains("nothing for it to read") && without.contains("condition"), "{without}");
    let id = Tensor::from_vec(vec![1u32], (1, 1), &Device::Cpu).unwrap();
    assert!(text(model.step(&id, &mut Cache::new(), &ctx).unwrap_err()).contains("nothing for it to read"));
    let source = batch.encoder.clone().unwrap();
    let with = |encoder: EncoderInput| {
        text(model.logits(&Batch { encoder: Some(encoder), ..batch.clone() }, &ctx).unwrap_err())
    };
    let mut holes = source.clone();
    holes.attention_mask[3] = false;
    assert!(with(holes).contains("row 0 has padding at place 3"));
    let mut beyond = source.clone();
    beyond.input_ids[0] = 40;
    assert!(with(beyond).contains("beyond the model's vocabulary of 40"));
    let short = EncoderInput { input_ids: source.input_ids[..30].to_vec(), ..source.clone() };
    assert!(with(short).contains("30 ids and a mask of 60 for 2 rows of 30"));
    let llama = LlamaConfig {
        vocab_size: 40,
        hidden_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 48,
        ..LlamaConfig::default()
    };
    let llama = Model::new(&llama, &Device::Cpu, 1).unwrap();
    assert!(text(llama.logits(&batch, &ctx).unwrap_err()).contains("the model has none"));
    assert!(text(llama.read_source(&source, &mut Cache::new(), &ctx).unwrap_err()).contains("the model has none"));
}

#[test]
fn layers_are_named_and_targets_checked() {
    let model = load("gated");
    let layers = model.layers();
    let kinds: Vec<&str> = layers.iter().map(|layer| layer.kind.as_str()).collect();
    assert_eq!(kinds[..3], ["embedding", "relative_bias", "rms_norm"]);
    assert_eq!(layers.iter().filter(|layer| layer.kind == "relative_bias").count(), 2, "a stack has one");
    let q = "decoder.block.2.layer.1.EncDecAttention.q.weight";
    assert_eq!(model.weights(q).unwrap().dims(), [24, 32]);
    assert_eq!(load("plain").weights("lm_head.weight").unwrap().dims(), [40, 64]);
    let only = LoraConfig { target_modules: vec!["q".into(), "wi_0".into()], ..LoraConfig::default() };
    assert_eq!(model.lora(&only, 1).unwrap().parameters().len(), 2 * (2 + 2 + 3 * 3));
    let targets = LoraConfig { target_modules: vec!["wi_2".into()], ..LoraConfig::default() };
    let error = text_of(model.lora(&targets, 1).unwrap_err());
    assert!(error.contains("'wi_0'") || error.contains("'wi_1'"), "{error}");
    let small = model.quantize("nf4").unwrap();
    let kind = |name: &str| small.layers().into_iter().find(|layer| layer.name.ends_with(name)).unwrap().kind;
    assert_eq!(
        (kind("0.layer.1.DenseReluDense.wi_0"), kind("0.layer.1.DenseReluDense.wo")),
        ("linear nf4".into(), "linear".into())
    );
}

fn text_of(error: etude::Error) -> String {
    format!("{error} {}", error.hint().unwrap_or_default())
}

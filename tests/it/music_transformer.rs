//! The Music Transformer against the formula of its paper; decoded with a cache, trained, saved and loaded, with and without
//! an encoder.

use candle_core::{Device, Tensor};
use etude::data::{Batch, EncoderInput, IGNORE};
use etude::nn::{Cache, ForwardCtx, LoraConfig, Model, MusicTransformerConfig};
use etude::train::Grads;

use crate::expected::largest_difference;

fn music_transformer(encoder: bool) -> Model {
    let config = MusicTransformerConfig {
        vocab_size: 40,
        hidden_size: 32,
        num_hidden_layers: 2,
        num_encoder_layers: encoder.then_some(1),
        is_encoder_decoder: encoder,
        num_attention_heads: 4,
        intermediate_size: 48,
        max_position_embeddings: 40,
        max_relative_positions: Some(11),
        initializer_range: 0.3,
        ..MusicTransformerConfig::default()
    };
    Model::new(config, &Device::Cpu, 4).unwrap()
}

/// Two rows of 25 ids, with a source each for a model that reads one.
fn batch_for(model: &Model) -> Batch {
    let input_ids: Vec<u32> = (0..50).map(|i| (i * i + 3 * i) % 40).collect();
    let mut labels: Vec<u32> = input_ids[1..].iter().copied().chain([IGNORE]).collect();
    labels[24] = IGNORE;
    let source = EncoderInput::padded(&[(3..33).collect(), (20..31).collect()], 0);
    let encoder = model.has_encoder().then_some(source);
    Batch { input_ids, labels, encoder, rows: 2, width: 25, ..Batch::default() }
}

#[test]
fn a_music_transformer_decodes_recomputes_learns_and_comes_back() {
    let ctx = ForwardCtx::default();
    for encoder in [false, true] {
        let model = music_transformer(encoder);
        assert_eq!(model.spec().weights(), model.params() as u128);
        let batch = batch_for(&model);
        let tokens = Tensor::from_slice(&batch.input_ids, (batch.rows, batch.width), &Device::Cpu).unwrap();
        let mut cache = Cache::new();
        if let Some(source) = &batch.encoder {
            model.read_source(source, &mut cache, &ctx).unwrap();
        }
        let whole = model.logits(&batch, &ctx).unwrap();
        for at in 0..batch.width {
            let step = model.step(&tokens.narrow(1, at, 1).unwrap(), &mut cache, &ctx).unwrap();
            let off = largest_difference(&step, &whole.narrow(1, at, 1).unwrap().squeeze(1).unwrap());
            assert!(off < 1e-4, "place {at}: {off}");
        }
        for model in [model.clone(), model.quantize("nf4").unwrap().lora(&LoraConfig::default(), 1).unwrap()] {
            let parameters = model.parameters();
            let (loss, tape) = model.taped_loss(&batch, &ctx).unwrap();
            let kept = Grads::backward_tape(&tape, &loss, &parameters).unwrap();
            let (_, again) = Grads::recomputed(&model, &batch, &ctx).unwrap();
            for ((name, a), (_, b)) in kept.entries().iter().zip(again.entries()) {
                assert!(largest_difference(a, b) < 1e-6, "{name}");
            }
            let folder = tempfile::tempdir().unwrap();
            model.save(folder.path()).unwrap();
            let back = Model::load(folder.path(), &Device::Cpu).unwrap();
            assert_eq!(back.layers(), model.layers());
            assert_eq!(
                largest_difference(&back.logits(&batch, &ctx).unwrap(), &model.logits(&batch, &ctx).unwrap()),
                0.0
            );
        }
    }
}

/// Huang et al. 2018, eq. 3: softmax((Q Kᵀ + S_rel) / √D_h), each score of S_rel written out.
#[test]
fn relative_attention_is_that_of_the_paper() {
    let (model, ctx) = (music_transformer(false), ForwardCtx::default());
    let batch = batch_for(&model);
    let (rows, time, heads, dim) = (batch.rows, batch.width, 4, 8);
    let given = model.attention(&batch, 0).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let matrix = |name: &str| model.weights(&format!("model.decoder.layers.0.{name}")).unwrap();
    let ids = Tensor::from_slice(&batch.input_ids, rows * time, &Device::Cpu).unwrap();
    let x = model.weights("model.shared.weight").unwrap().index_select(&ids, 0).unwrap();
    let x = etude::nn::ops::layer_norm(
        &x,
        &matrix("self_attn_layer_norm.weight"),
        Some(&matrix("self_attn_layer_norm.bias")),
        1e-6,
        &ctx.interrupt,
    );
    let x = x.unwrap();
    let of = |name: &str| -> Vec<Vec<f32>> { x.matmul(&matrix(name).t().unwrap()).unwrap().to_vec2().unwrap() };
    let (q, k) = (of("self_attn.q_proj.weight"), of("self_attn.k_proj.weight"));
    let e: Vec<Vec<f32>> = matrix("self_attn.relative_positions.weight").to_vec2().unwrap();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for (row, head, t) in [(0, 0, 24), (1, 3, 24), (0, 2, 7), (1, 1, 0)] {
        let part = head * dim..(head + 1) * dim;
        let query = &q[row * time + t][part.clone()];
        let score = |key: usize| {
            let vector = &e[(t - key).min(10)][part.clone()];
            (dot(query, &k[row * time + key][part.clone()]) + dot(query, vector)) / (dim as f32).sqrt()
        };
        let scores: Vec<f32> = (0..=t).map(|key| score(key).exp()).collect();
        let sum: f32 = scores.iter().sum();
        let given = &given[((row * heads + head) * time + t) * time..][..time];
        for (key, score) in scores.iter().enumerate() {
            assert!((given[key] - score / sum).abs() < 1e-5, "query {t}, key {key}: {} {}", given[key], score / sum);
        }
        assert!(given[t + 1..].iter().all(|&share| share == 0.0));
    }
}

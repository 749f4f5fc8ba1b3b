//! Decoding position by position gives the logits of the whole sequence, for all kinds of weights, adapters, batches
//! and formats.

use candle_core::{Device, Tensor};

use super::Model;
use crate::nn::cpu::{Isa, on_isa};
use crate::nn::{Cache, CacheDtype, ForwardCtx, LlamaConfig, LoraConfig, Precision};

/// Widths that are whole blocks of 4-bit weights and heads of whole registers, or neither.
fn config(odd: bool, tied: bool) -> LlamaConfig {
    let (hidden_size, num_attention_heads, intermediate_size) = if odd { (36, 6, 50) } else { (128, 4, 192) };
    LlamaConfig {
        vocab_size: 29,
        hidden_size,
        num_hidden_layers: 3,
        num_attention_heads,
        num_key_value_heads: Some(2),
        intermediate_size,
        max_position_embeddings: 400,
        tie_word_embeddings: tied,
        initializer_range: 0.15,
        ..LlamaConfig::default()
    }
}

/// A model with an adapter other than a fresh one, which changes nothing.
fn adapted(model: &Model, rank: usize) -> Model {
    with_adapter(model, &LoraConfig { r: rank, lora_alpha: 8.0, ..LoraConfig::default() })
}

fn with_adapter(model: &Model, lora: &LoraConfig) -> Model {
    let model = model.lora(lora, 3).unwrap();
    for parameter in model.parameters().iter().filter(|parameter| !parameter.name.contains("lora_A")) {
        let sines = (0..parameter.var.elem_count()).map(|i| 0.15 * ((i * i) as f32).sin()).collect::<Vec<_>>();
        let sines = Tensor::from_vec(sines, parameter.var.dims(), &Device::Cpu).unwrap();
        let values =
            if parameter.name.contains("lora_B") { sines } else { (parameter.var.as_tensor() + sines).unwrap() };
        parameter.var.set(&values).unwrap();
    }
    model
}

#[test]
fn adapters_with_magnitudes_decode_as_they_read() {
    let dense = Model::new(config(false, false), &Device::Cpu, 1).unwrap();
    for base in [&dense, &dense.quantize("nf4").unwrap()] {
        let lora = LoraConfig { r: 3, use_dora: true, ..LoraConfig::default() };
        let model = with_adapter(base, &lora);
        for (rows, length, prompt) in [(1, 30, 1), (3, 9, 6)] {
            let (tokens, pass) = (tokens(rows, length), ForwardCtx::default());
            let logits = steps(&model, &tokens, prompt, CacheDtype::Auto, &pass);
            let off = apart(&logits, &whole(&model, &tokens, prompt, &pass));
            assert!(off < 1e-5, "{rows} × {length}: {off}");
        }
    }
}

fn tokens(rows: usize, length: usize) -> Tensor {
    let ids: Vec<u32> = (0..rows * length).map(|i| (i * i + i / 7) as u32 % 29).collect();
    Tensor::from_vec(ids, (rows, length), &Device::Cpu).unwrap()
}

/// The logits after each of the last ids, the first `prompt` read at once: (rows, ids, vocabulary).
fn steps(model: &Model, tokens: &Tensor, prompt: usize, dtype: CacheDtype, ctx: &ForwardCtx) -> Tensor {
    let mut cache = Cache::of(dtype);
    let mut logits = vec![model.step(&tokens.narrow(1, 0, prompt).unwrap(), &mut cache, ctx).unwrap()];
    for at in prompt..tokens.dim(1).unwrap() {
        logits.push(model.step(&tokens.narrow(1, at, 1).unwrap(), &mut cache, ctx).unwrap());
    }
    Tensor::stack(&logits, 1).unwrap()
}

/// The greatest difference, as a share of the greatest value.
fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let scale = |x: &Tensor| x.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    scale(&(a - b).unwrap()) / scale(b)
}

fn whole(model: &Model, tokens: &Tensor, prompt: usize, ctx: &ForwardCtx) -> Tensor {
    let all = model.forward(tokens, ctx).unwrap();
    all.narrow(1, prompt - 1, tokens.dim(1).unwrap() - prompt + 1).unwrap()
}

#[test]
fn every_kind_of_weight_decodes_as_it_reads() {
    for (odd, tied) in [(false, false), (false, true), (true, false)] {
        let dense = Model::new(config(odd, tied), &Device::Cpu, 1).unwrap();
        let packed = dense.quantize("nf4").unwrap();
        for (name, model) in
            [("dense", &dense), ("nf4", &packed), ("lora", &adapted(&dense, 3)), ("qlora", &adapted(&packed, 16))]
        {
            for (rows, length, prompt) in [(1, 70, 1), (2, 20, 5), (3, 9, 1), (8, 12, 2), (13, 6, 1)] {
                let (tokens, pass) = (tokens(rows, length), ForwardCtx::default());
                let logits = steps(model, &tokens, prompt, CacheDtype::Auto, &pass);
                let off = apart(&logits, &whole(model, &tokens, prompt, &pass));
                assert!(off < 1e-5, "{name}, odd {odd}, {rows} × {length}: {off}");
            }
        }
    }
}

/// The difference as a share of the values, both as root of the mean square.
fn noise(a: &Tensor, b: &Tensor) -> f32 {
    let power = |x: &Tensor| x.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
    (power(&(a - b).unwrap()) / power(b)).sqrt()
}

#[test]
fn small_formats_come_close() {
    let model = adapted(&Model::new(config(false, false), &Device::Cpu, 1).unwrap().quantize("nf4").unwrap(), 4);
    for rows in [1, 3, 8] {
        let tokens = tokens(rows, 90);
        let exact = whole(&model, &tokens, 4, &ForwardCtx::default());
        for (precision, dtype, most) in [
            (Precision::F32, CacheDtype::Int8, 0.05),
            (Precision::Bf16, CacheDtype::Auto, 0.05),
            (Precision::Bf16, CacheDtype::Int8, 0.05),
        ] {
            let logits = steps(&model, &tokens, 4, dtype, &ForwardCtx { precision, ..ForwardCtx::default() });
            let off = noise(&logits, &exact);
            assert!(off < most, "{precision:?} {dtype:?}, {rows} rows: {off}");
            assert!(dtype == CacheDtype::Auto || off > 1e-5, "{precision:?}: {off} is not that of 8 bits");
        }
    }
}

#[test]
fn eight_bits_take_a_quarter_of_the_memory_and_a_little() {
    let model = Model::new(config(false, false), &Device::Cpu, 1).unwrap();
    let bytes = |dtype| {
        let mut cache = Cache::of(dtype);
        model.step(&tokens(2, 100), &mut cache, &ForwardCtx::default()).unwrap();
        cache.bytes()
    };
    let (wide, narrow) = (bytes(CacheDtype::Auto), bytes(CacheDtype::Int8));
    assert_eq!(wide, 2 * 3 * 2 * 2 * 256 * 32 * 4); // keys and values, layers, rows, heads, positions, dims, bytes
    assert_eq!(narrow, wide / 4 + wide / 32);
}

#[test]
fn threads_and_instructions_change_nothing_that_counts() {
    let model = adapted(&Model::new(config(false, false), &Device::Cpu, 1).unwrap().quantize("nf4").unwrap(), 4);
    let tokens = tokens(3, 40);
    let run = || steps(&model, &tokens, 2, CacheDtype::Auto, &ForwardCtx::default());
    let best = on_isa(Isa::Avx512, 1, run);
    for threads in [2, 5] {
        assert_eq!(apart(&on_isa(Isa::Avx512, threads, run), &best), 0.0, "{threads} threads");
    }
    for isa in [Isa::Avx2, Isa::Portable] {
        assert!(apart(&on_isa(isa, 2, run), &best) < 1e-5, "{isa:?}");
    }
}

//! One position at a time on a GPU gives what the whole sequence gives on the CPU: weights and adapters of every kind, one
//! row to more than the kernels take, sizes that they read 16 bytes at a time and sizes that they cannot.

use candle_core::{Device, Tensor};

use super::Model;
use crate::interrupt::Interrupt;
use crate::nn::ops::reference::{close, gpu, to_cpu};
use crate::nn::{Cache, ForwardCtx, LlamaConfig, LoraConfig, Precision};

const VOCABULARY: usize = 29;

/// What a model is like.
#[derive(Debug, Clone, Copy)]
struct Kind {
    hidden: usize,
    heads: (usize, usize),
    head_dim: usize,
    inner: usize,
    tied: bool,
}

/// PrepackedInput lanes of codes; sizes that nothing divides; a large group of heads; more columns than fit at once, in the stream
/// and in the feed-forward.
const EVEN: Kind = Kind { hidden: 64, heads: (4, 2), head_dim: 16, inner: 96, tied: true };
const ODD: Kind = Kind { hidden: 30, heads: (3, 1), head_dim: 10, inner: 50, tied: false };
const GROUPED: Kind = Kind { hidden: 48, heads: (10, 1), head_dim: 8, inner: 32, tied: false };
const LONG: Kind = Kind { hidden: 1040, heads: (2, 1), head_dim: 80, inner: 16, tied: false };
const DEEP: Kind = Kind { hidden: 32, heads: (2, 2), head_dim: 128, inner: 1040, tied: true };

fn config(kind: Kind) -> LlamaConfig {
    LlamaConfig {
        vocab_size: VOCABULARY,
        hidden_size: kind.hidden,
        num_hidden_layers: 2,
        num_attention_heads: kind.heads.0,
        num_key_value_heads: Some(kind.heads.1),
        head_dim: Some(kind.head_dim),
        intermediate_size: kind.inner,
        max_position_embeddings: 600,
        tie_word_embeddings: kind.tied,
        initializer_range: (1.0 / kind.hidden as f64).sqrt(),
        ..LlamaConfig::default()
    }
}

/// Adapters that change something, for another seed in another way.
fn set_adapters(model: &Model, seed: usize) {
    for parameter in model.parameters().iter().filter(|parameter| parameter.name.contains("lora_")) {
        let values: Vec<f32> =
            (0..parameter.var.elem_count()).map(|i| 0.15 * ((i * i + 7 * seed) as f32).sin()).collect();
        parameter.var.set(&Tensor::from_vec(values, parameter.var.dims(), model.device()).unwrap()).unwrap();
    }
}

fn adapted(model: &Model, rank: usize) -> Model {
    let lora = LoraConfig { r: rank, lora_alpha: 8.0, ..LoraConfig::default() };
    let model = model.lora(&lora, 3).unwrap();
    set_adapters(&model, 1);
    model
}

/// Dense, in 4 bits, and both with adapters.
fn models(kind: Kind, device: &Device) -> [(&'static str, Model); 4] {
    let dense = Model::new(config(kind), device, 1).unwrap();
    let packed = dense.quantize("nf4").unwrap();
    let (lora, qlora) = (adapted(&dense, 3), adapted(&packed, 37));
    [("dense", dense), ("nf4", packed), ("lora", lora), ("qlora", qlora)]
}

fn tokens(rows: usize, length: usize) -> Tensor {
    let ids: Vec<u32> = (0..rows * length).map(|i| ((i * i + i / 7) % VOCABULARY) as u32).collect();
    Tensor::from_vec(ids, (rows, length), &Device::Cpu).unwrap()
}

/// The logits of `new` ids from `at` on.
fn take(model: &Model, tokens: &Tensor, (at, new): (usize, usize), cache: &mut Cache) -> Tensor {
    to_cpu(&model.step(&tokens.narrow(1, at, new).unwrap(), cache, &ForwardCtx::default()).unwrap())
}

/// Holds steps on the GPU to the whole sequence on the CPU: first the prompt, then in parts of 1, 2, … 1, 2, ….
fn hold(what: &str, [here, there]: [&Model; 2], tokens: &Tensor, prompt: usize) {
    let whole = here.forward(tokens, &ForwardCtx::default()).unwrap();
    let (mut cache, mut at, mut new) = (Cache::new(), 0, prompt);
    while at < tokens.dim(1).unwrap() {
        let logits = take(there, tokens, (at, new), &mut cache);
        at += new;
        let last = whole.narrow(1, at - 1, 1).unwrap().squeeze(1).unwrap().contiguous().unwrap();
        close(&format!("{what}, position {}", at - 1), &logits, &last, 1e-4);
        new = if at % 3 == 0 && at + 2 <= tokens.dim(1).unwrap() { 2 } else { 1 };
    }
    assert_eq!(cache.len(), at);
}

#[test]
#[ignore = "needs a GPU"]
fn every_kind_of_weight_decodes_as_it_reads_on_a_gpu() {
    for kind in [EVEN, ODD, GROUPED] {
        let all = models(kind, &Device::Cpu).into_iter().zip(models(kind, &gpu()));
        for ((name, here), (_, there)) in all {
            for (rows, length, prompt) in [(1, 8, 1), (2, 9, 5), (3, 4, 2), (8, 7, 5), (9, 3, 1)] {
                let what = format!("{name}, {kind:?}, {rows} × {length}");
                hold(&what, [&here, &there], &tokens(rows, length), prompt);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn more_columns_than_fit_at_once_decode_as_they_are_read_on_a_gpu() {
    for kind in [LONG, DEEP] {
        let [dense, .., qlora] = models(kind, &Device::Cpu);
        let [dense_there, .., qlora_there] = models(kind, &gpu());
        for ((name, here), (_, there)) in [(dense, dense_there), (qlora, qlora_there)] {
            hold(&format!("{name}, {kind:?}"), [&here, &there], &tokens(5, 2), 1);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_cache_that_grows_and_one_that_forks_go_on_on_a_gpu() {
    for (rows, kind) in [(1, EVEN), (2, ODD)] {
        let [.., (_, here)] = models(kind, &Device::Cpu);
        let [.., (_, there)] = models(kind, &gpu());
        let tokens = tokens(rows, 264);
        hold("growing", [&here, &there], &tokens, 250);

        let mut cache = Cache::new();
        take(&there, &tokens, (0, 20), &mut cache);
        take(&there, &tokens, (20, 1), &mut cache);
        let mut fork = cache.clone();
        let way = |ids: &[u32]| {
            let ids: Vec<u32> = (0..rows).flat_map(|_| ids.iter().copied()).collect();
            let new = ids.len() / rows;
            Tensor::from_vec(ids, (rows, new), &Device::Cpu).unwrap()
        };
        let (left, right) = (way(&[1, 2, 3]), way(&[4, 5, 6]));
        for at in 0..3 {
            for (ids, cache) in [(&left, &mut cache), (&right, &mut fork)] {
                let logits = take(&there, ids, (at, 1), cache);
                let parts = [&tokens.narrow(1, 0, 21).unwrap(), &ids.narrow(1, 0, at + 1).unwrap()];
                let all = here.forward(&Tensor::cat(&parts, 1).unwrap(), &ForwardCtx::default()).unwrap();
                let last = all.narrow(1, 21 + at, 1).unwrap().squeeze(1).unwrap().contiguous().unwrap();
                close(&format!("fork {at}"), &logits, &last, 1e-4);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn what_was_recorded_is_not_asked_for_another_model_on_a_gpu() {
    let (dense, tokens) = (Model::new(config(EVEN), &gpu(), 1).unwrap(), tokens(2, 12));
    let model = adapted(&dense.quantize("nf4").unwrap(), 4);
    let mut cache = Cache::new();
    (0..4).for_each(|at| drop(take(&model, &tokens, (at, 1), &mut cache)));
    let mut again = cache.clone();
    // The same memory with other values is read again; other memory is noticed.
    set_adapters(&model, 2);
    let answer = take(&model, &tokens, (4, 1), &mut cache);
    let slow = take(&model, &tokens, (4, 1), &mut again);
    assert_eq!(values(&answer), values(&slow), "a step that was recorded, and one that was not");
    let other = adapted(&dense.quantize("nf4").unwrap(), 5);
    let mut again = cache.clone();
    let (fresh, kept) = (take(&other, &tokens, (5, 1), &mut again), take(&other, &tokens, (5, 1), &mut cache));
    assert_eq!(values(&fresh), values(&kept));
    assert_ne!(values(&fresh), values(&answer));
    cache.forget(5);
    assert_ne!(values(&take(&model, &tokens, (5, 1), &mut cache)), values(&fresh));
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
#[ignore = "needs a GPU"]
fn a_step_gives_the_same_bits_and_can_be_stopped_on_a_gpu() {
    let [.., (_, model)] = models(GROUPED, &gpu());
    let tokens = tokens(3, 40);
    let run = |ctx: &ForwardCtx| {
        let mut cache = Cache::new();
        let steps = (0..40).map(|at| model.step(&tokens.narrow(1, at, 1).unwrap(), &mut cache, ctx).unwrap());
        let steps: Vec<Tensor> = steps.collect();
        values(&Tensor::cat(&steps, 0).unwrap())
    };
    let once = run(&ForwardCtx::default());
    assert_eq!(run(&ForwardCtx::default()), once, "another run");
    assert_eq!(
        run(&ForwardCtx { precision: Precision::Bf16, ..ForwardCtx::default() }),
        once,
        "products of one id are exact"
    );

    let interrupt = Interrupt::new();
    let pass = ForwardCtx { interrupt: interrupt.clone(), ..ForwardCtx::default() };
    let mut cache = Cache::new();
    model.step(&tokens.narrow(1, 0, 3).unwrap(), &mut cache, &pass).unwrap();
    interrupt.trigger();
    let stopped = model.step(&tokens.narrow(1, 3, 2).unwrap(), &mut cache, &pass);
    assert!(stopped.is_err_and(|e| e.is_interrupted()) && cache.len() == 3);
    assert!(cache.bytes() > 0);
}

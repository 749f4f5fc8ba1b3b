//! A model on a GPU gives the results of the CPU: logits, losses, gradients, decoding.

use candle_core::{Device, Tensor};

use super::Model;
use crate::data::{Batch, IGNORE};
use crate::nn::ops::reference::{close, gpu, to_cpu};
use crate::nn::{Cache, ForwardCtx, LlamaConfig, LoraConfig, Precision};

/// In 4 bits with adapters that drop, or plain.
fn model(device: &Device, adapted: bool) -> Model {
    let config = LlamaConfig {
        vocab_size: 23,
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 40,
        max_position_embeddings: 300,
        initializer_range: 0.2,
        ..LlamaConfig::default()
    };
    let model = Model::new(&config, device, 1).unwrap();
    if !adapted {
        return model;
    }
    let lora = LoraConfig { r: 3, lora_alpha: 6.0, lora_dropout: 0.2, ..LoraConfig::default() };
    let model = model.quantize("nf4").unwrap().lora(&lora, 2).unwrap();
    for (i, parameter) in model.parameters().iter().enumerate() {
        let values: Vec<f32> = (0..parameter.var.elem_count()).map(|j| ((i * 31 + j * 7) as f32).sin() * 0.2).collect();
        parameter.var.set(&Tensor::from_vec(values, parameter.var.shape(), device).unwrap()).unwrap();
    }
    model
}

fn batch() -> Batch {
    let tokens: Vec<u32> = (0..26).map(|i| (i * i + 3) % 23).collect();
    let mut labels: Vec<u32> = tokens.iter().map(|t| (t * 5 + 1) % 23).collect();
    for i in [3, 6, 12, 25] {
        labels[i] = IGNORE;
    }
    Batch { input_ids: tokens, labels, rows: 2, width: 13, ..Batch::default() }
}

#[test]
#[ignore = "needs a GPU"]
fn logits_and_gradients_are_those_of_the_cpu_on_a_gpu() {
    let pass = ForwardCtx { dropout_seed: Some(5), ..ForwardCtx::recording() };
    for adapted in [false, true] {
        let (here, there) = (model(&Device::Cpu, adapted), model(&gpu(), adapted));
        let (slow, fast) = (here.logits(&batch(), &pass).unwrap(), there.logits(&batch(), &pass).unwrap());
        close(&format!("logits, adapted {adapted}"), &to_cpu(&fast), &slow, 1e-4);
        let mut slow = here.loss(&batch(), &pass).unwrap().backward().unwrap();
        let mut fast = there.loss(&batch(), &pass).unwrap().backward().unwrap();
        let (_, again) = there.loss_and_gradients(&batch(), &pass).unwrap();
        assert_eq!(here.parameters().len(), there.parameters().len());
        for ((a, b), again) in here.parameters().iter().zip(there.parameters()).zip(again) {
            let (slow, fast) = (slow.remove(&a.var).unwrap(), fast.remove(&b.var).unwrap());
            close(&a.name, &to_cpu(&fast), &slow, 1e-3);
            close(&format!("{} recomputed", a.name), &to_cpu(&again.unwrap()), &slow, 1e-3);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn bf16_is_near_f32_on_a_gpu() {
    let there = model(&gpu(), true);
    let exact = to_cpu(&there.logits(&batch(), &ForwardCtx::default()).unwrap());
    let pass = ForwardCtx { precision: Precision::Bf16, ..ForwardCtx::default() };
    let rounded = to_cpu(&there.logits(&batch(), &pass).unwrap());
    close("bf16", &rounded, &exact, 5e-2);
    assert!(close_to_the_bit(&rounded, &exact).is_err(), "bf16 changed nothing: was it used?");
    there.loss(&batch(), &pass).unwrap().backward().unwrap();
}

fn close_to_the_bit(a: &Tensor, b: &Tensor) -> Result<(), ()> {
    let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    if values(a) == values(b) { Ok(()) } else { Err(()) }
}

#[test]
#[ignore = "needs a GPU"]
fn the_cache_answers_as_the_whole_sequence_does_on_a_gpu() {
    let (here, there) = (model(&Device::Cpu, true), model(&gpu(), true));
    let tokens = Tensor::from_vec(batch().input_ids, (2, 13), &Device::Cpu).unwrap();
    let whole = here.forward(&tokens, &ForwardCtx::default()).unwrap();
    let mut cache = Cache::new();
    // Four at once, then one by one.
    let parts = [(0, 4)].into_iter().chain((4..13).map(|at| (at, 1)));
    for (at, new) in parts {
        let logits = there.step(&tokens.narrow(1, at, new).unwrap(), &mut cache, &ForwardCtx::default()).unwrap();
        let last = whole.narrow(1, at + new - 1, 1).unwrap().squeeze(1).unwrap();
        close(&format!("position {at}"), &to_cpu(&logits), &last.contiguous().unwrap(), 1e-4);
    }
    let forked = cache.clone();
    assert_eq!(forked.len(), 13);
}

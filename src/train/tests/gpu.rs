//! Training on a GPU gives the steps of the CPU.

use candle_core::Device;

use super::*;
use crate::progress::Progress;
use crate::train::{AdamW, AdamWOptions, Grads};

fn adapted_on(device: &Device) -> Model {
    let config = LoraConfig { r: 4, lora_alpha: 8.0, lora_dropout: 0.1, ..LoraConfig::default() };
    let model = Model::new(super::model().config(), device, 1).expect("a valid shape");
    model.quantize("nf4").and_then(|model| model.lora(&config, 2)).expect("a model with linear layers")
}

fn gpu() -> Device {
    crate::nn::device("cuda").expect("this test was asked for and needs a GPU")
}

#[test]
#[ignore = "needs a GPU"]
fn the_steps_are_those_of_the_cpu_on_a_gpu() {
    for gradient_checkpointing in [false, true] {
        let options = TrainOptions { gradient_accumulation_steps: 2, gradient_checkpointing, ..options() };
        let run = |device: &Device| {
            let mut trainer = trainer(adapted_on(device), options.clone());
            for _ in 0..3 {
                trainer.step(&Progress::silent()).expect("a step");
            }
            trainer
        };
        let (here, there) = (run(&Device::Cpu), run(&gpu()));
        for (a, b) in here.history().iter().zip(there.history()) {
            assert!((a.loss - b.loss).abs() < 1e-4 * a.loss, "{} {}", a.loss, b.loss);
            assert!((a.grad_norm - b.grad_norm).abs() < 1e-3 * a.grad_norm, "{} {}", a.grad_norm, b.grad_norm);
        }
        for (a, b) in values(here.model()).iter().zip(values(there.model())) {
            assert!((a - b).abs() < 2e-3, "{a} {b}"); // Adam divides small gradients by small roots
        }
    }
}

/// A parameter large enough for moments in 8 bits, stepped on both devices with the same gradients.
#[test]
#[ignore = "needs a GPU"]
fn moments_in_8_bits_are_those_of_the_cpu_on_a_gpu() {
    let n = 5_000;
    let wave = |k: usize| (0..n).map(|i| ((i * k) as f32 * 0.37).sin()).collect::<Vec<f32>>();
    let run = |device: &Device| {
        let var = candle_core::Var::from_vec(wave(3), n, device).expect("a vector");
        let parameters = vec![crate::nn::Parameter { name: "w".into(), var }];
        let options = AdamWOptions { bits: 8, weight_decay: 0.1, ..AdamWOptions::default() };
        let mut optimizer = AdamW::new(parameters.clone(), options).expect("in range");
        for step in 1..4 {
            let g = candle_core::Tensor::from_vec(wave(step * 5), n, device).expect("a vector");
            let loss = parameters[0].var.mul(&g).and_then(|x| x.to_device(&Device::Cpu)?.sum_all()).expect("a scalar");
            optimizer.step(&Grads::backward(&loss, &parameters).expect("gradients")).expect("finite");
        }
        let folder = tempfile::tempdir().expect("a folder");
        optimizer.save(folder.path()).expect("saved");
        let moments = std::fs::read(folder.path().join("optimizer.safetensors")).expect("there");
        (parameters[0].var.to_vec1::<f32>().expect("f32"), moments)
    };
    let (here, there) = (run(&Device::Cpu), run(&gpu()));
    assert_eq!(here.0, there.0, "the parameter");
    assert!(here.1 == there.1, "the moments");
}

#[test]
#[ignore = "needs a GPU"]
fn moments_are_saved_and_come_back_on_a_gpu() {
    for bits in [32, 8] {
        saved_and_back(bits);
    }
}

fn saved_and_back(bits: u8) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = trainer(adapted_on(&gpu()), TrainOptions { bits, ..options() });
    trainer.step(&Progress::silent()).expect("a step");
    trainer.optimizer.save(folder.path()).expect("saved");
    let mut other = AdamW::new(trainer.model().parameters(), trainer.optimizer.options().clone()).expect("in range");
    other.load(folder.path()).expect("read");
    assert_eq!(other.steps(), 1);
    let again = tempfile::tempdir().expect("a folder");
    other.save(again.path()).expect("saved");
    let bytes = |dir: &tempfile::TempDir| std::fs::read(dir.path().join("optimizer.safetensors")).expect("there");
    assert!(bytes(&folder) == bytes(&again), "the moments changed on their way");
}

//! LLaMA against `transformers`, `peft` and `bitsandbytes`: the same logits, loss, attention and gradients.
//!
//! The checkpoints and answers are in `golden/llama`; `golden/llama/make.py` made them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use etude::nn::Model;

use crate::expected::Expected;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/llama").join(name)
}

fn load(name: &str) -> Model {
    Model::load(&golden(name), &Device::Cpu).unwrap()
}

fn expected(name: &str) -> Expected {
    Expected::of(&golden(name))
}

#[test]
fn a_checkpoint_of_transformers_answers_as_it_does_there() {
    let model = load("grouped");
    let config = model.config().llama().unwrap();
    assert_eq!((config.kv_heads(), config.head_dim(), config.rope_theta), (2, 32, 5000.0));
    assert_eq!(expected("grouped").check(&model), 5);
}

#[test]
fn several_files_with_a_tied_head_do_too() {
    let model = load("tied");
    assert!(model.spec().tied_head);
    assert_eq!(expected("tied").check(&model), 1);
}

#[test]
fn an_adapter_of_peft_answers_as_it_does_there() {
    let model = load("grouped").load_adapter(&golden("adapter")).unwrap();
    let config = model.lora_config().unwrap();
    assert_eq!((config.r, config.lora_alpha, config.use_rslora), (4, 6.0, true));
    assert_eq!(model.parameters().len(), 2 * 2 * 2);
    expected("adapter").check(&model);
    expected("adapter").check(&model.merge().unwrap());
}

#[test]
fn four_bits_of_bitsandbytes_answer_as_they_do_there() {
    let model = load("nf4");
    assert!(model.parameters().is_empty(), "nothing of it trains");
    expected("nf4").check(&model);
    // The same weights quantised here answer the same, so the bytes are the same.
    expected("nf4").check(&load("grouped").quantize("nf4").unwrap());
}

#[test]
fn four_bits_without_double_quantisation_are_read_exactly() {
    expected("nf4_single").check(&load("nf4_single"));
}

#[test]
fn what_we_quantise_is_what_bitsandbytes_wrote() {
    let folder = tempfile::tempdir().unwrap();
    load("grouped").quantize("nf4").unwrap().save(folder.path()).unwrap();
    let ours = safetensors::load(folder.path().join("model.safetensors"), &Device::Cpu).unwrap();
    let theirs = safetensors::load(golden("nf4").join("model.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(ours.len(), theirs.len());
    let bytes = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let floats = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, tensor) in &theirs {
        assert_eq!(tensor.dims(), ours[name].dims(), "{name}");
        match tensor.dtype() {
            candle_core::DType::U8 => assert_eq!(bytes(tensor), bytes(&ours[name]), "{name}"),
            _ => assert_eq!(floats(tensor), floats(&ours[name]), "{name}"),
        }
    }
}

//! LLaMA against `transformers`, `peft` and `bitsandbytes`: the same logits, loss, attention and gradients.
//!
//! The checkpoints and answers are in `golden/llama`; `golden/llama/make.py` made them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use etude::data::{Batch, IGNORE};
use etude::nn::{Model, Pass};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/llama").join(name)
}

fn load(name: &str) -> Model {
    Model::load(&golden(name), &Device::Cpu).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// What the peers answered.
struct Expected(HashMap<String, Tensor>);

impl Expected {
    fn of(name: &str) -> Self {
        Self(safetensors::load(golden(name).join("expected.safetensors"), &Device::Cpu).unwrap())
    }

    fn ids(&self, name: &str) -> Vec<i64> {
        self.0[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    fn batch(&self) -> Batch {
        let (rows, width) = self.0["tokens"].dims2().unwrap();
        let tokens = self.ids("tokens").iter().map(|&id| id as u32).collect();
        let labels = self.ids("labels").iter().map(|&id| if id < 0 { IGNORE } else { id as u32 }).collect();
        Batch { tokens, labels, rows, width }
    }

    /// Compares everything there is; gives the number of gradients compared.
    fn check(&self, model: &Model) -> usize {
        let (batch, pass) = (self.batch(), Pass::default());
        let logits = model.logits(&batch, &pass).unwrap();
        let off = largest_difference(&logits, &self.0["logits"]);
        assert!(off < 1e-4, "logits are off by {off}");
        let attention = model.attention(&batch, 1).unwrap();
        let off = largest_difference(&attention, &self.0["attention"]);
        assert!(off < 1e-5, "attention is off by {off}");
        let loss = model.loss(&batch, &pass).unwrap();
        let off = largest_difference(&loss.reshape(1).unwrap(), &self.0["loss"]);
        assert!(off < 1e-5, "the loss is off by {off}");
        let gradients: Vec<_> = self.0.iter().filter_map(|(k, g)| Some((k.strip_prefix("grad.")?, g))).collect();
        if gradients.is_empty() {
            return 0;
        }
        let store = loss.backward().unwrap();
        for (name, gradient) in &gradients {
            let parameter = model.parameters().into_iter().find(|p| p.name == *name).unwrap();
            let off = largest_difference(store.get(parameter.var.as_tensor()).unwrap(), gradient);
            assert!(off < 1e-5, "the gradient of {name} is off by {off}");
        }
        gradients.len()
    }
}

#[test]
fn a_checkpoint_of_transformers_answers_as_it_does_there() {
    let model = load("grouped");
    assert_eq!((model.config().kv_heads(), model.config().head_dim(), model.config().rope_theta), (2, 32, 5000.0));
    assert_eq!(Expected::of("grouped").check(&model), 5);
}

#[test]
fn several_files_with_a_tied_head_do_too() {
    let model = load("tied");
    assert!(model.config().tie_word_embeddings);
    assert_eq!(Expected::of("tied").check(&model), 1);
}

#[test]
fn an_adapter_of_peft_answers_as_it_does_there() {
    let model = load("grouped").load_adapter(&golden("adapter")).unwrap();
    let config = model.lora_config().unwrap();
    assert_eq!((config.r, config.lora_alpha, config.use_rslora), (4, 6.0, true));
    assert_eq!(model.parameters().len(), 2 * 2 * 2);
    Expected::of("adapter").check(&model);
    Expected::of("adapter").check(&model.merge().unwrap());
}

#[test]
fn four_bits_of_bitsandbytes_answer_as_they_do_there() {
    let model = load("nf4");
    assert!(model.parameters().is_empty(), "nothing of it trains");
    Expected::of("nf4").check(&model);
    // The same weights quantised here answer the same, so the bytes are the same.
    Expected::of("nf4").check(&load("grouped").quantize("nf4").unwrap());
}

#[test]
fn four_bits_without_double_quantisation_are_read_exactly() {
    Expected::of("nf4_single").check(&load("nf4_single"));
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

//! What the Python peers answered to a golden checkpoint, compared with what a model here answers.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, safetensors};
use etude::data::{Batch, EncoderInput, IGNORE};
use etude::nn::{ForwardCtx, Model};

/// The largest difference between two tensors of one shape.
pub(crate) fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// What the peers answered.
pub(crate) struct Expected(pub(crate) HashMap<String, Tensor>);

impl Expected {
    /// The answers in a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        Self(safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap())
    }

    /// The numbers of a tensor of ids.
    pub(crate) fn ids(&self, name: &str) -> Vec<i64> {
        self.0[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The batch that was asked about.
    pub(crate) fn batch(&self) -> Batch {
        let (rows, width) = self.0["tokens"].dims2().unwrap();
        let tokens = self.ids("tokens").iter().map(|&id| id as u32).collect();
        let labels = self.ids("labels").iter().map(|&id| if id < 0 { IGNORE } else { id as u32 }).collect();
        let encoder = self.0.get("source").map(|source| EncoderInput {
            input_ids: self.ids("source").iter().map(|&id| id as u32).collect(),
            attention_mask: self.ids("source_mask").iter().map(|&seen| seen == 1).collect(),
            width: source.dim(1).unwrap(),
        });
        Batch { input_ids: tokens, labels, encoder, rows, width, ..Batch::default() }
    }

    /// Compares everything there is; gives the number of gradients compared.
    pub(crate) fn check(&self, model: &Model) -> usize {
        let (batch, pass) = (self.batch(), ForwardCtx::recording());
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

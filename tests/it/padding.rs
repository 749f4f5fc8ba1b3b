//! Padded batches against `transformers`: the same logits at the ids, loss and gradients.
//!
//! The answers are in `golden/padding`; `golden/padding/make.py` made them with the checkpoints of the other folders.

use std::path::{Path, PathBuf};

use candle_core::{D, DType, Device, Tensor};
use etude::data::{Batch, EncoderInput, IGNORE};
use etude::nn::{ForwardCtx, Model};

use crate::expected::{Expected, largest_difference};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name)
}

/// The batch of a case.
fn batch(all: &Expected, case: &str) -> Batch {
    let ids = |what: &str| all.ids(&format!("{case}.{what}"));
    let plain = |what: &str| ids(what).into_iter().map(|id| id as u32).collect::<Vec<_>>();
    let (rows, width) = all.0[&format!("{case}.tokens")].dims2().unwrap();
    let encoder = all.0.get(&format!("{case}.source")).map(|source| EncoderInput {
        input_ids: plain("source"),
        attention_mask: vec![true; source.elem_count()],
        width: source.dim(1).unwrap(),
    });
    Batch {
        input_ids: plain("tokens"),
        labels: ids("labels").iter().map(|&id| if id < 0 { IGNORE } else { id as u32 }).collect(),
        attention_mask: Some(ids("mask").iter().map(|&seen| seen == 1).collect()),
        position_ids: all.0.contains_key(&format!("{case}.positions")).then(|| plain("positions")),
        encoder,
        rows,
        width,
    }
}

/// Compares a case; gives the number of gradients.
fn check(all: &Expected, model: &Model, case: &str) -> usize {
    let batch = batch(all, case);
    let mask = all.0[&format!("{case}.mask")].to_dtype(DType::F32).unwrap().unsqueeze(D::Minus1).unwrap();
    let logits = model.logits(&batch, &ForwardCtx::default()).unwrap().broadcast_mul(&mask).unwrap();
    let off = largest_difference(&logits, &all.0[&format!("{case}.logits")]);
    assert!(off < 1e-4, "{case}: logits are off by {off}");
    let loss = model.loss(&batch, &ForwardCtx::recording()).unwrap();
    let off = largest_difference(&loss.reshape(1).unwrap(), &all.0[&format!("{case}.loss")]);
    assert!(off < 1e-5, "{case}: the loss is off by {off}");
    let gradients = loss.backward().unwrap();
    let names: Vec<&str> = all.0.keys().filter_map(|key| key.strip_prefix(&format!("{case}.grad."))).collect();
    for name in &names {
        let parameter = model.parameters().into_iter().find(|parameter| parameter.name == *name).unwrap();
        let expected: &Tensor = &all.0[&format!("{case}.grad.{name}")];
        let off = largest_difference(gradients.get(parameter.var.as_tensor()).unwrap(), expected);
        assert!(off < 1e-5, "{case}: the gradient of {name} is off by {off}");
    }
    names.len()
}

#[test]
fn padded_rows_answer_as_they_do_in_transformers() {
    let all = Expected::of(&golden("padding"));
    let mut compared = 0;
    for (folder, name) in
        [("families", "plain"), ("families", "llama_bias"), ("families", "llama_dynamic"), ("t5", "gated")]
    {
        let model = Model::load(&golden(folder).join(name), &Device::Cpu).unwrap();
        for side in ["left", "right", "both"] {
            compared += check(&all, &model, &format!("{name}.{side}"));
        }
        if name == "plain" {
            compared += check(&all, &model, "plain.places");
        }
    }
    assert_eq!(compared, 3 * 3 * 2 + 2);
}

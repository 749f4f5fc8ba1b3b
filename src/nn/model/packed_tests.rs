//! Rows of packed sequences: each gives the results and gradients that it gives alone.

use candle_core::{Device, Tensor};

use crate::data::{Batch, IGNORE};
use crate::nn::ops::reference::{close, values};
use crate::nn::{ForwardCtx, Gpt2Config, LlamaConfig, Model, ModelConfig};

/// A small LLaMA and a small GPT-2.
pub(super) fn models() -> Vec<Model> {
    let llama = LlamaConfig {
        vocab_size: 23,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        intermediate_size: 24,
        initializer_range: 0.3,
        ..LlamaConfig::default()
    };
    let gpt2 = Gpt2Config {
        vocab_size: 23,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        initializer_range: 0.3,
        ..Gpt2Config::default()
    };
    let configs: [ModelConfig; 2] = [llama.into(), gpt2.into()];
    configs.iter().map(|config| Model::new(config, &Device::Cpu, 5).unwrap()).collect()
}

/// Sequences of 3, 5 and 4 ids in the first row, of 9 and 3 in the second.
const LENGTHS: [&[usize]; 2] = [&[3, 5, 4], &[9, 3]];

fn batch(masked: bool) -> Batch {
    let input_ids: Vec<u32> = (0..24).map(|i| (7 * i + i * i) % 23).collect();
    let labels = (0..24).map(|i| if i % 5 == 4 { IGNORE } else { (3 * i) % 23 }).collect();
    let positions = LENGTHS.iter().flat_map(|row| row.iter().flat_map(|&length| 0..length as u32)).collect();
    Batch { input_ids, labels, position_ids: masked.then_some(positions), rows: 2, width: 12, ..Batch::default() }
}

#[test]
fn each_sequence_answers_as_it_does_alone() {
    let (ctx, batch) = (ForwardCtx::default(), batch(true));
    for model in models() {
        let logits = model.logits(&batch, &ctx).unwrap();
        let weights = model.attention(&batch, 1).unwrap();
        for (row, lengths) in LENGTHS.iter().enumerate() {
            let mut begin = 0;
            for &length in *lengths {
                let ids = batch.input_ids[row * 12 + begin..][..length].to_vec();
                let alone = Batch { labels: ids.clone(), input_ids: ids, rows: 1, width: length, ..Batch::default() };
                let part = |x: &Tensor, axis: usize| x.narrow(0, row, 1).unwrap().narrow(axis, begin, length).unwrap();
                close("logits", &part(&logits, 1), &model.logits(&alone, &ctx).unwrap(), 1e-5);
                let seen = part(&weights, 2).narrow(3, begin, length).unwrap();
                close("weights", &seen, &model.attention(&alone, 1).unwrap(), 1e-5);
                begin += length;
            }
        }
        let joined = model.logits(&self::batch(false), &ctx).unwrap();
        assert_ne!(values(&joined), values(&logits), "the pieces before are seen without position_ids");
    }
}

#[test]
fn recomputing_gives_the_gradients_of_packed_rows() {
    for model in models() {
        let (loss, tape) = model.taped_loss(&batch(true), &ForwardCtx::default()).unwrap();
        let mut found = std::collections::HashMap::new();
        let mut take = |id, gradient| {
            found.insert(id, gradient);
            Ok(())
        };
        tape.backward(&loss, loss.ones_like().unwrap(), &mut take).unwrap();
        let (again, gradients) = model.loss_and_gradients(&batch(true), &ForwardCtx::default()).unwrap();
        close("loss", &again, &loss, 1e-6);
        for (parameter, gradient) in model.parameters().iter().zip(gradients) {
            close(&parameter.name, &gradient.unwrap(), &found[&parameter.var.id()], 1e-5);
        }
    }
}

#[test]
fn position_ids_that_do_not_fit_are_refused() {
    let model = &models()[0];
    for (position_ids, what) in [(vec![0; 5], "5 position ids for 24 ids"), (vec![1; 24], "place 0 of row 0")] {
        let batch = Batch { position_ids: Some(position_ids), ..batch(true) };
        let error = model.loss(&batch, &ForwardCtx::default()).unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
}

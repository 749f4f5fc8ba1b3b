//! Padded rows, in each family: the results and gradients that each row gives alone.

use std::collections::HashMap;

use candle_core::{Device, Tensor, TensorId};

use super::packed_tests;
use crate::data::{Batch, EncoderInput, IGNORE};
use crate::nn::ops::reference::close;
use crate::nn::{ForwardCtx, Model, ModelConfig, MusicTransformerConfig, T5Config};

/// A small model of each family, and the Music Transformer with and without an encoder.
fn models() -> Vec<Model> {
    let t5 = T5Config {
        vocab_size: 23,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 24,
        relative_attention_num_buckets: 6,
        relative_attention_max_distance: 8,
        ..T5Config::default()
    };
    let music = |encoder| MusicTransformerConfig {
        vocab_size: 23,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 24,
        initializer_range: 0.3,
        max_relative_positions: Some(5),
        max_position_embeddings: 32,
        is_encoder_decoder: encoder,
        ..MusicTransformerConfig::default()
    };
    let configs: [ModelConfig; 3] = [t5.into(), music(false).into(), music(true).into()];
    let mut models = packed_tests::models();
    models.extend(configs.iter().map(|config| Model::new(config, &Device::Cpu, 5).unwrap()));
    models
}

const WIDTH: usize = 12;

/// Where the ids of each row stand: padded at the left, at the right, at both ends, and not at all.
const ROWS: [std::ops::Range<usize>; 4] = [5..12, 0..3, 2..9, 0..12];

fn batch(model: &Model) -> Batch {
    let seen: Vec<bool> = ROWS.iter().flat_map(|row| (0..WIDTH).map(|place| row.contains(&place))).collect();
    let id = |(place, &seen): (usize, &bool)| if seen { (7 * place + place * place) as u32 % 23 } else { 0 };
    let input_ids = seen.iter().enumerate().map(id).collect();
    let sources: Vec<Vec<u32>> = (1..=ROWS.len() as u32).map(|row| (row..2 * row + 1).collect()).collect();
    let encoder = model.has_encoder().then(|| EncoderInput::padded(&sources, 0));
    let rows = ROWS.len();
    Batch { input_ids, attention_mask: Some(seen), encoder, rows, width: WIDTH, ..Batch::default() }.with_next_ids()
}

/// A row without its padding.
fn alone(batch: &Batch, row: usize) -> Batch {
    let places = row * WIDTH + ROWS[row].start..row * WIDTH + ROWS[row].end;
    let encoder = batch.encoder.as_ref().map(|encoder| {
        let places = row * encoder.width..(row + 1) * encoder.width;
        EncoderInput {
            input_ids: encoder.input_ids[places.clone()].to_vec(),
            attention_mask: encoder.attention_mask[places].to_vec(),
            width: encoder.width,
        }
    });
    Batch {
        input_ids: batch.input_ids[places.clone()].to_vec(),
        labels: batch.labels[places].to_vec(),
        encoder,
        rows: 1,
        width: ROWS[row].len(),
        ..Batch::default()
    }
}

#[test]
fn each_row_answers_as_it_does_alone() {
    let ctx = ForwardCtx::default();
    for model in models() {
        let family = model.config().model_type();
        let batch = batch(&model);
        let logits = model.logits(&batch, &ctx).unwrap();
        let weights = model.attention(&batch, 1).unwrap();
        for (row, places) in ROWS.iter().enumerate() {
            let alone = alone(&batch, row);
            let part = |x: &Tensor, axis: usize| x.narrow(axis, places.start, places.len()).unwrap();
            let own = part(&logits.narrow(0, row, 1).unwrap(), 1);
            close(&format!("{family} {row}"), &own, &model.logits(&alone, &ctx).unwrap(), 1e-5);
            let seen = part(&part(&weights.narrow(0, row, 1).unwrap(), 2), 3);
            close(&format!("{family} {row}"), &seen, &model.attention(&alone, 1).unwrap(), 1e-5);
        }
    }
}

fn gradients(model: &Model, batch: &Batch) -> (f32, HashMap<TensorId, Tensor>) {
    let (loss, tape) = model.taped_loss(batch, &ForwardCtx::default()).unwrap();
    let mut found = HashMap::new();
    let mut take = |id, gradient| {
        found.insert(id, gradient);
        Ok(())
    };
    tape.backward(&loss, loss.ones_like().unwrap(), &mut take).unwrap();
    (loss.to_scalar().unwrap(), found)
}

#[test]
fn gradients_are_the_mean_of_those_of_the_rows_alone() {
    for model in models() {
        let batch = batch(&model);
        let (loss, together) = gradients(&model, &batch);
        let labels = |batch: &Batch| batch.labels.iter().filter(|&&label| label != IGNORE).count() as f64;
        let (mut mean, mut sums) = (0.0, HashMap::<TensorId, Tensor>::new());
        for row in 0..ROWS.len() {
            let alone = alone(&batch, row);
            let share = labels(&alone) / labels(&batch);
            let (loss, own) = gradients(&model, &alone);
            mean += f64::from(loss) * share;
            for (id, gradient) in own {
                let gradient = (gradient * share).unwrap();
                let sum = sums.remove(&id).map_or_else(|| gradient.clone(), |sum| (sum + &gradient).unwrap());
                sums.insert(id, sum);
            }
        }
        assert!((f64::from(loss) - mean).abs() < 1e-5, "{loss} and {mean}");
        let (again, recomputed) = model.loss_and_gradients(&batch, &ForwardCtx::default()).unwrap();
        assert!((again.to_scalar::<f32>().unwrap() - loss).abs() < 1e-6);
        for (parameter, again) in model.parameters().iter().zip(recomputed) {
            let (name, id) = (&parameter.name, parameter.var.id());
            close(name, &together[&id], &sums[&id], 1e-4);
            close(name, &again.unwrap(), &together[&id], 1e-4);
        }
    }
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let model = &models()[0];
    let good = batch(model);
    let text = |batch: Batch| model.loss(&batch, &ForwardCtx::default()).unwrap_err().message().to_owned();
    let with = |change: &dyn Fn(&mut [bool])| {
        let mut mask = good.attention_mask.clone().unwrap();
        change(&mut mask);
        text(Batch { attention_mask: Some(mask), ..good.clone() }.with_next_ids())
    };
    let short = text(Batch { attention_mask: Some(vec![true; 5]), ..good.clone() });
    assert!(short.contains("5 values of attention_mask for 48 ids"), "{short}");
    assert!(with(&|mask| mask[WIDTH + 1] = false).contains("attention_mask of row 1 has padding at place 1 between"));
    assert!(with(&|mask| mask[..WIDTH].fill(false)).contains("attention_mask of row 0 has padding only"));
    let mut labels = good.labels.clone();
    labels[2] = 4;
    let padding = text(Batch { labels, ..good.clone() });
    assert!(padding.contains("the label at place 2 of row 0 is one of padding"), "{padding}");
    let far = Some((0..48).map(|place| 60_000 + place % 12).collect());
    assert!(text(Batch { position_ids: far, ..good }).contains("beyond max_position_embeddings"));
}

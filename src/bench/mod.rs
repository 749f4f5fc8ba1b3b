//! Benchmarks: the speed of training and decoding on this machine, and the share of its arithmetic that they use.
//!
//! Times are medians over steps after a warm-up; memory is the peak of the process meanwhile. Floating-point operations
//! are those of the mathematics ([`flops`]): what is recomputed in the backward pass does not count.

mod decoding;
pub mod flops;
mod nf4;
mod training;

pub use decoding::{Decoding, decoding};
pub use nf4::{Quantized, nf4};
pub use training::{Training, training};

use crate::data::EncoderInput;
use crate::nn::Model;

/// Ids of a source per row, for encoder–decoder models.
const SOURCE: usize = 64;

/// The same source for each of some rows; `None` for models without an encoder.
pub fn source(model: &Model, rows: usize) -> Option<EncoderInput> {
    let vocabulary = model.spec().vocab_size as u32;
    let source: Vec<u32> = (0..SOURCE as u32).map(|i| (i * 29 + 5) % vocabulary).collect();
    model.has_encoder().then(|| EncoderInput::padded(&vec![source; rows], 0))
}

/// The median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ => (values[(n - 1) / 2] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::data::{Batch, IGNORE};
    use crate::nn::{CacheDtype, LlamaConfig, LoraConfig, Precision};
    use crate::progress::Progress;
    use crate::train::AdamWOptions;

    #[test]
    fn nf4_has_two_speeds() {
        let done = nf4(64, 2, &Progress::silent()).unwrap();
        assert!(done.quantize > 0.0 && done.dequantize > 0.0, "{done:?}");
        assert!(nf4(0, 2, &Progress::silent()).is_err());
    }

    fn small() -> Model {
        let config = LlamaConfig {
            vocab_size: 40,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 128,
            max_position_embeddings: 64,
            ..LlamaConfig::default()
        };
        Model::new(&config, &Device::Cpu, 1).unwrap()
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn training_learns_its_batch_and_decoding_says_as_much_as_asked() {
        let model = small().quantize("nf4").unwrap().lora(&LoraConfig::default(), 1).unwrap();
        let tokens: Vec<u32> = (0..64).map(|i| i % 8).collect();
        let mut labels: Vec<u32> = tokens.iter().map(|id| (id + 1) % 8).collect();
        (labels[31], labels[63]) = (IGNORE, IGNORE);
        let batch = Batch { rows: 2, width: 32, input_ids: tokens, labels, ..Batch::default() };
        let how = Training { steps: 6, warmup: 2, precision: Precision::F32 };
        let adamw = AdamWOptions { lr: 1e-2, ..AdamWOptions::default() };
        let done = training(&model, &batch, &adamw, &how, &Progress::silent()).unwrap();
        assert_eq!(done.losses.len(), 8);
        assert!(done.losses[7] < done.losses[0] && done.tokens_per_second > 0.0, "{done:?}");
        let how =
            Decoding { rows: 2, prompt: 4, tokens: 9, runs: 1, precision: Precision::F32, cache: CacheDtype::Int8 };
        assert!(decoding(&model, &how, &Progress::silent()).unwrap() > 0.0);
        let long = Decoding { tokens: 62, ..how };
        assert!(decoding(&model, &long, &Progress::silent()).unwrap_err().message().contains("64"));
    }
}

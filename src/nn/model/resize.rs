//! A model for more or fewer tokens.

use candle_core::Tensor;

use super::Model;
use crate::error::{Error, Result};
use crate::nn::ModelConfig;
use crate::nn::core::{Linear, LinearSpec, Matrix, Weight, WeightSource};
use crate::nn::init::Init;

impl Model {
    /// The same model with rows for `vocab_size` ids in its embedding and its head. Rows of ids that are new are the mean of
    /// those that there are (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models"); rows of ids
    /// that are gone are dropped. Weights in 4 bits stay as they are; what trained before trains here, in memory of its own.
    ///
    /// # Errors
    /// A `vocab_size` of 0; a model with adapters, which [`Model::merge`] puts into the weights.
    ///
    /// ```
    /// use candle_core::Device;
    /// use etude::nn::{LlamaConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 2,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?;
    /// assert_eq!(model.resize_token_embeddings(120)?.spec().vocab_size, 120);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn resize_token_embeddings(&self, vocab_size: usize) -> Result<Self> {
        if !self.adapters.is_empty() {
            return Err(
                Error::mistake("a model with adapters cannot get another vocabulary").with_hint("merge() it first")
            );
        }
        let mut config = self.config.clone();
        match &mut config {
            ModelConfig::Llama(config) => config.vocab_size = vocab_size,
            ModelConfig::Gpt2(config) => config.vocab_size = vocab_size,
            ModelConfig::T5(config) => config.vocab_size = vocab_size,
            ModelConfig::MusicTransformer(config) => config.vocab_size = vocab_size,
        }
        Self::build(&config, &self.device, &mut Resized(self))
    }
}

/// Takes each weight from a model, with more or fewer rows where it has one for each id.
struct Resized<'a>(&'a Model);

impl WeightSource for Resized<'_> {
    fn weight(&mut self, name: &str, shape: &[usize], _: Init) -> Result<Weight> {
        let values = self.0.weights(name)?;
        let values = if values.dims() == shape { values } else { with_rows(&values, shape[0])? };
        let trains = self.0.weights_in_order().any(|weight| weight.name() == name && weight.var().is_some());
        if trains { Weight::trained(name, &values) } else { Ok(Weight::fixed(name, values)) }
    }

    fn linear(&mut self, layer: &LinearSpec) -> Result<Linear> {
        match self.0.core.linears().find(|linear| linear.name == layer.name) {
            Some(linear) if matches!(linear.matrix, Matrix::Nf4(_)) => Ok(linear.clone()),
            _ => layer.dense(self),
        }
    }
}

/// The first `rows` rows of a matrix; where it has fewer, their mean follows.
fn with_rows(values: &Tensor, rows: usize) -> Result<Tensor> {
    let known = values.dim(0)?;
    if rows <= known {
        return Ok(values.narrow(0, 0, rows)?);
    }
    let mean = values.mean_keepdim(0)?;
    let mut shape = values.dims().to_vec();
    shape[0] = rows - known;
    Ok(Tensor::cat(&[values, &mean.broadcast_as(shape)?], 0)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{ForwardCtx, Gpt2Config, LoraConfig};

    fn model(tied: bool) -> Model {
        let config = Gpt2Config {
            vocab_size: 60,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            max_position_embeddings: 32,
            tie_word_embeddings: tied,
            ..Gpt2Config::default()
        };
        Model::new(config, &Device::Cpu, 3).expect("valid")
    }

    fn logits(model: &Model) -> Vec<Vec<f32>> {
        let ids = Tensor::new(&[[1u32, 5, 9, 2, 44]], &Device::Cpu).expect("ids");
        let logits = model.forward(&ids, &ForwardCtx::default()).expect("logits");
        logits.squeeze(0).and_then(|logits| logits.to_vec2::<f32>()).expect("numbers")
    }

    #[test]
    fn known_ids_answer_the_same_and_new_ones_like_the_mean() {
        for model in [model(true), model(false), model(true).quantize("nf4").expect("a model of the right sizes")] {
            for vocab_size in [70, 50] {
                let resized = model.resize_token_embeddings(vocab_size).expect("it has no adapters");
                assert_eq!(resized.trainable() > 0, model.trainable() > 0);
                for (new, old) in logits(&resized).iter().zip(logits(&model)) {
                    assert_eq!(new.len(), vocab_size);
                    let mean = old.iter().sum::<f32>() / old.len() as f32;
                    for (id, value) in new.iter().enumerate() {
                        let due = old.get(id).copied().unwrap_or(mean);
                        assert!((value - due).abs() < 1e-5, "{id}: {value} {due}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_made_of_no_ids_or_of_adapters() {
        assert!(model(true).resize_token_embeddings(0).is_err());
        let adapted = model(true).lora(&LoraConfig { r: 2, ..LoraConfig::default() }, 1).expect("a valid rank");
        assert!(adapted.resize_token_embeddings(70).is_err_and(|e| e.to_string().contains("merge")));
    }
}

//! A deeper model from a trained one, which answers the same until it trains on.

use candle_core::Tensor;

use super::Model;
use super::random::Random;
use crate::error::{Error, Result};
use crate::nn::core::{Weight, WeightNames, WeightSource};
use crate::nn::init::Init;
use crate::nn::{ModelConfig, families};

impl Model {
    /// A model of `times` as many blocks, all of it trainable, that computes what this one does.
    ///
    /// Behind each block come copies of it whose two outputs to the residual stream are zero, so they add nothing until
    /// they have learned to (as Gong et al. 2019, "Efficient Training of BERT by Progressively Stacking", copy blocks, and
    /// Chen et al. 2016, Net2Net, arXiv:1511.05641, keep the function). Weights in 4 bits are dequantised.
    ///
    /// # Errors
    /// `times` of 0; a model with adapters, which [`Model::merge`] puts into the weights; a GPT-2 whose blocks scale their
    /// attention by their place.
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
    /// assert_eq!(model.deepen(3)?.spec().decoder.layers, 6);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn deepen(&self, times: usize) -> Result<Self> {
        if times == 0 {
            return Err(Error::mistake("a model of no blocks: times is 0").with_hint("deepen(2) doubles them"));
        }
        if !self.adapters.is_empty() {
            return Err(Error::mistake("a model with adapters cannot be made deeper").with_hint("merge() it first"));
        }
        let mut config = self.config.clone();
        match &mut config {
            ModelConfig::Llama(config) => config.num_hidden_layers *= times,
            ModelConfig::Gpt2(config) if config.scale_attn_by_inverse_layer_idx && times > 1 => {
                return Err(Error::mistake("scale_attn_by_inverse_layer_idx ties what a block does to its place"));
            }
            ModelConfig::Gpt2(config) => config.num_hidden_layers *= times,
            ModelConfig::MusicTransformer(config) => {
                config.num_hidden_layers *= times;
                config.num_encoder_layers = config.num_encoder_layers.map(|layers| layers * times);
            }
            ModelConfig::T5(config) => {
                config.num_hidden_layers *= times;
                config.num_decoder_layers = config.num_decoder_layers.map(|layers| layers * times);
                config.num_encoder_layers = config.num_encoder_layers.map(|layers| layers * times);
            }
        }
        let names = families::names(&config);
        Self::build(&config, &self.device, &mut Deepened { of: self, times, names })
    }
}

/// Takes each weight from the block that it is a copy of.
struct Deepened<'a> {
    of: &'a Model,
    times: usize,
    names: &'a WeightNames,
}

impl Deepened<'_> {
    /// The name of the weight that `name` is a copy of, and whether it is to be zero.
    fn original(&self, name: &str) -> (String, bool) {
        let stacks = self.names.encoder.iter().chain([&self.names.decoder]);
        let mut of_block = stacks.filter_map(|stack| {
            let (block, part) = name.strip_prefix(stack.layers)?.strip_prefix('.')?.split_once('.')?;
            Some((stack, block.parse::<usize>().ok()?, part))
        });
        let Some((stack, block, part)) = of_block.next_back() else { return (name.to_string(), false) };
        let cross = stack.cross.as_ref().map(|cross| cross.output);
        let output = [Some(stack.attention.output), cross, Some(stack.down)]
            .into_iter()
            .flatten()
            .any(|output| part.strip_prefix(output).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
        let original = format!("{}.{}.{part}", stack.layers, block / self.times);
        (original, output && !block.is_multiple_of(self.times))
    }
}

impl WeightSource for Deepened<'_> {
    fn weight(&mut self, name: &str, shape: &[usize], _: Init) -> Result<Weight> {
        let (original, zero) = self.original(name);
        if zero {
            return Random { seed: 0, device: &self.of.device }.weight(name, shape, Init::Zeros);
        }
        let values: Tensor = self.of.weights(&original)?; // a linear layer's is (out, in)
        Weight::trained(name, &values)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{ForwardCtx, Gpt2Config, LlamaConfig, LoraConfig};

    fn models() -> [Model; 2] {
        let llama = LlamaConfig {
            vocab_size: 60,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 128,
            max_position_embeddings: 32,
            ..LlamaConfig::default()
        };
        let gpt2 = Gpt2Config {
            vocab_size: 60,
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            max_position_embeddings: 32,
            ..Gpt2Config::default()
        };
        [Model::new(llama, &Device::Cpu, 3), Model::new(gpt2, &Device::Cpu, 3)].map(|model| model.expect("valid"))
    }

    #[test]
    fn a_deeper_model_answers_the_same_and_all_of_it_trains() {
        for model in models() {
            let deeper = model.deepen(3).expect("it has no adapters");
            assert_eq!((deeper.spec().decoder.layers, deeper.trainable()), (6, deeper.params()));
            let ids = Tensor::new(&[[1u32, 5, 9, 2, 44]], &Device::Cpu).expect("ids");
            let of = |model: &Model| {
                let logits = model.forward(&ids, &ForwardCtx::default()).expect("logits");
                logits.flatten_all().and_then(|logits| logits.to_vec1::<f32>()).expect("numbers")
            };
            for (a, b) in of(&model).iter().zip(of(&deeper)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn nothing_is_made_of_no_blocks_or_of_adapters() {
        let [model, _] = models();
        assert!(model.deepen(0).is_err());
        let adapted = model.lora(&LoraConfig { r: 2, ..LoraConfig::default() }, 1).expect("a valid rank");
        assert!(adapted.deepen(2).is_err_and(|e| e.to_string().contains("merge")));
    }
}

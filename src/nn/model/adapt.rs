//! Derived models: quantised to 4 bits, with adapters, with adapters merged.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::Model;
use crate::error::{Error, Result};
use crate::nn::core::{Linear, Lora, MapWeights, Matrix, Weight};
use crate::nn::families;
use crate::nn::init::Init;
use crate::nn::lora::{ALL_LINEAR, LoraConfig};
use crate::nn::quant::Nf4;
use crate::nn::targets::Targets;

impl Model {
    /// A copy whose block weights are frozen in NF4 with double quantisation; embedding, norms, head and the layers that
    /// `transformers` keeps in f32 ("wo" of a T5) stay as they are, shared and frozen. Adapters stay and train on.
    ///
    /// # Errors
    /// `scheme` other than "nf4" is refused.
    ///
    /// ```
    /// use candle_core::Device;
    /// use etude::nn::{LlamaConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?;
    /// let frozen = model.quantize("nf4")?;
    /// assert!(frozen.memory() < model.memory());
    /// assert!(model.quantize("int3").is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn quantize(&self, scheme: &str) -> Result<Self> {
        if scheme != "nf4" {
            return Err(Error::unknown("quantization", scheme, &["nf4"]));
        }
        self.mapped(&Quantize { kept: families::names(&self.config).unquantized })
    }

    /// A copy that shares the weights, frozen, and has fresh adapters; it answers the same until they train.
    ///
    /// A begins uniform in ±1/√in (Kaiming with a = √5, as PEFT has it) and B with zeros.
    ///
    /// # Errors
    /// Names a target module that the model has not; a model that has adapters already is refused.
    ///
    /// ```
    /// use candle_core::Device;
    /// use etude::nn::{LlamaConfig, LoraConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?.quantize("nf4")?;
    /// let adapted = model.lora(&LoraConfig { r: 4, target_modules: vec!["q_proj".into()], ..LoraConfig::default() }, 1)?;
    /// assert_eq!(adapted.trainable(), 4 * (64 + 64)); // A (r, in) and B (out, r) of one layer
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn lora(&self, config: &LoraConfig, seed: u64) -> Result<Self> {
        config.validate()?;
        if self.lora.is_some() {
            return Err(Error::mistake("the model has adapters already")
                .with_hint("merge() puts them into the weights; or begin again from the model without them"));
        }
        self.check_targets(config)?;
        let targets = Targets::of(config)?;
        self.with_adapters(config, &|linear, is_head| {
            targets.hold(&linear.name, is_head).then(|| fresh(linear, config, seed, &self.device)).transpose()
        })
    }

    /// A plain model, all of it trainable, whose weights are the dequantised base plus the adapters.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn merge(&self) -> Result<Self> {
        let merged = self.mapped(&Merge { device: &self.device })?;
        Ok(Self { lora: None, origin: None, ..merged })
    }

    /// A copy that shares the weights, frozen, with the adapters that `make` gives each layer (told whether the layer
    /// is the head).
    pub(crate) fn with_adapters(&self, config: &LoraConfig, make: &MakeAdapter<'_>) -> Result<Self> {
        let adapted = self.mapped(&Adapt { make })?;
        Ok(Self { lora: Some(config.clone()), ..adapted })
    }

    fn mapped(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self { core: self.core.map(map)?, ..self.clone() })
    }

    fn check_targets(&self, config: &LoraConfig) -> Result<()> {
        for target in &config.target_modules {
            let alone = Targets::of(&LoraConfig { target_modules: vec![target.clone()], ..config.clone() })?;
            let found = self.core.linears().any(|linear| alone.hold(&linear.name, linear.name == "lm_head"));
            if !found && config.layers_to_transform.is_some() {
                return Err(Error::mistake(format!("layers_to_transform has no block with a layer '{target}'"))
                    .with_hint(format!("blocks are counted from 0; the model has {}", self.core.spec.decoder.layers)));
            }
            if !found {
                let mut known = vec![ALL_LINEAR];
                for linear in self.core.linears() {
                    if !known.contains(&linear.module()) {
                        known.push(linear.module());
                    }
                }
                return Err(Error::unknown("target module", target, &known));
            }
        }
        Ok(())
    }
}

/// Gives a layer its adapter, if it gets one; the second argument says whether the layer is the head.
pub(crate) type MakeAdapter<'a> = dyn Fn(&Linear, bool) -> Result<Option<Lora>> + 'a;

/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", for `which` "A" or "B".
pub(crate) fn adapter_name(linear: &str, which: &str) -> String {
    format!("base_model.model.{linear}.lora_{which}.weight")
}

fn fresh(linear: &Linear, config: &LoraConfig, seed: u64, device: &Device) -> Result<Lora> {
    let (out, wide) = linear.shape;
    let draw = |which: &str, shape: [usize; 2], init: Init| {
        let name = adapter_name(&linear.name, which);
        let values = init.draw(&name, &shape, seed, device)?;
        Weight::trained(name, &values)
    };
    Ok(Lora {
        a: draw("A", [config.r, wide], Init::Uniform(1.0 / (wide as f64).sqrt()))?,
        b: draw("B", [out, config.r], Init::Zeros)?,
        scale: config.scale(),
        dropout: config.lora_dropout,
    })
}

struct Quantize {
    /// Layers that stay as they are, by the last part of their names.
    kept: &'static [&'static str],
}

impl MapWeights for Quantize {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(weight.frozen())
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        let Matrix::Dense(weight) = &linear.matrix else { return Ok(linear.clone()) };
        if self.kept.contains(&linear.module()) {
            return Ok(linear.frozen());
        }
        let matrix = Matrix::Nf4(Arc::new(Nf4::of(&weight.detached())?));
        Ok(Linear { matrix, ..linear.frozen() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        Ok(head.frozen())
    }
}

struct Adapt<'a> {
    make: &'a MakeAdapter<'a>,
}

impl MapWeights for Adapt<'_> {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(weight.frozen())
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        Ok(Linear { adapter: (self.make)(linear, false)?, ..linear.frozen() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        Ok(Linear { adapter: (self.make)(head, true)?, ..head.frozen() })
    }
}

struct Merge<'a> {
    device: &'a Device,
}

impl MapWeights for Merge<'_> {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Weight::trained(weight.name(), &weight.detached())
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        let values: Tensor = linear.merged(self.device)?;
        let matrix = Matrix::Dense(Weight::trained(format!("{}.weight", linear.name), &values)?);
        let bias = linear.bias.as_ref().map(|bias| self.weight(bias)).transpose()?;
        Ok(Linear { matrix, bias, adapter: None, ..linear.clone() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        self.linear(head)
    }
}

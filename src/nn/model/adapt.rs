//! Derived models: quantised to 4 bits, with adapters, with adapters merged.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::Model;
use super::adapters::{Adapters, DEFAULT, NamedAdapter};
use crate::error::{Error, Result};
use crate::nn::core::{Linear, Lora, Magnitude, MapWeights, Matrix, Transformer, Weight};
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
        self.rebased(&Quantize { kept: families::names(&self.config).unquantized })
    }

    /// A copy that shares the weights, frozen, and has fresh adapters; it answers the same until they train.
    ///
    /// A begins uniform in ±1/√in (Kaiming with a = √5, as PEFT has it), B with zeros, magnitudes with those of the weight.
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
        if !self.adapters.is_empty() {
            return Err(Error::mistake("the model has adapters already").with_hint(
                "merge() puts them into the weights; add_adapter(\"NAME\", #{ r: 8 }) adds another; or begin again from \
                 the model without them",
            ));
        }
        let (base, core) = self.fresh_view(DEFAULT, config, seed)?;
        Ok(self.with_adapter(base, NamedAdapter { name: DEFAULT.into(), config: config.clone(), core: Arc::new(core) }))
    }

    /// The same model with one more adapter, freshly initialised as by [`Model::lora`]. What was in use stays in use; the
    /// weights of the base are frozen.
    ///
    /// # Errors
    /// See [`Model::lora`]; a name that is taken or cannot be one.
    pub fn add_fresh_adapter(&self, name: &str, config: &LoraConfig, seed: u64) -> Result<Self> {
        self.check_new_name(name)?;
        let (base, core) = self.fresh_view(name, config, seed)?;
        Ok(self.with_one_more(base, NamedAdapter { name: name.into(), config: config.clone(), core: Arc::new(core) }))
    }

    /// The frozen base, and that with fresh adapters whose weights are called by this name.
    pub(super) fn fresh_view(
        &self,
        name: &str,
        config: &LoraConfig,
        seed: u64,
    ) -> Result<(Arc<Transformer>, Transformer)> {
        config.validate()?;
        self.check_targets(config)?;
        let targets = Targets::of(config)?;
        let base = self.frozen_base()?;
        let core = Self::adapted_view(&base, &|linear, is_head| {
            let fresh = || fresh(linear, name, config, seed, &self.device);
            targets.hold(&linear.name, is_head).then(fresh).transpose()
        })?;
        Ok((base, core))
    }

    /// A plain model, all of it trainable, whose weights are the dequantised base plus the adapters in use.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn merge(&self) -> Result<Self> {
        let core = self.core.map(&Merge { device: &self.device })?;
        Ok(Self { core, adapters: Adapters::default(), origin: None, ..self.clone() })
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

/// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", for `which` "A" or "B": the name in files, and in memory
/// that of the default adapter; another's is "….lora_A.NAME.weight", as in PEFT.
pub(crate) fn adapter_name(linear: &str, which: &str, adapter: &str) -> String {
    match adapter {
        DEFAULT => format!("base_model.model.{linear}.lora_{which}.weight"),
        other => format!("base_model.model.{linear}.lora_{which}.{other}.weight"),
    }
}

/// "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", in memory with the name of an adapter as in
/// [`adapter_name`].
pub(crate) fn magnitude_name(linear: &str, adapter: &str) -> String {
    match adapter {
        DEFAULT => format!("base_model.model.{linear}.lora_magnitude_vector"),
        other => format!("base_model.model.{linear}.lora_magnitude_vector.{other}"),
    }
}

fn fresh(linear: &Linear, adapter: &str, config: &LoraConfig, seed: u64, device: &Device) -> Result<Lora> {
    let (out, wide) = linear.shape;
    let draw = |which: &str, shape: [usize; 2], init: Init| {
        let values = init.draw(&adapter_name(&linear.name, which, DEFAULT), &shape, seed, device)?;
        Weight::trained(adapter_name(&linear.name, which, adapter), &values)
    };
    let magnitude = || {
        let name = magnitude_name(&linear.name, adapter);
        Magnitude::of(&linear.base(device)?, |norms| Weight::trained(name, norms))
    };
    Ok(Lora {
        a: draw("A", [config.r, wide], Init::Uniform(1.0 / (wide as f64).sqrt()))?,
        b: draw("B", [out, config.r], Init::Zeros)?,
        scale: config.scale(),
        dropout: config.lora_dropout,
        magnitude: config.use_dora.then(magnitude).transpose()?,
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
        Ok(Linear { matrix, bias, update: None, ..linear.clone() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        self.linear(head)
    }
}

//! Derived models: quantised to 4 bits, with adapters, with adapters merged.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::Model;
use super::adapter_names::is_saved;
use super::adapters::{Adapters, DEFAULT, NamedAdapter};
use super::fresh_adapter::{FreshAdapter, LoftqBase, WithoutUpdates};
use crate::error::{Error, Result};
use crate::nn::core::{Head, Linear, MapWeights, Matrix, Transformer, Weight};
use crate::nn::lora::{ALL_LINEAR, LoraConfig};
use crate::nn::lora_init::LoraInit;
use crate::nn::quant::Nf4;
use crate::nn::targets::Targets;
use crate::nn::{ForwardCtx, ModelConfig, families};

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
        let mut model = self.clone();
        if config.init_lora_weights == LoraInit::Loftq {
            model.origin = None; // the base is another one now
        }
        Ok(model
            .with_adapter(base, NamedAdapter { name: DEFAULT.into(), config: config.clone(), core: Arc::new(core) }))
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
        let fresh = FreshAdapter { model: self, name, config, seed, targets: Targets::of(config)? };
        let loftq = config.init_lora_weights == LoraInit::Loftq;
        if loftq && !self.adapters.is_empty() {
            return Err(Error::mistake("loftq changes the base, and the model has other adapters on it")
                .with_hint("begin with it: net.lora(#{ init_lora_weights: \"loftq\" })"));
        }
        let base = match loftq {
            true => Arc::new(self.frozen_base()?.map(&LoftqBase { fresh: &fresh })?),
            false => self.frozen_base()?,
        };
        if base.linears().any(|linear| fresh.saves(&linear.name) && matches!(linear.matrix, Matrix::Nf4(_))) {
            return Err(Error::mistake(
                "modules_to_save names a layer that is in 4 bits, which cannot train as a whole",
            )
            .with_hint("give it an adapter: target_modules; or begin with a model that is not quantised"));
        }
        let core = self.adapted_view(&base, &fresh)?;
        let base = if loftq { Arc::new(base.map(&WithoutUpdates)?) } else { base };
        Ok((base, core))
    }

    /// A plain model, all of it trainable, whose weights are the dequantised base plus the adapters in use.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn merge(&self) -> Result<Self> {
        let mut core = self.core.map(&Merge { device: &self.device })?;
        if core.token_rows.take().is_some() {
            core.embedding = Weight::trained(core.embedding.name(), &self.core.table(&ForwardCtx::default())?)?;
        }
        let config = match (self.config.lower()?.tied_head, &core.head) {
            (true, Head::Untied(_)) => untied(&self.config),
            _ => self.config.clone(),
        };
        Ok(Self { core, config, adapters: Adapters::default(), origin: None, ..self.clone() })
    }

    fn check_saved(&self, config: &LoraConfig) -> Result<()> {
        let head = format!("{}.weight", families::names(&self.config).head);
        let mut names: Vec<String> = self.core.linears().map(|linear| format!("{}.weight", linear.name)).collect();
        names.extend(self.weights_in_order().map(|weight| weight.name().to_owned()).chain([head]));
        for module in &config.modules_to_save {
            if !names.iter().any(|name| is_saved(std::slice::from_ref(module), name)) {
                let known: Vec<&str> = names.iter().filter_map(|name| name.rsplit('.').nth(1)).collect();
                return Err(Error::unknown("module to save", module, &known));
            }
        }
        let vocabulary = self.core.spec.vocab_size;
        match config.trainable_token_indices.iter().find(|&&id| id as usize >= vocabulary) {
            Some(id) => {
                Err(Error::mistake(format!("trainable_token_indices has {id}, beyond a vocabulary of {vocabulary}")))
            }
            None => Ok(()),
        }
    }

    fn check_targets(&self, config: &LoraConfig) -> Result<()> {
        self.check_saved(config)?;
        for target in &config.target_modules {
            let alone = LoraConfig { target_modules: vec![target.clone()], exclude_modules: vec![], ..config.clone() };
            let alone = Targets::of(&alone)?;
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

/// The configuration of a model whose head is not the embedding any longer.
fn untied(config: &ModelConfig) -> ModelConfig {
    let mut config = config.clone();
    match &mut config {
        ModelConfig::Llama(llama) => llama.tie_word_embeddings = false,
        ModelConfig::Gpt2(gpt2) => gpt2.tie_word_embeddings = false,
        ModelConfig::MusicTransformer(music) => music.tie_word_embeddings = false,
        ModelConfig::T5(_) => return config.with_own_head().unwrap_or(config),
    }
    config
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

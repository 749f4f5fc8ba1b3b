//! Derived models: quantised to 4 bits, with adapters, with adapters merged.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::Model;
use super::adapters::{AdapterSource, Adapters, DEFAULT, NamedAdapter};
use crate::error::{Error, Result};
use crate::nn::core::{
    Head, Linear, Lora, Magnitude, MapWeights, Matrix, TokenRows, Transformer, Update, Weight, WeightPart,
};
use crate::nn::init::name_hash;
use crate::nn::lora::{ALL_LINEAR, LoraBias, LoraConfig};
use crate::nn::lora_init::{LoraInit, fresh_a, fresh_b, loftq, part_of};
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
        if config.init_lora_weights == LoraInit::Loftq && !self.adapters.is_empty() {
            return Err(Error::mistake("loftq changes the base, and the model has other adapters on it")
                .with_hint("begin with it: net.lora(#{ init_lora_weights: \"loftq\" })"));
        }
        let base = match config.init_lora_weights {
            LoraInit::Loftq => Arc::new(self.frozen_base()?.map(&LoftqBase { fresh: &fresh })?),
            _ => self.frozen_base()?,
        };
        if base.linears().any(|linear| fresh.saves(&linear.name) && matches!(linear.matrix, Matrix::Nf4(_))) {
            return Err(Error::mistake(
                "modules_to_save names a layer that is in 4 bits, which cannot train as a whole",
            )
            .with_hint("give it an adapter: target_modules; or begin with a model that is not quantised"));
        }
        let core = self.adapted_view(&base, &fresh)?;
        if config.init_lora_weights == LoraInit::Loftq && !self.adapters.is_empty() {
            return Err(Error::mistake("loftq changes the base, and the model has other adapters on it")
                .with_hint("begin with it: net.lora(#{ init_lora_weights: \"loftq\" })"));
        }
        let base = match config.init_lora_weights {
            LoraInit::Loftq => Arc::new(base.map(&WithoutUpdates)?),
            _ => base,
        };
        Ok((base, core))
    }

    /// A plain model, all of it trainable, whose weights are the dequantised base plus the adapters in use.
    ///
    /// # Errors
    /// Only when the device refuses memory.
    pub fn merge(&self) -> Result<Self> {
        let table = self.core.table(&ForwardCtx::default())?;
        let mut core = self.core.map(&Merge { device: &self.device })?;
        core.embedding = Weight::trained(core.embedding.name(), &table)?;
        core.token_rows = None;
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

/// The name of rows of an embedding in files ("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"), and
/// in memory with the name of an adapter.
pub(crate) fn token_rows_name(embedding: &str, adapter: &str) -> String {
    let module = embedding.strip_suffix(".weight").unwrap_or(embedding);
    match adapter {
        DEFAULT => format!("base_model.model.{module}.token_adapter.trainable_tokens_delta"),
        other => format!("base_model.model.{module}.token_adapter.trainable_tokens_delta.{other}"),
    }
}

/// Whether `modules_to_save` names the module of a weight, or one that it is in, as in PEFT: by the end of its name.
pub(crate) fn is_saved(modules: &[String], weight: &str) -> bool {
    let parents = weight.match_indices('.').map(|(at, _)| &weight[..at]);
    parents.chain([weight]).any(|module| modules.iter().any(|end| module.ends_with(end.as_str())))
}

/// Whether a bias trains beside adapters.
pub(crate) fn trains_bias(how: LoraBias, name: &str, adapted: bool) -> bool {
    name.ends_with(".bias")
        && match how {
            LoraBias::None => false,
            LoraBias::All => true,
            LoraBias::LoraOnly => adapted,
        }
}

/// Draws an adapter.
struct FreshAdapter<'a> {
    model: &'a Model,
    name: &'a str,
    config: &'a LoraConfig,
    seed: u64,
    targets: Targets,
}

impl FreshAdapter<'_> {
    fn saves(&self, weight: &str) -> bool {
        is_saved(&self.config.modules_to_save, weight)
    }

    /// A and B of a layer, and the part of its weight that is taken away.
    fn factors(&self, linear: &Linear, rank: (usize, f64)) -> Result<(Tensor, Tensor, Option<WeightPart>)> {
        let (init, device, (out, wide)) = (self.config.init_lora_weights, &self.model.device, linear.shape);
        let name = |which| adapter_name(&linear.name, which, DEFAULT);
        if init.takes_a_part() {
            let seed = self.seed ^ name_hash(&linear.name);
            let (a, b) = part_of(&linear.base(device)?, init, rank, seed)?;
            let part = WeightPart { a: a.clone(), minus_b: b.neg()? };
            return Ok((a, b, Some(part)));
        }
        let a = fresh_a(init, &name("A"), (rank.0, wide), self.seed, device)?;
        Ok((a, fresh_b(init, &name("B"), (out, rank.0), self.seed, device)?, None))
    }
}

impl AdapterSource for FreshAdapter<'_> {
    fn lora(&self, linear: &Linear, is_head: bool) -> Result<Option<Lora>> {
        if !self.targets.hold(&linear.name, is_head) {
            return Ok(None);
        }
        let (config, rank) = (self.config, self.config.of_layer(&linear.name)?);
        let (a, b, part) = match linear.lora() {
            // LoftQ gave the base its updates already.
            Some(lora) => (lora.a.detached(), lora.b.detached(), None),
            None => self.factors(linear, rank)?,
        };
        let weight = |which, values: &Tensor| Weight::trained(adapter_name(&linear.name, which, self.name), values);
        let (a, b) = (weight("A", &a)?, weight("B", &b)?);
        let mut lora = Lora { a, b, scale: rank.1, dropout: config.lora_dropout, part, magnitude: None };
        if config.use_dora {
            let base = linear.base(&self.model.device)?;
            let begin = lora.merged(&base)?.sqr()?.sum(1)?.sqrt()?;
            let name = magnitude_name(&linear.name, self.name);
            // Where A B changes nothing yet, the magnitudes are those of the weight to the bit.
            let vector = |norms: &Tensor| {
                let unchanged = !matches!(config.init_lora_weights, LoraInit::Random | LoraInit::Loftq);
                Weight::trained(name, if unchanged { norms } else { &begin })
            };
            lora.magnitude = Some(Magnitude::of(&base, vector)?);
        }
        Ok(Some(lora))
    }

    fn replaced(&self, weight: &Weight, adapted: bool, _transposed: bool) -> Result<Option<Weight>> {
        let trains = self.saves(weight.name()) || trains_bias(self.config.bias, weight.name(), adapted);
        trains.then(|| Weight::trained(weight.name(), &weight.detached())).transpose()
    }

    fn token_rows(&self, embedding: &Weight) -> Result<Option<TokenRows>> {
        let ids = &self.config.trainable_token_indices;
        if ids.is_empty() {
            return Ok(None);
        }
        let rows = embedding.detached().index_select(&Tensor::new(ids.as_slice(), &self.model.device)?, 0)?;
        let rows = Weight::trained(token_rows_name(embedding.name(), self.name), &rows)?;
        Ok(Some(TokenRows { ids: ids.clone(), rows }))
    }
}

/// Puts the layers that get adapters into 4 bits as LoftQ does, and gives them what they lack as updates.
struct LoftqBase<'a> {
    fresh: &'a FreshAdapter<'a>,
}

/// Takes the updates of layers away.
struct WithoutUpdates;

impl MapWeights for WithoutUpdates {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(weight.clone())
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        Ok(Linear { update: None, ..linear.clone() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        Ok(head.clone())
    }
}

impl MapWeights for LoftqBase<'_> {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(weight.clone())
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        if !self.fresh.targets.hold(&linear.name, false) {
            return Ok(linear.clone());
        }
        let Matrix::Dense(weight) = &linear.matrix else {
            return Err(Error::mistake("loftq needs the weights that it quantises, and these are in 4 bits already")
                .with_hint("load the model in full precision and call lora(#{ init_lora_weights: \"loftq\" })"));
        };
        let (r, scale) = self.fresh.config.of_layer(&linear.name)?;
        let (codes, (a, b)) = loftq(&weight.detached(), r, scale)?;
        let (a, b) = (Weight::fixed("A", a), Weight::fixed("B", b));
        let update = Some(Update::Lora(Lora { a, b, scale, dropout: 0.0, part: None, magnitude: None }));
        Ok(Linear { matrix: Matrix::Nf4(Arc::new(codes)), update, ..linear.clone() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        Ok(head.clone())
    }
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

//! The adapters of a model: any number of them on one base, of which one is used, or a mixture.

use std::sync::Arc;

use super::Model;
use super::model_parts::Parts;
use crate::error::{Error, Result};
use crate::nn::core::{Head, Linear, Lora, MapWeights, Matrix, TokenRows, Transformer, Update, Weight};
use crate::nn::{LoraConfig, families};

/// The name of the adapter of a model that was given one without a name, as in PEFT.
pub(crate) const DEFAULT: &str = "default";

/// The adapters of a model by their names. Each is the model with that adapter; all share the memory of the base.
#[derive(Clone, Default)]
pub(crate) struct Adapters {
    /// The frozen model without adapters; absent where there are none.
    pub(super) base: Option<Arc<Transformer>>,
    all: Vec<NamedAdapter>,
    /// What is in use: names and weights. Nothing when they are disabled.
    pub(super) active: Vec<(String, f64)>,
}

/// A model with one adapter.
#[derive(Clone)]
pub(crate) struct NamedAdapter {
    pub(crate) name: String,
    pub(crate) config: LoraConfig,
    pub(crate) core: Arc<Transformer>,
}

impl Adapters {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one adapter in use, with its weight 1.
    pub(crate) fn alone(&self) -> Option<&NamedAdapter> {
        match self.active.as_slice() {
            [(name, 1.0)] => self.all.iter().find(|adapter| adapter.name == *name),
            _ => None,
        }
    }

    /// The adapter of this name.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub(crate) fn named(&self, name: &str) -> Result<&NamedAdapter> {
        let found = self.all.iter().find(|adapter| adapter.name == name);
        found.ok_or_else(|| match self.all.is_empty() {
            true => Error::mistake(format!("the model has no adapters, and none is called '{name}'"))
                .with_hint("add one: net.add_adapter(\"NAME\", \"FOLDER\")"),
            false => Error::unknown("adapter", name, &self.all.iter().map(|a| a.name.as_str()).collect::<Vec<_>>()),
        })
    }
}

impl Model {
    /// The names of its adapters, in the order in which they came.
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
    /// let model = model.add_fresh_adapter("evans", &LoraConfig::default(), 1)?;
    /// let model = model.add_fresh_adapter("tatum", &LoraConfig { r: 4, ..LoraConfig::default() }, 2)?;
    /// assert_eq!(model.adapters(), ["evans", "tatum"]);
    /// let mixed = model.mix_adapters(&[("evans".into(), 0.7), ("tatum".into(), 0.3)])?;
    /// assert_eq!(mixed.active_adapters().len(), 2);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn adapters(&self) -> Vec<&str> {
        self.adapters.all.iter().map(|adapter| adapter.name.as_str()).collect()
    }

    /// The adapters in use with their weights; none when they are disabled.
    pub fn active_adapters(&self) -> &[(String, f64)] {
        &self.adapters.active
    }

    /// The options of the adapter in use; `None` without one, and for a mixture.
    pub fn lora_config(&self) -> Option<&LoraConfig> {
        self.adapters.alone().map(|adapter| &adapter.config)
    }

    /// The options of an adapter.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn adapter_config(&self, name: &str) -> Result<&LoraConfig> {
        Ok(&self.adapters.named(name)?.config)
    }

    /// The same model with one of its adapters in use, which trains; the others are as they were, without reading anything
    /// again.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn set_adapter(&self, name: &str) -> Result<Self> {
        let core = (*self.adapters.named(name)?.core).clone();
        let adapters = Adapters { active: vec![(name.to_owned(), 1.0)], ..self.adapters.clone() };
        Ok(Self { core, adapters, ..self.clone() })
    }

    /// The same model with none of its adapters in use.
    pub fn disable_adapter(&self) -> Self {
        let core = self.adapters.base.as_ref().map_or_else(|| self.core.clone(), |base| (**base).clone());
        Self { core, adapters: Adapters { active: Vec::new(), ..self.adapters.clone() }, ..self.clone() }
    }

    /// The same model without one of its adapters; if that was in use, none is.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn delete_adapter(&self, name: &str) -> Result<Self> {
        self.adapters.named(name)?;
        let mut left = match self.adapters.active.iter().any(|(active, _)| active == name) {
            true => self.disable_adapter(),
            false => self.clone(),
        };
        left.adapters.all.retain(|adapter| adapter.name != name);
        Ok(left)
    }

    /// The model without its adapters.
    pub(crate) fn base_core(&self) -> &Transformer {
        self.adapters.base.as_deref().unwrap_or(&self.core)
    }

    /// The model frozen and without adapters.
    pub(crate) fn frozen_base(&self) -> Result<Arc<Transformer>> {
        match &self.adapters.base {
            Some(base) => Ok(base.clone()),
            None => Ok(Arc::new(self.core.map(&Freeze)?)),
        }
    }

    /// A frozen base with an adapter.
    pub(crate) fn adapted_view(&self, base: &Transformer, source: &dyn AdapterSource) -> Result<Transformer> {
        let mut view = base.map(&Adapt { source })?;
        view.token_rows = source.token_rows(&base.embedding)?;
        if base.encoder.is_some() && view.embedding.var().is_some() {
            let embedding = base.embedding.name();
            let name = embedding.strip_suffix(".weight").unwrap_or(embedding);
            return Err(Error::mistake(format!("modules_to_save has '{name}', which encoder and decoder share"))
                .with_hint("PEFT would not use it: both hold it by themselves there; trainable_token_indices trains rows of it"));
        }
        if let Head::Tied = base.head {
            let name = format!("{}.weight", families::names(&self.config).head);
            let head = source.replaced(&Weight::fixed(name, base.embedding.detached()), false, false)?;
            // A head that is the embedding stays what it was when one of both is replaced.
            if head.is_some() || view.embedding.var().is_some() {
                let name = families::names(&self.config).head;
                let weight = head.unwrap_or_else(|| Weight::fixed(format!("{name}.weight"), base.embedding.detached()));
                let dims = base.embedding.dims();
                view.head = Head::Untied(Linear {
                    name: name.into(),
                    shape: (dims[0], dims[1]),
                    matrix: Matrix::Dense(weight),
                    bias: None,
                    transposed: false,
                    update: None,
                });
                view.spec.tied_head = false;
            }
        }
        Ok(view)
    }

    /// The same model with this adapter alone, in use.
    pub(crate) fn with_adapter(&self, base: Arc<Transformer>, adapter: NamedAdapter) -> Self {
        let (core, active) = ((*adapter.core).clone(), vec![(adapter.name.clone(), 1.0)]);
        Self { core, adapters: Adapters { base: Some(base), all: vec![adapter], active }, ..self.clone() }
    }

    /// The same model with one more adapter, not in use.
    pub(crate) fn with_one_more(&self, base: Arc<Transformer>, adapter: NamedAdapter) -> Self {
        let core = if self.adapters.is_empty() { (*base).clone() } else { self.core.clone() };
        let mut adapters = Adapters { base: Some(base), ..self.adapters.clone() };
        adapters.all.push(adapter);
        Self { core, adapters, ..self.clone() }
    }

    /// Refuses a name that another adapter has, or that PEFT could not store.
    pub(crate) fn check_new_name(&self, name: &str) -> Result<()> {
        if name.is_empty() || name.contains(['.', '/', '\\']) {
            return Err(Error::mistake(format!("'{name}' cannot be the name of an adapter"))
                .with_hint("names have letters, and neither dots nor slashes"));
        }
        match self.adapters.all.iter().any(|adapter| adapter.name == name) {
            true => Err(Error::mistake(format!("the model has an adapter '{name}' already"))
                .with_hint(format!("delete_adapter(\"{name}\") first, or take another name"))),
            false => Ok(()),
        }
    }

    /// The same model on another base of the same architecture: `map` makes it of the frozen one.
    pub(crate) fn rebased(&self, map: &dyn MapWeights) -> Result<Self> {
        let Some(base) = &self.adapters.base else {
            return Ok(Self { core: self.core.map(map)?, ..self.clone() });
        };
        let base = Arc::new(base.map(map)?);
        let parts = Parts::of(&base);
        let on_it = |adapter: &NamedAdapter| {
            let core = Arc::new(adapter.core.map(&Rebase { parts: &parts, model: self })?);
            Ok(NamedAdapter { core, ..adapter.clone() })
        };
        let all = self.adapters.all.iter().map(on_it).collect::<Result<_>>()?;
        let adapters = Adapters { base: Some(base.clone()), all, active: self.adapters.active.clone() };
        let model = Self { core: (*base).clone(), adapters, ..self.clone() };
        match self.adapters.active.as_slice() {
            [] => Ok(model),
            [(name, 1.0)] => model.set_adapter(name),
            several => model.mix_adapters(several),
        }
    }
}

/// What an adapter puts into a frozen base: drawn, or read.
pub(crate) trait AdapterSource {
    /// The update of a layer, if it gets one; the second argument says whether the layer is the head.
    fn lora(&self, linear: &Linear, is_head: bool) -> Result<Option<Lora>>;

    /// A weight that trains in the place of a frozen one: of a whole layer or norm, of the embedding, or a bias. `adapted` says
    /// that its layer has an update, `transposed` that files hold it as (in, out).
    fn replaced(&self, weight: &Weight, adapted: bool, transposed: bool) -> Result<Option<Weight>>;

    /// Rows of the embedding that train in the place of those it has.
    fn token_rows(&self, embedding: &Weight) -> Result<Option<TokenRows>>;
}

/// Freezes the weights.
struct Freeze;

impl MapWeights for Freeze {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(weight.frozen())
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        Ok(linear.frozen())
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        Ok(head.frozen())
    }
}

/// Gives a frozen base what an adapter has.
struct Adapt<'a> {
    source: &'a dyn AdapterSource,
}

impl Adapt<'_> {
    fn adapted(&self, linear: &Linear, is_head: bool) -> Result<Linear> {
        let whole = match &linear.matrix {
            Matrix::Dense(weight) => self.source.replaced(weight, false, linear.transposed)?,
            Matrix::Nf4(_) => None,
        };
        // What trains as a whole needs no update.
        let update = if whole.is_some() { None } else { self.source.lora(linear, is_head)?.map(Update::Lora) };
        let bias = match &linear.bias {
            Some(bias) => Some(self.source.replaced(bias, update.is_some(), false)?.unwrap_or_else(|| bias.clone())),
            None => None,
        };
        let matrix = whole.map_or_else(|| linear.matrix.clone(), Matrix::Dense);
        Ok(Linear { matrix, bias, update, ..linear.clone() })
    }
}

impl MapWeights for Adapt<'_> {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(self.source.replaced(weight, false, false)?.unwrap_or_else(|| weight.clone()))
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        self.adapted(linear, false)
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        self.adapted(head, true)
    }
}

/// Puts adapters on another base.
struct Rebase<'a> {
    parts: &'a Parts<'a>,
    model: &'a Model,
}

impl MapWeights for Rebase<'_> {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        Ok(match self.parts.weights.get(weight.name()) {
            Some(base) if weight.var().is_none() => (*base).clone(),
            _ => weight.clone(),
        })
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        match &linear.matrix {
            Matrix::Dense(weight) if weight.var().is_some() => Ok(linear.clone()),
            _ => linear.with_matrix(self.parts.linear(&linear.name)?.matrix.clone(), &self.model.device),
        }
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        self.linear(head)
    }
}

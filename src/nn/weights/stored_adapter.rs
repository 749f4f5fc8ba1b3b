//! The tensors of an adapter of PEFT, as they are put into a base.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::read::Checkpoint;
use crate::error::{Error, Result};
use crate::nn::LoraConfig;
use crate::nn::core::{Linear, Lora, Magnitude, Matrix, TokenRows, Weight, WeightPart};
use crate::nn::lora_init::part_of;
use crate::nn::model::{
    AdapterSource, DEFAULT, Model, adapter_name, is_saved, magnitude_name, token_rows_name, trains_bias,
};
use crate::nn::targets::Targets;

/// The entry of the file's metadata that holds the options of an adapter which began with a part of the weights, in words of
/// [`LoraConfig`]: the first half of its ranks trains, the other is that part.
pub(super) const ORIGINAL: &str = "lora_config";

/// The prefix of the names of PEFT's tensors.
const PREFIX: &str = "base_model.model.";

/// The name of a whole weight in an adapter's file.
pub(super) fn whole_name(weight: &str) -> String {
    format!("{PREFIX}{weight}")
}

/// The name of a bias in an adapter's file; PEFT wraps the layers that have an update.
pub(super) fn bias_name(bias: &str, adapted: bool) -> String {
    match bias.strip_suffix(".bias") {
        Some(layer) if adapted => format!("{PREFIX}{layer}.base_layer.bias"),
        _ => whole_name(bias),
    }
}

/// The tensors of an adapter, and those of them that were not read yet.
pub(super) struct StoredAdapter<'a> {
    name: &'a str,
    pub(super) config: LoraConfig,
    targets: Targets,
    /// Whether the second half of the ranks is what the adapter began with.
    parted: bool,
    device: &'a Device,
    tensors: RefCell<Checkpoint<'static>>,
    left: RefCell<BTreeSet<String>>,
}

impl<'a> StoredAdapter<'a> {
    /// The tensors of a file, for an adapter of this name.
    ///
    /// # Errors
    /// A file that is not a complete safetensors file; metadata that cannot be read.
    pub(super) fn open(
        path: &Path,
        device: &'a Device,
        (name, config, targets): (&'a str, LoraConfig, Targets),
    ) -> Result<Self> {
        let tensors = Checkpoint::open(path)?;
        let original = tensors.metadata(ORIGINAL).map(|text| {
            serde_json::from_str::<LoraConfig>(text)
                .map_err(|e| Error::broken(format!("{}: {ORIGINAL} in its metadata: {e}", path.display())))
        });
        let original = original.transpose()?;
        let left = tensors.names().into_iter().map(String::from).collect();
        let (tensors, left) = (RefCell::new(tensors), RefCell::new(left));
        let parted = original.is_some();
        Ok(Self { name, config: original.unwrap_or(config), targets, parted, device, tensors, left })
    }

    fn has(&self, name: &str) -> bool {
        self.left.borrow().contains(name)
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.left.borrow_mut().remove(name);
        self.tensors.borrow_mut().floats(name, shape, self.device)
    }

    /// Removes whole weights from what is left where they equal those of the model: PEFT stores the embedding and the head
    /// with an adapter when the vocabulary was resized (`save_embedding_layers`).
    ///
    /// # Errors
    /// Names a weight that differs from the model's: PEFT would replace ours.
    pub(super) fn check_whole_layers(&self, model: &Model) -> Result<()> {
        let left = self.left.borrow().clone();
        for name in left {
            let plain = name.strip_prefix(PREFIX).filter(|name| !name.contains(".lora_"));
            let plain = plain.map(|name| name.replace(".token_adapter.base_layer", ""));
            let Some(Ok(ours)) = plain.map(|plain| model.weights(&plain)) else { continue };
            let theirs = self.read(&name, ours.dims())?;
            if (ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()? > 0.0 {
                return Err(Error::mistake(format!(
                    "{}: '{name}' is a whole weight, and another than the model's",
                    self.tensors.borrow().label()
                ))
                .with_hint("list its module in modules_to_save; or merge the adapter in Python and load that"));
            }
        }
        Ok(())
    }

    /// Refuses tensors that nothing of the model took.
    ///
    /// # Errors
    /// Names the first.
    pub(super) fn check_all_read(&self) -> Result<()> {
        match self.left.borrow().first() {
            None => Ok(()),
            Some(name) => {
                let label = self.tensors.borrow().label().to_owned();
                Err(Error::broken(format!("{label}: the model has no place for '{name}'"))
                    .with_hint("the adapter is for another model"))
            }
        }
    }

    /// A, B and the part of the weight that A and B began with.
    fn factors(&self, linear: &Linear, (r, scale): (usize, f64)) -> Result<(Tensor, Tensor, Option<WeightPart>)> {
        let [a, b] = ["A", "B"].map(|which| adapter_name(&linear.name, which, DEFAULT));
        let (out, wide) = linear.shape;
        if self.parted {
            let (a, b) = (self.read(&a, &[2 * r, wide])?, self.read(&b, &[out, 2 * r])?);
            let half = |x: &Tensor, axis, from| x.narrow(axis, from, r)?.contiguous();
            let part = WeightPart { a: half(&a, 0, r)?, minus_b: half(&b, 1, r)? };
            return Ok((half(&a, 0, 0)?, half(&b, 1, 0)?, Some(part)));
        }
        let (a, b) = (self.read(&a, &[r, wide])?, self.read(&b, &[out, r])?);
        let init = self.config.init_lora_weights;
        if !init.takes_a_part() {
            return Ok((a, b, None));
        }
        if let Matrix::Nf4(_) = linear.matrix {
            return Err(Error::mistake(format!(
                "init_lora_weights {} changes weights before they are quantised, and those of {} are in 4 bits",
                init.name(),
                linear.name
            ))
            .with_hint("load the adapter on the model in full precision, and save it: it is a plain one then"));
        }
        let (first, minus) = part_of(&linear.base(self.device)?, init, (r, scale), 0)?;
        Ok((a, b, Some(WeightPart { a: first, minus_b: minus.neg()? })))
    }
}

impl AdapterSource for StoredAdapter<'_> {
    fn lora(&self, linear: &Linear, is_head: bool) -> Result<Option<Lora>> {
        let magnitude = magnitude_name(&linear.name, DEFAULT);
        if !self.targets.hold(&linear.name, is_head) {
            let [a, b] = ["A", "B"].map(|which| adapter_name(&linear.name, which, DEFAULT));
            // PEFT would ignore them silently.
            return match [a, b, magnitude].into_iter().find(|name| self.has(name)) {
                None => Ok(None),
                Some(extra) => Err(Error::broken(format!(
                    "{}: '{extra}' is there, but target_modules leaves {} out",
                    self.tensors.borrow().label(),
                    linear.name
                ))
                .with_hint("list the layer in target_modules of adapter_config.json, or take the tensor out")),
            };
        }
        let rank = self.config.of_layer(&linear.name)?;
        let (a, b, part) = self.factors(linear, rank)?;
        let own = |which, values: &Tensor| Weight::trained(adapter_name(&linear.name, which, self.name), values);
        let magnitude = match self.config.use_dora {
            true => Some(Magnitude::of(&linear.base(self.device)?, |_| {
                let values = self.read(&magnitude, &[linear.shape.0])?;
                Weight::trained(magnitude_name(&linear.name, self.name), &values)
            })?),
            false => None,
        };
        let (a, b) = (own("A", &a)?, own("B", &b)?);
        Ok(Some(Lora { a, b, scale: rank.1, dropout: self.config.lora_dropout, part, magnitude }))
    }

    fn replaced(&self, weight: &Weight, adapted: bool, transposed: bool) -> Result<Option<Weight>> {
        let name = weight.name();
        if is_saved(&self.config.modules_to_save, name) {
            let values = match (transposed, weight.dims()) {
                (true, [out, wide]) => self.read(&whole_name(name), &[*wide, *out])?.t()?.contiguous()?,
                (_, dims) => self.read(&whole_name(name), dims)?,
            };
            return Ok(Some(Weight::trained(name, &values)?));
        }
        if trains_bias(self.config.bias, name, adapted) {
            // Older versions of PEFT leave "base_layer" out.
            let stored = [bias_name(name, adapted), whole_name(name)];
            let stored = stored.iter().find(|stored| self.has(stored)).unwrap_or(&stored[0]);
            return Ok(Some(Weight::trained(name, &self.read(stored, weight.dims())?)?));
        }
        Ok(None)
    }

    fn token_rows(&self, embedding: &Weight) -> Result<Option<TokenRows>> {
        let ids = &self.config.trainable_token_indices;
        if ids.is_empty() {
            return Ok(None);
        }
        let shape = [ids.len(), embedding.dims()[1]];
        let rows = self.read(&token_rows_name(embedding.name(), DEFAULT), &shape)?;
        let rows = Weight::trained(token_rows_name(embedding.name(), self.name), &rows)?;
        Ok(Some(TokenRows { ids: ids.clone(), rows }))
    }
}

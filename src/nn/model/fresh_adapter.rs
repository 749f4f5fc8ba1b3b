//! A fresh adapter: its weights as they are drawn, or taken from the weights they adapt.

use std::sync::Arc;

use candle_core::Tensor;

use super::Model;
use super::adapter_names::{adapter_name, is_saved, magnitude_name, token_rows_name, trains_bias};
use super::adapters::{AdapterSource, DEFAULT};
use crate::error::{Error, Result};
use crate::nn::core::{Linear, Lora, Magnitude, MapWeights, Matrix, TokenRows, Update, Weight, WeightPart};
use crate::nn::init::name_hash;
use crate::nn::lora::LoraConfig;
use crate::nn::lora_init::{LoraInit, fresh_a, fresh_b, loftq, part_of};
use crate::nn::targets::Targets;

/// Draws an adapter.
pub(super) struct FreshAdapter<'a> {
    pub(super) model: &'a Model,
    pub(super) name: &'a str,
    pub(super) config: &'a LoraConfig,
    pub(super) seed: u64,
    pub(super) targets: Targets,
}

impl FreshAdapter<'_> {
    /// Whether a weight trains as a whole.
    pub(super) fn saves(&self, weight: &str) -> bool {
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
            let name = magnitude_name(&linear.name, self.name);
            let vector = |norms: &Tensor| match config.init_lora_weights {
                LoraInit::Random | LoraInit::Loftq => {
                    Weight::trained(name, &lora.merged(&base)?.sqr()?.sum(1)?.sqrt()?)
                }
                // Where A B changes nothing yet, the magnitudes are those of the weight to the bit.
                _ => Weight::trained(name, norms),
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
pub(super) struct LoftqBase<'a> {
    pub(super) fresh: &'a FreshAdapter<'a>,
}

/// Takes the updates of layers away.
pub(super) struct WithoutUpdates;

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

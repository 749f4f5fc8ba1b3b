//! Several adapters in use at once, each with a weight.

use super::Model;
use super::model_parts::Parts;
use crate::error::{Error, Result};
use crate::nn::ForwardCtx;
use crate::nn::core::{Head, Linear, MapWeights, Matrix, Transformer, Update, Weight};

impl Model {
    /// The same model with a mixture of its adapters in use, each with a weight: what they add to the weights is multiplied by
    /// it and summed, whatever their ranks (PEFT's `combination_type="cat"`). A mixture does not train.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one; no names, one that is given twice, a weight that is not finite.
    pub fn mix_adapters(&self, weights: &[(String, f64)]) -> Result<Self> {
        for (i, (name, weight)) in weights.iter().enumerate() {
            self.adapters.named(name)?;
            if !weight.is_finite() || weights[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::mistake(format!("the weight of the adapter '{name}' is {weight}, or given twice")));
            }
        }
        let (Some(base), false) = (&self.adapters.base, weights.is_empty()) else {
            return Err(Error::mistake("a mixture of no adapters")
                .with_hint("net.set_adapter(#{ left: 0.5, right: 0.5 }); disable_adapter() uses none"));
        };
        let parts = weights.iter().map(|(name, weight)| Ok((Parts::of(&self.adapters.named(name)?.core), *weight)));
        let core = self.mixed(base, weights, &Mix { parts: parts.collect::<Result<_>>()? })?;
        let mut mixed = Self { core, ..self.clone() };
        mixed.adapters.active = weights.to_vec();
        Ok(mixed)
    }

    /// The base with a mixture of adapters.
    fn mixed(&self, base: &Transformer, weights: &[(String, f64)], mix: &Mix<'_>) -> Result<Transformer> {
        let mut core = base.map(mix)?;
        let (mut sum, table) = (core.embedding.detached(), base.embedding.detached());
        for (name, weight) in weights {
            let view = &self.adapters.named(name)?.core;
            if view.token_rows.is_some() {
                sum = (sum + ((view.table(&ForwardCtx::default())? - &table)? * *weight)?)?;
            }
            if matches!((&base.head, &view.head), (Head::Tied, Head::Untied(_))) {
                return Err(Error::mistake(format!(
                    "the adapter '{name}' has an embedding or a head of its own where the base has one for both, and cannot be \
                     mixed"
                ))
                .with_hint("use it alone: set_adapter(name)"));
            }
        }
        core.embedding = Weight::fixed(core.embedding.name(), sum);
        Ok(core)
    }
}

/// Mixes adapters into a base.
struct Mix<'a> {
    parts: Vec<(Parts<'a>, f64)>,
}

impl Mix<'_> {
    /// `w + Σ share · (wᵢ − w)` over those that differ.
    fn mixed(&self, base: &Weight, of: impl Fn(&Parts<'_>) -> Option<Weight>) -> Result<Weight> {
        let mut sum = None;
        for (parts, share) in &self.parts {
            if let Some(other) = of(parts).filter(|other| other.var().is_some()) {
                let difference = ((other.detached() - base.detached())? * *share)?;
                sum = Some((sum.unwrap_or_else(|| base.detached()) + difference)?);
            }
        }
        Ok(sum.map_or_else(|| base.clone(), |sum| Weight::fixed(base.name(), sum)))
    }
}

impl MapWeights for Mix<'_> {
    fn weight(&self, weight: &Weight) -> Result<Weight> {
        self.mixed(weight, |parts| parts.weights.get(weight.name()).map(|weight| (*weight).clone()))
    }

    fn linear(&self, linear: &Linear) -> Result<Linear> {
        let mut updates = Vec::with_capacity(self.parts.len());
        for (parts, share) in &self.parts {
            updates.extend(parts.linear(&linear.name)?.mixed_part()?.map(|part| (part, *share)));
        }
        let update = Update::mixed(updates)?;
        let bias = linear.bias.as_ref();
        let bias = bias.map(|bias| self.mixed(bias, |parts| parts.linears.get(linear.name.as_str())?.bias.clone()));
        let matrix = match &linear.matrix {
            Matrix::Dense(weight) => {
                Matrix::Dense(self.mixed(weight, |parts| match &parts.linears.get(linear.name.as_str())?.matrix {
                    Matrix::Dense(weight) => Some(weight.clone()),
                    Matrix::Nf4(_) => None,
                })?)
            }
            codes @ Matrix::Nf4(_) => codes.clone(),
        };
        Ok(Linear { update, bias: bias.transpose()?, matrix, ..linear.clone() })
    }

    fn head(&self, head: &Linear) -> Result<Linear> {
        self.linear(head)
    }
}

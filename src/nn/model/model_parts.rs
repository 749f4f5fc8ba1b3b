//! The layers and other weights of a model by their names.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::nn::core::{Linear, Part, Transformer, Weight};

/// The parts of a model by their names.
pub(super) struct Parts<'a> {
    pub(super) linears: HashMap<&'a str, &'a Linear>,
    pub(super) weights: HashMap<&'a str, &'a Weight>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(core: &'a Transformer) -> Self {
        let linears = core.linears().map(|linear| (linear.name.as_str(), linear)).collect();
        let weights = core.parts().into_iter().filter(|part| part.linear().is_none()).flat_map(Part::weights);
        Self { linears, weights: weights.map(|weight| (weight.name(), weight)).collect() }
    }

    /// The layer of this name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn linear(&self, name: &str) -> Result<&'a Linear> {
        self.linears.get(name).copied().ok_or_else(|| Error::internal(format!("there is no layer {name}")))
    }
}

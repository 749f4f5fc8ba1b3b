//! Random initialisation.

use candle_core::Device;

use crate::error::Result;
use crate::nn::core::{Weight, WeightSource};
use crate::nn::init::Init;

/// Draws every weight from a seed; all of them train.
pub(super) struct Random<'a> {
    pub(super) seed: u64,
    pub(super) device: &'a Device,
}

impl WeightSource for Random<'_> {
    fn weight(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Weight> {
        Weight::trained(name, &init.draw(name, shape, self.seed, self.device)?)
    }
}

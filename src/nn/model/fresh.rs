//! A model that has learned nothing.

use candle_core::Device;

use super::core::{Linear, Weight};
use super::families::Source;
use crate::error::Result;
use crate::nn::init::Init;

/// Draws every weight from a seed; all of them train.
pub(super) struct Fresh<'a> {
    pub(super) seed: u64,
    pub(super) device: &'a Device,
}

impl Source for Fresh<'_> {
    fn weight(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Weight> {
        Weight::trained(name, &init.draw(name, shape, self.seed, self.device)?)
    }

    fn linear(&mut self, name: &str, shape: (usize, usize), init: Init) -> Result<Linear> {
        let weight = self.weight(&format!("{name}.weight"), &[shape.0, shape.1], init)?;
        Ok(Linear::dense(name, shape, weight))
    }
}

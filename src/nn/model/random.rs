//! Random initialisation.

use candle_core::Device;

use crate::error::Result;
use crate::nn::core::{Linear, LinearSpec, Matrix, Weight, WeightSource};
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

    fn linear(&mut self, layer: &LinearSpec) -> Result<Linear> {
        let LinearSpec { name, shape, bias, transposed, init } = layer;
        let weight = self.weight(&format!("{name}.weight"), &[shape.0, shape.1], *init)?;
        let bias = match bias {
            true => Some(self.weight(&format!("{name}.bias"), &[shape.0], Init::Zeros)?),
            false => None,
        };
        let (name, shape, transposed) = (name.clone(), *shape, *transposed);
        Ok(Linear { name, shape, matrix: Matrix::Dense(weight), bias, transposed, adapter: None })
    }
}

//! Exponential moving average of the trainable weights (Polyak & Juditsky 1992).
//!
//! After step `t`: `mean ← d mean + (1 − d) weight` with `d = min(ema, (1 + t) / (10 + t))`, so that the first weights
//! decay quickly.

use std::path::Path;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::train::run_files;

const FILE: &str = "ema.safetensors";

/// The means, in the order of the parameters.
#[derive(Debug, Clone)]
pub(super) struct Ema {
    decay: f64,
    means: Vec<Tensor>,
}

impl Ema {
    /// Means that begin with the weights.
    pub(super) fn new(decay: f64, parameters: &[Parameter]) -> Result<Self> {
        let means = parameters.iter().map(|parameter| Ok(parameter.var.copy()?)).collect::<Result<_>>()?;
        Ok(Self { decay, means })
    }

    /// Updates the means with the weights after step `t`.
    pub(super) fn take(&mut self, parameters: &[Parameter], t: u64) -> Result<()> {
        let decay = self.decay.min((1 + t) as f64 / (10 + t) as f64);
        for (mean, parameter) in self.means.iter_mut().zip(parameters) {
            let weight = parameter.var.as_detached_tensor();
            *mean = ((&*mean * decay)? + (weight * (1.0 - decay))?)?;
        }
        Ok(())
    }

    /// Runs `work` while the means replace the weights.
    pub(super) fn during<T>(&self, parameters: &[Parameter], work: impl FnOnce() -> Result<T>) -> Result<T> {
        let weights: Vec<Tensor> = parameters.iter().map(|p| Ok(p.var.copy()?)).collect::<Result<_>>()?;
        let put = |values: &[Tensor]| -> Result<()> {
            parameters.iter().zip(values).try_for_each(|(parameter, values)| Ok(parameter.var.set(values)?))
        };
        let done = put(&self.means).and_then(|()| work());
        put(&weights)?;
        done
    }

    /// Writes the means to `ema.safetensors`.
    pub(super) fn save(&self, dir: &Path, parameters: &[Parameter]) -> Result<()> {
        let names: Vec<String> = parameters.iter().map(Parameter::stored_name).collect();
        run_files::write_tensors(&dir.join(FILE), names.iter().map(String::as_str).zip(&self.means))
    }

    /// Reads what [`Ema::save`] wrote.
    pub(super) fn load(&mut self, dir: &Path, parameters: &[Parameter]) -> Result<()> {
        let path = dir.join(FILE);
        let read = candle_core::safetensors::load(&path, &Device::Cpu)
            .map_err(|e| Error::broken(format!("{}: {e}", path.display())))?;
        let mean = |parameter: &Parameter| match read.get(&parameter.stored_name()) {
            Some(mean) if mean.shape() == parameter.var.shape() => Ok(mean.to_device(parameter.var.device())?),
            _ => Err(Error::broken(format!("{} has no {} of its shape", path.display(), parameter.name))),
        };
        self.means = parameters.iter().map(mean).collect::<Result<_>>()?;
        Ok(())
    }
}

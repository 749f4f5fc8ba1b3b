//! The state of the optimizer on disk: `optimizer.safetensors` holds the moments, `optimizer.json` the options and the
//! number of steps.
//!
//! A parameter has `NAME.exp_avg` and `NAME.exp_avg_sq` (PyTorch's names), or in 8 bits `NAME.state1`, `NAME.absmax1`,
//! `NAME.state2` and `NAME.absmax2` (those of bitsandbytes).

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::moments8::{self, Moment8, Moments8};
use super::{AdamW, AdamWOptions, Moments};
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::train::run_files;

const MOMENTS: &str = "optimizer.safetensors";
const NUMBERS: &str = "optimizer.json";

#[derive(Serialize, Deserialize)]
struct StoredOptimizer {
    steps: u64,
    options: AdamWOptions,
}

/// A tensor to be written.
struct StoredTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl AdamW {
    /// Writes the moments, the options and the number of steps into a folder, which is made if it is missing.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let tensors: Vec<StoredTensor> = self
            .parameters
            .iter()
            .zip(&self.moments)
            .map(|(parameter, moments)| stored(parameter, moments))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let views = tensors.iter().map(|StoredTensor { name, dtype, shape, bytes }| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(Error::internal)?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let format = HashMap::from([("format".to_string(), "pt".to_string())]);
        let moments = safetensors::serialize(views, Some(format)).map_err(Error::internal)?;
        let numbers = StoredOptimizer { steps: self.steps, options: self.options.clone() };
        run_files::make_folder(dir)?;
        crate::atomic::write(&dir.join(MOMENTS), &moments)?;
        run_files::write_json(&dir.join(NUMBERS), &numbers)
    }

    /// Loads the state that [`AdamW::save`] wrote.
    ///
    /// # Errors
    /// Names the file, and the tensor that is missing or has another shape; nothing is changed then.
    pub fn load(&mut self, dir: &Path) -> Result<()> {
        let numbers: StoredOptimizer = run_files::read_json(&dir.join(NUMBERS))?;
        numbers.options.validate().map_err(|e| e.context(dir.join(NUMBERS).display()))?;
        let path = dir.join(MOMENTS);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
        let broken = |what: String| Error::broken(format!("{}: {what}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
        let read = |parameter: &Parameter| moments(parameter, numbers.options.bits, &tensors);
        let moments = self.parameters.iter().map(read).collect::<Result<Vec<_>, String>>().map_err(broken)?;
        self.moments = moments;
        self.steps = numbers.steps;
        self.options = numbers.options;
        Ok(())
    }
}

fn stored(parameter: &Parameter, moments: &Moments) -> Result<Vec<StoredTensor>> {
    Ok(match moments {
        Moments::Full(mean, square) => full(parameter, mean, square),
        Moments::Device(moments) => {
            let (mean, square) = moments.to_host()?;
            full(parameter, &mean, &square)
        }
        Moments::Eight(moments) => eight_bits(parameter, moments),
        Moments::DeviceEight(moments) => eight_bits(parameter, &Moments8::of_device(moments)?),
    })
}

fn tensor(parameter: &Parameter, suffix: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> StoredTensor {
    StoredTensor { name: format!("{}.{suffix}", parameter.stored_name()), dtype, shape: shape.to_vec(), bytes }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn full(parameter: &Parameter, mean: &[f32], square: &[f32]) -> Vec<StoredTensor> {
    let of = |suffix, moment: &[f32]| {
        let mut bytes = bytes_of(moment);
        bytes.resize(4 * parameter.var.elem_count(), 0); // zeros before the first step
        tensor(parameter, suffix, Dtype::F32, parameter.var.dims(), bytes)
    };
    vec![of("exp_avg", mean), of("exp_avg_sq", square)]
}

fn eight_bits(parameter: &Parameter, Moments8 { first, second }: &Moments8) -> Vec<StoredTensor> {
    let of = |number: u8, Moment8 { codes, absmax }: &Moment8| {
        [
            tensor(parameter, &format!("state{number}"), Dtype::U8, parameter.var.dims(), codes.clone()),
            tensor(parameter, &format!("absmax{number}"), Dtype::F32, &[absmax.len()], bytes_of(absmax)),
        ]
    };
    of(1, first).into_iter().chain(of(2, second)).collect()
}

/// The moments of a parameter, or the reason why they cannot be used.
fn moments(parameter: &Parameter, bits: u8, tensors: &SafeTensors<'_>) -> Result<Moments, String> {
    let (shape, n) = (parameter.var.dims(), parameter.var.elem_count());
    let find = |suffix: &str, dtype, shape: &[usize]| {
        let name = format!("{}.{suffix}", parameter.stored_name());
        let view = tensors.tensor(&name).map_err(|_| format!("there is no tensor {name}"))?;
        if view.dtype() != dtype || view.shape() != shape {
            let (kind, found) = (view.dtype(), view.shape());
            return Err(format!("{name} is {kind:?} {found:?}, not {dtype:?} {shape:?}"));
        }
        Ok(view.data().to_vec())
    };
    let floats = |suffix: &str, shape: &[usize]| {
        let bytes = find(suffix, Dtype::F32, shape)?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok::<_, String>(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<f32>>())
    };
    if !matches!(Moments::zeros(parameter, bits), Moments::Eight(_)) {
        return Ok(Moments::Full(floats("exp_avg", shape)?, floats("exp_avg_sq", shape)?));
    }
    let codes = |number: u8| {
        let codes = find(&format!("state{number}"), Dtype::U8, shape)?;
        Ok::<_, String>(Moment8 { codes, absmax: floats(&format!("absmax{number}"), &[n.div_ceil(moments8::BLOCK)])? })
    };
    Ok(Moments::Eight(Moments8 { first: codes(1)?, second: codes(2)? }))
}

//! The optimizer on disk: `optimizer.safetensors` holds `NAME.exp_avg` and `NAME.exp_avg_sq` (PyTorch's names for the
//! moments) of every parameter, `optimizer.json` the options and the steps taken.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::train::files;
use crate::train::{AdamW, AdamWOptions};

const MOMENTS: &str = "optimizer.safetensors";
const NUMBERS: &str = "optimizer.json";

#[derive(Serialize, Deserialize)]
struct Numbers {
    steps: u64,
    options: AdamWOptions,
}

impl AdamW {
    /// Writes the moments, the options and the count of steps into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        for (parameter, (mean, square)) in self.parameters.iter().zip(&self.moments) {
            for (suffix, moment) in [("exp_avg", mean), ("exp_avg_sq", square)] {
                let mut bytes: Vec<u8> = moment.iter().flat_map(|x| x.to_le_bytes()).collect();
                bytes.resize(4 * parameter.var.elem_count(), 0); // zeros before the first step
                tensors.push((format!("{}.{suffix}", parameter.name), parameter.var.dims().to_vec(), bytes));
            }
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(Error::internal)?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let format = HashMap::from([("format".to_string(), "pt".to_string())]);
        let moments = safetensors::serialize(views, Some(format)).map_err(Error::internal)?;
        let numbers = Numbers { steps: self.steps, options: self.options.clone() };
        files::make_folder(dir)?;
        files::write(&dir.join(MOMENTS), &moments)?;
        files::write_json(&dir.join(NUMBERS), &numbers)
    }

    /// Goes to the state that [`AdamW::save`] wrote.
    ///
    /// # Errors
    /// Names the file, and the tensor that is missing or has another shape; nothing is changed then.
    pub fn load(&mut self, dir: &Path) -> Result<()> {
        let numbers: Numbers = files::read_json(&dir.join(NUMBERS))?;
        numbers.options.validate().map_err(|e| e.context(dir.join(NUMBERS).display()))?;
        let path = dir.join(MOMENTS);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
        let broken = |what: String| Error::broken(format!("{}: {what}", path.display()));
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
        let moment = |name: String, shape: &[usize]| {
            let view = tensors.tensor(&name).map_err(|_| broken(format!("there is no tensor {name}")))?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                let (dtype, found) = (view.dtype(), view.shape());
                return Err(broken(format!("{name} is {dtype:?} {found:?}, not F32 {shape:?}")));
            }
            let (values, _) = view.data().as_chunks::<4>();
            Ok(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<f32>>())
        };
        let moments = self.parameters.iter().map(|parameter| {
            let (name, shape) = (&parameter.name, parameter.var.dims());
            Ok((moment(format!("{name}.exp_avg"), shape)?, moment(format!("{name}.exp_avg_sq"), shape)?))
        });
        let moments = moments.collect::<Result<Vec<_>>>()?;
        self.moments = moments;
        self.steps = numbers.steps;
        self.options = numbers.options;
        Ok(())
    }
}

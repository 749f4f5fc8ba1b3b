//! Agreement between ranks before the first step: data, options and weights.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::train::fingerprint::fingerprint;
use crate::train::parallel::Group;
use crate::train::{BatchSize, TrainOptions};

/// Checks that all ranks begin with the same data and options, and gives all of them the weights of rank 0; returns notes
/// for the user.
///
/// # Errors
/// Names the difference between ranks; errors of the connection.
pub(super) fn agree(
    group: &Group,
    parameters: &[Parameter],
    data: &Dataset,
    options: &TrainOptions,
    print: &OnceLock<String>,
) -> Result<Vec<String>> {
    if group.is_single() {
        return Ok(Vec::new());
    }
    group.agree("data", &hash([print.get_or_init(|| fingerprint(data)).as_bytes()]))?;
    // The folder may have another name on each machine.
    let mut compared = serde_json::to_value(options).map_err(Error::internal)?;
    compared["output_dir"].take();
    group.agree("options", &hash([compared.to_string().as_bytes()]))?;
    let shapes = parameters.iter().map(|parameter| format!("{} {:?}", parameter.name, parameter.var.dims()));
    group.agree("weights to train", &hash([shapes.collect::<String>().as_bytes()]))?;
    let values = parameters.iter().map(|parameter| {
        let values = parameter.var.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    let same = group.agree("weights", &hash(values.iter().map(Vec::as_slice))).is_ok();
    if let Some(error) = group.trouble() {
        return Err(error);
    }
    if !same {
        for Parameter { var, .. } in parameters {
            var.set(&group.of_first(var.as_detached_tensor().copy()?)?)?;
        }
    }
    let (ranks, rows) = (group.world_size(), group.world_size() * options.gradient_accumulation_steps);
    let rows = match options.batch_size {
        BatchSize::Rows(batch) => rows * batch,
        BatchSize::Auto => options.global_batch_size,
    };
    Ok(vec![format!("{ranks} ranks ({}) take a step of {rows} rows together", group.engine())])
}

fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 8] {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    let digest = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}

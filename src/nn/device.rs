//! Devices by name.

use candle_core::Device;

use crate::error::{Error, Result};

/// The device called "cpu", "cuda", "cuda:1" or "auto" (the first GPU if there is one, else the CPU).
///
/// # Errors
/// An unknown name, or a GPU that is missing; in a build without the feature `cuda` the hint is the build command.
///
/// ```
/// assert!(etude::nn::device("cpu")?.is_cpu());
/// assert!(etude::nn::device("tpu").is_err_and(|error| error.hint().is_some()));
/// # Ok::<(), etude::Error>(())
/// ```
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(gpu(0).unwrap_or(Device::Cpu)),
        "cuda" => gpu(0),
        _ => match name.strip_prefix("cuda:") {
            Some(number) => gpu(number.parse().map_err(|_| {
                Error::mistake(format!("'{number}' in '{name}' is not the number of a GPU"))
                    .with_hint("the first GPU is cuda:0")
            })?),
            None => Err(Error::unknown("device", name, &["cpu", "cuda", "cuda:0", "auto"])),
        },
    }
}

/// Free bytes on a GPU; `None` for the CPU, and where the driver does not report it.
pub fn free_memory(device: &Device) -> Option<u64> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(gpu) = device {
        return gpu.cuda_stream().context().mem_get_info().ok().map(|(free, _)| free as u64);
    }
    let _ = device;
    None
}

/// The peak memory of tensors on a GPU, in bytes, since it was opened or since [`reset_peak_memory`]; `None` for the
/// CPU, and where the driver does not report it.
pub(crate) fn peak_memory(device: &Device) -> Option<u64> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(gpu) = device {
        return crate::nn::cuda::peak_memory(gpu);
    }
    let _ = device;
    None
}

/// Resets [`peak_memory`].
pub(crate) fn reset_peak_memory(device: &Device) {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(gpu) = device {
        crate::nn::cuda::reset_peak_memory(gpu);
    }
    let _ = device;
}

#[cfg(not(feature = "cuda"))]
fn gpu(_number: usize) -> Result<Device> {
    Err(Error::mistake("this etude is built without GPU support").with_hint(
        "with the CUDA toolkit installed: cargo install --path . --features cuda, or from a checkout: cargo run \
         --release --features cuda",
    ))
}

#[cfg(feature = "cuda")]
fn gpu(number: usize) -> Result<Device> {
    crate::nn::cuda::open(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert!(device("cpu").unwrap().is_cpu());
        device("auto").unwrap();
    }

    #[test]
    fn a_misspelt_device_names_the_nearest() {
        assert!(device("cudo").unwrap_err().hint().unwrap().contains("'cuda'"));
        assert!(device("cuda:x").unwrap_err().message().contains("'x' in 'cuda:x'"));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_the_build_command_is_the_hint() {
        let error = device("cuda:1").unwrap_err();
        assert!(error.hint().unwrap().contains("cargo install --path . --features cuda"), "{error}");
    }
}

//! Devices by name.

use candle_core::Device;

use crate::error::Result;

/// "cpu", "cuda", "cuda:1" or "auto" (the first GPU there is, else the CPU).
///
/// # Errors
/// An unknown name, or a GPU that is not there; a build without the feature `cuda` answers with the build command.
pub fn device(_name: &str) -> Result<Device> {
    todo!()
}

//! 8-bit moments of a parameter, in the memory of its GPU.

use candle_core::{Tensor, Var};

use super::codes8::{BlockCodes, EightBitMaps, EightBitStep};
use crate::error::Result;

/// The 8-bit moments of a parameter on a GPU.
#[derive(Debug, Clone)]
pub struct DeviceMoments8(Storage8);

#[cfg(not(feature = "cuda"))]
type Storage8 = std::convert::Infallible;

#[cfg(feature = "cuda")]
type Storage8 = super::cuda_moments8::CudaMoments8;

#[cfg(not(feature = "cuda"))]
impl DeviceMoments8 {
    /// Copies moments to the device of a parameter; `None` when that is the CPU.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn of(_parameter: &Var, _moments: [(&[u8], &[f32]); 2], _maps: &EightBitMaps<'_>) -> Result<Option<Self>> {
        Ok(None)
    }

    /// Updates the parameter in place, and its moments.
    ///
    /// # Errors
    /// A gradient of another dtype.
    pub fn step(&mut self, _parameter: &Var, _gradient: &Tensor, _numbers: &EightBitStep) -> Result<()> {
        match self.0 {}
    }

    /// Copies of both.
    ///
    /// # Errors
    /// What the driver says.
    pub fn to_host(&self) -> Result<[BlockCodes; 2]> {
        match self.0 {}
    }
}

#[cfg(feature = "cuda")]
impl DeviceMoments8 {
    /// Copies moments to the device of a parameter; `None` when that is the CPU.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn of(parameter: &Var, moments: [(&[u8], &[f32]); 2], maps: &EightBitMaps<'_>) -> Result<Option<Self>> {
        match parameter.device().is_cuda() {
            true => Ok(Some(Self(Storage8::new(parameter, moments, maps)?))),
            false => Ok(None),
        }
    }

    /// Updates the parameter in place, and its moments.
    ///
    /// # Errors
    /// A gradient of another dtype.
    pub fn step(&mut self, parameter: &Var, gradient: &Tensor, numbers: &EightBitStep) -> Result<()> {
        Ok(self.0.step(parameter, gradient, numbers)?)
    }

    /// Copies of both.
    ///
    /// # Errors
    /// What the driver says.
    pub fn to_host(&self) -> Result<[BlockCodes; 2]> {
        Ok(self.0.to_host()?)
    }
}

impl PartialEq for DeviceMoments8 {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.to_host(), other.to_host()), (Ok(a), Ok(b)) if a == b)
    }
}

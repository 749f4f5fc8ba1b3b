//! The moments of a parameter on a GPU.

use candle_core::{Tensor, Var};

use super::AdamWStep;
use crate::error::Result;

/// The moments of a parameter on a GPU, in its memory; those of a parameter on the CPU are vectors, see
/// [`adamw_step`](super::adamw_step).
#[derive(Debug, Clone)]
pub struct DeviceMoments(Storage32);

/// The update of one parameter in [`DeviceMoments::step`].
#[derive(Debug)]
pub struct DeviceUpdate<'a> {
    /// The moments of the parameter.
    pub moments: &'a mut DeviceMoments,
    /// The parameter, updated in place.
    pub parameter: &'a Var,
    /// Its gradient, of the same shape.
    pub gradient: &'a Tensor,
    /// The hyper-parameters of the step.
    pub hyper: AdamWStep,
}

#[cfg(not(feature = "cuda"))]
type Storage32 = std::convert::Infallible;

#[cfg(feature = "cuda")]
type Storage32 = super::cuda_moments::CudaMoments;

#[cfg(not(feature = "cuda"))]
impl DeviceMoments {
    /// Copies moments to the device of a parameter; `None` when that is the CPU. Empty ones become zeros.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn of(_parameter: &Var, _m: &[f32], _v: &[f32]) -> Result<Option<Self>> {
        Ok(None)
    }

    /// Updates parameters on one GPU and their moments in place.
    ///
    /// # Errors
    /// A gradient of another shape or dtype.
    pub fn step(updates: &mut [DeviceUpdate<'_>]) -> Result<()> {
        match updates.first() {
            Some(update) => match update.moments.0 {},
            None => Ok(()),
        }
    }

    /// Copies of both, the first moment and the second.
    ///
    /// # Errors
    /// What the driver says.
    pub fn to_host(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        match self.0 {}
    }
}

#[cfg(feature = "cuda")]
impl DeviceMoments {
    /// Copies moments to the device of a parameter; `None` when that is the CPU. Empty ones become zeros.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn of(parameter: &Var, m: &[f32], v: &[f32]) -> Result<Option<Self>> {
        match parameter.device().is_cuda() {
            true => Ok(Some(Self(Storage32::new(parameter, m, v)?))),
            false => Ok(None),
        }
    }

    /// Updates parameters on one GPU and their moments in place.
    ///
    /// # Errors
    /// A gradient of another shape or dtype.
    pub fn step(updates: &mut [DeviceUpdate<'_>]) -> Result<()> {
        for DeviceUpdate { parameter, gradient, .. } in &*updates {
            if gradient.dims() != parameter.dims() {
                return Err(crate::error::Error::mistake(format!(
                    "a gradient of {:?} does not fit a parameter of {:?}",
                    gradient.dims(),
                    parameter.dims()
                )));
            }
        }
        fn update<'a>(update: &'a DeviceUpdate<'_>) -> super::cuda::CudaUpdate<'a> {
            super::cuda::CudaUpdate {
                moments: &update.moments.0,
                parameter: update.parameter,
                gradient: update.gradient,
                hyper: update.hyper,
            }
        }
        Ok(super::cuda::update(&updates.iter().map(update).collect::<Vec<_>>())?)
    }

    /// Copies of both, the first moment and the second.
    ///
    /// # Errors
    /// What the driver says.
    pub fn to_host(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok(self.0.to_host()?)
    }
}

impl PartialEq for DeviceMoments {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.to_host(), other.to_host()), (Ok(a), Ok(b)) if a == b)
    }
}

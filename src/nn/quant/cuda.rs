//! NF4 on a GPU: copies of weights, and quantising.

use std::sync::{Arc, PoisonError};

use candle_core::cuda_backend::CudaDevice;
use candle_core::{Result as Candle, Tensor};

use super::codes::THRESHOLDS;
use super::nested::nested;
use super::nf4::Nf4;
use super::on_device::{OnDevice, SOURCE};
use crate::nn::cuda::{alloc, elements, gpu, held, host, launch, upload};

impl Nf4 {
    /// The copy on a device, made at first use.
    ///
    /// # Errors
    /// When the memory is full.
    pub(in crate::nn) fn on(&self, device: &CudaDevice) -> Candle<Arc<OnDevice>> {
        let mut copy = self.mirror.copy.lock().unwrap_or_else(PoisonError::into_inner);
        match &*copy {
            Some(there) if there.is_on(device) => Ok(there.clone()),
            _ => {
                let made = Arc::new(OnDevice::new(
                    device,
                    &self.codes,
                    &self.absmax,
                    &self.nested_absmax,
                    self.nested_offset,
                )?);
                *copy = Some(made.clone());
                Ok(made)
            }
        }
    }

    /// Quantises a matrix (out, in) on a GPU; the bytes are those of [`Nf4::quantize`].
    ///
    /// The codes and the scale of each block are computed there; the scales, one for each block of 64, are quantised on
    /// the host, whose order of summation is part of the format.
    ///
    /// # Errors
    /// A tensor that is not an f32 matrix.
    pub(in crate::nn) fn quantize_cuda(weights: &Tensor) -> Candle<Self> {
        let (shape, weights) = (weights.dims2()?, weights.contiguous()?);
        let (device, n) = (gpu(&weights)?, shape.0 * shape.1);
        let blocks_of_64 = n.div_ceil(Self::BLOCK);
        let thresholds = upload(device, &THRESHOLDS[..])?;
        let (mut codes, mut scales) = (alloc::<u8>(device, n.div_ceil(2))?, alloc::<f32>(device, blocks_of_64)?);
        if n > 0 {
            let (weights, count) = (held(&weights)?, n as u64);
            let weights = weights.view::<f32>()?;
            let config = elements(blocks_of_64 * 32);
            launch!(device, SOURCE, "nf4_quantize", config, &weights, &thresholds, &mut codes, &mut scales, &count);
        }
        let (mut codes, mut scales) = (host(device, &codes)?, host(device, &scales)?);
        codes.truncate(n.div_ceil(2));
        scales.truncate(blocks_of_64);
        Ok(nested(codes, &scales, shape))
    }
}

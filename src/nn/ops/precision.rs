//! Which number formats the products of a machine have, and how fast they are.

use candle_core::Device;

use super::tiled::{pays, peak};
use crate::nn::Precision;

impl Precision {
    /// The format that products asked for in this one have on the CPU of this machine.
    pub fn on_this_cpu(self) -> Self {
        match self {
            Self::F32 => Self::F32,
            Self::Bf16 | Self::F16 => pays(),
        }
    }

    /// Floating-point operations a second that a device does in products of this format, measured: all threads of the CPU
    /// in the innermost loop, or a GPU in a large product. `None` where there is no instruction of ours to measure.
    pub fn peak_flops(self, device: &Device) -> Option<f64> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(gpu) = device {
            return crate::nn::cuda::peak(gpu, self != Self::F32).ok();
        }
        let _ = device;
        peak(self.on_this_cpu())
    }
}

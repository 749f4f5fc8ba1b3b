//! The number formats of products on a machine, and their speed.

use candle_core::Device;

use super::tiled::{pays, peak};
use crate::nn::Precision;

impl Precision {
    /// The format that is used on this CPU when this one is asked for.
    pub fn on_this_cpu(self) -> Self {
        match self {
            Self::F32 => Self::F32,
            Self::Bf16 | Self::F16 => pays(),
        }
    }

    /// Floating-point operations a second of a device in products of this format, measured: all threads of the CPU in
    /// the innermost loop, or a GPU in a large product. `None` where there is no such loop.
    pub fn peak_flops(self, device: &Device) -> Option<f64> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(gpu) = device {
            return crate::nn::cuda::peak(gpu, self != Self::F32).ok();
        }
        let _ = device;
        peak(self.on_this_cpu())
    }
}

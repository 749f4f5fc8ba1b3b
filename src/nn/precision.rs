//! The number format of products.

use candle_core::Device;

use crate::nn::ops::cpu::{pays, peak};

/// In what the factors of matrix products are held. Sums, weights that train, and everything that is not a product stay
/// f32. A format that this machine multiplies no faster than f32 is not used: f32 is then exact and costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// bfloat16: 8 bits of significand.
    Bf16,
    /// Half precision: 11 bits of significand, numbers up to 65,504.
    F16,
}

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
            return crate::nn::ops::cuda::peak(gpu, self != Self::F32).ok();
        }
        let _ = device;
        peak(self.on_this_cpu())
    }
}

//! The source texts of GPU kernels, which NVRTC compiles.

/// The source text of a kernel file, with the common header in front.
#[derive(Debug)]
pub(in crate::nn) struct KernelSource {
    /// "rms_norm"
    pub(in crate::nn) name: &'static str,
    pub(in crate::nn) text: &'static str,
}

/// The [`KernelSource`] of the `kernel.cu` beside the calling file; the second argument is the relative path of `nn/cuda`,
/// those after it are the paths of further headers.
macro_rules! source {
    ($name:literal, $common:literal $(, $header:literal)*) => {
        $crate::nn::cuda::KernelSource {
            name: $name,
            text: concat!(
                include_str!(concat!($common, "/common.cuh")),
                $(include_str!($header),)*
                include_str!("kernel.cu")
            ),
        }
    };
}
pub(in crate::nn) use source;

//! The texts of kernels.

/// The text of a file of kernels, the common header included.
#[derive(Debug)]
pub(in crate::nn) struct Source {
    /// "rms_norm"
    pub(in crate::nn) name: &'static str,
    pub(in crate::nn) text: &'static str,
}

/// The [`Source`] of the `kernel.cu` beside the calling file; the second argument is the way to `nn/cuda` from there, those
/// after it the paths of the other headers.
macro_rules! source {
    ($name:literal, $common:literal $(, $header:literal)*) => {
        $crate::nn::cuda::Source {
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

//! Launches of dependent kernels, and CUDA graphs of them.

use std::ffi::c_void;
use std::sync::Arc;

use candle_core::Result as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, CudaStream, DriverError, LaunchConfig, sys};

use crate::nn::cuda::{Kernel, fault};

/// The order of successive kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaunchOrder {
    /// A kernel starts when the one before has ended.
    Strict,
    /// A kernel may start earlier and waits by itself (programmatic dependent launch, from Hopper on).
    Early,
}

/// Launches a kernel on its stream.
///
/// # Safety
/// `arguments` point to values of the types that the text of the kernel names, and their memory spans what it reads and
/// writes.
pub(super) unsafe fn launch(
    kernel: &Kernel,
    config: LaunchConfig,
    order: LaunchOrder,
    arguments: &mut [*mut c_void],
) -> Candle<()> {
    let mut early = sys::CUlaunchAttribute {
        id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
        pad: Default::default(),
        value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
    };
    let config = sys::CUlaunchConfig {
        gridDimX: config.grid_dim.0,
        gridDimY: config.grid_dim.1,
        gridDimZ: config.grid_dim.2,
        blockDimX: config.block_dim.0,
        blockDimY: config.block_dim.1,
        blockDimZ: config.block_dim.2,
        sharedMemBytes: config.shared_mem_bytes,
        hStream: kernel.stream.cu_stream(),
        attrs: &raw mut early,
        numAttrs: u32::from(order == LaunchOrder::Early),
    };
    kernel.stream.context().bind_to_thread().map_err(fault)?;
    // SAFETY: the configuration and its attribute live until the call returns; the rest is promised by the caller.
    let put = unsafe {
        sys::cuLaunchKernelEx(
            &raw const config,
            kernel.function.cu_function(),
            arguments.as_mut_ptr(),
            std::ptr::null_mut(),
        )
    };
    put.result().map_err(fault)
}

/// A CUDA graph, launched as a whole.
pub(super) struct Recorded(CudaGraph);

// SAFETY: the driver forbids two threads to use a graph at once; it is used through `&mut` and the stream's context is
// bound to the thread each time.
unsafe impl Send for Recorded {}
// SAFETY: as above; `&Recorded` gives nothing.
unsafe impl Sync for Recorded {}

impl Recorded {
    /// Captures the launches of `work` without running them; `None` when the driver refuses to capture.
    pub(super) fn of(stream: &Arc<CudaStream>, work: impl FnOnce() -> Candle<()>) -> Option<Self> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        stream.begin_capture(mode).ok()?;
        let done = work();
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).ok()??;
        done.ok().map(|()| Self(graph))
    }

    /// Launches the graph.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn launch(&mut self) -> Result<(), DriverError> {
        self.0.launch()
    }
}

//! Kernels by name, loaded once for each device, and their launch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Result as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaModule, CudaStream, LaunchConfig};
use candle_core::cuda_backend::{CudaDevice, DeviceId};

use super::compile;
use super::gpu_error::fault;
use super::source::KernelSource;

/// A kernel that can be launched.
pub(in crate::nn) struct Kernel {
    pub(in crate::nn) function: CudaFunction,
    pub(in crate::nn) stream: Arc<CudaStream>,
}

#[derive(Default)]
struct Loaded {
    modules: HashMap<(DeviceId, &'static str), Arc<CudaModule>>,
    functions: HashMap<(DeviceId, &'static str), CudaFunction>,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// The kernel called `name`; compiles and loads its file at first use.
///
/// # Errors
/// What NVRTC or the driver says.
pub(in crate::nn) fn kernel(device: &CudaDevice, source: &'static KernelSource, name: &'static str) -> Candle<Kernel> {
    let stream = device.cuda_stream();
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let Loaded { modules, functions } = loaded.get_or_insert_default();
    if let Some(function) = functions.get(&(device.id(), name)) {
        return Ok(Kernel { function: function.clone(), stream });
    }
    let module = match modules.get(&(device.id(), source.name)) {
        Some(module) => module.clone(),
        None => {
            let ptx = compile::ptx(device, source)?;
            let module = stream.context().load_module(ptx.into()).map_err(fault)?;
            modules.insert((device.id(), source.name), module.clone());
            module
        }
    };
    let function = module.load_function(name).map_err(fault)?;
    functions.insert((device.id(), name), function.clone());
    Ok(Kernel { function, stream })
}

/// Threads of a block: `THREADS` in `common.cuh`.
const THREADS: u32 = 256;
/// The most blocks of an element-wise kernel.
const MOST: usize = 1 << 16;

/// The launch configuration of a kernel over n elements (at least one).
pub(in crate::nn) fn elements(n: usize) -> LaunchConfig {
    blocks(n.div_ceil(THREADS as usize).min(MOST), 1)
}

/// The launch configuration of a grid of blocks along x and y.
pub(in crate::nn) fn blocks(x: usize, y: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: (x as u32, y as u32, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
}

/// Launches a kernel: device, source, name, blocks, then references to its arguments in their order.
macro_rules! launch {
    ($device:expr, $source:expr, $name:expr, $config:expr, $($argument:expr),+ $(,)?) => {{
        use candle_core::cuda_backend::cudarc::driver::PushKernelArg as _;
        let kernel = $crate::nn::cuda::kernel($device, &$source, $name)?;
        let mut call = kernel.stream.launch_builder(&kernel.function);
        $(call.arg($argument);)+
        // SAFETY: the arguments are those that the text of the kernel names, in number, order and type, and its
        // memory spans what it says; the reference tests of the op hold each launch to that.
        unsafe { call.launch($config) }.map_err($crate::nn::cuda::fault)?;
    }};
}
pub(in crate::nn) use launch;

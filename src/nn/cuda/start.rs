//! Opens GPUs: one device for each GPU and process, after checking that its libraries can be loaded.

use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::sys;

use crate::error::{Error, Result};

/// The open devices: tensors of two handles on one GPU could not be combined.
static OPEN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());

/// The libraries that are loaded by name at first use, with install hints. A binary linked to them would not even start
/// without.
const LIBRARIES: [(&str, &[&str], &str); 4] = [
    ("cuda", &["1"], "install the NVIDIA driver, or use device(\"cpu\")"),
    ("nvrtc", &["13", "12"], TOOLKIT),
    ("cublas", &["13", "12"], TOOLKIT),
    ("curand", &["10"], TOOLKIT),
];
const TOOLKIT: &str = "install the CUDA toolkit, and put its lib64 folder on LD_LIBRARY_PATH";

/// GPU `number`.
///
/// # Errors
/// A missing library or GPU, named, with the remedy; never a panic.
pub(in crate::nn) fn open(number: usize) -> Result<Device> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = open.iter().find(|(known, _)| *known == number) {
        return Ok(device.clone());
    }
    for (name, versions, hint) in LIBRARIES {
        if !is_there(name, versions) {
            return Err(
                Error::mistake(format!("cannot use cuda:{number}: the library lib{name} is missing")).with_hint(hint)
            );
        }
    }
    // A stream of its own rather than the thread's: work from any thread runs in order.
    let device = std::panic::catch_unwind(|| CudaDevice::new_with_stream(number));
    let device = match device {
        Ok(Ok(device)) => device,
        Ok(Err(error)) => {
            return Err(Error::mistake(format!("cannot use cuda:{number}: {error}"))
                .with_hint("nvidia-smi lists the GPUs there are"));
        }
        Err(_) => {
            return Err(Error::mistake(format!("cannot use cuda:{number}: a library of CUDA cannot be loaded"))
                .with_hint(TOOLKIT));
        }
    };
    keep_memory(&device);
    // SAFETY: everything is put on the one stream of the device, so that no two streams use a tensor.
    unsafe { device.disable_event_tracking() };
    let device = Device::Cuda(device);
    open.push((number, device.clone()));
    Ok(device)
}

/// Whether a shared library can be opened, by its plain name or with a version. On Windows, where each has many names,
/// a missing one is noticed at first use.
fn is_there(name: &str, versions: &[&str]) -> bool {
    let plain = libloading::library_filename(name);
    let versioned = versions.iter().map(|version| {
        let mut file = plain.clone();
        file.push(format!(".{version}"));
        file
    });
    cfg!(windows)
        || [plain.clone()].into_iter().chain(versioned).any(|file| {
            // SAFETY: the libraries of CUDA do nothing when they are loaded but set themselves up.
            unsafe { libloading::Library::new(file) }.is_ok()
        })
}

/// Lets the driver keep freed memory for later tensors instead of returning it at every synchronisation: the tensors of
/// a step are those of the step before.
fn keep_memory(device: &CudaDevice) {
    let mut all = u64::MAX;
    attribute(device, |pool| {
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the attribute is one u64, which the driver reads. A refusal leaves things as they are.
        unsafe { sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut all).cast()) }
    });
}

/// The peak memory of tensors on the device, in bytes, since it was opened or since [`reset_peak_memory`].
pub(in crate::nn) fn peak_memory(device: &CudaDevice) -> Option<u64> {
    let mut most = 0u64;
    let asked = attribute(device, |pool| {
        let used = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        // SAFETY: the attribute is one u64, which the driver writes.
        unsafe { sys::cuMemPoolGetAttribute(pool, used, (&raw mut most).cast()) }
    });
    asked.then_some(most)
}

/// Resets [`peak_memory`].
pub(in crate::nn) fn reset_peak_memory(device: &CudaDevice) {
    let mut none = 0u64;
    attribute(device, |pool| {
        let used = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        // SAFETY: the attribute is one u64, which the driver reads; 0 is the value it may be set to.
        unsafe { sys::cuMemPoolSetAttribute(pool, used, (&raw mut none).cast()) }
    });
}

/// Calls `ask` with the memory pool of the device; false when the driver has none or fails.
fn attribute(device: &CudaDevice, ask: impl FnOnce(sys::CUmemoryPool) -> sys::CUresult) -> bool {
    let stream = device.cuda_stream();
    let context = stream.context();
    if !context.has_async_alloc() || context.bind_to_thread().is_err() {
        return false;
    }
    let mut pool = std::ptr::null_mut();
    // SAFETY: the driver writes the pool of a device that is there.
    let found = unsafe { sys::cuDeviceGetDefaultMemPool(&mut pool, context.cu_device()) };
    found.result().is_ok() && ask(pool).result().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_not_found() {
        assert!(cfg!(windows) || !is_there("no-such-library", &["1", "2"]));
        assert!(cfg!(not(target_os = "linux")) || is_there("c", &["6"]));
    }
}

//! Compiles kernels to PTX: with NVRTC at first use, from the user's cache folder afterwards.

use std::env;
use std::fs;
use std::path::PathBuf;

use candle_core::Result as Candle;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts, sys};
use sha2::{Digest, Sha256};

use super::gpu_error::{GpuError, fault};
use super::source::KernelSource;
use crate::atomic;

/// The target architectures, newest first; later GPUs run the PTX of the newest. Older GPUs have no bfloat16.
/// `tests/peers/nvrtc.sh` compiles all kernels for both.
const ARCHITECTURES: [((i32, i32), &str); 2] = [((9, 0), "compute_90"), ((8, 0), "compute_80")];

/// The PTX of a source for a device.
pub(super) fn ptx(device: &CudaDevice, source: &KernelSource) -> Candle<String> {
    let arch = architecture(device)?;
    let version = nvrtc_version()?;
    let file = file(source, arch, version);
    if let Some(ptx) = file.as_ref().and_then(|file| fs::read_to_string(file).ok()) {
        return Ok(ptx);
    }
    let options = CompileOptions {
        arch: Some(arch),
        name: Some(format!("{}.cu", source.name)),
        options: vec!["--std=c++17".into()],
        ..CompileOptions::default()
    };
    let ptx = compile_ptx_with_opts(source.text, options).map_err(|error| match error {
        CompileError::CompileError { log, .. } => GpuError {
            message: format!(
                "NVRTC {}.{} refuses the kernels of {}: {}",
                version.0,
                version.1,
                source.name,
                log.to_string_lossy()
            ),
            hint: "CUDA 12 and 13 are supported; nvidia-smi and nvcc --version say what is installed",
        }
        .into(),
        error => fault(error),
    })?;
    let ptx = ptx.to_src();
    if let Some(file) = file {
        // A folder that cannot be written only means another compilation the next time.
        let made = file.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok());
        let _ = made.then(|| atomic::write(&file, ptx.as_bytes()));
    }
    Ok(ptx)
}

fn architecture(device: &CudaDevice) -> Candle<&'static str> {
    let capability = device.cuda_stream().context().compute_capability().map_err(fault)?;
    match ARCHITECTURES.iter().find(|(least, _)| capability >= *least) {
        Some((_, arch)) => Ok(arch),
        None => Err(GpuError {
            message: format!(
                "this GPU has compute capability {}.{}, at least 8.0 is needed",
                capability.0, capability.1
            ),
            hint: "GPUs from Ampere on (2020) have it; use device(\"cpu\") on older ones",
        }
        .into()),
    }
}

fn nvrtc_version() -> Candle<(i32, i32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: NVRTC writes the two numbers.
    let asked = unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result();
    asked.map_err(|error| fault(CompileError::CreationError(error)))?;
    Ok((major, minor))
}

/// The cache file of the PTX: its name contains everything that it depends on. `None` without a home folder.
fn file(source: &KernelSource, arch: &str, version: (i32, i32)) -> Option<PathBuf> {
    let key = Sha256::digest(format!("{arch} {}.{}\n{}", version.0, version.1, source.text));
    let key: String = key.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(folder()?.join(format!("{}-{arch}-{key}.ptx", source.name)))
}

/// `etude/cuda` in the user's cache folder (XDG base directories: a relative one is ignored).
fn folder() -> Option<PathBuf> {
    let (variable, usual) =
        if cfg!(windows) { ("LOCALAPPDATA", "AppData/Local") } else { ("XDG_CACHE_HOME", ".cache") };
    let named = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    Some(named.or_else(|| Some(env::home_dir()?.join(usual)))?.join("etude").join("cuda"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_the_ptx_depends_on() {
        let (a, b) = (KernelSource { name: "a", text: "1" }, KernelSource { name: "a", text: "2" });
        let names = [
            file(&a, "compute_80", (13, 0)),
            file(&b, "compute_80", (13, 0)),
            file(&a, "compute_90", (13, 0)),
            file(&a, "compute_80", (12, 9)),
        ];
        for (i, x) in names.iter().enumerate() {
            assert!(names[..i].iter().all(|y| x != y || x.is_none()), "{x:?}");
        }
    }
}

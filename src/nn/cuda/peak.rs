//! The peak arithmetic rate of a GPU, to which measured rates are compared.

use std::time::Instant;

use candle_core::Result as Candle;
use candle_core::cuda_backend::CudaDevice;
use half::bf16;

use super::blas::{CudaMat, CudaProduct, product};
use super::gpu_error::fault;
use super::memory::{alloc, upload};

/// Rows and columns of the factors: large enough to be limited by arithmetic.
const SIZE: usize = 8192;
/// Products that are timed together.
const TIMES: usize = 4;

/// Floating-point operations a second in large products of f32, or of bfloat16.
///
/// # Errors
/// When the memory is full.
pub(in crate::nn) fn peak(device: &CudaDevice, half: bool) -> Candle<f64> {
    let n = SIZE * SIZE;
    // Values of all magnitudes: products of zeros draw less power, and are faster.
    let value = |i: usize| ((i * 7919 % 10_007) as f32 - 5003.0) / 5003.0;
    let mut out = alloc::<f32>(device, n)?;
    let p = CudaProduct::new(SIZE, SIZE, SIZE);
    if half {
        let x = upload(device, &(0..n).map(|i| bf16::from_f32(value(i))).collect::<Vec<_>>())?;
        let x = x.as_view();
        rate(device, || product(device, p, CudaMat::bf16(&x, SIZE), CudaMat::bf16(&x, SIZE), &mut out))
    } else {
        let x = upload(device, &(0..n).map(value).collect::<Vec<_>>())?;
        let x = x.as_view();
        rate(device, || product(device, p, CudaMat::f32(&x, SIZE), CudaMat::f32(&x, SIZE), &mut out))
    }
}

/// Operations a second of products of [`SIZE`].
fn rate(device: &CudaDevice, mut work: impl FnMut() -> Candle<()>) -> Candle<f64> {
    let stream = device.cuda_stream();
    let mut times = [0.0; 3];
    for time in &mut times {
        stream.synchronize().map_err(fault)?;
        let begun = Instant::now();
        for _ in 0..TIMES {
            work()?;
        }
        stream.synchronize().map_err(fault)?;
        *time = begun.elapsed().as_secs_f64();
    }
    // The first product chooses and loads its kernel.
    let best = times[1..].iter().copied().fold(f64::INFINITY, f64::min);
    Ok((TIMES * 2) as f64 * (SIZE as f64).powi(3) / best)
}

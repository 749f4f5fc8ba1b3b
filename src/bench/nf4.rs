//! Benchmark of quantising a matrix to NF4 and back.

use std::time::Instant;

use super::median;
use crate::error::{Error, Result};
use crate::nn::quant::Nf4;
use crate::progress::Progress;

/// Throughput in bytes of the f32 matrix a second, medians.
#[derive(Debug, Clone, Copy)]
pub struct Quantized {
    /// Of quantising, from f32 to codes and scales.
    pub quantize: f64,
    /// Of dequantising, back to f32.
    pub dequantize: f64,
}

/// Quantises a matrix (size, size) `runs` times, and dequantises it as often.
///
/// # Errors
/// A size or a number of runs of 0; `interrupted`, when the user cancels.
pub fn nf4(size: usize, runs: usize, progress: &Progress) -> Result<Quantized> {
    if size == 0 || runs == 0 {
        return Err(Error::mistake("size and runs must be at least 1"));
    }
    let weights: Vec<f32> = (0..size * size).map(|i| ((i % 100_003) as f32 * 0.618).sin()).collect();
    let mut task = progress.task("NF4", Some(runs as u64 + 1), "runs");
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let begun = Instant::now();
        let packed = Nf4::quantize(&weights, (size, size));
        let middle = Instant::now();
        let wide = std::hint::black_box(packed.dequantize());
        // The first run, which allocates its memory, does not count.
        if run > 0 {
            there.push((middle - begun).as_secs_f64());
            back.push(middle.elapsed().as_secs_f64());
        }
        drop(wide);
        task.advance(1)?;
    }
    let bytes = (4 * size * size) as f64;
    Ok(Quantized { quantize: bytes / median(there), dequantize: bytes / median(back) })
}

//! Inverted dropout whose mask is a function of seed and index: nothing is kept between forward and backward.

use candle_core::{CpuStorage, CustomOp1, Layout, Result as Candle, Shape, Tensor};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::candle_error::check;
use crate::nn::cpu::{Disjoint, fill, floats, floats_of, for_each_isa};

/// Drops a share of the values and scales the rest by `1 / (1 − share)`, as `torch.nn.Dropout` does in training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    /// A value is dropped when its 32 random bits are below this.
    pub(super) below: u32,
    pub(super) keep: f32,
    pub(super) seed: u64,
}

/// Values a task works on.
const CHUNK: usize = 1 << 14;

impl Dropout {
    /// `None` when nothing is dropped.
    ///
    /// # Errors
    /// A share outside of 0..1.
    pub(super) fn new(share: f64, seed: u64) -> Result<Option<Self>> {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::mistake(format!("dropout must be at least 0 and less than 1, not {share}")));
        }
        let below = (share * 2f64.powi(32)) as u32;
        Ok((below > 0).then(|| Self { below, keep: (1.0 / (1.0 - share)) as f32, seed }))
    }

    /// `drop(x)`.
    pub(super) fn apply(&self, x: &[f32]) -> Vec<f32> {
        // SAFETY: the chunks are disjoint and cover `out`; `write` writes each element.
        unsafe {
            fill(x.len(), |out| {
                let out = Disjoint::uninit(out);
                x.par_chunks(CHUNK).enumerate().for_each(|(i, x)| {
                    let out = out.part(i * CHUNK..i * CHUNK + x.len());
                    out.copy_from_slice(x);
                    self.mask(i, out);
                });
            })
        }
    }

    /// Masks a gradient and adds it: `out += drop(g)`.
    pub(super) fn add(&self, g: &mut [f32], out: &mut [f32]) {
        g.par_chunks_mut(CHUNK).zip(out.par_chunks_mut(CHUNK)).enumerate().for_each(|(i, (g, out))| {
            self.mask(i, g);
            for (out, g) in out.iter_mut().zip(g) {
                *out += *g;
            }
        });
    }

    fn mask(&self, chunk: usize, values: &mut [f32]) {
        // One key for each chunk, so that the inner counter has 32 bits for any tensor.
        let key = mix64(self.seed ^ mix64(chunk as u64));
        masked(values, key, self.below, self.keep);
    }
}

/// The op of [`super::dropout()`].
pub(super) struct DropoutOp {
    pub(super) dropout: Dropout,
    pub(super) interrupt: Interrupt,
}

impl CustomOp1 for DropoutOp {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Candle<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.dropout.apply(floats_of(x, l)?)), l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Candle<Option<Tensor>> {
        check(&self.interrupt)?;
        let dy = dy.contiguous()?;
        let dx = self.dropout.apply(&floats(&dy)?);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

for_each_isa! {
    fn masked(values: &mut [f32], key: u64, below: u32, keep: f32) {
        let (key, step) = (key as u32, (key >> 32) as u32);
        let mut places: [u32; 16] = std::array::from_fn(|i| i as u32);
        let (chunks, rest) = values.as_chunks_mut::<16>();
        for chunk in chunks {
            for (x, place) in chunk.iter_mut().zip(&mut places) {
                let bits = mix32(mix32(*place ^ key).wrapping_add(step));
                *x = if bits < below { 0.0 } else { *x * keep };
                *place += 16;
            }
        }
        for (x, place) in rest.iter_mut().zip(places) {
            let bits = mix32(mix32(place ^ key).wrapping_add(step));
            *x = if bits < below { 0.0 } else { *x * keep };
        }
    }
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A bijection of 32 bits with low bias: two multiplications between shifts (the "lowbias32" constants of C. Wellons).
#[inline(always)]
fn mix32(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_dropped_is_the_one_asked_for() {
        let x = vec![1.0; 200_000];
        for share in [0.05, 0.1, 0.5, 0.9] {
            let dropped = Dropout::new(share, 7).unwrap().unwrap().apply(&x);
            let zeros = dropped.iter().filter(|&&v| v == 0.0).count() as f64 / x.len() as f64;
            let mean = dropped.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
            // Five standard deviations of a binomial share.
            let slack = 5.0 * (share * (1.0 - share) / x.len() as f64).sqrt();
            assert!((zeros - share).abs() < slack, "{share}: {zeros}");
            assert!((mean - 1.0).abs() < slack / (1.0 - share), "{share}: {mean}");
        }
    }

    #[test]
    fn neighbours_and_seeds_are_independent() {
        let x = vec![1.0; 100_000];
        let zero = |seed| -> Vec<bool> {
            Dropout::new(0.5, seed).unwrap().unwrap().apply(&x).iter().map(|&v| v == 0.0).collect()
        };
        let (a, b) = (zero(1), zero(2));
        let agree = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64;
        assert!((agree(&a, &b) - 0.5).abs() < 0.01);
        for lag in [1, 2, 64, CHUNK] {
            assert!((agree(&a[lag..], &a[..a.len() - lag]) - 0.5).abs() < 0.01, "lag {lag}");
        }
        assert_eq!(a, zero(1));
    }

    #[test]
    fn a_share_outside_of_its_range_is_refused() {
        for share in [-0.1, 1.0, f64::NAN] {
            assert!(Dropout::new(share, 0).is_err());
        }
        assert!(Dropout::new(0.0, 0).unwrap().is_none());
    }
}

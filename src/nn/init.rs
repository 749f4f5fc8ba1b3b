//! Random initialisation, drawn on the CPU from ChaCha (so that a seed gives the same model on every device).
//!
//! Every tensor has a random stream of its own, derived from its name: its values do not depend on the other tensors of
//! the model.

use candle_core::{Device, Tensor};
use rand::Rng;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::error::Result;

/// Values drawn by one thread; each chunk begins at a distant position of the stream.
const CHUNK: usize = 1 << 16;

/// The initial values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// All ones.
    Ones,
    /// All zeros.
    Zeros,
    /// Normal around 0 with this standard deviation.
    Normal(f64),
    /// Uniform in ±bound.
    Uniform(f64),
}

impl Init {
    /// Draws the tensor called `name`.
    pub(crate) fn draw(self, name: &str, shape: &[usize], seed: u64, device: &Device) -> Result<Tensor> {
        let mut values = vec![if self == Self::Ones { 1f32 } else { 0.0 }; shape.iter().product()];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(name_hash(name));
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
            let mut rng = rng.clone();
            rng.set_word_pos((i as u128) << 32);
            self.fill(chunk, &mut rng);
        });
        Ok(Tensor::from_vec(values, shape, device)?)
    }

    fn fill(self, out: &mut [f32], rng: &mut ChaCha8Rng) {
        match self {
            Self::Ones | Self::Zeros => {}
            Self::Normal(deviation) => out.iter_mut().for_each(|x| {
                let normal: f32 = StandardNormal.sample(rng);
                *x = deviation as f32 * normal;
            }),
            Self::Uniform(bound) => out.iter_mut().for_each(|x| *x = bound as f32 * (2.0 * rng.random::<f32>() - 1.0)),
        }
    }
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits: a platform-independent hash of a name.
pub(crate) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(init: Init, name: &str, seed: u64) -> Vec<f32> {
        init.draw(name, &[100, 100], seed, &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_seed_and_a_name_make_a_tensor() {
        let normal = Init::Normal(0.02);
        assert_eq!(draw(normal, "a", 1), draw(normal, "a", 1));
        assert_ne!(draw(normal, "a", 1), draw(normal, "a", 2));
        assert_ne!(draw(normal, "a", 1), draw(normal, "b", 1));
    }

    #[test]
    fn draws_have_the_deviation_asked_for() {
        let deviation = |values: &[f32]| {
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            (values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
        };
        let normal = draw(Init::Normal(0.02), "w", 3);
        assert!((deviation(&normal) - 0.02).abs() < 0.0005, "{}", deviation(&normal));
        let uniform = draw(Init::Uniform(0.3), "w", 3);
        assert!(uniform.iter().all(|x| x.abs() <= 0.3));
        assert!((deviation(&uniform) - 0.3 / 3f32.sqrt()).abs() < 0.005, "{}", deviation(&uniform));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // The test vectors of draft-eastlake-fnv.
        assert_eq!(name_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(name_hash("foobar"), 0x8594_4171_f739_67e8);
    }
}

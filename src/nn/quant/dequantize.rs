//! Dequantising any range of a matrix, on the calling thread or on all.

use std::ops::Range;

use super::cpu;
use super::nf4::Nf4;
use crate::nn::cpu::{Disjoint, SpinPool, fill};

/// Values of a task.
const CHUNK: usize = 1 << 14;

impl Nf4 {
    /// Writes the values of `range` (row-major indices) to `out`, on all threads if there are many.
    ///
    /// # Panics
    /// When the range is not inside the matrix or has another length than `out`.
    pub fn dequantize_into(&self, range: Range<usize>, out: &mut [f32]) {
        assert!(range.len() == out.len() && range.end <= self.len(), "{range:?} of {:?}", self.shape);
        if out.len() <= CHUNK {
            return cpu::dequantize(self, range.start, out);
        }
        let (len, shared) = (out.len(), Disjoint::new(out));
        // A layer takes some tens of microseconds, as long as waking a thread.
        SpinPool::gather().each(len.div_ceil(CHUNK), |i| {
            let chunk = i * CHUNK..len.min((i + 1) * CHUNK);
            // SAFETY: chunks do not overlap.
            cpu::dequantize(self, range.start + chunk.start, unsafe { shared.part(chunk) });
        });
    }

    /// [`Nf4::dequantize_into`] from index `at` on, on the calling thread.
    pub(in crate::nn) fn dequantize_here(&self, at: usize, out: &mut [f32]) {
        cpu::dequantize(self, at, out);
    }

    /// All values.
    pub fn dequantize(&self) -> Vec<f32> {
        // SAFETY: every element is written.
        unsafe {
            fill(self.len(), |out| {
                let out = Disjoint::uninit(out).part(0..self.len());
                self.dequantize_into(0..out.len(), out);
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(shape: (usize, usize)) -> Nf4 {
        let weights: Vec<f32> = (0..shape.0 * shape.1).map(|i| ((i * i) as f32).sin() * (1 + i / 64) as f32).collect();
        Nf4::quantize(&weights, shape)
    }

    #[test]
    fn any_range_is_a_part_of_the_whole() {
        let q = example((37, 45));
        let all = q.dequantize();
        for range in [0..0, 0..1, 1..2, 63..65, 5..200, 64..128, 65..1000, 1600..1665, 0..1665] {
            let mut part = vec![0.0; range.len()];
            q.dequantize_into(range.clone(), &mut part);
            assert_eq!(part, all[range]);
        }
    }

    #[test]
    fn a_large_matrix_does_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let q = example((301, 257));
                (q.dequantize(), q)
            })
        };
        assert!(run(1) == run(3));
    }
}

//! The update on the CPU, in tasks of some thousand elements.

use rayon::prelude::*;

use super::AdamWStep;
use crate::nn::cpu::for_each_isa;

/// Elements of a task.
const CHUNK: usize = 1 << 14;

/// The factors of a step, each rounded to f32 where torch rounds it.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub(super) shrink: f32,
    pub(super) toward: f32,
    pub(super) beta: f32,
    pub(super) fresh: f32,
    pub(super) root: f32,
    pub(super) eps: f32,
    pub(super) step: f32,
}

impl Factors {
    pub(super) fn of(hyper: &AdamWStep) -> Self {
        let (b1, b2) = hyper.betas;
        let t = hyper.step as f64;
        Self {
            shrink: (1.0 - hyper.lr * hyper.weight_decay) as f32,
            toward: (1.0 - b1) as f32,
            beta: b2 as f32,
            fresh: (1.0 - b2) as f32,
            root: (1.0 - b2.powf(t)).sqrt() as f32,
            eps: hyper.eps as f32,
            step: (-hyper.lr / (1.0 - b1.powf(t))) as f32,
        }
    }
}

/// Updates `p`, `m` and `v`, which all have the length of `g`.
pub(super) fn update(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], hyper: &AdamWStep) {
    let factors = Factors::of(hyper);
    let parts =
        p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(m.par_chunks_mut(CHUNK)).zip(v.par_chunks_mut(CHUNK));
    parts.for_each(|(((p, g), m), v)| update_part(p, g, m, v, factors));
}

/// Σ x², summed in f64 over parts of a fixed size.
pub(super) fn square_norm(x: &[f32]) -> f64 {
    let parts: Vec<f64> = x.par_chunks(CHUNK).map(square_sum).collect();
    parts.iter().sum()
}

for_each_isa! {
    fn update_part(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            *m += (g - *m) * f.toward;
            *v = *v * f.beta + f.fresh * g * g;
            let below = v.sqrt() / f.root + f.eps;
            *p = *p * f.shrink + f.step * *m / below;
        }
    }
}

for_each_isa! {
    fn square_sum(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 16];
        let (chunks, rest) = x.as_chunks::<16>();
        for chunk in chunks {
            for i in 0..16 {
                lanes[i] += f64::from(chunk[i]) * f64::from(chunk[i]);
            }
        }
        let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        lanes.iter().sum::<f64>() + rest
    }
}

//! The rotation on the CPU, and the table of angles shared by all layers.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::frequencies::Rotary;
use crate::nn::cpu::{Disjoint, fill, for_each_isa};

/// cos and sin of every position from 0 on: for each position `half` cosines, then `half` sines.
#[derive(Clone)]
pub(in crate::nn::ops) struct Angles(Arc<AngleTable>);

struct AngleTable {
    rotary: Rotary,
    dim: usize,
    positions: usize,
    /// The sequence length of the angles, where they depend on it.
    stretched: usize,
    values: Vec<f32>,
}

/// The table used last, since a model has one.
static LATEST: Mutex<Option<Angles>> = Mutex::new(None);

impl Angles {
    /// A table that covers `positions`.
    pub(in crate::nn::ops) fn get(rotary: &Rotary, dim: usize, positions: Range<usize>) -> Self {
        let stretched = rotary.stretched_to(positions.end);
        let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |t: &AngleTable| {
            t.rotary == *rotary && t.dim == dim && t.positions >= positions.end && t.stretched == stretched
        };
        match &*latest {
            Some(angles) if fits(&angles.0) => angles.clone(),
            _ => {
                let reach = positions.end.next_power_of_two().max(512);
                let angles = Self(Arc::new(AngleTable::new(rotary, dim, reach, stretched)));
                *latest = Some(angles.clone());
                angles
            }
        }
    }
}

#[cfg(feature = "cuda")]
impl Angles {
    /// The whole table, for a device.
    pub(super) fn values(&self) -> &[f32] {
        &self.0.values
    }

    /// Whether both are the same table.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl AngleTable {
    /// Angles are rounded to f32 as in `transformers`.
    fn new(rotary: &Rotary, dim: usize, positions: usize, stretched: usize) -> Self {
        let (frequencies, factor) = (rotary.frequencies(dim, stretched), rotary.attention_factor());
        let mut values = Vec::with_capacity(positions * dim);
        for position in 0..positions {
            let angle = |f: &f32| f64::from(position as f32 * f);
            values.extend(frequencies.iter().map(|f| angle(f).cos() as f32 * factor));
            values.extend(frequencies.iter().map(|f| angle(f).sin() as f32 * factor));
        }
        Self { rotary: *rotary, dim, positions, stretched, values }
    }
}

/// Rotates x (batch, time, heads, dim) by the angles of `offset..`, forwards (`way` 1) or backwards (−1).
pub(super) fn rotate(
    x: &[f32],
    (_, time, heads, dim): (usize, usize, usize, usize),
    angles: &Angles,
    offset: usize,
    way: f32,
) -> Vec<f32> {
    let step = heads * dim;
    if step == 0 {
        return Vec::new();
    }
    // SAFETY: the positions are disjoint and cover the output; `rotate_heads` writes every element.
    unsafe {
        fill(x.len(), |out| {
            let out = Disjoint::uninit(out);
            x.par_chunks(step).with_min_len(16).enumerate().for_each(|(i, x)| {
                let position = offset + i % time;
                let table = &angles.0.values[position * dim..(position + 1) * dim];
                rotate_heads(x, table, way, out.part(i * step..(i + 1) * step));
            });
        })
    }
}

impl Angles {
    /// Rotates x (heads, dim) at one position, on the calling thread.
    pub(in crate::nn::ops) fn rotate_one(&self, x: &[f32], position: usize, out: &mut [f32]) {
        rotate_heads(x, &self.0.values[position * self.0.dim..(position + 1) * self.0.dim], 1.0, out);
    }
}

for_each_isa! {
    fn rotate_heads(x: &[f32], table: &[f32], way: f32, out: &mut [f32]) {
        let half = table.len() / 2;
        let (cos, sin) = table.split_at(half);
        for (x, out) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
            let ((a, b), (left, right)) = (x.split_at(half), out.split_at_mut(half));
            for i in 0..half {
                let s = sin[i] * way;
                left[i] = a[i] * cos[i] - b[i] * s;
                right[i] = b[i] * cos[i] + a[i] * s;
            }
        }
    }
}

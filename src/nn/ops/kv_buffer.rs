//! The key or value buffer of one layer on the CPU, head by head, so that each head is read sequentially.

use half::bf16;

use crate::nn::cpu::{Prefetch, for_each_isa};

/// The number format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum KvFormat {
    F32,
    /// The format that bf16 products read.
    Bf16,
    /// One byte a number, and a scale for each position and head: the greatest magnitude becomes 127.
    Int8,
}

/// Rows of `dim` numbers: (batch, heads, capacity, dim).
#[derive(Debug, Clone)]
pub(in crate::nn) struct KvBuffer {
    batch: usize,
    heads: usize,
    dim: usize,
    capacity: usize,
    numbers: KvNumbers,
}

#[derive(Debug, Clone)]
enum KvNumbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    /// Numbers, and a scale for each row.
    Int8(Vec<i8>, Vec<f32>),
}

/// The rows of one head, (positions, dim).
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) enum KvHead<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    /// Numbers, and a scale for each row.
    Int8(&'a [i8], &'a [f32]),
}

impl KvBuffer {
    /// An empty buffer.
    pub(in crate::nn) fn new(format: KvFormat, batch: usize, heads: usize, dim: usize) -> Self {
        let numbers = match format {
            KvFormat::F32 => KvNumbers::F32(Vec::new()),
            KvFormat::Bf16 => KvNumbers::Bf16(Vec::new()),
            KvFormat::Int8 => KvNumbers::Int8(Vec::new(), Vec::new()),
        };
        Self { batch, heads, dim, capacity: 0, numbers }
    }

    /// Whether rows of these sizes fit.
    pub(in crate::nn) fn fits(&self, batch: usize, heads: usize, dim: usize) -> bool {
        (self.batch, self.heads, self.dim) == (batch, heads, dim)
    }

    /// The number of positions allocated.
    pub(in crate::nn) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Grows to `capacity` positions; the first `len` are kept.
    pub(in crate::nn) fn grow(&mut self, capacity: usize, len: usize) {
        let (blocks, dim) = (self.batch * self.heads, self.dim);
        let sizes = |width: usize| (blocks, width * self.capacity, width * capacity, width * len);
        match &mut self.numbers {
            KvNumbers::F32(x) => widen(x, sizes(dim), 0.0),
            KvNumbers::Bf16(x) => widen(x, sizes(dim), bf16::ZERO),
            KvNumbers::Int8(x, scales) => {
                widen(x, sizes(dim), 0);
                widen(scales, sizes(1), 0.0);
            }
        }
        self.capacity = capacity;
    }

    /// Writes x (batch, new, heads, dim) to the positions from `at` on.
    pub(in crate::nn) fn put(&mut self, x: &[f32], at: usize, new: usize) {
        assert!(x.len() == self.batch * new * self.heads * self.dim && at + new <= self.capacity, "rows for the cache");
        for (i, row) in x.chunks_exact(self.dim.max(1)).enumerate() {
            let (b, t, h) = (i / (new * self.heads), i / self.heads % new, i % self.heads);
            let place = (b * self.heads + h) * self.capacity + at + t;
            let range = place * self.dim..(place + 1) * self.dim;
            match &mut self.numbers {
                KvNumbers::F32(to) => to[range].copy_from_slice(row),
                KvNumbers::Bf16(to) => narrow(row, &mut to[range]),
                KvNumbers::Int8(to, scales) => {
                    let most = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                    let (scale, over) = if most > 0.0 { (most / 127.0, 127.0 / most) } else { (0.0, 0.0) };
                    scales[place] = scale;
                    to[range].iter_mut().zip(row).for_each(|(to, x)| *to = (x * over).round() as i8);
                }
            }
        }
    }

    /// The first `len` positions of a head.
    pub(in crate::nn) fn head(&self, row: usize, head: usize, len: usize) -> KvHead<'_> {
        let first = (row * self.heads + head) * self.capacity;
        let range = first * self.dim..(first + len) * self.dim;
        match &self.numbers {
            KvNumbers::F32(x) => KvHead::F32(&x[range]),
            KvNumbers::Bf16(x) => KvHead::Bf16(&x[range]),
            KvNumbers::Int8(x, scales) => KvHead::Int8(&x[range], &scales[first..first + len]),
        }
    }

    /// The first `len` positions of all heads: (batch, len, heads, dim).
    pub(in crate::nn) fn all(&self, len: usize) -> Vec<f32> {
        let dim = self.dim;
        let mut out = vec![0.0; self.batch * len * self.heads * dim];
        let mut rows = vec![0.0; len * dim];
        for b in 0..self.batch {
            for h in 0..self.heads {
                self.head(b, h, len).widen(dim, &mut rows);
                for (t, row) in rows.chunks_exact(dim.max(1)).enumerate() {
                    out[((b * len + t) * self.heads + h) * dim..][..dim].copy_from_slice(row);
                }
            }
        }
        out
    }

    /// The first `len` positions of all heads, for prefetching.
    pub(in crate::nn::ops) fn ahead(&self, len: usize) -> Prefetch<'_> {
        let (used, stride) = (len * self.dim, self.capacity * self.dim);
        match &self.numbers {
            KvNumbers::F32(x) => Prefetch::new(x, used, stride),
            KvNumbers::Bf16(x) => Prefetch::new(x, used, stride),
            KvNumbers::Int8(x, _) => Prefetch::new(x, used, stride),
        }
    }

    /// Bytes used.
    pub(in crate::nn) fn bytes(&self) -> usize {
        match &self.numbers {
            KvNumbers::F32(x) => 4 * x.len(),
            KvNumbers::Bf16(x) => 2 * x.len(),
            KvNumbers::Int8(x, scales) => x.len() + 4 * scales.len(),
        }
    }
}

impl KvHead<'_> {
    /// The number of rows of `dim` numbers.
    pub(in crate::nn) fn count(&self, dim: usize) -> usize {
        match self {
            Self::F32(x) => x.len() / dim,
            Self::Bf16(x) => x.len() / dim,
            Self::Int8(_, scales) => scales.len(),
        }
    }

    /// Writes all rows, (positions, dim), as f32.
    fn widen(&self, dim: usize, out: &mut [f32]) {
        match self {
            Self::F32(x) => out.copy_from_slice(x),
            Self::Bf16(x) => wide(x, out),
            Self::Int8(x, scales) => scaled(x, scales, dim, out),
        }
    }
}

for_each_isa! {
    fn narrow(x: &[f32], out: &mut [bf16]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = bf16::from_f32(x);
        }
    }
}

for_each_isa! {
    fn wide(x: &[bf16], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
    }
}

for_each_isa! {
    fn scaled(x: &[i8], scales: &[f32], dim: usize, out: &mut [f32]) {
        for ((out, x), scale) in out.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(scales) {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = f32::from(x) * scale;
            }
        }
    }
}

/// Widens blocks of `old` numbers to blocks of `new`, of which the first `kept` are kept.
fn widen<T: Copy>(x: &mut Vec<T>, (blocks, old, new, kept): (usize, usize, usize, usize), zero: T) {
    let mut wide = vec![zero; blocks * new];
    if kept > 0 {
        for (to, from) in wide.chunks_exact_mut(new).zip(x.chunks_exact(old)) {
            to[..kept].copy_from_slice(&from[..kept]);
        }
    }
    *x = wide;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_back_in_every_format() {
        let (batch, heads, dim) = (2, 3, 16);
        let rows = |new: usize, seed: usize| -> Vec<f32> {
            (0..batch * new * heads * dim).map(|i| ((i * 7 + seed * 13) as f32).sin() * 3.0).collect()
        };
        for (format, slack) in [(KvFormat::F32, 0.0), (KvFormat::Bf16, 0.004), (KvFormat::Int8, 0.012)] {
            let mut held = KvBuffer::new(format, batch, heads, dim);
            held.grow(4, 0);
            let (first, second) = (rows(3, 1), rows(2, 2));
            held.put(&first, 0, 3);
            held.grow(6, 3);
            held.put(&second, 3, 2);
            let all = held.all(5);
            for (i, x) in all.iter().enumerate() {
                let (b, t, rest) = (i / (5 * heads * dim), i / (heads * dim) % 5, i % (heads * dim));
                let (from, new, t) = if t < 3 { (&first, 3, t) } else { (&second, 2, t - 3) };
                let wanted = from[(b * new + t) * heads * dim + rest];
                assert!((x - wanted).abs() <= slack * 3.0, "{format:?}: {x} {wanted}");
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_one() {
        let mut held = KvBuffer::new(KvFormat::Int8, 1, 1, 4);
        held.grow(1, 0);
        held.put(&[0.0; 4], 0, 1);
        assert_eq!(held.all(1), [0.0; 4]);
        assert_eq!(held.bytes(), 8);
    }
}

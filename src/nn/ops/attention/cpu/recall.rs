//! One query for each head of a group, against the keys and values that a cache holds of one head.

use std::cell::RefCell;

use super::kernels::kernels;
use super::one_query::{mix, softmax, weigh};
use super::pack::Scratch;
use crate::nn::ops::decode::Head;

thread_local! {
    /// Scores, and a tile of keys or values.
    static ROOM: RefCell<(Scratch, Scratch)> = RefCell::default();
}

/// Keys that are made f32 at a time: with 64 dims, 16 KiB.
const TILE: usize = 64;

/// `softmax(scale · q Kᵀ) V`: q (group, dim), keys and values (len, dim) -> out (group, dim).
pub(in crate::nn::ops) fn recall(q: &[f32], keys: Head<'_>, values: Head<'_>, dim: usize, scale: f32, out: &mut [f32]) {
    ROOM.with_borrow_mut(|(p, tile)| {
        let (len, kernels) = (keys.count(dim), kernels());
        let (p, tile) = (p.room(q.len() / dim * len), tile.room(TILE * dim)); // p (group, len)
        let tiles = || (0..len).step_by(TILE).map(|at| (at, TILE.min(len - at)));
        for (at, n) in tiles() {
            let k = keys.rows(at, n, dim, tile);
            for (q, p) in q.chunks_exact(dim).zip(p.chunks_exact_mut(len)) {
                weigh(kernels, q, k, dim, &mut p[at..at + n]);
            }
        }
        p.chunks_exact_mut(len).for_each(|p| _ = softmax(p, scale));
        out.fill(0.0);
        for (at, n) in tiles() {
            mix(kernels, (&p[at..], len), n, (values.rows(at, n, dim, tile), dim), dim, out);
        }
    });
}

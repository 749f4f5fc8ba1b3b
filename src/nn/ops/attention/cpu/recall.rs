//! One query for each head of a group, against the keys and values that a cache holds of one head.

use std::cell::RefCell;

use super::kernels::{Dots, GROUP, Left, Product, kernels};
use super::one_query::{few_dots, few_sums, softmax};
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
        let len = keys.count(dim);
        let (p, tile) = (p.room(q.len() / dim * len), tile.room(TILE * dim));
        weigh(q, keys, dim, p, tile);
        p.chunks_exact_mut(len).for_each(|p| _ = softmax(p, scale));
        mix(p, values, dim, tile, out);
    });
}

/// The scores q Kᵀ, p (group, len).
fn weigh(q: &[f32], keys: Head<'_>, dim: usize, p: &mut [f32], tile: &mut [f32]) {
    let len = keys.count(dim);
    for at in (0..len).step_by(TILE) {
        let n = TILE.min(len - at);
        let k = keys.rows(at, n, dim, tile);
        for (q, p) in q.chunks_exact(dim).zip(p.chunks_exact_mut(len)) {
            let p = &mut p[at..at + n];
            if dim.is_multiple_of(GROUP) {
                (kernels().dots)(Dots { q, k, step: dim, out: p });
            } else {
                few_dots(q, k, dim, p);
            }
        }
    }
}

/// out = p V
fn mix(p: &[f32], values: Head<'_>, dim: usize, tile: &mut [f32], out: &mut [f32]) {
    let len = values.count(dim);
    out.fill(0.0);
    for at in (0..len).step_by(TILE) {
        let n = TILE.min(len - at);
        let v = values.rows(at, n, dim, tile);
        if dim.is_multiple_of(GROUP) {
            (kernels().product)(Product {
                rows: p.len() / len,
                depth: n,
                groups: dim / GROUP,
                a: Left { data: &p[at..], row: len, col: 1 },
                b: v,
                b_row: dim,
                out,
                out_row: dim,
                add: true,
            });
        } else {
            for (p, out) in p.chunks_exact(len).zip(out.chunks_exact_mut(dim)) {
                few_sums(&p[at..at + n], v, dim, out);
            }
        }
    }
}

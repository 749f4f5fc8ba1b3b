//! Scores from learned vectors by distance, `q · e[distance]` (Shaw et al. 2018; Huang et al. 2018, arXiv:1809.04281).
//!
//! Huang et al. multiply all queries with all vectors and skew the result. Here a strip of keys is combined with the
//! distances that occur in it: row r and lane l of the scores take row `l − r + rows − 1` of the product, so that
//! neither the skewed nor the straight matrix is larger than two blocks.

use super::AttentionInputs;
use super::block::{KEYS, Sizes, Strip};
use super::kernels::{CpuKernels, GROUP, LaneProduct, Left, WIDE};
use super::pack::Scratch;

/// The most rows of a product: the distances in a block.
pub(super) const ROWS: usize = KEYS + WIDE - 1;

/// The vectors of a head from the greatest distance down, and the index of that of lane 0 and key 0 of a block.
#[derive(Clone, Copy)]
pub(super) struct Relative<'a> {
    pub(super) vectors: &'a [f32],
    pub(super) at: usize,
    pub(super) kernels: &'static CpuKernels,
}

/// The number of vectors, including those for lanes beyond the last query.
pub(super) fn length(s: &Sizes) -> usize {
    s.blocks() * WIDE + s.keys
}

/// The vectors of head `h`, reversed: (length, dim).
pub(super) fn reversed<'b>(
    x: &AttentionInputs<'_>,
    s: &Sizes,
    h: usize,
    scratch: &'b mut Scratch,
) -> Option<&'b [f32]> {
    let (vectors, heads) = (x.relative?, x.relative_heads(s));
    let to = scratch.zeros(length(s) * s.dim);
    if s.dim > 0 {
        let rows = vectors.chunks_exact(s.dim).skip(h % heads).step_by(heads);
        for (to, from) in to.chunks_exact_mut(s.dim).zip(rows.rev()) {
            to.copy_from_slice(from);
        }
    }
    Some(to)
}

impl Relative<'_> {
    /// The first distance of a strip, reversed, and the number of distances.
    fn span(&self, strip: &Strip) -> (usize, usize) {
        let rows = strip.keys.len();
        (self.at + 1 - strip.keys.start - rows, rows + WIDE - 1)
    }

    /// Adds to the scores of a strip; `q` is (dim, WIDE).
    pub(super) fn add_scores(&self, strip: &Strip, (q, dim): (&[f32], usize), product: &mut [f32], scores: &mut [f32]) {
        let (first, count) = self.span(strip);
        (self.kernels.f32.product)(LaneProduct {
            rows: count,
            depth: dim,
            groups: strip.width(),
            a: Left { data: &self.vectors[first * dim..], row: dim, col: 1 },
            b: &q[strip.lane()..],
            b_row: WIDE,
            out: &mut product[strip.lane()..],
            out_row: WIDE,
            add: false,
        });
        for (r, scores) in scores[strip.span()].chunks_exact_mut(WIDE).enumerate().map(|(r, s)| (count - WIDE - r, s)) {
            for l in strip.lane()..strip.groups.end * GROUP {
                scores[l] += product[(r + l) * WIDE + l];
            }
        }
    }

    /// Adds the contribution of a strip to dq (dim, WIDE), which is scaled afterwards, and to the gradient of the
    /// vectors (length, padded dim); `q` is (WIDE, padded dim), of which the first `n` are queries.
    pub(super) fn add_gradients(
        &self,
        strip: &Strip,
        (q, dim, n): (&[f32], usize, usize),
        slopes: &[f32],
        straight: &mut [f32],
        (dq, dvectors): (&mut [f32], &mut [f32]),
    ) {
        let ((first, count), padded) = (self.span(strip), dim.next_multiple_of(GROUP));
        let straight = &mut straight[..count * WIDE];
        straight.fill(0.0);
        for (r, slopes) in slopes[strip.span()].chunks_exact(WIDE).enumerate().map(|(r, s)| (count - WIDE - r, s)) {
            for l in strip.lane()..strip.groups.end * GROUP {
                straight[(r + l) * WIDE + l] = slopes[l];
            }
        }
        (self.kernels.f32.product)(LaneProduct {
            rows: dim,
            depth: count,
            groups: strip.width(),
            a: Left { data: &self.vectors[first * dim..], row: 1, col: dim },
            b: &straight[strip.lane()..],
            b_row: WIDE,
            out: &mut dq[strip.lane()..],
            out_row: WIDE,
            add: true,
        });
        (self.kernels.f32.product)(LaneProduct {
            rows: count,
            depth: n - strip.lane(),
            groups: padded / GROUP,
            a: Left { data: &straight[strip.lane()..], row: WIDE, col: 1 },
            b: &q[strip.lane() * padded..],
            b_row: padded,
            out: &mut dvectors[first * padded..],
            out_row: padded,
            add: true,
        });
    }
}

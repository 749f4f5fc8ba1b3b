//! The sizes of an attention, and the blocks of its queries.

use std::ops::Range;

use super::super::AttentionShape;
use super::kernels::{Adjust, GROUP, Groups, WIDE};
use super::pack::StridedRows;

/// Keys in a block.
pub(super) const KEYS: usize = 64;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Sizes {
    pub(in super::super) batch: usize,
    pub(in super::super) time: usize,
    pub(in super::super) keys: usize,
    pub(in super::super) heads: usize,
    pub(in super::super) kv_heads: usize,
    pub(in super::super) dim: usize,
    pub(in super::super) causal: bool,
    pub(in super::super) scale: f32,
}

type Dims = (usize, usize, usize, usize);

impl Sizes {
    pub(in super::super) fn new(
        (batch, time, heads, dim): Dims,
        (_, keys, kv_heads, _): Dims,
        shape: AttentionShape,
    ) -> Self {
        Self { batch, time, keys, heads, kv_heads, dim, causal: shape.causal, scale: shape.scale }
    }

    /// The number of different distances between keys and queries.
    pub(in super::super) fn distances(&self) -> usize {
        (self.time + self.keys).saturating_sub(1)
    }

    pub(super) fn blocks(&self) -> usize {
        self.time.div_ceil(WIDE)
    }

    /// Queries `t..t + count` of a head.
    pub(super) fn queries<'a>(
        &self,
        data: &'a [f32],
        (b, h): (usize, usize),
        t: usize,
        count: usize,
    ) -> StridedRows<'a> {
        let step = self.heads * self.dim;
        StridedRows { data, at: (b * self.time + t) * step + h * self.dim, step, count, dim: self.dim }
    }

    /// Keys (or values) of a row and a head of keys.
    pub(super) fn keys<'a>(&self, data: &'a [f32], (b, kv): (usize, usize), range: &Range<usize>) -> StridedRows<'a> {
        let step = self.kv_heads * self.dim;
        StridedRows {
            data,
            at: (b * self.keys + range.start) * step + kv * self.dim,
            step,
            count: range.len(),
            dim: self.dim,
        }
    }
}

/// One block of the queries of a head.
#[derive(Clone)]
pub(super) struct QueryBlock {
    /// First query and number of queries.
    pub(super) t: usize,
    pub(super) n: usize,
    /// The keys that at least one of them sees.
    pub(super) keys: Range<usize>,
    /// Added to `key − t` to get the number of queries that do not see the key: `time − keys`, or far below where all
    /// queries see all keys.
    ahead: isize,
}

/// Some keys of a block of keys, and the queries that see at least one of them.
#[derive(Clone)]
pub(super) struct Strip {
    /// Keys, counted from the first of the whole row.
    pub(super) keys: Range<usize>,
    /// Rows of the matrix of scores.
    pub(super) rows: Range<usize>,
    pub(super) groups: Groups,
    /// In row r of the strip, the lanes below `hidden + r` do not see the key; `None` where all see all.
    pub(super) hidden: Option<isize>,
}

impl Strip {
    /// Its part of a matrix of WIDE lanes.
    pub(super) fn span(&self) -> Range<usize> {
        self.rows.start * WIDE..self.rows.end * WIDE
    }

    /// The offset of its first group in such a matrix.
    pub(super) fn start(&self) -> usize {
        self.rows.start * WIDE + self.lane()
    }

    /// The first lane that is computed.
    pub(super) fn lane(&self) -> usize {
        self.groups.first * GROUP
    }

    /// The number of groups that are computed.
    pub(super) fn width(&self) -> usize {
        self.groups.end - self.groups.first
    }

    /// The adjustment of its scores, if there is one; the bias is that of lane 0 and key 0.
    pub(super) fn adjust<'a>(&self, bias: Option<(&'a [f32], usize)>) -> Option<Adjust<'a>> {
        let bias = bias.map(|(bias, at)| (bias, at - self.keys.start));
        match (self.hidden, bias) {
            (None, None) => None,
            (hidden, bias) => Some(Adjust { hidden: hidden.unwrap_or(isize::MIN / 2), bias }),
        }
    }
}

impl QueryBlock {
    /// Block `index` of any head, whose row sees the keys in `visible`.
    pub(super) fn new(s: &Sizes, index: usize, visible: &Range<usize>) -> Self {
        let t = index * WIDE;
        let n = WIDE.min(s.time - t);
        let seen = if s.causal { t + n + s.keys - s.time } else { s.keys };
        let ahead = if s.causal { s.time as isize - s.keys as isize } else { isize::MIN / 2 };
        Self { t, n, keys: visible.start..visible.end.min(seen).max(visible.start), ahead }
    }

    /// Groups of 16 queries.
    pub(super) fn groups(&self) -> Groups {
        Groups { first: 0, end: self.n.div_ceil(GROUP) }
    }

    /// The strips of the block of keys that begins at `first`: one, or several where not all queries see all keys.
    pub(super) fn strips(&self, first: usize) -> impl Iterator<Item = Strip> + Clone {
        let (all, ahead) = (first..self.keys.end.min(first + KEYS), self.ahead - self.t as isize);
        let whole = all.end as isize - 1 + ahead <= 0;
        let height = if whole { KEYS } else { GROUP };
        let groups = self.groups();
        all.clone().step_by(height).filter_map(move |key| {
            let keys = key..all.end.min(key + height);
            let hidden = key as isize + ahead;
            let groups = Groups { first: hidden.max(0) as usize / GROUP, ..groups };
            let rows = keys.start - first..keys.end - first;
            (groups.first < groups.end).then(|| Strip { keys, rows, groups, hidden: (!whole).then_some(hidden) })
        })
    }

    /// The offset of the bias of lane 0 and key 0 in a reversed table of [`Sizes::distances`].
    pub(super) fn bias_at(&self, s: &Sizes) -> usize {
        self.t + s.keys - 1
    }
}

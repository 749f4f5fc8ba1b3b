//! Relative attention (Shaw et al. 2018; Huang et al. 2018, arXiv:1809.04281): a learned vector for each distance, whose
//! product with a query is added to the score of a key at that distance.

use candle_core::Tensor;

use super::{MapWeights, Weight};
use crate::error::Result;
use crate::nn::{ForwardCtx, ops};

/// The vectors of one block.
#[derive(Debug, Clone)]
pub(crate) struct RelativeVectors {
    /// (distances, heads · dim): from the query itself backward where attention is causal, else from the farthest key
    /// before it to the farthest behind.
    pub(crate) table: Weight,
    /// Distances that have vectors of their own in one direction.
    pub(crate) max_distance: usize,
}

impl RelativeVectors {
    /// The vectors of [`AttentionOptions::relative`](ops::AttentionOptions) for `time` queries, the first of which is at
    /// `offset` of the `keys` keys: (time + keys − 1, heads, dim).
    pub(super) fn of(
        &self,
        (time, keys, offset): (usize, usize, usize),
        (heads, dim, causal): (usize, usize, bool),
        ctx: &ForwardCtx,
    ) -> Result<Tensor> {
        let farthest = self.max_distance as i64 - 1;
        let lowest = 1 - (time + offset) as i64;
        let row = |entry: usize| {
            let distance = lowest + entry as i64;
            // Keys behind the query are hidden where attention is causal.
            if causal { (-distance).clamp(0, farthest) } else { distance.clamp(-farthest, farthest) + farthest }
        };
        let table = self.table.tensor(ctx.grad);
        let ids: Vec<u32> = (0..time + keys - 1).map(|entry| row(entry) as u32).collect();
        let ids = Tensor::from_vec(ids, time + keys - 1, table.device())?;
        let rows = ops::embedding(&ids, &table, &ctx.interrupt)?; // (time + keys − 1, heads · dim)
        ops::reshape(&rows, (time + keys - 1, heads, dim))
    }

    pub(super) fn map(&self, map: &dyn MapWeights) -> Result<Self> {
        Ok(Self { table: map.weight(&self.table)?, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::reference::values;

    fn rows(max_distance: usize, sizes: (usize, usize, usize), causal: bool) -> Vec<i64> {
        let count = if causal { max_distance } else { 2 * max_distance - 1 };
        let numbers = (0..count).map(|row| row as f32).collect::<Vec<_>>();
        let table = Tensor::from_vec(numbers, (count, 1), &candle_core::Device::Cpu).unwrap();
        let vectors = RelativeVectors { table: Weight::fixed("e.weight", table), max_distance };
        let of = vectors.of(sizes, (1, 1, causal), &ForwardCtx::default()).unwrap();
        values(&of).iter().map(|&row| row as i64).collect()
    }

    #[test]
    fn each_distance_has_its_row_and_far_ones_share_the_last() {
        // Entry e is for keys e − (time − 1) places behind the query counted from its own index: three queries at 2, 3, 4.
        assert_eq!(rows(4, (3, 5, 2), true), [3, 3, 2, 1, 0, 0, 0]);
        assert_eq!(rows(2, (3, 3, 0), false), [0, 0, 1, 2, 2]);
        assert_eq!(rows(9, (1, 6, 5), true), [5, 4, 3, 2, 1, 0]);
    }
}

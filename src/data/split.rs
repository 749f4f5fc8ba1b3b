//! One side of a dataset: packed rows of one length.

use std::sync::Arc;

use crate::data::Batches;

/// Packed rows; clones share them.
#[derive(Debug, Clone)]
pub struct Split {
    rows: Arc<Vec<u16>>,
}

impl Split {
    /// Number of rows.
    pub fn len(&self) -> usize {
        let _ = &self.rows;
        todo!()
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids that are not padding.
    pub fn tokens(&self) -> u64 {
        todo!()
    }

    /// Ids in a row.
    pub fn width(&self) -> usize {
        todo!()
    }

    /// A row, whole.
    pub fn row(&self, _index: usize) -> Option<Vec<u32>> {
        todo!()
    }

    /// Batches of `rows` rows in an order drawn from `seed` anew each epoch, without end (`epochs: None`) or for so
    /// many passes. A last batch that is short is filled from the next epoch, or given short in the last pass.
    pub fn batches(&self, _rows: usize, _seed: u64, _epochs: Option<u64>) -> Batches {
        todo!()
    }

    /// One pass in the order of the rows; for evaluation.
    pub fn in_order(&self, _rows: usize) -> Batches {
        todo!()
    }
}

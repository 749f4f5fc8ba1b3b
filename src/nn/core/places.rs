//! Positions of the ids of a forward pass.

use crate::nn::ops::PackedSequences;

/// The positions of a forward pass: from an offset on, or those of packed and padded rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places<'a> {
    /// The position of the first id; 0 for packed rows.
    pub(crate) offset: usize,
    /// The sequences that rows are packed of; `None` where each row is one.
    pub(crate) sequences: Option<&'a PackedSequences>,
}

impl<'a> Places<'a> {
    /// From a position on, one sequence a row.
    pub(crate) fn from(offset: usize) -> Self {
        Self { offset, sequences: None }
    }

    /// From 0 on, in these sequences.
    pub(crate) fn packed(sequences: Option<&'a PackedSequences>) -> Self {
        Self { offset: 0, sequences }
    }

    /// The positions of `batch` rows of `time` ids.
    pub(super) fn positions(&self, batch: usize, time: usize) -> Vec<u32> {
        match self.sequences {
            Some(sequences) => sequences.positions().to_vec(),
            None => {
                let row = self.offset as u32..(self.offset + time) as u32;
                std::iter::repeat_n(row, batch).flatten().collect()
            }
        }
    }
}

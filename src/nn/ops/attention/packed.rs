//! Packed sequences: several sequences in one row, each of which attends to itself only (block-diagonal attention).
//! FlashAttention calls this `cu_seqlens`: no mask is held in memory.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The starts of the sequences in packed rows. Clones share the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedSequences {
    /// For each position, (batch, time), the position in the row where its sequence begins.
    starts: Arc<[u32]>,
    /// Positions in a row.
    time: usize,
}

impl PackedSequences {
    /// Reads position ids (batch, time) as `transformers` does for packed rows: a sequence begins where they are 0. `None`
    /// where every row is one sequence.
    ///
    /// # Errors
    /// Positions that neither begin at 0 nor increase by one; a number of them that is not a multiple of `time`.
    pub fn from_position_ids(position_ids: &[u32], time: usize) -> Result<Option<Self>> {
        if time == 0 || !position_ids.len().is_multiple_of(time) {
            return Err(Error::mistake(format!("{} position ids are not rows of {time}", position_ids.len())));
        }
        let mut starts = Vec::with_capacity(position_ids.len());
        for (row, positions) in position_ids.chunks_exact(time).enumerate() {
            let mut start = 0;
            for (place, &position) in positions.iter().enumerate() {
                if position == 0 {
                    start = place;
                } else if place == 0 || position != positions[place - 1].wrapping_add(1) {
                    return Err(Error::mistake(format!("position_ids have {position} at place {place} of row {row}"))
                        .with_hint("they count from 0 on in each sequence of a row: 0, 1, 2, 0, 1, …"));
                }
                starts.push(start as u32);
            }
        }
        Ok(starts.iter().any(|&start| start > 0).then(|| Self { starts: starts.into(), time }))
    }

    /// For each position, (batch, time), the position in the row where its sequence begins.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Positions in the sequences: (batch, time).
    pub fn positions(&self) -> impl Iterator<Item = u32> + '_ {
        self.starts.iter().enumerate().map(|(place, start)| (place % self.time) as u32 - start)
    }

    /// Whether rows have this shape.
    pub(super) fn fit(&self, batch: usize, time: usize) -> bool {
        self.time == time && self.starts.len() == batch * time
    }

    /// Runs of neighbouring sequences of one length, in order: each run is a batch of rows of that length.
    pub(super) fn runs(&self) -> Vec<SequenceRun> {
        let mut runs: Vec<SequenceRun> = Vec::new();
        let mut begin = 0;
        while begin < self.starts.len() {
            let (row, start) = (begin / self.time * self.time, self.starts[begin]);
            let end = row + self.starts[row..row + self.time].partition_point(|&s| s <= start);
            match runs.last_mut() {
                Some(run) if run.length == end - begin => run.count += 1,
                _ => runs.push(SequenceRun { begin, count: 1, length: end - begin }),
            }
            begin = end;
        }
        runs
    }
}

/// Sequences of one length, counted over all rows laid end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SequenceRun {
    /// The first position.
    pub(super) begin: usize,
    /// Number of sequences.
    pub(super) count: usize,
    /// Positions in each.
    pub(super) length: usize,
}

impl SequenceRun {
    /// Its positions.
    pub(super) fn places(&self) -> Range<usize> {
        self.begin..self.begin + self.count * self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_begin_where_positions_are_0() {
        let ids = [0, 1, 2, 0, 1, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 0, 1, 2];
        let packed = PackedSequences::from_position_ids(&ids, 6).unwrap().expect("boundaries");
        assert_eq!(packed.starts(), [0, 0, 0, 3, 3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3]);
        assert_eq!(packed.positions().collect::<Vec<_>>(), ids);
        let run = |begin, count, length| SequenceRun { begin, count, length };
        assert_eq!(packed.runs(), [run(0, 1, 3), run(3, 1, 2), run(5, 1, 1), run(6, 1, 6), run(12, 2, 3)]);
        assert!(packed.fit(3, 6) && !packed.fit(2, 9));
    }

    #[test]
    fn whole_rows_are_not_packed() {
        assert_eq!(PackedSequences::from_position_ids(&[0, 1, 2, 0, 1, 2], 3).unwrap(), None);
    }

    #[test]
    fn positions_that_do_not_count_are_refused() {
        for ids in [[1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 0, 2]] {
            let error = PackedSequences::from_position_ids(&ids, 4).unwrap_err();
            assert!(error.to_string().contains("position_ids") && error.hint().is_some(), "{error}");
        }
        assert!(PackedSequences::from_position_ids(&[0, 1, 2], 2).is_err());
    }
}

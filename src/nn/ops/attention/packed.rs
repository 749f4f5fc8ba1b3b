//! Packed sequences: several sequences in one row, each of which attends to itself only (block-diagonal attention).
//! FlashAttention calls this `cu_seqlens`: no mask is held in memory. A padded position is a sequence of its own.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The starts of the sequences in packed rows. Clones share the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedSequences {
    /// For each position, (batch, time), the position in the row where its sequence begins.
    starts: Arc<[u32]>,
    /// The position of each in its sequence, (batch, time); 0 for padding.
    positions: Arc<[u32]>,
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
        check_rows("position ids", position_ids.len(), time)?;
        let mut packed = PackedRows::default();
        for (row, positions) in position_ids.chunks_exact(time).enumerate() {
            if positions[0] > 0 {
                return Err(does_not_count(positions[0], 0, row));
            }
            packed.push_row(row, time, 0..time, Some(positions))?;
        }
        Ok(packed.finish(time))
    }

    /// Reads a mask (batch, time) of the positions that are not padding, which are neighbours in each row. Each padded
    /// position becomes a sequence of its own. Positions are counted from the first that is not padding, as `generate` of
    /// `transformers` counts them, or are those of `position_ids` (batch, time): a sequence begins where these are 0, and the
    /// first of a row at any position. `None` where every row is one sequence without padding, counted from 0.
    ///
    /// # Errors
    /// A row without ids, or with padding between them; positions that do not increase by one; numbers of either that are not
    /// a multiple of `time`.
    pub fn from_attention_mask(mask: &[bool], position_ids: Option<&[u32]>, time: usize) -> Result<Option<Self>> {
        check_rows("values of attention_mask", mask.len(), time)?;
        if let Some(ids) = position_ids.filter(|ids| ids.len() != mask.len()) {
            let message = format!("{} position ids for {} values of attention_mask", ids.len(), mask.len());
            return Err(Error::mistake(message));
        }
        let mut packed = PackedRows::default();
        for (row, mask) in mask.chunks_exact(time).enumerate() {
            let positions = position_ids.map(|ids| &ids[row * time..][..time]);
            packed.push_row(row, time, unpadded(mask, row)?, positions)?;
        }
        Ok(packed.finish(time))
    }

    /// For each position, (batch, time), the position in the row where its sequence begins.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Positions in the sequences, (batch, time); 0 for padding.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The number of positions up to the last of any sequence.
    pub fn longest(&self) -> usize {
        self.positions.iter().max().map_or(0, |&last| last as usize + 1)
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

/// The range of a row's mask that is not padding.
///
/// # Errors
/// A row without ids, or with padding between them.
pub fn unpadded(mask: &[bool], row: usize) -> Result<Range<usize>> {
    let from = mask.iter().position(|&seen| seen);
    let to = mask.iter().rposition(|&seen| seen).map(|last| last + 1);
    let Some((from, to)) = from.zip(to) else {
        return Err(Error::mistake(format!("attention_mask of row {row} has padding only"))
            .with_hint("each row has at least one id: leave the row out"));
    };
    match mask[from..to].iter().position(|&seen| !seen) {
        Some(hole) => {
            let message = format!("attention_mask of row {row} has padding at place {} between ids", from + hole);
            Err(Error::mistake(message).with_hint("padding is at the start or the end of a row"))
        }
        None => Ok(from..to),
    }
}

fn check_rows(what: &str, count: usize, time: usize) -> Result<()> {
    if time == 0 || !count.is_multiple_of(time) {
        return Err(Error::mistake(format!("{count} {what} are not rows of {time}")));
    }
    Ok(())
}

fn does_not_count(position: u32, place: usize, row: usize) -> Error {
    Error::mistake(format!("position_ids have {position} at place {place} of row {row}"))
        .with_hint("they count from 0 on in each sequence of a row: 0, 1, 2, 0, 1, …")
}

/// Rows of packed sequences that are being read.
#[derive(Default)]
struct PackedRows {
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl PackedRows {
    /// A row of `time` positions, of which those in `seen` are not padding.
    fn push_row(&mut self, row: usize, time: usize, seen: Range<usize>, positions: Option<&[u32]>) -> Result<()> {
        let mut start = seen.start;
        for place in 0..time {
            if !seen.contains(&place) {
                self.starts.push(place as u32);
                self.positions.push(0);
                continue;
            }
            let position = positions.map_or((place - seen.start) as u32, |positions| positions[place]);
            if position == 0 {
                start = place;
            } else if place > seen.start && self.positions.last() != Some(&(position - 1)) {
                return Err(does_not_count(position, place, row));
            }
            self.starts.push(start as u32);
            self.positions.push(position);
        }
        Ok(())
    }

    /// `None` where every row is one sequence that counts from 0.
    fn finish(self, time: usize) -> Option<PackedSequences> {
        let Self { starts, positions } = self;
        let plain = starts.iter().all(|&start| start == 0)
            && positions.iter().enumerate().all(|(place, &position)| position as usize == place % time);
        (!plain).then(|| PackedSequences { starts: starts.into(), positions: positions.into(), time })
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
        assert_eq!(packed.positions(), ids);
        assert_eq!(packed.longest(), 6);
        let run = |begin, count, length| SequenceRun { begin, count, length };
        assert_eq!(packed.runs(), [run(0, 1, 3), run(3, 1, 2), run(5, 1, 1), run(6, 1, 6), run(12, 2, 3)]);
        assert!(packed.fit(3, 6) && !packed.fit(2, 9));
    }

    #[test]
    fn whole_rows_are_not_packed() {
        assert_eq!(PackedSequences::from_position_ids(&[0, 1, 2, 0, 1, 2], 3).unwrap(), None);
    }

    #[test]
    fn padding_is_a_sequence_a_position() {
        let mask = |rows: &[&str]| -> Vec<bool> { rows.iter().flat_map(|row| row.chars().map(|c| c == 'x')).collect() };
        let read =
            |rows: &[&str], ids: Option<&[u32]>| PackedSequences::from_attention_mask(&mask(rows), ids, rows[0].len());
        let rows = ["..xxx.", "xxxxxx", "xxxx.."];
        let packed = read(&rows, None).unwrap().expect("padding");
        assert_eq!(packed.starts(), [0, 1, 2, 2, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5]);
        assert_eq!(packed.positions(), [0, 0, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 0]);
        let run = |begin, count, length| SequenceRun { begin, count, length };
        let runs = [run(0, 2, 1), run(2, 1, 3), run(5, 1, 1), run(6, 1, 6), run(12, 1, 4), run(16, 2, 1)];
        assert_eq!(packed.runs(), runs);
        assert_eq!(read(&["xxx", "xxx"], None).unwrap(), None);
        // Positions of padding count for nothing; the first sequence of a row may begin anywhere.
        let ids = [7, 7, 2, 3, 4, 7, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 9, 9];
        let given = read(&rows, Some(&ids)).unwrap().expect("padding");
        assert_eq!(given.starts(), [0, 1, 2, 2, 2, 5, 0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 4, 5]);
        assert_eq!(given.positions(), [0, 0, 2, 3, 4, 0, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0, 0]);
        let later = read(&["xx"], Some(&[3, 4])).unwrap().expect("other positions");
        assert_eq!((later.starts(), later.positions()), (&[0, 0][..], &[3, 4][..]));
        for (rows, ids, what) in [
            (&["xx", ".."][..], None, "row 1 has padding only"),
            (&["x.x"], None, "row 0 has padding at place 1 between ids"),
            (&["xxx"], Some(&[0, 2, 3][..]), "2 at place 1 of row 0"),
            (&["xxx"], Some(&[0]), "1 position ids for 3 values"),
        ] {
            assert!(read(rows, ids).unwrap_err().message().contains(what), "{rows:?}");
        }
        assert!(PackedSequences::from_attention_mask(&[true; 3], None, 2).is_err());
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

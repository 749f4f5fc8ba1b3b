//! The order of rows: shuffled epochs or one ordered pass.

use std::fmt;

use rand::seq::SliceRandom;

use crate::data::random::{Draw, rng};
use crate::data::{Batch, Split};

/// An iterator over shuffled batches without end, or over one ordered pass; see [`Split::batches`].
///
/// The rows of all epochs form one sequence; batch `k` is its `k`-th stretch, so that [`Batches::seek`] takes constant
/// time.
#[derive(Clone)]
pub struct Batches {
    split: Split,
    rows: usize,
    /// The seed that shuffles each epoch; `None` keeps the order of the rows.
    seed: Option<u64>,
    epochs: Option<u64>,
    position: u64,
    /// The epoch whose order is in memory, and the order.
    order: Option<(u64, Vec<usize>)>,
}

impl Split {
    /// Batches of `rows` rows in an order drawn anew from `seed` for each epoch, without end (`epochs: None`) or for a
    /// number of epochs. A short last batch is filled from the next epoch, or stays short in the last epoch.
    ///
    /// ```
    /// # use etude::data::Split;
    /// # use etude::tokens::{Options, Tokenizer};
    /// # let tokenizer = Tokenizer::new("note_duration", &Options::default())?;
    /// let split = Split::from_rows(&[vec![1, 5], vec![1, 6], vec![1, 7]], &tokenizer)?;
    /// // One pass of two rows at a time: the last batch is short.
    /// let rows: Vec<usize> = split.batches(2, 7, Some(1)).map(|batch| batch.rows).collect();
    /// assert_eq!(rows, [2, 1]);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn batches(&self, rows: usize, seed: u64, epochs: Option<u64>) -> Batches {
        Batches::new(self.clone(), rows, Some(seed), epochs)
    }

    /// One pass in the order of the rows; for evaluation.
    ///
    /// ```
    /// use etude::data::{IGNORE, Split};
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let split = Split::from_rows(&[vec![1, 64, 65]], &tokenizer)?;
    /// let batch = split.in_order(1).next().expect("one batch");
    /// assert_eq!(batch.input_ids, [1, 64, 65]);
    /// assert_eq!(batch.labels, [64, 65, IGNORE]); // the last position has no next token
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn in_order(&self, rows: usize) -> Batches {
        Batches::new(self.clone(), rows, None, Some(1))
    }
}

impl Batches {
    /// Batches of `rows` rows, at least one.
    pub(super) fn new(split: Split, rows: usize, seed: Option<u64>, epochs: Option<u64>) -> Self {
        Self { split, rows: rows.max(1), seed, epochs, position: 0, order: None }
    }

    /// The number of batches taken so far; [`Batches::seek`] goes back to it.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves to a position: the number of batches taken before it.
    ///
    /// ```
    /// use etude::data::Split;
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let rows: Vec<Vec<u32>> = (64..70).map(|id| vec![1, id]).collect();
    /// let mut batches = Split::from_rows(&rows, &tokenizer)?.batches(2, 7, None);
    /// let fifth = batches.nth(4);
    /// batches.seek(4);
    /// assert_eq!(batches.next(), fifth);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The split whose rows these are.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The number of batches left; `None` without end.
    fn left(&self) -> Option<u64> {
        if self.split.is_empty() {
            return Some(0);
        }
        let line = u128::from(self.epochs?) * self.split.len() as u128;
        let batches = line.div_ceil(self.rows as u128).saturating_sub(u128::from(self.position));
        Some(u64::try_from(batches).unwrap_or(u64::MAX))
    }

    /// The row at an index of the sequence of all epochs.
    fn row(&mut self, place: u128) -> usize {
        let len = self.split.len() as u128;
        let (epoch, place) = ((place / len) as u64, (place % len) as usize);
        let Some(seed) = self.seed else { return place };
        match &self.order {
            Some((at, order)) if *at == epoch => order[place],
            _ => {
                let mut order: Vec<usize> = (0..self.split.len()).collect();
                order.shuffle(&mut rng(seed, Draw::Order, epoch));
                let row = order[place];
                self.order = Some((epoch, order));
                row
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.left() == Some(0) {
            return None;
        }
        let begin = u128::from(self.position) * self.rows as u128;
        let end = begin + self.rows as u128;
        let end = self.epochs.map_or(end, |epochs| end.min(u128::from(epochs) * self.split.len() as u128));
        let rows: Vec<usize> = (begin..end).map(|place| self.row(place)).collect();
        self.position = self.position.saturating_add(1);
        Some(self.split.batch(&rows))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.left() {
            Some(left) => usize::try_from(left).map_or((usize::MAX, None), |left| (left, Some(left))),
            None => (usize::MAX, None),
        }
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("split", &self.split)
            .field("rows", &self.rows)
            .field("seed", &self.seed)
            .field("epochs", &self.epochs)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::split;

    /// Rows [0, 0], [1, 1], … of a vocabulary without padding or chords.
    fn split(rows: u32) -> Split {
        split::tests::split(&(0..rows).map(|r| vec![r, r]).collect::<Vec<_>>())
    }

    fn rows(batch: &Batch) -> Vec<u32> {
        batch.input_ids.chunks(2).map(|row| row[0]).collect()
    }

    #[test]
    fn an_epoch_has_every_row_once_in_an_order_of_its_own() {
        let all: Vec<Vec<u32>> = split(10).batches(5, 3, Some(2)).map(|b| rows(&b)).collect();
        assert_eq!(all.len(), 4);
        let epochs = [all[..2].concat(), all[2..].concat()];
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(epochs[0], epochs[1]);
        let other: Vec<u32> = split(10).batches(5, 4, Some(1)).flat_map(|b| rows(&b)).collect();
        assert_ne!(epochs[0], other, "the seed decides");
    }

    #[test]
    fn a_short_batch_is_filled_from_the_next_epoch_but_in_the_last() {
        let sizes: Vec<usize> = split(7).batches(3, 0, Some(2)).map(|b| b.rows).collect();
        assert_eq!(sizes, [3, 3, 3, 3, 2]);
        assert!(split(2).batches(5, 0, None).take(20).all(|b| b.rows == 5));
    }

    #[test]
    fn a_position_is_the_same_batch_however_one_gets_there() {
        let taken: Vec<Batch> = split(7).batches(3, 9, None).take(12).collect();
        for at in [0, 2, 3, 7, 11] {
            let mut batches = split(7).batches(3, 9, None);
            batches.seek(at);
            assert_eq!(batches.position(), at);
            assert_eq!(batches.next().as_ref(), taken.get(at as usize), "position {at}");
            assert_eq!(batches.position(), at + 1);
        }
        let mut back = split(7).batches(3, 9, None);
        back.nth(9);
        back.seek(1);
        assert_eq!(back.next().as_ref(), taken.get(1));
    }

    #[test]
    fn an_ordered_pass_keeps_the_order_and_ends() {
        let mut pass = split(5).in_order(2);
        assert_eq!(pass.size_hint(), (3, Some(3)));
        let seen: Vec<u32> = pass.by_ref().flat_map(|b| rows(&b)).collect();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        assert_eq!((pass.next(), pass.position()), (None, 3));
        pass.seek(u64::MAX);
        assert_eq!(pass.next(), None);
    }

    #[test]
    fn no_rows_make_no_batches() {
        assert_eq!(split(0).batches(2, 0, None).next(), None);
        assert_eq!(split(3).batches(0, 0, None).next().map(|b| b.rows), Some(1));
    }
}

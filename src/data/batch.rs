//! Batches: rows of token ids and labels.

/// The label of a position that is left out of the loss: padding, and chord tokens, which are given rather than
/// predicted.
pub const IGNORE: u32 = u32::MAX;

/// `rows` × `width` ids and their labels, row-major. `labels[i]` is the id that follows `input_ids[i]`, or [`IGNORE`];
/// the last label of a row is always [`IGNORE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The ids.
    pub input_ids: Vec<u32>,
    /// The next id at each position, or [`IGNORE`].
    pub labels: Vec<u32>,
    /// The position of each id in its piece, where rows hold several pieces that do not attend to each other: a piece
    /// begins where the position is 0. `None` where each row is one sequence. With an `attention_mask` the first piece of a
    /// row may begin at any position, and positions of padding count for nothing.
    pub position_ids: Option<Vec<u32>>,
    /// Which ids are not padding; `None` where none is. Padding is at the start or the end of a row, or at both. Other ids
    /// do not attend to it, and positions are counted from the first id that is not padding, so that each row gives the
    /// logits that it gives alone.
    pub attention_mask: Option<Vec<bool>>,
    /// What an encoder reads, a source a row; `None` for models without one.
    pub encoder: Option<EncoderInput>,
    /// Number of rows.
    pub rows: usize,
    /// Ids in a row.
    pub width: usize,
}

impl Batch {
    /// Rows of any lengths, padded at the end with `pad` to that of the longest; see [`Batch::with_next_ids`] for the labels.
    ///
    /// ```
    /// use etude::data::{Batch, IGNORE};
    ///
    /// let batch = Batch::padded(&[vec![5, 6, 7], vec![8, 9]], 0);
    /// assert_eq!((batch.rows, batch.width), (2, 3));
    /// assert_eq!(batch.input_ids, [5, 6, 7, 8, 9, 0]);
    /// assert_eq!(batch.labels, [6, 7, IGNORE, 9, IGNORE, IGNORE]);
    /// assert_eq!(batch.attention_mask, Some(vec![true, true, true, true, true, false]));
    /// ```
    pub fn padded(rows: &[Vec<u32>], pad: u32) -> Self {
        let EncoderInput { input_ids, attention_mask, width } = EncoderInput::padded(rows, pad);
        let attention_mask = attention_mask.contains(&false).then_some(attention_mask);
        Self { input_ids, attention_mask, rows: rows.len(), width, ..Self::default() }.with_next_ids()
    }

    /// The same batch, labelled with the next id of each: [`IGNORE`] at the end of a row or piece and at padding.
    #[must_use]
    pub fn with_next_ids(mut self) -> Self {
        let follows = |place: usize| {
            let seen = self.attention_mask.as_ref().is_none_or(|mask| mask.get(place..place + 2) == Some(&[true; 2]));
            let begins = self.position_ids.as_ref().is_some_and(|ids| ids.get(place + 1) == Some(&0));
            seen && !begins && !(place + 1).is_multiple_of(self.width)
        };
        let next = |place: usize| self.input_ids.get(place + 1).copied().filter(|_| follows(place));
        self.labels = (0..self.input_ids.len()).map(|place| next(place).unwrap_or(IGNORE)).collect();
        self
    }
}

/// The part of a batch that an encoder reads: a source a row, row-major.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncoderInput {
    /// The ids.
    pub input_ids: Vec<u32>,
    /// Which of them are not padding; those of a row are neighbours.
    pub attention_mask: Vec<bool>,
    /// Ids in a row.
    pub width: usize,
}

impl EncoderInput {
    /// Sources of any lengths, padded at the end with `pad` to that of the longest.
    ///
    /// ```
    /// use etude::data::EncoderInput;
    ///
    /// let input = EncoderInput::padded(&[vec![5, 6, 7], vec![8]], 0);
    /// assert_eq!((input.rows(), input.width), (2, 3));
    /// assert_eq!(input.input_ids, [5, 6, 7, 8, 0, 0]);
    /// assert_eq!(input.attention_mask, [true, true, true, true, false, false]);
    /// ```
    pub fn padded(sources: &[Vec<u32>], pad: u32) -> Self {
        let width = sources.iter().map(Vec::len).max().unwrap_or(0);
        let mut input = Self { width, ..Self::default() };
        for source in sources {
            let padding = width - source.len();
            input.input_ids.extend(source.iter().copied().chain(std::iter::repeat_n(pad, padding)));
            input.attention_mask.extend((0..width).map(|place| place < source.len()));
        }
        input
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.input_ids.len().checked_div(self.width).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_id_is_not_one_of_another_piece_or_padding() {
        let batch = Batch {
            input_ids: (10..20).collect(),
            position_ids: Some(vec![0, 0, 1, 2, 3, 0, 1, 0, 1, 2]),
            attention_mask: Some([false, true, true, true, false].repeat(2)),
            rows: 2,
            width: 5,
            ..Batch::default()
        };
        let i = IGNORE;
        assert_eq!(batch.clone().with_next_ids().labels, [i, 12, 13, i, i, i, i, 18, i, i]);
        let whole = Batch { position_ids: None, attention_mask: None, ..batch };
        assert_eq!(whole.with_next_ids().labels, [11, 12, 13, 14, i, 16, 17, 18, 19, i]);
    }
}

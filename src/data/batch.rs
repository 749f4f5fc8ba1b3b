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
    /// begins where the position is 0. `None` where each row is one sequence.
    pub position_ids: Option<Vec<u32>>,
    /// What an encoder reads, a source a row; `None` for models without one.
    pub encoder: Option<EncoderInput>,
    /// Number of rows.
    pub rows: usize,
    /// Ids in a row.
    pub width: usize,
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

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
    /// Number of rows.
    pub rows: usize,
    /// Ids in a row.
    pub width: usize,
}

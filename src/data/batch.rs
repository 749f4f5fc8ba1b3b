//! Batches: rows of ids and what should follow each of them.

/// A label that counts for nothing: padding, and chord tokens, which are given rather than predicted.
pub const IGNORE: u32 = u32::MAX;

/// `rows` × `width` ids and their labels, row-major. `labels[i]` is the id that follows `tokens[i]`, or [`IGNORE`];
/// the last place of a row always has [`IGNORE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The ids.
    pub tokens: Vec<u32>,
    /// The id that follows each, or [`IGNORE`].
    pub labels: Vec<u32>,
    /// Number of rows.
    pub rows: usize,
    /// Ids in a row.
    pub width: usize,
}

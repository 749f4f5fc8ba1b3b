//! The held-out loss.

use crate::data::Split;
use crate::error::Result;
use crate::nn::Model;
use crate::progress::Progress;

/// Mean loss (nats a token) over a split, each token counting once; at most `batches` batches of `rows` rows.
///
/// # Errors
/// An empty split, or a stop.
pub fn held_out_loss(
    _model: &Model,
    _split: &Split,
    _rows: usize,
    _batches: Option<usize>,
    _progress: &Progress,
) -> Result<f64> {
    todo!()
}

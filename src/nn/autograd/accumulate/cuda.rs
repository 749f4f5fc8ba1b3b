//! In-place sums on a GPU; out-of-place sums are candle's.

use candle_core::{Result as Candle, Tensor};

use crate::nn::cuda::{KernelSource, elements, in_place, launch, source};

static SOURCE: KernelSource = source!("add", "../../cuda");

/// `x += y`, both contiguous and of one shape.
pub(super) fn add_to(x: &Tensor, y: &Tensor) -> Candle<()> {
    in_place("add_to", x, y, |device, x, y| {
        let n = x.len();
        if n > 0 {
            let count = n as u64;
            launch!(device, SOURCE, "add_to", elements(n), x, y, &count);
        }
        Ok(())
    })
}

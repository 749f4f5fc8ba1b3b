//! Attention with products of bfloat16 on the tensor cores of a GPU.

use crate::nn::ops::cuda::{Source, source};

pub(super) static SOURCE: Source = source!("attention_bf16", "../../cuda", "../tiles.cuh");

/// Rows of a block: `HALF_ROWS` in `kernel.cu`.
pub(super) const ROWS: usize = 64;
/// Threads of a block: `HALF_THREADS` there.
pub(super) const THREADS: u32 = 128;

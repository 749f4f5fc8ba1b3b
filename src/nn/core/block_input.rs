//! What a pass reads, and what of it each block is given beside the residual stream.

use std::ops::Range;

use candle_core::Tensor;

use super::Places;
use crate::nn::kv_cache::EncoderCache;

/// What a pass reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassInput<'a> {
    /// Ids (batch, time).
    pub(crate) tokens: &'a Tensor,
    /// Where they stand.
    pub(crate) places: Places<'a>,
    /// What the encoder reads, where the model has one.
    pub(crate) source: Option<&'a SourceIds>,
}

impl<'a> PassInput<'a> {
    /// One sequence a row, without a source.
    pub(crate) fn of(tokens: &'a Tensor) -> Self {
        Self { tokens, places: Places::default(), source: None }
    }

    /// What blocks of the decoder attend to, given the encoder's output.
    pub(super) fn encoded(&self, states: Option<&'a Tensor>) -> Option<EncodedInput<'a>> {
        let (source, states) = (self.source?, states?);
        Some(EncodedInput { states: EncodedStates::Hidden(states), visible: &source.visible })
    }
}

/// What an encoder reads.
#[derive(Debug, Clone)]
pub(crate) struct SourceIds {
    /// Ids (batch, source).
    pub(crate) tokens: Tensor,
    /// The places of each row that are not padding.
    pub(crate) visible: Vec<Range<usize>>,
}

impl SourceIds {
    /// The places that are not padding, where there is some.
    pub(super) fn padded(&self) -> Option<&[Range<usize>]> {
        let whole = self.tokens.dims().last().copied().unwrap_or(0);
        self.visible.iter().any(|row| *row != (0..whole)).then_some(&self.visible)
    }
}

/// What blocks are given beside the stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BlockInput<'a> {
    /// Where the ids stand.
    pub(super) places: Places<'a>,
    /// Added to the scores of self-attention, by distance: (time + keys − 1, heads).
    pub(super) bias: Option<&'a Tensor>,
    /// The places of each row that are not padding, where there is padding that could be seen.
    pub(super) visible: Option<&'a [Range<usize>]>,
    /// What the encoder made of the source.
    pub(super) encoded: Option<EncodedInput<'a>>,
}

impl<'a> BlockInput<'a> {
    /// That of an encoder's blocks, but for the biases.
    pub(super) fn of_source(source: &'a SourceIds) -> Self {
        Self { visible: source.padded(), ..Self::default() }
    }
}

/// What the encoder made of a source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedInput<'a> {
    pub(super) states: EncodedStates<'a>,
    /// The places of each row that are not padding.
    pub(super) visible: &'a [Range<usize>],
}

impl<'a> EncodedInput<'a> {
    /// What block `index` attends to of a source that a cache keeps.
    pub(super) fn of_cache(cache: &'a EncoderCache, index: usize) -> Option<Self> {
        let (k, v) = cache.keys_values.get(index)?;
        Some(Self { states: EncodedStates::KeysValues(k, v), visible: &cache.visible })
    }
}

/// The encoder's output, or what attention needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EncodedStates<'a> {
    /// (batch, source, hidden)
    Hidden(&'a Tensor),
    /// Keys and values of this block, each (batch, source, kv_heads, dim).
    KeysValues(&'a Tensor, &'a Tensor),
}

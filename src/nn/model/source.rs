//! What the encoder of a [`Model`] reads.

use candle_core::Tensor;

use super::Model;
use crate::data::EncoderInput;
use crate::error::{Error, Result};
use crate::nn::core::{PassInput, Places, SourceIds};
use crate::nn::kv_cache::Cache;
use crate::nn::{ForwardCtx, ops};

impl Model {
    /// Whether it has an encoder, which reads a source that the decoder attends to.
    pub fn has_encoder(&self) -> bool {
        self.core.encoder.is_some()
    }

    /// [`Model::forward`] of a model with an encoder: logits of ids (batch, time) given a source a row.
    ///
    /// # Errors
    /// See [`Model::forward`]; a model without an encoder, and sources that do not fit the rows.
    pub fn forward_with(&self, tokens: &Tensor, source: &EncoderInput, ctx: &ForwardCtx) -> Result<Tensor> {
        let tokens = self.checked(tokens, 0)?;
        let source = self.source_ids(source, tokens.dim(0)?)?;
        let input = PassInput { tokens: &tokens, places: Places::default(), source: Some(&source) };
        self.core.forward(input, ctx)
    }

    /// [`Model::hidden`] of a model with an encoder.
    ///
    /// # Errors
    /// See [`Model::forward_with`].
    pub fn hidden_with(&self, tokens: &Tensor, source: &EncoderInput, ctx: &ForwardCtx) -> Result<Tensor> {
        let tokens = self.checked(tokens, 0)?;
        let source = self.source_ids(source, tokens.dim(0)?)?;
        let input = PassInput { tokens: &tokens, places: Places::default(), source: Some(&source) };
        self.core.hidden(input, &ctx.with_grad(false))
    }

    /// Reads a source a row and keeps what [`Model::step`] attends to of it in the cache, which is empty then but for that.
    ///
    /// # Errors
    /// A model without an encoder; sources that do not fit the rows; `interrupted`, when the user cancels.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use etude::data::EncoderInput;
    /// use etude::nn::{Cache, ForwardCtx, Model, T5Config};
    ///
    /// let config = T5Config {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     ..T5Config::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?;
    /// let (mut cache, ctx) = (Cache::new(), ForwardCtx::default());
    /// let source = EncoderInput::padded(&[vec![64, 65, 66]], 0);
    /// model.read_source(&source, &mut cache, &ctx)?;
    /// let logits = model.step(&Tensor::new(&[[1u32]], &Device::Cpu)?, &mut cache, &ctx)?;
    /// assert_eq!(logits.dims(), [1, 100]); // (batch, vocabulary)
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn read_source(&self, source: &EncoderInput, cache: &mut Cache, ctx: &ForwardCtx) -> Result<()> {
        let source = self.source_ids(source, source.rows())?;
        self.core.read_source(&source, cache, &ctx.with_grad(false))
    }

    /// A source a row, on the device.
    pub(super) fn source_ids(&self, source: &EncoderInput, rows: usize) -> Result<SourceIds> {
        let (width, ids) = (source.width, source.input_ids.len());
        if ids != rows * width || source.attention_mask.len() != ids || ids == 0 {
            let mask = source.attention_mask.len();
            let message = format!(
                "the encoder's part of the batch has {ids} ids and a mask of {mask} for {rows} rows of {width}"
            );
            return Err(Error::mistake(message).with_hint("each row of the batch has a source of its own"));
        }
        self.check_ids(&source.input_ids)?;
        let rows_seen = source.attention_mask.chunks_exact(width).enumerate();
        let visible = rows_seen.map(|(row, mask)| {
            ops::unpadded(mask, row).map_err(|error| error.context("the encoder's part of the batch"))
        });
        let visible = visible.collect::<Result<_>>()?;
        let tokens = Tensor::from_slice(&source.input_ids, (rows, width), self.device())?;
        Ok(SourceIds { tokens, visible })
    }
}

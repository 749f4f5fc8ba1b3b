//! Forward passes and losses of a [`Model`].

use std::collections::HashMap;

use candle_core::{DType, Tensor, TensorId};

use super::Model;
use crate::data::{Batch, IGNORE};
use crate::error::{Error, Result};
use crate::nn::core::{PassInput, Places, SourceIds};
use crate::nn::kv_cache::Cache;
use crate::nn::ops::PackedSequences;
use crate::nn::{ForwardCtx, Tape, ops};

impl Model {
    /// Logits of ids (batch, time) -> (batch, time, vocabulary), f32. Gradients can follow only where `ctx.grad` says so.
    ///
    /// # Errors
    /// Ids beyond the vocabulary, sequences beyond `max_position_embeddings`, or `interrupted`, when the user cancels.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use etude::nn::{ForwardCtx, LlamaConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?;
    /// let tokens = Tensor::new(&[[1u32, 64, 65]], &Device::Cpu)?;
    /// let logits = model.forward(&tokens, &ForwardCtx::default())?;
    /// assert_eq!(logits.dims(), [1, 3, 100]); // (batch, time, vocabulary)
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn forward(&self, tokens: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let tokens = self.checked(tokens, 0)?;
        self.core.forward(PassInput::of(&tokens), ctx)
    }

    /// The hidden states behind the logits, after the last block and the final norm: ids (batch, time) ->
    /// (batch, time, hidden).
    ///
    /// # Errors
    /// See [`Model::forward`].
    pub fn hidden(&self, tokens: &Tensor, ctx: &ForwardCtx) -> Result<Tensor> {
        let tokens = self.checked(tokens, 0)?;
        self.core.hidden(PassInput::of(&tokens), &ctx.with_grad(false))
    }

    /// Logits of a batch; see [`Model::forward`].
    ///
    /// # Errors
    /// See [`Model::forward`].
    pub fn logits(&self, batch: &Batch, ctx: &ForwardCtx) -> Result<Tensor> {
        self.core.forward(self.read(batch)?.input(), ctx)
    }

    /// Mean cross-entropy (nats) over the labels of a batch that count; a scalar that candle's `backward` can start from
    /// where `ctx.grad` says so.
    ///
    /// # Errors
    /// See [`Model::forward`]; a batch whose labels all count for nothing is refused.
    pub fn loss(&self, batch: &Batch, ctx: &ForwardCtx) -> Result<Tensor> {
        self.check_labels(batch)?;
        self.mean_loss(&self.logits(batch, ctx)?, batch, ctx)
    }

    /// The loss of [`Model::loss`], and the tape for its gradients.
    ///
    /// # Errors
    /// See [`Model::loss`].
    pub fn taped_loss(&self, batch: &Batch, ctx: &ForwardCtx) -> Result<(Tensor, Tape)> {
        let parameters = self.parameters();
        let leaves: Vec<&Tensor> = parameters.iter().map(|parameter| parameter.var.as_tensor()).collect();
        let ctx = ctx.with_grad(true);
        rayon::scope(|_| Tape::record(&leaves, || self.loss(batch, &ctx)))
    }

    /// The loss of [`Model::loss`] as a number, for evaluation: no activations are kept.
    ///
    /// # Errors
    /// See [`Model::loss`].
    ///
    /// ```
    /// use candle_core::Device;
    /// use etude::data::{Batch, IGNORE};
    /// use etude::nn::{ForwardCtx, LlamaConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?;
    /// let (input_ids, labels) = (vec![1, 64, 65], vec![64, 65, IGNORE]);
    /// let batch = Batch { input_ids, labels, rows: 1, width: 3, ..Batch::default() };
    /// let loss = model.loss_value(&batch, &ForwardCtx::default())?;
    /// assert!((loss - 100_f64.ln()).abs() < 0.5, "random weights are near the uniform distribution");
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn loss_value(&self, batch: &Batch, ctx: &ForwardCtx) -> Result<f64> {
        self.check_labels(batch)?;
        let logits = self.logits(batch, &ctx.with_grad(false))?;
        Ok(f64::from(self.mean_loss(&logits, batch, ctx)?.to_scalar::<f32>()?))
    }

    /// The loss of [`Model::loss`], out of reach of gradients, and its gradients, one for each of
    /// [`Model::parameters`] (`None` where the loss does not reach it). Activations are not kept but computed again on
    /// the way back, block by block: a step takes a third more time, and memory for one block instead of all.
    ///
    /// # Errors
    /// See [`Model::loss`].
    pub fn loss_and_gradients(&self, batch: &Batch, ctx: &ForwardCtx) -> Result<(Tensor, Vec<Option<Tensor>>)> {
        let mut gradients = vec![None; self.parameters().len()];
        let loss = self.stream_gradients(batch, ctx, true, &mut |place, gradient| {
            gradients[place] = Some(gradient);
            Ok(())
        })?;
        Ok((loss, gradients))
    }

    /// The loss of [`Model::loss`], out of reach of gradients. `take` gets each of its gradients as soon as it is final, from
    /// the last block to the first: the place of a parameter among [`Model::parameters`] and its gradient; nothing of those
    /// the loss does not reach. With `again` activations are computed again, as in [`Model::loss_and_gradients`].
    ///
    /// # Errors
    /// See [`Model::loss`]; and what `take` fails with.
    pub fn stream_gradients(
        &self,
        batch: &Batch,
        ctx: &ForwardCtx,
        again: bool,
        take: &mut dyn FnMut(usize, Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        self.check_labels(batch)?;
        let parameters = self.parameters();
        let leaves: Vec<&Tensor> = parameters.iter().map(|parameter| parameter.var.as_tensor()).collect();
        let places: HashMap<TensorId, usize> =
            leaves.iter().enumerate().map(|(place, leaf)| (leaf.id(), place)).collect();
        let mut by_place = |id, gradient| take(places[&id], gradient);
        if again {
            let loss = |logits: &Tensor| self.mean_loss(logits, batch, ctx);
            return self.core.recomputed(self.read(batch)?.input(), ctx, &leaves, &mut by_place, loss);
        }
        let ctx = ctx.with_grad(true);
        let (loss, tape) = Tape::record(&leaves, || self.loss(batch, &ctx))?;
        tape.backward_consuming(&loss, loss.ones_like()?, &mut by_place)?;
        Ok(loss)
    }

    /// logits (batch, time, vocabulary) -> scalar
    fn mean_loss(&self, logits: &Tensor, batch: &Batch, ctx: &ForwardCtx) -> Result<Tensor> {
        let rows = ops::reshape(logits, (batch.labels.len(), self.core.spec.vocab_size))?; // (batch · time, vocabulary)
        ops::cross_entropy(&rows, &batch.labels, &ctx.interrupt)
    }

    fn check_labels(&self, batch: &Batch) -> Result<()> {
        let vocabulary = self.core.spec.vocab_size;
        if batch.labels.len() != batch.input_ids.len() {
            let (labels, tokens) = (batch.labels.len(), batch.input_ids.len());
            return Err(Error::mistake(format!("the batch has {labels} labels for {tokens} ids")));
        }
        let padding = batch.attention_mask.iter().flatten().map(|&seen| !seen);
        if let Some(place) = batch.labels.iter().zip(padding).position(|(&label, padding)| label != IGNORE && padding) {
            let (row, place) = (place / batch.width.max(1), place % batch.width.max(1));
            return Err(Error::mistake(format!("the label at place {place} of row {row} is one of padding"))
                .with_hint("padding is not predicted: labels are -100 where attention_mask is 0"));
        }
        if batch.labels.iter().all(|&label| label == IGNORE) {
            return Err(Error::mistake("no label of the batch counts, so it has no loss")
                .with_hint("padding and chord tokens are not predicted; take a batch with notes in it"));
        }
        match batch.labels.iter().find(|&&label| label != IGNORE && label as usize >= vocabulary) {
            Some(&label) => Err(self.beyond("label", label)),
            None => Ok(()),
        }
    }

    /// Takes new ids (batch, new) into the cache and gives the logits of the last of them: (batch, vocabulary).
    ///
    /// # Errors
    /// See [`Model::forward`]; cancelling leaves the cache as it was.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use etude::nn::{Cache, ForwardCtx, LlamaConfig, Model};
    ///
    /// let config = LlamaConfig {
    ///     vocab_size: 100,
    ///     hidden_size: 64,
    ///     num_hidden_layers: 1,
    ///     num_attention_heads: 2,
    ///     intermediate_size: 128,
    ///     max_position_embeddings: 32,
    ///     ..LlamaConfig::default()
    /// };
    /// let model = Model::new(config, &Device::Cpu, 1)?;
    /// let (mut cache, ctx) = (Cache::new(), ForwardCtx::default());
    /// model.step(&Tensor::new(&[[1u32, 64]], &Device::Cpu)?, &mut cache, &ctx)?;
    /// model.step(&Tensor::new(&[[65u32]], &Device::Cpu)?, &mut cache, &ctx)?;
    /// assert_eq!(cache.len(), 3);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn step(&self, tokens: &Tensor, cache: &mut Cache, ctx: &ForwardCtx) -> Result<Tensor> {
        let tokens = self.checked(tokens, cache.len())?;
        self.core.step(&tokens, cache, &ctx.with_grad(false))
    }

    /// Attention weights of one layer over a batch: (batch, heads, time, time).
    ///
    /// # Errors
    /// Names a layer that the model has not.
    pub fn attention(&self, batch: &Batch, layer: usize) -> Result<Tensor> {
        let layers = self.core.spec.decoder.layers;
        if layer >= layers {
            return Err(Error::mistake(format!("there is no layer {layer}"))
                .with_hint(format!("the model has {layers}, from 0 to {}", layers - 1)));
        }
        self.core.attention(self.read(batch)?.input(), layer, &ForwardCtx::default())
    }

    /// A batch as the core reads it.
    fn read(&self, batch: &Batch) -> Result<ReadBatch> {
        Ok(ReadBatch {
            tokens: self.tokens(batch)?,
            sequences: sequences(batch, self.core.spec.max_positions)?,
            source: batch.encoder.as_ref().map(|encoder| self.source_ids(encoder, batch.rows)).transpose()?,
        })
    }

    /// The ids of a batch as a tensor: (rows, width).
    fn tokens(&self, batch: &Batch) -> Result<Tensor> {
        let (rows, width) = (batch.rows, batch.width);
        if rows * width != batch.input_ids.len() {
            return Err(Error::mistake(format!("{} ids are not a batch of {rows} × {width}", batch.input_ids.len())));
        }
        self.check_ids(&batch.input_ids)?;
        self.check_length(rows, 0, width)?;
        Ok(Tensor::from_slice(&batch.input_ids, (rows, width), self.device())?)
    }

    /// Ids fit for the embedding: (batch, new), u32.
    pub(super) fn checked(&self, tokens: &Tensor, held: usize) -> Result<Tensor> {
        let (rows, new) = tokens.dims2().map_err(|_| {
            Error::mistake(format!("ids have the shape {:?}", tokens.dims())).with_hint("it must be (batch, time)")
        })?;
        self.check_length(rows, held, new)?;
        // Looked at before they move: ids on a GPU would have to come back, and the host to wait.
        let tokens = tokens.to_dtype(DType::U32)?;
        self.check_ids(&tokens.flatten_all()?.to_vec1::<u32>()?)?;
        Ok(tokens.to_device(self.device())?)
    }

    pub(super) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        match ids.iter().find(|&&id| id as usize >= self.core.spec.vocab_size) {
            Some(&id) => Err(self.beyond("id", id)),
            None => Ok(()),
        }
    }

    fn beyond(&self, what: &str, id: u32) -> Error {
        Error::mistake(format!("the {what} {id} is beyond the model's vocabulary of {}", self.core.spec.vocab_size))
            .with_hint("a model reads the ids of the tokenizer it was trained with")
    }

    fn check_length(&self, rows: usize, held: usize, new: usize) -> Result<()> {
        let most = self.core.spec.max_positions;
        if rows == 0 || new == 0 {
            return Err(Error::mistake(format!("a batch of {rows} × {new} ids is empty")));
        }
        if held + new > most {
            return Err(beyond_positions(held + new - 1, most));
        }
        Ok(())
    }
}

/// A batch on the device.
struct ReadBatch {
    tokens: Tensor,
    sequences: Option<PackedSequences>,
    source: Option<SourceIds>,
}

impl ReadBatch {
    fn input(&self) -> PassInput<'_> {
        let places = Places::packed(self.sequences.as_ref());
        PassInput { tokens: &self.tokens, places, source: self.source.as_ref() }
    }
}

/// The sequences that the rows of a batch are packed of, and their padding; `None` where each row is one sequence.
fn sequences(batch: &Batch, max_positions: usize) -> Result<Option<PackedSequences>> {
    let (ids, mask, tokens) = (batch.position_ids.as_deref(), batch.attention_mask.as_deref(), batch.input_ids.len());
    let counts = [("position ids", ids.map(<[u32]>::len)), ("values of attention_mask", mask.map(<[bool]>::len))];
    for (what, count) in counts {
        if let Some(count) = count.filter(|&count| count != tokens) {
            return Err(Error::mistake(format!("the batch has {count} {what} for {tokens} ids")));
        }
    }
    let sequences = match (ids, mask) {
        (ids, Some(mask)) => PackedSequences::from_attention_mask(mask, ids, batch.width)?,
        (Some(ids), None) => PackedSequences::from_position_ids(ids, batch.width)?,
        (None, None) => None,
    };
    let last = sequences.as_ref().and_then(|sequences| sequences.positions().iter().max());
    match last.filter(|&&last| last as usize >= max_positions) {
        Some(last) => Err(beyond_positions(*last as usize, max_positions)),
        None => Ok(sequences),
    }
}

fn beyond_positions(position: usize, max_positions: usize) -> Error {
    Error::mistake(format!("position {position} is beyond max_position_embeddings {max_positions}"))
        .with_hint("use shorter sequences (max_seq_len), or a model with a larger max_position_embeddings")
}

//! Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): forward keeps only the input of each block, backward
//! runs each block once more, one at a time, each on a tape of its own.
//!
//! A block is a function of its input and of the context, dropout included, so that running it again gives the same
//! numbers, and the gradients are those without checkpointing.
//!
//! All blocks of a decoder attend to the encoder's output: its gradient is summed over them before backward runs through
//! the encoder. Biases by distance are computed again for each block.

use candle_core::{Tensor, TensorId};

use super::{BlockInput, PassInput, Places, SourceIds, Stack, Transformer, Weight, no_encoder};
use crate::error::Result;
use crate::nn::{ForwardCtx, Tape, autograd};

/// Receives the gradient of a leaf, by its id, once it is final.
pub(crate) type TakeGradient<'a> = dyn FnMut(TensorId, Tensor) -> Result<()> + 'a;

/// Gradients that are summed before they are given away.
struct GradientSums<'a> {
    leaves: &'a [&'a Tensor],
    take: &'a mut TakeGradient<'a>,
    /// Leaves that get a gradient from several places, and its sum: the embedding, which a tied head is, too, and which
    /// encoder and decoder share; tables of biases; the encoder's output.
    shared: Vec<(TensorId, Option<Tensor>)>,
}

impl GradientSums<'_> {
    /// Records `work`, from `inputs` on.
    fn record(&self, inputs: &[&Tensor], work: impl FnOnce() -> Result<Tensor>) -> Result<(Tensor, Tape)> {
        let leaves: Vec<&Tensor> = self.leaves.iter().chain(inputs).copied().collect();
        Tape::record(&leaves, work)
    }

    /// Runs backward from `y`, whose gradient is `dy`; gives the gradient of `input`.
    fn backward(&mut self, tape: Tape, y: &Tensor, dy: Tensor, input: &Tensor) -> Result<Option<Tensor>> {
        let mut below = None;
        tape.backward_consuming(y, dy, &mut |id, gradient| {
            if id == input.id() {
                below = Some(gradient);
            } else if let Some((_, held)) = self.shared.iter_mut().find(|(shared, _)| *shared == id) {
                *held = Some(match held.take() {
                    Some(sum) => autograd::plain_sum(&sum, &gradient)?,
                    None => gradient,
                });
            } else {
                (self.take)(id, gradient)?;
            }
            Ok(())
        })?;
        Ok(below)
    }

    /// The sum of the gradients of one of those that get several.
    fn release(&mut self, id: TensorId) -> Option<Tensor> {
        self.shared.iter_mut().find(|(shared, _)| *shared == id).and_then(|(_, held)| held.take())
    }

    fn end(self) -> Result<()> {
        let Self { take, shared, .. } = self;
        shared.into_iter().try_for_each(|(id, held)| held.map_or(Ok(()), |gradient| take(id, gradient)))
    }
}

/// What went into each block of a stack, and what came out of the last.
struct Trace {
    inputs: Vec<Tensor>,
    output: Tensor,
}

impl Stack {
    /// Goes through all blocks and keeps what goes into each.
    fn trace(&self, x: Tensor, input: &BlockInput<'_>, ctx: &ForwardCtx) -> Result<Trace> {
        let (mut inputs, mut x) = (Vec::with_capacity(self.blocks.len()), x);
        let bias = self.bias_of(&x, ctx)?;
        let input = BlockInput { bias: bias.as_ref(), ..*input };
        for block in &self.blocks {
            let y = block.forward(&x, &input, None, ctx)?;
            inputs.push(std::mem::replace(&mut x, y));
        }
        Ok(Trace { inputs, output: x })
    }

    /// The biases of attention of a stream (batch, time, hidden) to itself.
    fn bias_of(&self, x: &Tensor, ctx: &ForwardCtx) -> Result<Option<Tensor>> {
        let time = x.dim(1)?;
        self.bias((time, time, 0), ctx)
    }

    /// Goes back through all blocks, given the gradient of the output; that of the input. `also` are tensors beside the
    /// stream that get a gradient from each block.
    fn go_back(
        &self,
        inputs: Vec<Tensor>,
        mut dy: Option<Tensor>,
        (input, also): (&BlockInput<'_>, &[&Tensor]),
        ctx: &ForwardCtx,
        sums: &mut GradientSums<'_>,
    ) -> Result<Option<Tensor>> {
        for (block, x) in self.blocks.iter().zip(inputs).rev() {
            let Some(gradient) = dy.take() else { break };
            let from: Vec<&Tensor> = also.iter().copied().chain([&x]).collect();
            let (y, tape) = sums.record(&from, || {
                let bias = self.bias_of(&x, ctx)?;
                block.forward(&x, &BlockInput { bias: bias.as_ref(), ..*input }, None, ctx)
            })?;
            dy = sums.backward(tape, &y, gradient, &x)?;
        }
        Ok(dy)
    }
}

impl Transformer {
    /// The loss of a pass; the gradients of `leaves` go to `take`, block by block from the last to the first. `loss` makes a
    /// scalar of the logits (batch, time, vocabulary).
    pub(crate) fn recomputed<'a>(
        &self,
        input: PassInput<'_>,
        ctx: &ForwardCtx,
        leaves: &'a [&'a Tensor],
        take: &'a mut TakeGradient<'a>,
        loss: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (still, recording) = (ctx.with_grad(false), ctx.with_grad(true));
        let source = input.source.map(|source| self.trace_source(source, &still)).transpose()?;
        let states = source.as_ref().map(|(_, states)| states);
        let given = BlockInput { places: input.places, encoded: input.encoded(states), ..BlockInput::default() };
        let x = self.embed(input.tokens, input.places, &still)?; // (batch, time, hidden)
        let Trace { inputs, output: x } = self.decoder.trace(x, &given, &still)?;
        let mut sums = GradientSums { leaves, take, shared: self.shared_leaves(states) };
        let (value, tape) = sums.record(&[&x], || loss(&self.logits(&x, &recording)?))?;
        let dy = sums.backward(tape, &value, value.ones_like()?, &x)?;
        drop(x);
        let also: Vec<&Tensor> = states.into_iter().collect();
        let dy = self.decoder.go_back(inputs, dy, (&given, &also), &recording, &mut sums)?;
        self.embedding_back(input.tokens, dy, &mut sums, || self.embed(input.tokens, input.places, &recording))?;
        if let (Some(ids), Some((trace, states))) = (input.source, source) {
            let gradient = sums.release(states.id());
            self.source_back(ids, trace, gradient, &recording, &mut sums)?;
        }
        sums.end()?;
        Ok(value)
    }

    /// The leaves that get a gradient from several places.
    fn shared_leaves(&self, states: Option<&Tensor>) -> Vec<(TensorId, Option<Tensor>)> {
        let stacks = self.encoder.iter().chain([&self.decoder]);
        let tables = stacks.filter_map(|stack| stack.relative.as_ref()).map(|relative| &relative.table);
        let rows = self.token_rows.iter().map(|tokens| &tokens.rows);
        let weights = std::iter::once(&self.embedding).chain(rows).chain(tables);
        let ids = weights.filter_map(Weight::var).map(|var| var.id()).chain(states.map(Tensor::id));
        ids.map(|id| (id, None)).collect()
    }

    /// Goes through the encoder, keeping what goes into each block; and its output.
    fn trace_source(&self, source: &SourceIds, ctx: &ForwardCtx) -> Result<(Trace, Tensor)> {
        let encoder = self.encoder.as_ref().ok_or_else(no_encoder)?;
        let x = self.embed_for(encoder, &source.tokens, Places::default(), ctx)?;
        let trace = encoder.trace(x, &BlockInput::of_source(source), ctx)?;
        let states = encoder.norm.forward(&trace.output, ctx)?;
        Ok((trace, states))
    }

    /// Goes back through the encoder, given the gradient of its output.
    fn source_back(
        &self,
        source: &SourceIds,
        Trace { inputs, output }: Trace,
        gradient: Option<Tensor>,
        ctx: &ForwardCtx,
        sums: &mut GradientSums<'_>,
    ) -> Result<()> {
        let (Some(encoder), Some(gradient)) = (&self.encoder, gradient) else { return Ok(()) };
        let (y, tape) = sums.record(&[&output], || encoder.norm.forward(&output, ctx))?;
        let dy = sums.backward(tape, &y, gradient, &output)?;
        drop(output);
        let dy = encoder.go_back(inputs, dy, (&BlockInput::of_source(source), &[]), ctx, sums)?;
        let embed = || self.embed_for(encoder, &source.tokens, Places::default(), ctx);
        self.embedding_back(&source.tokens, dy, sums, embed)
    }

    /// Goes back through an embedding of `tokens`, if it trains.
    fn embedding_back(
        &self,
        tokens: &Tensor,
        dy: Option<Tensor>,
        sums: &mut GradientSums<'_>,
        embed: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        if let Some(gradient) = dy.filter(|_| self.embedding.var().is_some() || self.token_rows.is_some()) {
            let (y, tape) = sums.record(&[tokens], embed)?;
            sums.backward(tape, &y, gradient, tokens)?;
        }
        Ok(())
    }
}

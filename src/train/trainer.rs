//! `Trainer`: the state of a training run; `fit.rs` has its loop, `step.rs` the record of a step.
//!
//! A step is atomic: its gradients are computed first, with the interrupt checked throughout, and only then are the
//! weights changed, without a check in between. A failure restores the order of the batches.
//!
//! The loss of a step is `Σ nᵢ lᵢ / Σ nᵢ` over its micro-batches, `nᵢ` being the number of labels of micro-batch `i`
//! that are not ignored and `lᵢ` their mean loss: accumulating over small batches is the same step as one large batch.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use candle_core::Tensor;

use crate::allocator::give_back_freed_memory;
use crate::data::{Batch, Batches, Dataset};
use crate::error::{Error, Result};
use crate::nn::{self, ForwardCtx, Model, Parameter, Tape};
use crate::progress::Progress;
use crate::train::ema::Ema;
use crate::train::loss::{counts, held_out_loss_of};
use crate::train::parallel::Group;
use crate::train::{AdamW, BatchSize, Grads, Schedule, Step, TrainOptions, agreement, divergence, memory_estimate};

/// A model, data, an optimizer and a schedule, and their progress.
#[derive(Debug)]
pub struct Trainer {
    pub(super) model: Model,
    pub(super) data: Dataset,
    pub(super) options: TrainOptions,
    pub(super) optimizer: AdamW,
    pub(super) order: Batches,
    pub(super) history: Vec<Step>,
    /// The step of the last checkpoint written by this run.
    pub(super) saved: Option<u64>,
    /// The moving average of the weights, if one is kept.
    pub(super) ema: Option<Ema>,
    /// Whether the last attempted step failed because the run diverged.
    pub(super) diverged: bool,
    /// A fingerprint of the data, computed for the first checkpoint.
    pub(super) fingerprint: OnceLock<String>,
    pub(super) parameters: Vec<Parameter>,
    /// The ranks that take each step together.
    pub(super) group: Arc<Group>,
    plan: Schedule,
    pub(super) notes: Vec<String>,
}

impl Trainer {
    /// A new run.
    ///
    /// # Errors
    /// Options out of range, a model without trainable parameters, and data that do not fit the model.
    pub fn new(model: Model, data: Dataset, options: TrainOptions) -> Result<Self> {
        Self::in_group(Group::single(), model, data, options)
    }

    /// A new run over several ranks: each step takes `batch_size` times `gradient_accumulation_steps` rows on every
    /// rank, and equals the step that one rank would take over all of them. Every rank calls this with the same model,
    /// data and options, and then makes the same calls; rank 0 writes.
    ///
    /// # Errors
    /// See [`Trainer::new`]; and ranks whose models, data or options differ.
    pub fn in_group(group: Arc<Group>, model: Model, data: Dataset, options: TrainOptions) -> Result<Self> {
        give_back_freed_memory();
        let made = Self::make(group.clone(), model, data, options);
        made.inspect_err(|error| group.fail(error.message()))
    }

    fn make(group: Arc<Group>, model: Model, data: Dataset, mut options: TrainOptions) -> Result<Self> {
        options.validate()?;
        let wide = data.train.width();
        let data = for_model(&model, data)?;
        fits(&model, &data, &options)?;
        let parameters = model.parameters();
        let optimizer = AdamW::new(parameters.clone(), options.adamw())?;
        let fingerprint = OnceLock::new();
        let mut notes = agreement::agree(&group, &parameters, &data, &options, &fingerprint)?;
        if options.batch_size == BatchSize::Auto {
            notes.push(divide(&group, &model, &mut options, optimizer.memory(), data.train.width())?);
        }
        options.count_steps(data.train.len(), group.world_size());
        notes.extend(options.cut_warmup());
        if data.train.width() < wide {
            let (parts, width) = (wide / data.train.width(), data.train.width());
            notes.push(format!(
                "rows of {wide} tokens are taken as {parts} of {width}: the model reads no more at once"
            ));
        }
        notes.extend(options.mixed_precision.note(model.device()).map(String::from));
        let order = data.train.batches(options.rows(), options.seed, None);
        let ema = (options.ema > 0.0).then(|| Ema::new(options.ema, &parameters)).transpose()?;
        let plan = options.plan();
        let (history, saved, diverged) = (Vec::new(), None, false);
        Ok(Self {
            model,
            data,
            options,
            optimizer,
            order,
            history,
            saved,
            ema,
            diverged,
            fingerprint,
            parameters,
            group,
            plan,
            notes,
        })
    }

    /// Notes for the user about options that were adapted.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// One step: micro-batches, backward, clipping, update. Cancellation leaves everything as it was before.
    ///
    /// # Errors
    /// A loss that is not finite; `interrupted`, when the user cancels.
    pub fn step(&mut self, progress: &Progress) -> Result<Step> {
        let position = self.order.position();
        let step = self.attempt(progress).inspect_err(|_| self.order.seek(position));
        match step {
            Ok(step) => {
                self.history.push(step);
                Ok(step)
            }
            Err(error) if !self.group.is_single() => Err(self.group.trouble().unwrap_or(error)),
            Err(_) if progress.interrupt().is_set() => Err(Error::interrupted()),
            Err(error) => Err(error),
        }
    }

    /// The held-out loss now, of the moving average of the weights if one is kept.
    ///
    /// # Errors
    /// See [`held_out_loss`](crate::train::held_out_loss).
    pub fn evaluate(&self, progress: &Progress) -> Result<f64> {
        let Self { model, data, options, group, .. } = self;
        self.averaged(|| held_out_loss_of(group, model, &data.val, options.rows(), options.eval_batches, progress))
    }

    /// Runs `work` while the weights are their moving average, if one is kept.
    ///
    /// # Errors
    /// Those of `work`, and of changing the weights.
    pub fn averaged<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.ema {
            Some(ema) if !self.history.is_empty() => ema.during(&self.parameters, work),
            _ => work(),
        }
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.history.len() as u64
    }

    /// All steps so far.
    pub fn history(&self) -> &[Step] {
        &self.history
    }

    /// The model it trains.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The data it trains on.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// The options of the run.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// The ranks that take each step together.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Bytes of training in addition to the model: gradients, moments, the moving average.
    pub fn memory(&self) -> usize {
        let copies = 1 + usize::from(self.ema.is_some());
        self.optimizer.memory() + copies * 4 * self.model.trainable()
    }

    fn attempt(&mut self, progress: &Progress) -> Result<Step> {
        self.diverged = false;
        let begun = Instant::now();
        let (number, lr) = (self.steps() + 1, self.plan.at(self.steps()));
        let micro_batches = self.micro_batches();
        let batches: Vec<Batch> = self.order.by_ref().take(micro_batches).collect();
        let (loss, grads) = if self.group.is_single() {
            self.gradients(number, &batches, progress)?
        } else {
            self.gradients_of_ranks(number, &batches, progress)?
        };
        let grad_norm = grads.norm()?;
        if !grad_norm.is_finite() {
            return Err(self.no_number("gradient", number, grad_norm));
        }
        if let Some((high, usual)) = divergence::spike(&self.history, loss, self.options.spike_factor) {
            self.diverged = true;
            let message = format!("the loss leapt: {high:.2} over the last steps to {number}, {usual:.2} before");
            return Err(Error::mistake(message).with_hint("a lower lr, or a longer warm-up, may help"));
        }
        let max = self.options.max_grad_norm;
        let grads = if max > 0.0 { grads.clip_from(grad_norm, max)? } else { grads };
        self.optimizer.set_lr(lr)?;
        self.optimizer.step(&grads)?;
        if let Some(ema) = &mut self.ema {
            ema.take(&self.parameters, number)?;
        }
        let pad = self.data.tokenizer.pad();
        let tokens = batches.iter().flat_map(|batch| &batch.input_ids).filter(|&&id| id != pad).count();
        let tokens_per_second = tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        Ok(Step { step: number, loss, lr, grad_norm, tokens_per_second, val_loss: None })
    }

    /// The loss of a step and its gradients.
    fn gradients(&mut self, number: u64, batches: &[Batch], progress: &Progress) -> Result<(f64, Grads)> {
        let counted: usize = batches.iter().map(counts).sum();
        let (mut loss, mut grads, mut means) = (0.0, None::<Grads>, Vec::new());
        for (micro, batch) in batches.iter().enumerate().filter(|(_, batch)| counts(batch) > 0) {
            progress.check()?;
            let seed = dropout_seed(self.options.seed, number, micro as u64);
            let precision = self.options.mixed_precision.precision();
            let pass = ForwardCtx {
                dropout_seed: Some(seed),
                precision,
                interrupt: progress.interrupt().clone(),
                ..ForwardCtx::default()
            };
            let share = counts(batch) as f64 / counted as f64;
            let (mean, back) = self.way_back(batch, &pass)?;
            means.push((share, mean.detach()));
            let part = back.gradients(mean, share, &self.parameters)?;
            grads = Some(match grads {
                Some(sum) => sum.add(&part)?,
                None => part,
            });
        }
        // Read after everything is queued, so that the host waits for a GPU once.
        for (share, mean) in means {
            let value = f64::from(mean.to_scalar::<f32>()?);
            if !value.is_finite() {
                return Err(self.no_number("loss", number, value));
            }
            loss += share * value;
        }
        let grads = grads.ok_or_else(|| nothing_to_learn(number))?;
        Ok((loss, grads))
    }

    /// The mean loss of a micro-batch, and what its gradients are computed from.
    fn way_back(&self, batch: &Batch, pass: &ForwardCtx) -> Result<(Tensor, Back)> {
        if self.options.gradient_checkpointing {
            let (mean, grads) = Grads::recomputed(&self.model, batch, pass)?;
            return Ok((mean, Back::Done(grads)));
        }
        let (mean, tape) = self.model.taped_loss(batch, pass)?;
        Ok((mean, Back::Ahead(tape)))
    }

    /// Micro-batches in a step, of all ranks.
    pub(super) fn micro_batches(&self) -> usize {
        self.group.world_size() * self.options.gradient_accumulation_steps
    }

    pub(super) fn no_number(&mut self, what: &str, step: u64, value: f64) -> Error {
        self.diverged = true;
        let (lr, before) = (self.plan.at(step - 1), step - 1);
        Error::mistake(format!("the {what} of step {step} is {value}")).with_hint(format!(
            "a lower lr (it was {lr:.1e}) or max_grad_norm may help; the weights are still those of step {before}"
        ))
    }
}

/// The error of a step in which all labels are ignored.
pub(super) fn nothing_to_learn(step: u64) -> Error {
    Error::mistake(format!("the batches of step {step} hold nothing to learn"))
}

/// The source of a loss's gradients.
enum Back {
    Ahead(Tape),
    Done(Grads),
}

impl Back {
    /// The gradients of `share` times the loss.
    fn gradients(self, loss: Tensor, share: f64, parameters: &[Parameter]) -> Result<Grads> {
        match self {
            Self::Done(grads) if share < 1.0 => grads.scale(share),
            Self::Done(grads) => Ok(grads),
            Self::Ahead(tape) => Grads::backward_consuming(tape, &loss, share, parameters),
        }
    }
}

/// Splits the rows of a step into micro-batches that fit the memory; gives a note for the user. Ranks share the rows of
/// a step; the one with the least memory decides.
fn divide(group: &Group, model: &Model, options: &mut TrainOptions, moments: usize, width: usize) -> Result<String> {
    let (whole, ranks) = (options.global_batch_size, group.world_size());
    if !whole.is_multiple_of(ranks) {
        return Err(Error::mistake(format!("global_batch_size is {whole}, which {ranks} ranks cannot share"))
            .with_hint(format!("take a multiple of {ranks}: {}", whole.next_multiple_of(ranks))));
    }
    let share = TrainOptions { global_batch_size: whole / ranks, ..options.clone() };
    // The ranks of a machine share its memory; each has a GPU of its own.
    let free = match model.device() {
        device if device.is_cpu() => memory_estimate::free_memory().map(|free| free / group.local_size() as u64),
        device => nn::free_memory(device),
    };
    let (fits, why) = match free {
        Some(free) => {
            let free_gib = free as f64 / f64::from(1 << 30);
            (
                memory_estimate::rows_that_fit(model, &share, moments, width, free)?,
                format!("{free_gib:.1} GiB are free"),
            )
        }
        None => (1, "how much memory is free is not known here".into()),
    };
    // All of these divide the share of a rank, so that the least of them does.
    let gathered = group.gather(&(fits as u64).to_le_bytes())?;
    let least = gathered.iter().filter_map(|bytes| Some(u64::from_le_bytes(bytes.as_slice().try_into().ok()?))).min();
    let rows = least.map_or(fits, |least| least as usize);
    options.batch_size = BatchSize::Rows(rows);
    options.gradient_accumulation_steps = whole / ranks / rows;
    let times = options.gradient_accumulation_steps;
    let on = if ranks > 1 { format!(" on each of {ranks} ranks") } else { String::new() };
    Ok(format!("batch_size: {rows} rows at a time{on}, {times} times a step; {why}"))
}

/// The data in rows that fit the model, where they can be cut so; as pairs for a model with an encoder.
///
/// # Errors
/// Data without charts for a model with an encoder, and pairs for one without.
pub(super) fn for_model(model: &Model, data: Dataset) -> Result<Dataset> {
    let data = data.within(model.spec().max_positions).unwrap_or(data);
    match (model.has_encoder(), data.is_paired()) {
        (true, false) => data.paired(),
        (false, true) => Err(Error::mistake("the dataset has condition \"chords\", and the model has no encoder")
            .with_hint("build the dataset without condition: the model then reads in-line chords")),
        _ => Ok(data),
    }
}

fn fits(model: &Model, data: &Dataset, options: &TrainOptions) -> Result<()> {
    let spec = model.spec();
    if data.train.is_empty() {
        return Err(
            Error::mistake("the dataset has no rows to train on").with_hint("hold fewer pieces out, or add pieces")
        );
    }
    let (knows, says) = (spec.vocab_size, data.tokenizer.vocab_size());
    if knows < says {
        let message = format!("the model knows {knows} tokens, the data have {says}");
        return Err(Error::mistake(message).with_hint(format!("make the model with vocab_size: {says}")));
    }
    let (longest, width) = (spec.max_positions, data.train.width());
    if longest < width {
        let message = format!("rows of {width} tokens are longer than the model's max_position_embeddings {longest}");
        return Err(Error::mistake(message).with_hint(format!("build the dataset with max_seq_len: {longest}")));
    }
    if options.eval_every > 0 && data.val.is_empty() {
        let message = format!("eval_every is {}, but no rows are held out", options.eval_every);
        return Err(Error::mistake(message).with_hint("build the dataset with val: 0.1, or set eval_every: 0"));
    }
    Ok(())
}

/// The seed of the dropout masks of one micro-batch, on any rank (the finaliser of SplitMix64, Steele et al. 2014, over
/// the three).
pub(super) fn dropout_seed(seed: u64, step: u64, micro: u64) -> u64 {
    [step, micro].iter().fold(mix(seed), |state, &part| mix(state ^ mix(part.wrapping_add(0x9e37_79b9_7f4a_7c15))))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//! The sampling loop: several sequences as one batch, each with its own grammar and chords.
//!
//! # Context
//! The model reads BOS, the prompt and the generated ids, until that is longer than `max_position_embeddings`; then the
//! context is cut to its last half (with the chord in force in front) and computed anew: sequences and prompts may be
//! longer than the model's context. The context is the same with and without the cache, so the ids are the same.
//!
//! A model with an encoder reads the chart there, from the beginning of the context on.
//!
//! # Random streams
//! Sequence `i` draws from a stream that depends on the sampler's seed and on `i` only: asking for more sequences does
//! not change the first.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::generate::conditioning::{CuePlan, PromptEnd};
use crate::generate::sequence::{Sequence, TokenTable};
use crate::generate::source::SourceChart;
use crate::generate::{GenerateOptions, Refill, Sampler};
use crate::harmony::{ChordAt, chord_markers};
use crate::midi::{Clock, Score};
use crate::nn::{Cache, ForwardCtx, Model};
use crate::progress::Progress;
use crate::tokens::{TokenKind, Tokenizer};

/// A generated sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The ids, prompt included, without BOS and EOS.
    pub ids: Vec<u32>,
    /// Log-likelihood of the sampled ids under the model, in nats a note: at most 0; 0 where it was not measured.
    pub log_likelihood: f64,
    /// Whether the sequence reached its end rather than `max_new_tokens`.
    pub complete: bool,
}

/// The ids of each sequence, without BOS and EOS, generated as one batch.
///
/// # Errors
/// Options out of range; `interrupted`, when the user cancels.
pub fn generate(
    model: &Model,
    tokenizer: &Tokenizer,
    sampler: &Sampler,
    options: &GenerateOptions,
    progress: &Progress,
) -> Result<Vec<Vec<u32>>> {
    let generator = Generator::new(model, tokenizer, sampler, options, progress)?;
    Ok(generator.play(options, progress)?.into_iter().map(|sequence| sequence.ids).collect())
}

/// [`generate`] with more about each sequence; `measure` asks for its likelihood.
///
/// # Errors
/// Those of [`generate`].
pub fn generate_takes(
    model: &Model,
    tokenizer: &Tokenizer,
    sampler: &Sampler,
    options: &GenerateOptions,
    measure: bool,
    progress: &Progress,
) -> Result<Vec<Generated>> {
    let mut generator = Generator::new(model, tokenizer, sampler, options, progress)?;
    if measure {
        generator.sequences.iter_mut().for_each(Sequence::measure);
    }
    let generated = |sequence: Sequence| Generated {
        log_likelihood: sequence.log_likelihood(),
        complete: sequence.over,
        ids: sequence.ids,
    };
    Ok(generator.play(options, progress)?.into_iter().map(generated).collect())
}

/// Step-by-step generation: each item has one id for each sequence that has not ended.
#[derive(Debug)]
pub struct Generator {
    model: Model,
    table: TokenTable,
    plan: CuePlan,
    sequences: Vec<Sequence>,
    /// The number of ids that may still be added to each sequence.
    left: usize,
    /// What the encoder reads, for models that have one.
    source: Option<SourceChart>,
    cache: Cache,
    use_cache: bool,
    pass: ForwardCtx,
    progress: Progress,
}

impl Generator {
    /// Encodes the prompt and prepares the chords.
    ///
    /// # Errors
    /// Options out of range.
    pub fn new(
        model: &Model,
        tokenizer: &Tokenizer,
        sampler: &Sampler,
        options: &GenerateOptions,
        progress: &Progress,
    ) -> Result<Self> {
        options.validate()?;
        let (knows, says) = (model.spec().vocab_size, tokenizer.vocab_size());
        if knows < says {
            let message = format!("the model knows {knows} tokens, the {} tokenizer has {says}", tokenizer.scheme());
            return Err(Error::mistake(message).with_hint("use the tokenizer the model was trained with"));
        }
        let (mut prompt, mut plan) = set_up(tokenizer, options)?;
        let mut source = None;
        if model.has_encoder() {
            // What the encoder reads is decided before the first token.
            plan.optional = false;
            source = Some(SourceChart::new(&prompt, &plan, tokenizer, options.count)?);
            prompt = tokenizer.pair(&prompt)?.events;
            if !tokenizer.counts_from_chords() {
                plan = plan.without_chords();
            }
        }
        let table = TokenTable::new(tokenizer);
        let sequences = (0..options.count)
            .map(|sequence| Sequence::new(&prompt, tokenizer, &plan, sampler.for_take(sequence)))
            .collect();
        Ok(Self {
            model: model.clone(),
            table,
            plan,
            sequences,
            left: options.max_new_tokens,
            source,
            cache: Cache::of(options.kv_cache_dtype),
            use_cache: options.use_cache,
            pass: ForwardCtx {
                precision: options.precision,
                interrupt: progress.interrupt().clone(),
                ..ForwardCtx::default()
            },
            progress: progress.clone(),
        })
    }

    /// Generates to the end.
    fn play(mut self, options: &GenerateOptions, progress: &Progress) -> Result<Vec<Sequence>> {
        let total = (options.max_new_tokens * options.count) as u64;
        let mut task = progress.task("generating", Some(total), "tokens");
        for new_ids in self.by_ref() {
            task.advance(new_ids?.iter().flatten().count() as u64)?;
        }
        Ok(self.sequences)
    }

    /// The ids of a sequence so far, prompt included, without BOS; empty for an index beyond the sequences.
    pub fn ids(&self, sequence: usize) -> &[u32] {
        self.sequences.get(sequence).map_or(&[], |sequence| &sequence.ids)
    }

    fn advance(&mut self) -> Result<Vec<Option<u32>>> {
        self.progress.check()?;
        let Self { plan, sequences, .. } = self;
        let due: Vec<Option<u32>> = sequences.iter_mut().map(|t| if t.over { None } else { t.due(plan) }).collect();
        let draws = |sequence: &Sequence, due: Option<u32>| !sequence.over && due.is_none();
        let logits = if self.sequences.iter().zip(&due).any(|(sequence, &due)| draws(sequence, due)) {
            self.logits()?
        } else {
            vec![Vec::new(); due.len()] // chords only: the model reads them with what follows
        };
        let Self { plan, sequences, table, .. } = self;
        let append = |((sequence, due), logits): ((&mut Sequence, Option<u32>), &Vec<f32>)| match due {
            _ if sequence.over => {
                sequence.wait(table);
                Ok(None)
            }
            Some(chord) => Ok(sequence.append(chord, plan, table)),
            None if logits.iter().any(|logit| logit.is_nan()) => Err(not_a_number()),
            None => {
                let id = sequence.draw(logits, plan, table);
                Ok(sequence.append(id, plan, table))
            }
        };
        // Each sequence has its own sampler and grammar, so they are processed in parallel.
        let new_ids = sequences.par_iter_mut().zip(due).zip(&logits).map(append).collect::<Result<_>>()?;
        self.left -= 1;
        Ok(new_ids)
    }

    /// The logits of the next ids, one row for each sequence.
    fn logits(&mut self) -> Result<Vec<Vec<f32>>> {
        let longest = self.model.spec().max_positions;
        if self.sequences[0].context.len() > longest {
            for (place, sequence) in self.sequences.iter_mut().enumerate() {
                let keep = (longest / 2).max(1);
                sequence.forget(keep, &self.table);
                if let Some(source) = &mut self.source {
                    source.read_from(place, sequence.begins_at(keep, &self.table));
                }
            }
            self.cache.forget(0);
        }
        if let Some(source) = self.source.as_ref().filter(|_| self.use_cache && self.cache.is_empty()) {
            self.model.read_source(&source.input(), &mut self.cache, &self.pass)?;
        }
        let from = if self.use_cache { self.cache.len() } else { 0 };
        let fresh: Vec<u32> = self.sequences.iter().flat_map(|sequence| &sequence.context[from..]).copied().collect();
        let shape = (self.sequences.len(), self.sequences[0].context.len() - from);
        let fresh = Tensor::from_vec(fresh, shape, &Device::Cpu)?; // (sequences, new)
        let logits = if self.use_cache {
            self.model.step(&fresh, &mut self.cache, &self.pass)? // (sequences, vocabulary)
        } else {
            let logits = match &self.source {
                Some(source) => self.model.forward_with(&fresh, &source.input(), &self.pass)?,
                None => self.model.forward(&fresh, &self.pass)?,
            }; // (sequences, time, vocabulary)
            logits.narrow(1, shape.1 - 1, 1)?.squeeze(1)? // (sequences, vocabulary)
        };
        Ok(logits.to_dtype(DType::F32)?.to_vec2()?)
    }
}

impl Iterator for Generator {
    type Item = Result<Vec<Option<u32>>>;

    /// The next step; `None` after a failure.
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 || self.sequences.iter().all(|sequence| sequence.over) {
            return None;
        }
        let new_ids = self.advance();
        if new_ids.is_err() {
            self.left = 0;
        }
        Some(new_ids)
    }
}

/// The ids of the prompt, and the plan of what follows it.
///
/// A prompt keeps its own chords; those of the options begin on the beat nearest to its end, and the first of them is
/// set in the prompt when that beat comes before the end of the last note.
fn set_up(tokenizer: &Tokenizer, options: &GenerateOptions) -> Result<(Vec<u32>, CuePlan)> {
    let style = options.style.as_ref().map(|style| tokenizer.style_id(style)).transpose()?;
    let behind_style = |ids: Vec<u32>| style.into_iter().chain(ids).collect::<Vec<u32>>();
    let before = options.refill.as_ref().and_then(Refill::prompt);
    let Some(prompt) = options.prompt.as_ref().or(before.as_ref()) else {
        return Ok((behind_style(Vec::new()), CuePlan::new(options, tokenizer, None)?));
    };
    let ids = tokenizer.encode(prompt);
    let mut grammar = tokenizer.grammar();
    ids.iter().for_each(|&id| grammar.push(id));
    let clicks = ids.iter().any(|&id| tokenizer.kind(id) == TokenKind::Click);
    let plan = CuePlan::new(options, tokenizer, Some(&PromptEnd { seconds: grammar.seconds(), clicks }))?;
    let ids = match plan.cue(0) {
        Some((first, cue)) if cue.chord.is_some() && grammar.reached(&first) => {
            tokenizer.encode_with(prompt, &with_chord(prompt, first))
        }
        _ => ids,
    };
    Ok((behind_style(ids), plan))
}

/// The chords of a score up to one more, and that.
fn with_chord(score: &Score, last: ChordAt) -> Vec<ChordAt> {
    let mut chords = chord_markers(score);
    chords.retain(|at| at.seconds < last.seconds);
    let tick = Clock::new(score).tick(last.seconds);
    chords.push(ChordAt { tick, ..last });
    chords
}

fn not_a_number() -> Error {
    Error::mistake("the model answers with NaN instead of numbers")
        .with_hint("its weights are broken; load a checkpoint from before the loss went wrong")
}

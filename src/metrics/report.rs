//! The main figures of a model on held-out pieces.
//!
//! All are teacher-forced: at every place `i` whose label `yᵢ` counts, the model has seen the true ids before it, and
//! `ŷᵢ` is the id with the highest logit. With `[·]` 1 where it holds, else 0, and sums over such places:
//!
//! ```text
//! loss                 = Σ −log softmax(zᵢ)[yᵢ] / Σ 1                          nats a token
//! perplexity           = exp(loss)
//! note accuracy        = Σ [yᵢ is a note][ŷᵢ = yᵢ] / Σ [yᵢ is a note]
//! rhythm accuracy      = Σ [yᵢ is time][ŷᵢ = yᵢ] / Σ [yᵢ is time]
//! bits a note          = Σ (−log₂ softmax(zᵢ)[yᵢ] + log₂ wᵢ) / Σ [yᵢ is a note]
//! harmonic consistency = Σ [yᵢ is a note][ŷᵢ is a note][cᵢ][pitch class of ŷᵢ ∈ cᵢ] / Σ [yᵢ is a note][ŷᵢ is a note][cᵢ]
//! ```
//!
//! `wᵢ` is how many steps of 10 ms the token `yᵢ` stands for, where it is a length that several are rounded to, else 1:
//! with it encodings compare that say more or less exactly when a note ends.
//!
//! `cᵢ` is the chord in force, that of the last chord token in the row up to place `i`, as the pitch classes of the
//! plainest chord of its family; places before the first chord, or under "N.C.", do not count. Where an encoder reads the chart,
//! it is the last chord of that up to the moment of place `i`. A share of nothing is NaN.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use candle_core::DType;
use rayon::prelude::*;

use crate::data::{Batch, IGNORE, Split};
use crate::error::{Error, Result};
use crate::metrics::Interval;
use crate::metrics::intervals::bootstrap;
use crate::nn::{ForwardCtx, Model};
use crate::progress::{Progress, four_digits, thousands};
use crate::tokens::{TokenKind, Tokenizer};

/// Teacher-forced figures over a split. Accuracies are shares of correct top-1 predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Mean cross-entropy, in nats a token.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// Accuracy where the true token begins a note.
    pub note_accuracy: f64,
    /// Accuracy where the true token is a time or a duration.
    pub rhythm_accuracy: f64,
    /// Share of the predicted pitches that are tones of the current chord (NaN without chords).
    pub harmonic_consistency: f64,
    /// Bits of all tokens that count, divided by the number of notes.
    pub bits_per_note: f64,
    /// Tokens measured.
    pub tokens: u64,
    /// The 95 % confidence intervals of loss, perplexity, note accuracy, rhythm accuracy and harmonic consistency.
    pub intervals: [Interval; 5],
}

/// The name of a figure, its value and its format.
type ReportLine = (&'static str, f64, fn(f64) -> String);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |x: f64| if x.is_nan() { "–".to_string() } else { format!("{:.1} %", 100.0 * x) };
        let shown: [ReportLine; 5] = [
            ("loss", self.loss, four_digits),
            ("perplexity", self.perplexity, four_digits),
            ("note accuracy", self.note_accuracy, share),
            ("rhythm accuracy", self.rhythm_accuracy, share),
            ("harmonic consistency", self.harmonic_consistency, share),
        ];
        let rows = shown.iter().zip(&self.intervals).map(|((name, value, form), interval)| {
            let known = interval.is_known() && !value.is_nan();
            let interval =
                if known { format!("  {} to {}", form(interval.low), form(interval.high)) } else { String::new() };
            (*name, form(*value), interval)
        });
        let bits = ("bits a note", four_digits(self.bits_per_note), String::new());
        let rows: Vec<_> = rows.chain([bits, ("tokens", thousands(self.tokens), String::new())]).collect();
        let width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
        let line = |(name, value, interval): &(&str, String, String)| format!("{name:<20}  {value:>width$}{interval}");
        f.write_str(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

/// Measures a model on a split.
///
/// # Errors
/// An empty split; `interrupted`, when the user cancels.
pub fn evaluate(model: &Model, tokenizer: &Tokenizer, split: &Split, progress: &Progress) -> Result<Report> {
    let (knows, says) = (model.spec().vocab_size, tokenizer.vocab_size());
    if knows < says {
        return Err(Error::mistake(format!("the model knows {knows} tokens, the tokenizer has {says}"))
            .with_hint("measure it with the tokenizer it was trained with"));
    }
    // Rows that are too long for the model are cut as the trainer cuts them.
    let cut = split.within(model.spec().max_positions);
    let split = cut.as_ref().unwrap_or(split);
    let pairs = (model.has_encoder() && !split.is_paired()).then(|| split.clone().paired(&Arc::new(tokenizer.clone())));
    let pairs = pairs.transpose()?;
    let split = pairs.as_ref().unwrap_or(split);
    let pass = ForwardCtx { interrupt: progress.interrupt().clone(), ..ForwardCtx::default() };
    let rows = rows_at_once(model, split.width());
    let mut task = progress.task("evaluating", Some(split.len().div_ceil(rows) as u64), "batches");
    let words = VocabularyIndex::new(tokenizer);
    let mut of_all_rows = Vec::with_capacity(split.len());
    for batch in split.in_order(rows) {
        let logits = model.logits(&batch, &pass)?; // (rows, width, vocabulary)
        let vocabulary = logits.dim(2)?;
        let logits = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let of_rows = logits.par_chunks(batch.width * vocabulary).enumerate();
        let parts: Vec<ReportSums> =
            of_rows.map(|(row, logits)| words.measure(&batch, row, logits, vocabulary)).collect();
        of_all_rows.extend(parts);
        task.advance(1)?;
    }
    let mut report = ReportSums::of(&of_all_rows.iter().collect::<Vec<_>>()).report()?;
    report.intervals = bootstrap(&of_all_rows, |rows| ReportSums::of(rows).figures());
    Ok(report)
}

/// Rows in a forward pass: enough to use the machine without filling its memory, some thousand positions, more on a
/// GPU.
fn rows_at_once(model: &Model, width: usize) -> usize {
    let positions = if model.device().is_cpu() { 2_048 } else { 32_768 };
    (positions / width.max(1)).clamp(1, 256)
}

/// The counts and sums of the figures.
#[derive(Debug, Clone, Copy, Default)]
struct ReportSums {
    tokens: u64,
    loss: f64,
    /// Nats added for rounded lengths.
    rounded: f64,
    /// (correct, all)
    notes: (u64, u64),
    /// (correct, all)
    times: (u64, u64),
    /// (in the chord, all)
    chords: (u64, u64),
}

impl ReportSums {
    fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.loss += other.loss;
        self.rounded += other.rounded;
        for (sum, part) in
            [(&mut self.notes, other.notes), (&mut self.times, other.times), (&mut self.chords, other.chords)]
        {
            *sum = (sum.0 + part.0, sum.1 + part.1);
        }
    }

    fn of(parts: &[&Self]) -> Self {
        let mut sums = Self::default();
        parts.iter().for_each(|part| sums.add(part));
        sums
    }

    /// Loss, perplexity, note accuracy, rhythm accuracy, harmonic consistency; a share of nothing is NaN.
    fn figures(&self) -> [f64; 5] {
        let loss = self.loss / self.tokens as f64;
        let share = |(some, all): (u64, u64)| some as f64 / all as f64; // 0 / 0 is NaN
        [loss, loss.exp(), share(self.notes), share(self.times), share(self.chords)]
    }

    fn report(&self) -> Result<Report> {
        if self.tokens == 0 {
            return Err(Error::mistake("there is nothing to evaluate: the split has no rows")
                .with_hint("hold pieces out when you build the dataset: val: 0.1"));
        }
        let [loss, perplexity, note_accuracy, rhythm_accuracy, harmonic_consistency] = self.figures();
        let bits_per_note = (self.loss + self.rounded) / std::f64::consts::LN_2 / self.notes.1 as f64; // x / 0 is not a number
        let (tokens, intervals) = (self.tokens, [Interval::UNKNOWN; 5]);
        Ok(Report {
            loss,
            perplexity,
            note_accuracy,
            rhythm_accuracy,
            harmonic_consistency,
            bits_per_note,
            tokens,
            intervals,
        })
    }
}

/// The properties of the vocabulary's tokens that the figures need.
struct VocabularyIndex {
    kinds: Vec<TokenKind>,
    tokenizer: Tokenizer,
}

impl VocabularyIndex {
    fn new(tokenizer: &Tokenizer) -> Self {
        let ids = 0..tokenizer.vocab_size() as u32;
        Self { kinds: ids.map(|id| tokenizer.kind(id)).collect(), tokenizer: tokenizer.clone() }
    }

    /// The chords of the chart that the encoder reads with a row: seconds and pitch classes; empty without an encoder.
    fn given(&self, batch: &Batch, row: usize) -> VecDeque<(f64, u16)> {
        let Some(encoder) = &batch.encoder else { return VecDeque::new() };
        let (chart, mut root) = (&encoder.input_ids[row * encoder.width..(row + 1) * encoder.width], 0);
        let tones = chart.iter().map(|&id| self.tokenizer.chord_tones(id, &mut root));
        let tones: Vec<Option<u16>> = tones.collect();
        self.tokenizer.moments(chart).into_iter().zip(tones).filter_map(|(at, tones)| Some((at, tones?))).collect()
    }

    /// The time in seconds after each id of a row, for a chart given to an encoder; else 0.
    fn moments(&self, batch: &Batch, row: usize) -> Vec<f64> {
        if batch.encoder.is_none() {
            return vec![0.0; batch.width];
        }
        let ids = &batch.input_ids[row * batch.width..(row + 1) * batch.width];
        // The next id is predicted at the time at which the current one ends.
        self.tokenizer.moments(&[ids, &[self.tokenizer.pad()]].concat())[1..].to_vec()
    }

    /// Adds one row: logits (width, vocabulary).
    fn measure(&self, batch: &Batch, row: usize, logits: &[f32], vocabulary: usize) -> ReportSums {
        let places = row * batch.width..(row + 1) * batch.width;
        let places = batch.input_ids[places.clone()].iter().zip(&batch.labels[places]);
        let mut sums = ReportSums::default();
        let (mut chord, mut root) = (0, 0);
        let mut given = self.given(batch, row);
        for (((&token, &label), logits), now) in places.zip(logits.chunks(vocabulary)).zip(self.moments(batch, row)) {
            while let Some((_, tones)) = given.pop_front_if(|(at, _)| *at <= now) {
                chord = tones;
            }
            match self.kinds.get(token as usize) {
                Some(TokenKind::Chord) => chord = self.tokenizer.chord_tones(token, &mut root).unwrap_or(chord),
                _ if token == self.tokenizer.bos() => chord = 0, // another piece begins
                _ => {}
            }
            if label == IGNORE {
                continue;
            }
            let (loss, top) = look(logits, label);
            sums.tokens += 1;
            sums.loss += loss;
            sums.rounded += f64::from(self.tokenizer.width(label)).ln();
            let right = u64::from(top == label);
            match self.kinds.get(label as usize) {
                Some(TokenKind::Note) => {
                    sums.notes = (sums.notes.0 + right, sums.notes.1 + 1);
                    if let (Some(pitch), true) = (self.tokenizer.pitch_class(top), chord != 0) {
                        let inside = u64::from(chord >> pitch & 1);
                        sums.chords = (sums.chords.0 + inside, sums.chords.1 + 1);
                    }
                }
                Some(TokenKind::Time) => sums.times = (sums.times.0 + right, sums.times.1 + 1),
                _ => {}
            }
        }
        sums
    }
}

/// The loss at one position, and the id with the highest logit (the first of equals).
fn look(logits: &[f32], label: u32) -> (f64, u32) {
    let (mut top, mut highest) = (0, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit > highest {
            (top, highest) = (id as u32, logit);
        }
    }
    let sum: f32 = logits.iter().map(|&logit| (logit - highest).exp()).sum();
    let of_label = logits.get(label as usize).copied().unwrap_or(f32::NEG_INFINITY);
    (f64::from(sum).ln() + f64::from(highest) - f64::from(of_label), top)
}

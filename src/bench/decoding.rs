//! Decoding with a cache, a token of each row after the other.

use std::time::Instant;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{median, source};
use crate::error::{Error, Result};
use crate::generate::{Sampler, SamplerOptions};
use crate::nn::{Cache, CacheDtype, ForwardCtx, Model, Precision};
use crate::progress::Progress;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Decoding {
    /// Rows of the batch.
    pub rows: usize,
    /// Ids that each row begins with.
    pub prompt: usize,
    /// Ids that are drawn for each row.
    pub tokens: usize,
    /// Runs that count, after one that does not.
    pub runs: usize,
    /// The number format of products.
    pub precision: Precision,
    /// The number format of keys and values.
    pub cache: CacheDtype,
}

/// Ids drawn a second over all rows, the reading of the prompt included: temperature 0.9, top-p 0.95, no grammar and no
/// end. The median of the runs.
///
/// # Errors
/// More ids than the model has positions for; `interrupted`, when the user cancels.
pub fn decoding(model: &Model, how: &Decoding, progress: &Progress) -> Result<f64> {
    let most = model.spec().max_positions;
    if how.rows == 0 || how.prompt == 0 || how.tokens == 0 || how.prompt + how.tokens > most + 1 {
        return Err(Error::mistake(format!(
            "{} rows of {} and {} ids cannot be decoded by a model of {most} positions",
            how.rows, how.prompt, how.tokens
        )));
    }
    let mut task = progress.task("decoding", Some((how.tokens * (how.runs + 1)) as u64), "steps");
    let mut times = Vec::new();
    for _ in 0..=how.runs {
        let begun = Instant::now();
        run(model, how, progress, &mut || task.advance(1))?;
        times.push(begun.elapsed().as_secs_f64());
    }
    Ok((how.rows * how.tokens) as f64 / median(times.split_off(1.min(how.runs))))
}

fn run(model: &Model, how: &Decoding, progress: &Progress, step: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let vocabulary = model.spec().vocab_size as u32;
    let pass =
        ForwardCtx { precision: how.precision, interrupt: progress.interrupt().clone(), ..ForwardCtx::default() };
    let options =
        SamplerOptions { temperature: 0.9, top_p: 0.95, seed: 7, grammar: false, ..SamplerOptions::default() };
    let mut samplers = vec![Sampler::new(options)?; how.rows];
    let prompt: Vec<u32> = (0..how.rows * how.prompt).map(|i| (i as u32 * 37 + 11) % vocabulary).collect();
    let mut ids = Tensor::from_vec(prompt, (how.rows, how.prompt), &Device::Cpu)?;
    let mut cache = Cache::of(how.cache);
    if let Some(source) = source(model, how.rows) {
        model.read_source(&source, &mut cache, &pass)?;
    }
    for _ in 0..how.tokens {
        let logits = model.step(&ids, &mut cache, &pass)?.to_vec2::<f32>()?; // (rows, vocabulary)
        let drawn: Vec<u32> =
            samplers.par_iter_mut().zip(&logits).map(|(sampler, logits)| sampler.sample(logits, &[], None)).collect();
        ids = Tensor::from_vec(drawn, (how.rows, 1), &Device::Cpu)?;
        step()?;
    }
    Ok(())
}

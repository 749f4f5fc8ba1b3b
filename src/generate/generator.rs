//! The sampling loop: several takes as one batch, each under its own grammar and chords.

use crate::error::Result;
use crate::generate::Sampler;
use crate::harmony::Chart;
use crate::midi::Score;
use crate::nn::Model;
use crate::progress::Progress;
use crate::tokens::Tokenizer;

/// What to play.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Chords to play over, one chart or none; repeated until the tokens or bars are used up.
    pub chords: Option<Chart>,
    /// Beats (quarters) a minute of the chords.
    pub tempo: f64,
    /// A score to go on from; it is part of the result.
    pub prompt: Option<Score>,
    /// Ids to add at most.
    pub max_new_tokens: usize,
    /// Bars (of four beats at `tempo`) to play at most.
    pub bars: Option<usize>,
    /// Takes.
    pub count: usize,
    /// Whether keys and values are kept between tokens; without, every token costs the whole sequence (for tests).
    pub use_cache: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { chords: None, tempo: 120.0, prompt: None, max_new_tokens: 512, bars: None, count: 1, use_cache: true }
    }
}

/// The ids of each take (without BOS), all takes as one batch.
///
/// # Errors
/// Options out of range, or a stop.
pub fn generate(
    _model: &Model,
    _tokenizer: &Tokenizer,
    _sampler: &Sampler,
    _options: &GenerateOptions,
    _progress: &Progress,
) -> Result<Vec<Vec<u32>>> {
    todo!()
}

/// The same, a step at a time: each item has one id for each take that still plays.
#[derive(Debug)]
pub struct Generator {}

impl Generator {
    /// Sets the prompt and the chords up.
    ///
    /// # Errors
    /// Options out of range.
    pub fn new(
        _model: &Model,
        _tokenizer: &Tokenizer,
        _sampler: &Sampler,
        _options: &GenerateOptions,
        _progress: &Progress,
    ) -> Result<Self> {
        todo!()
    }

    /// The ids of a take so far, prompt included, without BOS.
    pub fn ids(&self, _take: usize) -> &[u32] {
        todo!()
    }
}

impl Iterator for Generator {
    type Item = Result<Vec<Option<u32>>>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

//! What to play.

use crate::error::{Error, Result};
use crate::harmony::Chart;
use crate::midi::Score;
use crate::nn::{CacheDtype, Precision};

/// What to play.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Chords to play over, one chart or none; repeated until the tokens or bars are used up.
    pub chords: Option<Chart>,
    /// Beats (quarters) a minute of the chords; where absent, that of the prompt, or 120.
    pub tempo: Option<f64>,
    /// What kind of music, for encodings with styles: "rag".
    pub style: Option<String>,
    /// A score to go on from; it is part of the result.
    pub prompt: Option<Score>,
    /// A part of a score to play anew; in place of a prompt.
    pub refill: Option<Refill>,
    /// Ids to add at most, drawn and forced (chords) alike.
    pub max_new_tokens: usize,
    /// Bars (of four beats at `tempo`) to add at most.
    pub bars: Option<usize>,
    /// Takes.
    pub count: usize,
    /// Whether keys and values are kept between tokens; without, every token costs the whole sequence (for tests).
    pub use_cache: bool,
    /// The number format of keys and values.
    pub kv_cache_dtype: CacheDtype,
    /// The number format of products.
    pub precision: Precision,
}

/// A part of a score that is played anew: what begins in it goes, all else stays as it is.
#[derive(Debug, Clone)]
pub struct Refill {
    /// The whole score.
    pub score: Score,
    /// Where the part begins, in seconds.
    pub from: f64,
    /// Where it ends, in seconds.
    pub to: f64,
}

impl Refill {
    /// What stands before the part, as a prompt; none where it begins at the beginning.
    pub(super) fn prompt(&self) -> Option<Score> {
        self.score.slice(0.0, self.from).ok().filter(|before| !before.is_empty())
    }
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            chords: None,
            tempo: None,
            style: None,
            prompt: None,
            refill: None,
            max_new_tokens: 512,
            bars: None,
            count: 1,
            use_cache: true,
            kv_cache_dtype: CacheDtype::default(),
            precision: Precision::default(),
        }
    }
}

/// Beats a minute that can be asked for.
const TEMPI: std::ops::RangeInclusive<f64> = 10.0..=1000.0;

impl GenerateOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in
            [("max_new_tokens", Some(self.max_new_tokens)), ("bars", self.bars), ("count", Some(self.count))]
        {
            if value == Some(0) {
                return Err(Error::mistake(format!("{name} must be at least 1, not 0")));
            }
        }
        if let Some(Refill { score, from, to }) = &self.refill {
            if self.prompt.is_some() {
                return Err(Error::mistake("prompt and refill exclude each other")
                    .with_hint("what stands before the part is its prompt"));
            }
            if !(*from >= 0.0 && from < to && *from < score.duration()) {
                let length = score.duration();
                return Err(Error::mistake(format!("refill goes from {from} s to {to} s of a score of {length:.2} s"))
                    .with_hint("it lies inside the score and ends after it begins"));
            }
        }
        match self.tempo {
            Some(tempo) if !TEMPI.contains(&tempo) => {
                Err(Error::mistake(format!("tempo must lie between 10 and 1000 beats a minute, not {tempo}")))
            }
            _ => Ok(()),
        }
    }

    /// The tempo that holds: the one asked for, else the first of the prompt, else 120.
    pub fn tempo(&self) -> f64 {
        let before = self.prompt.as_ref().or(self.refill.as_ref().map(|refill| &refill.score));
        let of_prompt = || before.map(Score::tempo).filter(|tempo| TEMPI.contains(tempo));
        self.tempo.or_else(of_prompt).unwrap_or(120.0)
    }
}

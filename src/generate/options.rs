//! The options of generation.

use crate::error::{Error, Result};
use crate::harmony::{BarMeter, Chart};
use crate::midi::{Meter, Score};
use crate::nn::{CacheDtype, Precision};

/// The options of generation.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The chords to play over; one pass of the chart, unless `bars` is given.
    pub chords: Option<Chart>,
    /// Beats (quarters) a minute of the chords; the prompt's when absent, or 120.
    pub tempo: Option<f64>,
    /// The style, for encodings with styles: "rag".
    pub style: Option<String>,
    /// A score to continue; it is part of the result.
    pub prompt: Option<Score>,
    /// A part of a score to regenerate; in place of a prompt.
    pub refill: Option<Refill>,
    /// The most ids to add, sampled and given (chords) ones.
    pub max_new_tokens: usize,
    /// The most bars to add, in the metre of the chords (4/4 without); a shorter chart is repeated.
    pub bars: Option<usize>,
    /// The number of sequences.
    pub count: usize,
    /// Whether keys and values are cached; without the cache every token costs the whole sequence (for tests).
    pub use_cache: bool,
    /// The number format of keys and values.
    pub kv_cache_dtype: CacheDtype,
    /// The number format of products.
    pub precision: Precision,
}

/// A part of a score that is regenerated: notes that begin in it are replaced, everything else is kept.
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
    /// The music before the part, as a prompt; none where it begins at the start.
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

/// Tokens for a second of music, an upper estimate: twice those of dense piano music.
const TOKENS_A_SECOND: f64 = 120.0;
/// The most tokens that are allowed by default.
const LONGEST_TAKE: f64 = 100_000.0;
/// The most bars for which metres are written.
const MOST_BARS: usize = 100_000;
/// Accepted tempi in beats a minute.
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

    /// The length of a generation in quarters: that of `bars`, else one pass of the chords; `None` where neither is
    /// given, and where a part is regenerated.
    ///
    /// ```
    /// use etude::generate::GenerateOptions;
    ///
    /// let over = |chart: &str, bars| -> etude::Result<GenerateOptions> {
    ///     Ok(GenerateOptions { chords: Some(chart.parse()?), bars, ..GenerateOptions::default() })
    /// };
    /// assert_eq!(over("3/4: Dm7 | G7", None)?.beats(), Some(6.0)); // one chorus
    /// assert_eq!(over("Dm7 | G7", Some(8))?.beats(), Some(32.0));
    /// assert_eq!(GenerateOptions::default().beats(), None);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn beats(&self) -> Option<f64> {
        match (self.bars, &self.chords) {
            (Some(bars), Some(chart)) if !chart.bars.is_empty() => {
                let (passes, rest) = (bars / chart.bars.len(), bars % chart.bars.len());
                let rest: f64 = (0..rest).map(|bar| chart.beats_of_bar(bar)).sum();
                Some(passes as f64 * chart.beats() + rest)
            }
            (Some(bars), _) => Some(4.0 * bars as f64),
            (None, Some(chart)) if self.refill.is_none() => Some(chart.beats()),
            _ => None,
        }
    }

    /// The metres of a generation without a prompt: those of the chords, for all passes; 4/4 without chords.
    pub fn meters(&self, ticks_per_quarter: u32) -> Vec<Meter> {
        let Some(chart) = self.chords.as_ref().filter(|chart| !chart.bars.is_empty()) else {
            return vec![Meter::DEFAULT];
        };
        let mut meters: Vec<Meter> = Vec::new();
        let mut beat = 0.0;
        for bar in 0..self.bars.unwrap_or(chart.bars.len()).clamp(1, MOST_BARS) {
            let BarMeter { numerator, denominator, .. } = chart.meter(bar % chart.bars.len());
            let tick = (beat * f64::from(ticks_per_quarter)).round() as u32;
            if meters.last().is_none_or(|last| (last.numerator, last.denominator) != (numerator, denominator)) {
                meters.push(Meter { tick, numerator, denominator });
            }
            beat += chart.beats_of_bar(bar % chart.bars.len());
        }
        meters
    }

    /// A number of tokens that is enough for that length, even for dense music.
    pub fn enough_tokens(&self) -> usize {
        let seconds = self.beats().unwrap_or(0.0) * 60.0 / self.tempo();
        (TOKENS_A_SECOND * seconds).min(LONGEST_TAKE).ceil().max(512.0) as usize
    }

    /// The tempo in use: the option, else the first of the prompt, else 120.
    ///
    /// ```
    /// use etude::generate::GenerateOptions;
    ///
    /// assert_eq!(GenerateOptions::default().tempo(), 120.0);
    /// ```
    pub fn tempo(&self) -> f64 {
        let before = self.prompt.as_ref().or(self.refill.as_ref().map(|refill| &refill.score));
        let of_prompt = || before.map(Score::tempo).filter(|tempo| TEMPI.contains(tempo));
        self.tempo.or_else(of_prompt).unwrap_or(120.0)
    }
}

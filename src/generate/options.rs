//! The options of `generate`: chords, prompt, length, number of samples.

use std::borrow::Cow;

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
    /// The most bars to add, in the metre of the chords, else of the prompt's end, else 4/4; a shorter chart is repeated.
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
/// Rounding error of positions, in quarters.
const TINY: f64 = 1e-6;
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
                    .with_hint("the notes before the part are its prompt"));
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
            Some(tempo) => match self.prompt.as_ref().map(Score::tempo) {
                // A file stores the microseconds of a beat, so that a tempo comes back a little changed.
                Some(own) if (own / tempo - 1.0).abs() > 1e-3 => {
                    let own = (own * 100.0).round() / 100.0;
                    Err(Error::mistake(format!("the prompt has its own tempo, {own}, not {tempo}"))
                        .with_hint(format!("leave tempo out, or give prompt.stretch({own:?} / {tempo:?})")))
                }
                _ => Ok(()),
            },
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
            (Some(bars), _) => {
                let chorus = self.chorus();
                let (passes, rest) = (bars / chorus.bars.len(), bars % chorus.bars.len());
                let rest: f64 = (0..rest).map(|bar| chorus.beats_of_bar(bar)).sum();
                Some(passes as f64 * chorus.beats() + rest)
            }
            (None, Some(chart)) if self.refill.is_none() => Some(chart.beats()),
            _ => None,
        }
    }

    /// The chart that is repeated end to end: the chords, else one bar without chords, in the metre in which the prompt
    /// ends (4/4 without a prompt).
    pub(super) fn chorus(&self) -> Cow<'_, Chart> {
        match &self.chords {
            Some(chart) if !chart.bars.is_empty() => Cow::Borrowed(chart),
            _ => {
                let meter = self.before().and_then(|score| score.meters.last()).unwrap_or(&Meter::DEFAULT);
                let (numerator, denominator) = (meter.numerator.max(1), meter.denominator.max(1));
                let bar = Chart::of_bars(vec![Vec::new()]);
                Cow::Owned(bar.in_meter(BarMeter { bar: 0, numerator, denominator }))
            }
        }
    }

    /// The number of the bar, from 1, at a position in quarters, and the number of bars of the generation; `None` where
    /// bars are not counted.
    pub fn bar_reached(&self, beats: f64) -> Option<(usize, usize)> {
        self.beats()?;
        let chorus = self.chorus();
        let bars = self.bars.unwrap_or(chorus.bars.len());
        let passes = (beats / chorus.beats()).max(0.0) as usize;
        let (mut bar, mut left) = (passes.saturating_mul(chorus.bars.len()), beats - passes as f64 * chorus.beats());
        while left > TINY {
            left -= chorus.beats_of_bar(bar % chorus.bars.len());
            bar += 1;
        }
        Some((bar.clamp(1, bars), bars))
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
        let of_prompt = || self.before().map(Score::tempo).filter(|tempo| TEMPI.contains(tempo));
        self.tempo.or_else(of_prompt).unwrap_or(120.0)
    }

    /// The score that is continued, or of which a part is regenerated.
    fn before(&self) -> Option<&Score> {
        self.prompt.as_ref().or(self.refill.as_ref().map(|refill| &refill.score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_counted_in_the_metre_there_is() {
        let chords = Some("3/4: C | F | 2/4: G".parse().expect("a chart"));
        let options = GenerateOptions { chords, bars: Some(5), ..GenerateOptions::default() };
        assert_eq!(options.beats(), Some(14.0));
        let reached = |beats| options.bar_reached(beats);
        assert_eq!([0.0, 2.9, 3.0, 3.1].map(reached), [1, 1, 1, 2].map(|bar| Some((bar, 5))));
        assert_eq!([6.1, 8.0, 8.1, 13.0, 99.0].map(reached), [3, 3, 4, 5, 5].map(|bar| Some((bar, 5))));
        assert_eq!(GenerateOptions::default().bar_reached(3.0), None);

        let mut waltz = Score::new(480);
        waltz.meters = vec![Meter::DEFAULT, Meter { tick: 1920, numerator: 3, denominator: 4 }];
        let options = GenerateOptions { prompt: Some(waltz), bars: Some(4), ..GenerateOptions::default() };
        assert_eq!((options.beats(), options.bar_reached(6.5)), (Some(12.0), Some((3, 4))));
    }
}

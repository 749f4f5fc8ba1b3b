//! Charts: chords in bars, as lead sheets write them.

mod lex;
mod meter;
mod of_score;
mod read;
#[cfg(test)]
mod tests;
mod unroll;

use std::fmt;

pub use meter::BarMeter;

use super::voicing;
use crate::error::{Error, Result};
use crate::harmony::{Chord, ChordAt};
use crate::midi::{Clock, Marker, Score, Tempo, Track};

/// The chords of one bar, which share it equally; a chord that lasts longer than others is repeated.
pub type Bar = Vec<Chord>;

/// Chords in bars: `Cmaj7 Am7 | Dm7 G7`. Without bar lines every chord fills a bar; a line's end ends the bar.
///
/// | written | meaning |
/// |---|---|
/// | `%`, `x` | the bar before again |
/// | `C / / /`, `F / G /` | a chord for each beat, `/` being the one before |
/// | `3/4: Dm7 \| G7` | the metre from here on |
/// | <code>\|: Dm7 \| [1. G7 :\| [2. C \|]</code> | repeats with endings, played out; `:\| x3` three times |
/// | `[A] Dm7 \| G7`, `A: …` | a section |
/// | `Fine`, `D.C. al Fine`, `D.S. al Coda`, `Segno`, `To Coda`, `Coda` | as in print |
/// | `N.C.` | no chord |
/// | `# …`, `"…"` | a comment |
///
/// ```
/// use etude::harmony::{Chart, recognize};
///
/// let chart: Chart = "Dm7 G7 | Cmaj7 | %".parse()?;
/// assert_eq!(chart.bars.len(), 3);
/// assert_eq!(chart.transpose(2).to_string(), "Em7 A7 | Dmaj7 | Dmaj7");
///
/// let score = chart.score(120.0);
/// assert_eq!(score.markers[1].text, "chord:G7");
/// let heard: Vec<String> = recognize(&score).iter().map(|c| c.chord.name()).collect();
/// assert_eq!(heard, ["Dm7", "G7", "Cmaj7"]);
///
/// let waltz: Chart = "3/4: |: Dm7 | G7 :| C6".parse()?;
/// assert_eq!((waltz.bars.len(), waltz.beats()), (5, 15.0));
/// # Ok::<(), etude::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chart {
    /// The bars, repeats played out.
    pub bars: Vec<Bar>,
    /// The metre changes, by bar; 4/4 before the first.
    pub meters: Vec<BarMeter>,
    /// The sections, by the bar with which they begin.
    pub sections: Vec<Section>,
}

/// A part of the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its first bar, from 0.
    pub bar: usize,
    /// Its name: "A".
    pub name: String,
}

/// The most bars of a chart, repeats played out.
const MOST_BARS: usize = 1 << 16;

/// A chord and the ticks at which it begins and ends.
type PlacedChord<'a> = (u32, u32, &'a Chord);

impl Chart {
    /// A chart of bars in 4/4, without sections.
    pub fn of_bars(bars: Vec<Bar>) -> Self {
        Self { bars, ..Self::default() }
    }

    /// All chords in order, repeats played out; one that goes on within its bar once.
    pub fn chords(&self) -> impl Iterator<Item = &Chord> {
        self.bars.iter().flat_map(|bar| runs(bar).map(|(_, chord, _)| chord))
    }

    /// The names of its sections in order: "AABA". Names of several letters stand apart: "Intro A B".
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let song: Chart = "[A] C | F [B] G | C".parse()?;
    /// assert_eq!(song.with_form("AABA")?.bars.len(), 8);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn form(&self) -> String {
        let names: Vec<&str> = self.sections.iter().map(|s| s.name.as_str()).collect();
        names.join(if names.iter().all(|n| n.chars().count() == 1) { "" } else { " " })
    }

    /// The sections in another order and number: `AABA`, or `Intro A A B A` where names have several letters.
    ///
    /// # Errors
    /// Names a section that the chart does not have.
    ///
    /// ```
    /// use etude::harmony::Chart;
    ///
    /// let chart: Chart = "[A] C6 | F6 [B] Dm7 | G7".parse()?;
    /// let song = chart.with_form("AABA")?;
    /// assert_eq!((song.bars.len(), song.form().as_str()), (8, "AABA"));
    /// assert!(chart.with_form("ABC").is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn with_form(&self, form: &str) -> Result<Self> {
        let mut played = Self::default();
        for name in self.names(form)? {
            let index = self.sections.iter().position(|s| s.name == name).ok_or_else(|| self.no_section(&name))?;
            let begin = self.sections[index].bar;
            let end = self.sections.get(index + 1).map_or(self.bars.len(), |next| next.bar);
            played = played.append(&self.part(begin, end));
            if played.bars.len() > MOST_BARS {
                return Err(too_long());
            }
        }
        Ok(played)
    }

    /// The names in a form: by white space, else the longest that fit.
    fn names(&self, form: &str) -> Result<Vec<String>> {
        let form = form.trim();
        if form.is_empty() {
            return Err(Error::mistake("the form is empty").with_hint("write it like \"AABA\""));
        }
        if form.contains(char::is_whitespace) || self.sections.iter().any(|s| s.name == form) {
            return Ok(form.split_whitespace().map(str::to_owned).collect());
        }
        Ok(form.chars().filter(|c| !matches!(c, '-' | ',')).map(String::from).collect())
    }

    fn no_section(&self, name: &str) -> Error {
        let mut names: Vec<&str> = self.sections.iter().map(|s| s.name.as_str()).collect();
        names.dedup();
        let message = format!("the form names a section '{name}' that the chart does not have");
        Error::mistake(message).with_hint(match names.len() {
            0 => "mark sections in the chart: \"[A] Dm7 | G7 [B] C6 | %\"".into(),
            _ => format!("its sections are {}", names.join(", ")),
        })
    }

    /// The bars from `begin` up to `end` as a chart.
    fn part(&self, begin: usize, end: usize) -> Self {
        let within = begin..end;
        let mut meters = vec![BarMeter { bar: 0, ..self.meter(begin) }];
        let later = self.meters.iter().filter(|m| m.bar > begin && m.bar < end);
        meters.extend(later.map(|m| BarMeter { bar: m.bar - begin, ..*m }));
        let sections = self.sections.iter().filter(|s| within.contains(&s.bar));
        let sections = sections.map(|s| Section { bar: s.bar - begin, name: s.name.clone() }).collect();
        Self { bars: self.bars[within].to_vec(), meters, sections }.settled()
    }

    /// This chart and then another.
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let verse: Chart = "C | F".parse()?;
    /// assert_eq!(verse.append(&verse).bars.len(), 4);
    /// # Ok::<(), etude::Error>(())
    /// ```
    #[must_use]
    pub fn append(&self, other: &Self) -> Self {
        let (mut whole, length) = (self.clone(), self.bars.len());
        whole.bars.extend(other.bars.iter().cloned());
        whole.meters.push(BarMeter { bar: length, ..other.meter(0) });
        let later = other.meters.iter().filter(|m| m.bar > 0);
        whole.meters.extend(later.map(|m| BarMeter { bar: m.bar + length, ..*m }));
        whole.sections.extend(other.sections.iter().map(|s| Section { bar: s.bar + length, name: s.name.clone() }));
        whole.settled()
    }

    /// The chart repeated `times` times.
    ///
    /// # Errors
    /// When `times` is 0 or the chart would be too long.
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let vamp: Chart = "Dm7 | G7".parse()?;
    /// assert_eq!(vamp.repeat(4)?.bars.len(), 8);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn repeat(&self, times: usize) -> Result<Self> {
        if times == 0 {
            return Err(Error::mistake("a chart cannot be repeated 0 times").with_hint("once is 1"));
        }
        if self.bars.len().saturating_mul(times) > MOST_BARS {
            return Err(too_long());
        }
        Ok((1..times).fold(self.clone(), |whole, _| whole.append(self)))
    }

    /// When each chord begins: beat and seconds at `tempo` beats per minute, ticks as in [`Chart::score`].
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let chart: Chart = "Dm7 G7 | Cmaj7".parse()?;
    /// let seconds: Vec<f64> = chart.onsets(120.0).iter().map(|at| at.seconds).collect();
    /// assert_eq!(seconds, [0.0, 1.0, 2.0]);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn onsets(&self, tempo: f64) -> Vec<ChordAt> {
        let mut score = Score::new(Self::TICKS_PER_QUARTER);
        score.tempos.push(Tempo::from_bpm(tempo));
        let clock = Clock::new(&score);
        self.placed()
            .into_iter()
            .map(|(tick, _, chord)| ChordAt::new(tick, chord.clone(), &clock, Self::TICKS_PER_QUARTER))
            .collect()
    }

    /// The chart `semitones` higher.
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let chart: Chart = "C | F".parse()?;
    /// assert_eq!(chart.transpose(2).to_string(), "D | G".parse::<Chart>()?.to_string());
    /// # Ok::<(), etude::Error>(())
    /// ```
    #[must_use]
    pub fn transpose(&self, semitones: i32) -> Self {
        let bar = |bar: &Bar| bar.iter().map(|c| c.transpose(semitones)).collect();
        Self { bars: self.bars.iter().map(bar).collect(), ..self.clone() }
    }

    /// Voiced on a piano in close position over its bass, in its metre at `tempo`, with `chord:` markers.
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// let chart: Chart = "Dm7 | G7".parse()?;
    /// let score = chart.score(60.0);
    /// assert_eq!((score.tempo(), score.duration()), (60.0, 8.0));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn score(&self, tempo: f64) -> Score {
        let mut score = Score::new(Self::TICKS_PER_QUARTER);
        score.tempos.push(Tempo::from_bpm(tempo));
        score.meters = self.meters_over(self.bars.len());
        let mut track = Track { name: "chords".into(), ..Track::default() };
        let mut voicing = voicing::Voicing::default();
        for (start, end, chord) in self.placed() {
            score.markers.push(Marker { tick: start, text: format!("{}{chord}", Marker::CHORD) });
            voicing.next(chord);
            track.notes.extend(voicing.notes(start, end));
        }
        score.tracks.push(track);
        score
    }

    /// Every chord with its ticks.
    fn placed(&self) -> Vec<PlacedChord<'_>> {
        let (mut begin, mut placed) = (0u64, Vec::new());
        for (i, bar) in self.bars.iter().enumerate() {
            let length = u64::from(self.meter(i).ticks());
            let at =
                |part: usize| u32::try_from(begin + length * part as u64 / bar.len().max(1) as u64).unwrap_or(u32::MAX);
            placed.extend(runs(bar).map(|(first, chord, count)| (at(first), at(first + count), chord)));
            begin += length;
        }
        placed
    }
}

fn too_long() -> Error {
    Error::mistake(format!("the chart has more than {MOST_BARS} bars with its repeats played out"))
        .with_hint("repeat it fewer times")
}

/// The chords of a bar that differ from the one before: the part with which each begins, and how many it lasts.
fn runs(bar: &Bar) -> impl Iterator<Item = (usize, &Chord, usize)> {
    let mut first = 0;
    bar.chunk_by(PartialEq::eq).map(move |run| {
        let begin = first;
        first += run.len();
        (begin, &run[0], run.len())
    })
}

/// A bar with the fewest parts: `F F G G` becomes `F G`.
fn shortest(bar: Bar) -> Bar {
    let common = runs(&bar).fold(0, |divisor, (_, _, count)| greatest_divisor(divisor, count)).max(1);
    bar.into_iter().step_by(common).collect()
}

fn greatest_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// A bar as it is written: `F / / G`.
pub(super) fn bar_text(bar: &Bar) -> String {
    let run = |(_, chord, count): (usize, &Chord, usize)| format!("{chord}{}", " /".repeat(count - 1));
    runs(bar).map(run).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without bar lines every chord fills a bar.
        let plain = self.bars.len() > 1 && self.bars.iter().all(|b| b.len() == 1);
        for (i, bar) in self.bars.iter().enumerate() {
            if i > 0 {
                f.write_str(if plain { " " } else { " | " })?;
            }
            if let Some(section) = self.sections.iter().find(|s| s.bar == i) {
                write!(f, "[{}] ", section.name)?;
            }
            if let Some(meter) = self.meters.iter().find(|m| m.bar == i) {
                write!(f, "{meter}: ")?;
            }
            f.write_str(&bar_text(bar))?;
        }
        if self.bars.len() == 1 && self.bars[0].len() > 1 { f.write_str(" |") } else { Ok(()) }
    }
}

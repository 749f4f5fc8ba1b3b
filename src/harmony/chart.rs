//! A progression: chords in bars, as a lead sheet writes them.

use std::fmt;
use std::str::FromStr;

use super::{markers, voicing};
use crate::error::{Error, Result};
use crate::harmony::{Chord, ChordAt};
use crate::midi::{Clock, Marker, Meter, Score, Tempo, Track};

/// The chords of one bar, which share it equally.
pub type Bar = Vec<Chord>;

/// Chords in bars: `Cmaj7 Am7 | Dm7 G7`. Without bar lines every chord fills a bar; `%` repeats the bar before.
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
/// # Ok::<(), etude::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chart {
    /// The bars.
    pub bars: Vec<Bar>,
}

/// Ticks in a quarter of the scores made here.
const TICKS: u32 = 480;

/// Ticks in a bar of them: four beats.
const BAR: u32 = 4 * TICKS;

impl Chart {
    /// All chords in order, `%` written out.
    pub fn chords(&self) -> impl Iterator<Item = &Chord> {
        self.bars.iter().flatten()
    }

    /// When each chord begins, at 4 beats a bar: beat and seconds at `tempo` beats per minute, ticks as in
    /// [`Chart::score`].
    pub fn onsets(&self, tempo: f64) -> Vec<ChordAt> {
        let mut score = Score::new(TICKS);
        score.tempos.push(Tempo::from_bpm(tempo));
        let clock = Clock::new(&score);
        self.placed().map(|(tick, _, chord)| ChordAt::new(tick, chord.clone(), &clock, TICKS)).collect()
    }

    /// The chart `semitones` higher.
    #[must_use]
    pub fn transpose(&self, semitones: i32) -> Self {
        let bar = |bar: &Bar| bar.iter().map(|c| c.transpose(semitones)).collect();
        Self { bars: self.bars.iter().map(bar).collect() }
    }

    /// Voiced on a piano in close position over its bass, 4/4 at `tempo`, with `chord:` markers.
    pub fn score(&self, tempo: f64) -> Score {
        let mut score = Score::new(TICKS);
        score.tempos.push(Tempo::from_bpm(tempo));
        score.meters.push(Meter::DEFAULT);
        let mut track = Track { name: "chords".into(), ..Track::default() };
        let mut voicing = voicing::Voicing::default();
        for (start, end, chord) in self.placed() {
            score.markers.push(Marker { tick: start, text: format!("{}{chord}", markers::PREFIX) });
            voicing.next(chord);
            track.notes.extend(voicing.notes(start, end));
        }
        score.tracks.push(track);
        score
    }

    /// Every chord with the ticks at which it begins and ends.
    fn placed(&self) -> impl Iterator<Item = (u32, u32, &Chord)> {
        self.bars.iter().enumerate().flat_map(|(i, bar)| {
            let begin = i as u64 * u64::from(BAR);
            let at = move |j: usize| {
                let tick = begin + u64::from(BAR) * j as u64 / bar.len().max(1) as u64;
                u32::try_from(tick).unwrap_or(u32::MAX)
            };
            bar.iter().enumerate().map(move |(j, chord)| (at(j), at(j + 1), chord))
        })
    }
}

impl FromStr for Chart {
    type Err = Error;

    /// # Errors
    /// Names the symbol that cannot be read and its column.
    fn from_str(text: &str) -> Result<Self> {
        let text: Vec<char> = text.chars().collect();
        let lined = text.contains(&'|');
        let mut bars: Vec<Bar> = Vec::new();
        let mut bar = Bar::new();
        for (begin, end) in symbols(&text) {
            match &text[begin..end] {
                ['|'] => bars.extend((!bar.is_empty()).then(|| std::mem::take(&mut bar))),
                ['%'] => match (bar.last().cloned(), bars.last()) {
                    (Some(chord), _) => bar.push(chord),
                    (None, Some(before)) => bar.clone_from(before),
                    (None, None) => {
                        let message = format!("nothing stands before '%' ({}) to repeat", place(&text, begin));
                        return Err(Error::mistake(message).with_hint("% repeats the bar before it"));
                    }
                },
                symbol => {
                    let read = Chord::read(symbol);
                    bar.push(read.map_err(|at| Chord::refusal(symbol, at, &place(&text, begin + at)))?);
                }
            }
            if !lined {
                bars.push(std::mem::take(&mut bar));
            }
        }
        bars.extend((!bar.is_empty()).then_some(bar));
        if bars.is_empty() {
            return Err(Error::mistake("no chords in the chart").with_hint("write them like \"Cmaj7 Am7 | Dm7 G7\""));
        }
        Ok(Self { bars })
    }
}

/// Where the symbols begin and end: bar lines, and what white space outside parentheses sets apart.
fn symbols(text: &[char]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut begin, mut depth) = (None, 0usize);
    for (i, &c) in text.iter().enumerate() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let line = c == '|';
        if line || (c.is_whitespace() && depth == 0) {
            found.extend(begin.take().map(|b| (b, i)));
            depth = 0;
        } else {
            begin = begin.or(Some(i));
        }
        found.extend(line.then_some((i, i + 1)));
    }
    found.extend(begin.map(|b| (b, text.len())));
    found
}

/// "column 7", or "line 2, column 3" in a chart of several lines; both count from one.
fn place(text: &[char], at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    if text.contains(&'\n') {
        format!("line {}, column {column}", before.iter().filter(|c| **c == '\n').count() + 1)
    } else {
        format!("column {column}")
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bar = |bar: &Bar| bar.iter().map(Chord::name).collect::<Vec<_>>().join(" ");
        let bars: Vec<String> = self.bars.iter().map(bar).collect();
        // Without bar lines every chord fills a bar.
        let line = if self.bars.iter().all(|b| b.len() == 1) && bars.len() > 1 { " " } else { " | " };
        f.write_str(&bars.join(line))?;
        if bars.len() == 1 && self.bars[0].len() > 1 { f.write_str(" |") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(text: &str) -> Chart {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn chords_of_a_bar_share_it() {
        let chart = chart("Cmaj7 F#m7b5 | B7b9/D# Em6 | % | N.C. Bbmaj7#11 C(b9, #11)");
        let beats: Vec<f64> = chart.onsets(60.0).iter().map(|c| c.beat).collect();
        assert_eq!(beats[..7], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        assert_eq!(chart.chords().nth(4).map(Chord::name).as_deref(), Some("B7b9/D#"));
        assert_eq!(chart.onsets(60.0)[7].tick, 4 * 1920 - 1280);
        assert!((chart.onsets(30.0)[1].seconds - 4.0).abs() < 1e-9);
    }

    #[test]
    fn without_bar_lines_every_chord_fills_a_bar() {
        assert_eq!(chart("C % Dm7 G7").bars.len(), 4);
        assert_eq!(chart("C % Dm7 G7").to_string(), "C C Dm7 G7");
        assert_eq!(chart("| C  ||\n F G |").bars.len(), 2);
    }

    #[test]
    fn a_chart_reads_back_what_it_prints() {
        for text in ["C Am7 | Dm7 G7/B", "C Dm7", "C | Dm7", "C Dm7 |", "C", "N.C. | C7(b9,#11) C"] {
            assert_eq!(chart(&chart(text).to_string()), chart(text), "{text}");
        }
    }

    #[test]
    fn a_wrong_symbol_is_named_with_its_column() {
        let refusal = |text: &str| text.parse::<Chart>().expect_err("it is wrong").message().to_owned();
        assert_eq!(refusal("Cmaj7 Hm7"), "cannot read the chord 'Hm7' (column 7): no root is called 'H'");
        assert_eq!(refusal("C\nDm7 Gx"), "cannot read the chord 'Gx' (line 2, column 6): 'x' makes no sense there");
        assert!(refusal("% C").contains("column 1"));
        assert!(refusal(" | ").contains("no chords"));
    }

    #[test]
    fn a_score_of_a_chart_holds_its_chords() {
        let score = chart("Dm7 G7 | C/E N.C.").score(90.0);
        let texts: Vec<&str> = score.markers.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(texts, ["chord:Dm7", "chord:G7", "chord:C/E", "chord:N.C."]);
        let notes = &score.tracks[0].notes;
        let lowest = |tick| notes.iter().filter(|n| n.start == tick).map(|n| n.pitch % 12).next();
        assert_eq!([lowest(0), lowest(960), lowest(1920), lowest(2880)], [Some(2), Some(7), Some(4), None]);
        assert_eq!(score.bars(), [0, 1920]);
    }
}

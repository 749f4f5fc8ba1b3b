//! Chords in a file's markers: `chord:Cm7`, in the spellings of the Weimar Jazz Database and OpenEWLD.

use crate::harmony::Chord;
use crate::midi::{Clock, Score};

/// A chord and the moment it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct ChordAt {
    /// Tick in its score.
    pub tick: u32,
    /// Beats (quarters) since the start.
    pub beat: f64,
    /// Seconds since the start.
    pub seconds: f64,
    /// The chord.
    pub chord: Chord,
}

impl ChordAt {
    /// A chord at a tick of a score with this clock and this many ticks a quarter.
    pub(super) fn new(tick: u32, chord: Chord, clock: &Clock, ticks_per_quarter: u32) -> Self {
        let beat = f64::from(tick) / f64::from(ticks_per_quarter.max(1));
        Self { tick, beat, seconds: clock.seconds(tick), chord }
    }
}

/// The chords in the markers of a score, in order; symbols that cannot be read are left out, and of several at one tick
/// the last is used.
///
/// ```
/// # use etude::harmony::{Chart, chord_markers};
/// let chart: Chart = "Dm7 | G7".parse()?;
/// assert_eq!(chord_markers(&chart.score(120.0)).len(), 2);
/// # Ok::<(), etude::Error>(())
/// ```
pub fn chord_markers(score: &Score) -> Vec<ChordAt> {
    let clock = Clock::new(score);
    let mut chords: Vec<ChordAt> = Vec::new();
    for marker in &score.markers {
        let Some(chord) = marker.chord_symbol().and_then(|symbol| symbol.parse().ok()) else { continue };
        if chords.last().is_some_and(|c| c.tick == marker.tick) {
            chords.pop();
        }
        chords.push(ChordAt::new(marker.tick, chord, &clock, score.ticks_per_quarter));
    }
    chords
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Marker, Tempo};

    #[test]
    fn chords_stand_in_the_markers() {
        let mut score = Score::new(100);
        score.tempos = vec![Tempo::from_bpm(60.0)];
        let texts =
            [(0, "chord:Bbj7"), (150, "form:A1"), (150, "chord:no such"), (200, "chord:C"), (200, "chord: NC ")];
        score.markers = texts.iter().map(|&(tick, text)| Marker { tick, text: text.into() }).collect();
        let chords = chord_markers(&score);
        let seen: Vec<_> = chords.iter().map(|c| (c.tick, c.beat, c.seconds, c.chord.name())).collect();
        assert_eq!(seen, [(0, 0.0, 0.0, "Bbj7".to_owned()), (200, 2.0, 2.0, "N.C.".to_owned())]);
    }
}

//! Chords over time: which token is set when.
//!
//! A chart is laid end to end from the moment where the new music begins. A chord that is in force already is no
//! change and gets no token, as in the data a model was trained on.

use crate::error::{Error, Result};
use crate::generate::GenerateOptions;
use crate::harmony::{Chart, Chord, ChordAt};
use crate::tokens::{Grammar, Tokenizer};

/// Beats in a bar of a chart.
const BAR: f64 = 4.0;

/// What is set over time for all takes alike.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The chord changes of one pass of the chart.
    changes: Vec<Change>,
    /// Beats of one pass.
    length: f64,
    tempo: f64,
    /// Where the first beat stands.
    origin: Origin,
    /// Beats to play at most.
    limit: Option<f64>,
}

/// A chord that differs from the one before it.
#[derive(Debug, Clone)]
struct Change {
    /// Beats since the chart began.
    beat: f64,
    chord: Chord,
    id: u32,
}

/// A moment in the two measures of time that encodings use.
#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    beat: f64,
    seconds: f64,
}

impl Plan {
    /// The plan of the options, for music that begins `after` so many seconds of prompt: on the beat nearest to it.
    ///
    /// # Errors
    /// Chords for an encoding that has no chord tokens, and a chart without chords.
    pub(super) fn new(options: &GenerateOptions, tokenizer: &Tokenizer, after: f64) -> Result<Self> {
        let beat_seconds = 60.0 / options.tempo;
        // Encodings in beats count their seconds at 120 beats a minute: half a second a beat.
        let origin = Origin { beat: (after / 0.5).round(), seconds: (after / beat_seconds).round() * beat_seconds };
        let (changes, length) = match &options.chords {
            Some(chart) => (changes(chart, tokenizer)?, BAR * chart.bars.len() as f64),
            None => (Vec::new(), 0.0),
        };
        Ok(Self { changes, length, tempo: options.tempo, origin, limit: options.bars.map(|bars| BAR * bars as f64) })
    }

    /// The `index`-th change of chord, its moment and its token; `None` when the chord never changes again.
    pub(super) fn change(&self, index: usize) -> Option<(ChordAt, u32)> {
        let n = self.changes.len();
        let (pass, place) = match index.checked_sub(n) {
            None => (0, index),
            Some(_) if n < 2 => return None,
            Some(further) => {
                // Where a chart ends on the chord it begins with, its beginning is no change from the second pass on.
                let same = usize::from(self.changes[0].id == self.changes[n - 1].id);
                (1 + further / (n - same), same + further % (n - same))
            }
        };
        let Change { beat, chord, id } = &self.changes[place];
        Some((self.moment(pass as f64 * self.length + beat, chord.clone()), *id))
    }

    /// True once the chart has been played to its end; at once without one.
    pub(super) fn played_through(&self, grammar: &Grammar) -> bool {
        self.changes.is_empty() || grammar.reached(&self.moment(self.length, Chord::none()))
    }

    /// The moment at which a take ends at the latest.
    pub(super) fn end(&self) -> Option<ChordAt> {
        Some(self.moment(self.limit?, Chord::none()))
    }

    fn moment(&self, beat: f64, chord: Chord) -> ChordAt {
        let seconds = self.origin.seconds + beat * 60.0 / self.tempo;
        ChordAt { tick: 0, beat: self.origin.beat + beat, seconds, chord }
    }
}

fn changes(chart: &Chart, tokenizer: &Tokenizer) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    for at in chart.onsets(60.0) {
        let Some(id) = tokenizer.chord_id(at.chord.class()) else {
            let message = format!("the {} tokenizer has no token for the chord {}", tokenizer.scheme(), at.chord);
            return Err(Error::mistake(message).with_hint("generate without chords, or use a tokenizer with them"));
        };
        if changes.last().is_none_or(|last| last.id != id) {
            changes.push(Change { beat: at.beat, chord: at.chord, id });
        }
    }
    if changes.is_empty() {
        return Err(Error::mistake("the chords to play over are empty").with_hint("try chords(\"Cmaj7 Am7 Dm7 G7\")"));
    }
    Ok(changes)
}

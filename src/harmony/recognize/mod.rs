//! Chord recognition, inversions included.
//!
//! The score is cut into windows (beats, or half seconds where there is no beat). The pitch classes that sound in a
//! window, in the bass, in block chords and in lines, are features of a log-linear model (a conditional random field)
//! whose states are root × quality; the same window of other choruses adds to them, and changes of chord have weights
//! of their own. The tables are learnt from lead sheets and jazz solos with known chords.
//!
//! Root accuracy by time on held-out tunes (`benchmark.rs`): lead sheets 0.97, jazz voicings without roots over a
//! walking bass 0.94, a solo over an estimated walking bass alone 0.42. Confidences are calibrated: of the time at
//! which it is 0.8 or more, the root is right for 0.98, 0.97 and 0.81.

#[cfg(test)]
mod benchmark;
mod evidence;
mod form;
#[cfg(test)]
mod learn;
mod model;
mod naming;
mod path;
#[cfg(test)]
mod tests;
mod windows;

use crate::error::Result;
use crate::harmony::{Chord, ChordAt};
use crate::interrupt::Interrupt;
use crate::midi::{Clock, Score};

/// A recognised chord.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognizedChord {
    /// The chord and where it begins.
    pub at: ChordAt,
    /// The probability that its root is right, 0 to 1: the mean over the windows it lasts.
    pub confidence: f32,
}

/// The recognised chords, one for each change of harmony. Markers and drums are ignored.
///
/// ```
/// # use etude::harmony::{Chart, recognize};
/// let chart: Chart = "Dm7 | G7 | Cmaj7 | Cmaj7".parse()?;
/// let mut played = chart.score(120.0);
/// played.markers.clear();
/// let names: Vec<String> = recognize(&played).iter().map(|at| at.chord.name()).collect();
/// assert_eq!(names, ["Dm7", "G7", "Cmaj7"]);
/// # Ok::<(), etude::Error>(())
/// ```
pub fn recognize(score: &Score) -> Vec<ChordAt> {
    // Nothing triggers this interrupt.
    recognize_until(score, &Interrupt::new()).unwrap_or_default()
}

/// [`recognize`] with an interrupt: a piece of many hours takes seconds.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub fn recognize_until(score: &Score, interrupt: &Interrupt) -> Result<Vec<ChordAt>> {
    Ok(recognize_with_confidence(score, interrupt)?.into_iter().map(|chord| chord.at).collect())
}

/// The recognised chords whose root is right with at least this probability, "N.C." elsewhere: labels for training.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub fn recognize_where_sure(score: &Score, least: f32, interrupt: &Interrupt) -> Result<Vec<ChordAt>> {
    Ok(sure(&recognize_with_confidence(score, interrupt)?, least))
}

/// The recognised chords, each with the probability that its root is right.
///
/// # Errors
/// `interrupted`, when the user cancels.
pub fn recognize_with_confidence(score: &Score, interrupt: &Interrupt) -> Result<Vec<RecognizedChord>> {
    decode(score, model::ChordModel::get(), interrupt)
}

fn sure(chords: &[RecognizedChord], least: f32) -> Vec<ChordAt> {
    let mut labels: Vec<ChordAt> = Vec::with_capacity(chords.len());
    for found in chords {
        let chord = if found.confidence >= least { found.at.chord.clone() } else { Chord::none() };
        if labels.last().is_none_or(|last| last.chord != chord) {
            labels.push(ChordAt { chord, ..found.at.clone() });
        }
    }
    labels
}

/// The chords of a score under a model.
fn decode(score: &Score, model: &model::ChordModel, interrupt: &Interrupt) -> Result<Vec<RecognizedChord>> {
    let clock = Clock::new(score);
    let windows = windows::windows(score, interrupt)?;
    let steps = path::path(&windows, model, interrupt)?;
    // (chord, sum of confidences, windows)
    let mut chords: Vec<(ChordAt, f32, usize)> = Vec::new();
    // A chord may change its bass at a bar line.
    let begins: Vec<usize> =
        (0..steps.len()).filter(|i| steps[*i].begins || windows[*i].place == windows::Place::Bar).collect();
    for (k, &first) in begins.iter().enumerate() {
        let span = first..begins.get(k + 1).copied().unwrap_or(steps.len());
        // Silence extends the chord before it.
        let Some(chord) = naming::name(steps[first].state, &windows[span.clone()]) else { continue };
        let confidence: f32 = steps[span.clone()].iter().map(|s| s.confidence).sum();
        match chords.last_mut().filter(|last| last.0.chord == chord) {
            Some(last) => (last.1, last.2) = (last.1 + confidence, last.2 + span.len()),
            None => {
                let at = ChordAt::new(windows[first].start, chord, &clock, score.ticks_per_quarter);
                chords.push((at, confidence, span.len()));
            }
        }
    }
    let found = |(at, sum, count): (ChordAt, f32, usize)| RecognizedChord { at, confidence: sum / count as f32 };
    Ok(chords.into_iter().map(found).collect())
}

//! Chords on a piano: the bass low, the other voices in close position around middle C, each chord near the last.

use crate::harmony::Chord;
use crate::midi::Note;

/// Where the bass may lie: E1 to E3, near the one before.
const BASS: std::ops::RangeInclusive<u8> = 36..=52;

/// Where the upper voices may lie: E3 to A5.
const UPPER: std::ops::RangeInclusive<u8> = 52..=76;

/// The middle of the upper voices, to which they tend: E4.
const MIDDLE: f64 = 63.0;

/// The most upper voices.
const VOICES: usize = 5;

/// How loud the chords are.
const VELOCITY: u8 = 72;

/// The chord that sounds: a bass and upper voices, lowest first.
#[derive(Debug, Default)]
pub(super) struct Voicing {
    bass: Option<u8>,
    upper: Vec<u8>,
}

impl Voicing {
    /// Moves on to a chord; "N.C." is silence.
    pub(super) fn next(&mut self, chord: &Chord) {
        let Some(root) = chord.root() else {
            *self = Self::default();
            return;
        };
        let low = chord.bass().unwrap_or(root).pitch_class();
        let target = self.bass.unwrap_or(43);
        self.bass = BASS.filter(|p| p % 12 == low).min_by_key(|p| p.abs_diff(target));
        let tones = upper_tones(chord);
        let cost = |voices: &Vec<u8>| {
            let mean = voices.iter().map(|v| f64::from(*v)).sum::<f64>() / voices.len() as f64;
            let nearest = |v: &u8| self.upper.iter().map(|w| v.abs_diff(*w)).min().unwrap_or(0);
            let movement: u32 = voices.iter().map(|v| u32::from(nearest(v))).sum();
            f64::from(movement) + (mean - MIDDLE).abs()
        };
        let positions = (0..tones.len()).flat_map(|lowest| close_positions(&tones, lowest));
        let best = positions.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        self.upper = best.unwrap_or_default();
    }

    /// The notes of the present chord.
    pub(super) fn notes(&self, start: u32, end: u32) -> impl Iterator<Item = Note> {
        let pitches = self.bass.iter().chain(&self.upper);
        pitches.map(move |&pitch| Note { start, pitch, end, velocity: VELOCITY }).filter(|n| n.start < n.end)
    }
}

/// The pitch classes of the upper voices, sorted: all tones of a triad, of richer chords not the root when it is the
/// bass, of the richest not a plain fifth.
fn upper_tones(chord: &Chord) -> Vec<u8> {
    let root = chord.root().map_or(0, |r| r.pitch_class());
    let mut intervals = chord.intervals().to_vec();
    if intervals.len() > 3 && chord.bass().is_none() {
        intervals.retain(|i| *i != 0);
    }
    if intervals.len() > VOICES {
        intervals.retain(|i| *i != 7);
    }
    let mut tones: Vec<u8> = intervals.iter().take(VOICES).map(|i| (root + i) % 12).collect();
    tones.sort_unstable();
    tones
}

/// The tones stacked up from the one at `lowest`, in every octave that fits.
fn close_positions(tones: &[u8], lowest: usize) -> impl Iterator<Item = Vec<u8>> {
    let first = tones[lowest];
    let stack: Vec<u8> = tones[lowest..].iter().chain(&tones[..lowest]).map(|t| (t + 12 - first) % 12).collect();
    let height = stack[stack.len() - 1];
    let bottoms = UPPER.filter(move |bottom| bottom % 12 == first && UPPER.contains(&(bottom + height)));
    bottoms.map(move |bottom| stack.iter().map(|up| bottom + up).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harmony::Chart;

    #[test]
    fn all_tones_sound_and_voices_move_little() {
        let chart: Chart = "Dm7 G7 Cmaj7 A7alt Dm9 G13b9 C6/9 F#m7b5/C C5 Eb+ E7#9".parse().unwrap_or_default();
        let mut voicing = Voicing::default();
        let mut before: Option<Vec<u8>> = None;
        for chord in chart.chords() {
            voicing.next(chord);
            let notes: Vec<u8> = voicing.notes(0, 1).map(|n| n.pitch).collect();
            assert!(notes.is_sorted() && notes[0] <= 52 && notes[notes.len() - 1] <= 76, "{chord}: {notes:?}");
            let missing = chord.pitches().iter().filter(|p| notes.iter().all(|n| n % 12 != **p)).count();
            assert!(missing <= 1, "{chord}: {notes:?}");
            if let Some(before) = before {
                let far = |n: &u8| before.iter().map(|b| n.abs_diff(*b)).min() > Some(6);
                assert!(!notes[1..].iter().any(far), "{chord}: {before:?} to {notes:?}");
            }
            before = Some(notes);
        }
    }
}

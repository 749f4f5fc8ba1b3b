//! `chord_adherence`: the share of notes that are tones of the chord in force.

use crate::harmony::ChordAt;
use crate::midi::Score;

/// A note at most this many seconds before a chord is counted to it.
const ANTICIPATION: f64 = 0.06;

/// The share of onsets whose pitch is a tone of the chord in force, named tensions and the bass included; 0 to 1.
/// Onsets before the first chord and over "N.C." are not counted; NaN where none is.
///
/// A scale played at random over chords of four tones has about 0.5, notes drawn from all twelve 0.33.
///
/// ```
/// # use etude::harmony::{Chart, chord_adherence, chord_markers};
/// let chart: Chart = "Dm7 | G7".parse()?;
/// let voiced = chart.score(120.0);
/// assert_eq!(chord_adherence(&voiced, &chord_markers(&voiced)), 1.0);
/// # Ok::<(), etude::Error>(())
/// ```
pub fn chord_adherence(score: &Score, chords: &[ChordAt]) -> f64 {
    let (mut inside, mut all) = (0_u32, 0_u32);
    for sound in score.pitched_sounds() {
        let at = chords.partition_point(|chord| chord.seconds <= sound.start + ANTICIPATION);
        let Some(chord) = at.checked_sub(1).map(|i| &chords[i].chord) else { continue };
        let bass = chord.bass().map(|bass| bass.pitch_class());
        let mut tones = chord.pitches().into_iter().chain(bass).map(|tone| tone % 12).peekable();
        if tones.peek().is_none() {
            continue;
        }
        all += 1;
        inside += u32::from(tones.any(|tone| tone == sound.pitch % 12));
    }
    f64::from(inside) / f64::from(all) // 0 / 0 is NaN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harmony::Chart;
    use crate::midi::{Note, Track};

    #[test]
    fn onsets_count_under_the_chord_they_are_played_to() {
        let chart: Chart = "Dm7 | G7/F | N.C. | C".parse().expect("a chart");
        let mut score = Score::new(480);
        // D and C sharp over Dm7; B a moment early and F over G7/F; anything over N.C.; E over C.
        let onsets = [(0, 62), (480, 61), (1900, 71), (2400, 65), (4000, 61), (5760, 64)];
        let notes = onsets.map(|(start, pitch)| Note { start, pitch, end: start + 100, velocity: 80 });
        score.tracks.push(Track { notes: notes.to_vec(), ..Track::default() });
        assert!((chord_adherence(&score, &chart.onsets(120.0)) - 4.0 / 5.0).abs() < 1e-12);
        assert!(chord_adherence(&score, &[]).is_nan());
    }
}

//! Scores in another key: their notes, key signatures and chord markers.

use crate::error::{Error, Result};
use crate::harmony::Chord;
use crate::midi::{Marker, Message, Score};

impl Score {
    /// Moves every pitched note by `semitones` (drums stay), chord markers and key signatures with them.
    ///
    /// # Errors
    /// Fails when a note would leave 0–127.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let higher = score.transpose(12)?;
    /// assert_eq!(higher.sounds()[0].pitch, 72);
    /// assert!(score.transpose(100).is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn transpose(&self, semitones: i32) -> Result<Self> {
        let pitches = || self.pitched().flat_map(|t| &t.notes).map(|n| n.pitch);
        if let (Some(low), Some(high)) = (pitches().min(), pitches().max()) {
            let (down, up) = (i32::from(low), 127 - i32::from(high));
            if !(-down..=up).contains(&semitones) {
                let message = format!("cannot transpose by {semitones:+}: a note would leave the MIDI range 0 to 127");
                let hint = format!("this piece reaches from {low} to {high}: -{down} to +{up} are possible");
                return Err(Error::mistake(message).with_hint(hint));
            }
        }
        let mut score = self.clone();
        if semitones == 0 {
            return Ok(score);
        }
        for track in score.tracks.iter_mut().filter(|t| !t.is_drums()) {
            for note in &mut track.notes {
                note.pitch = transposed(note.pitch, semitones);
            }
            for event in &mut track.events {
                if let Message::KeyPressure { pitch, .. } = &mut event.message {
                    *pitch = transposed(*pitch, semitones);
                }
            }
        }
        for key in &mut score.keys {
            key.sharps = transposed_key(key.sharps, semitones);
        }
        for marker in &mut score.markers {
            if let Some(chord) = marker.chord_symbol().and_then(|symbol| symbol.parse::<Chord>().ok()) {
                marker.text = format!("{}{}", Marker::CHORD, chord.transpose(semitones));
            }
        }
        Ok(score)
    }
}

/// A pitch `semitones` higher; where it would leave 0–127 it stays.
fn transposed(pitch: u8, semitones: i32) -> u8 {
    i32::from(pitch).checked_add(semitones).and_then(|p| u8::try_from(p).ok()).filter(|&p| p < 128).unwrap_or(pitch)
}

/// A signature `semitones` higher, between five flats and six sharps: a semitone is seven fifths.
fn transposed_key(sharps: i8, semitones: i32) -> i8 {
    ((i32::from(sharps) + 7 * semitones.rem_euclid(12) + 5).rem_euclid(12) - 5) as i8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Marker, two_notes as score};

    #[test]
    fn transposition_moves_notes_keys_and_chords_but_not_drums() {
        let higher = score().transpose(2).expect("it fits");
        assert_eq!(higher.tracks[0].notes[1].pitch, 102);
        assert_eq!(higher.tracks[1], score().tracks[1]);
        assert_eq!(higher.keys[0].sharps, -1);
        assert_eq!(higher.markers[0].text, "chord:Abm7b5/Gb");
        assert_eq!(higher.markers[1].text, "form:A1");
        for (text, moved) in [("chord:C-7/Bb", "chord:D-7/C"), ("chord:NC", "chord:N.C."), ("chord:?", "chord:?")] {
            let mut score = Score::new(480);
            score.markers.push(Marker { tick: 0, text: text.into() });
            assert_eq!(score.transpose(2).expect("it fits").markers[0].text, moved);
        }
        assert_eq!(higher.transpose(-2).expect("it fits").tracks, score().tracks);
    }

    #[test]
    fn a_transposition_out_of_range_says_what_is_possible() {
        let error = score().transpose(28).expect_err("128 is not a note");
        assert!(error.hint().is_some_and(|h| h.contains("-21 to +27")), "{error}");
        assert!(score().transpose(i32::MIN).is_err());
    }

    #[test]
    fn keys_stay_between_five_flats_and_six_sharps() {
        let around: Vec<i8> = (0..12).map(|n| transposed_key(0, n)).collect();
        assert_eq!(around, [0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5]);
        assert_eq!(transposed_key(-6, -1), -1);
    }
}

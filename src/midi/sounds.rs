//! The notes of a score in seconds.

use crate::midi::{Clock, Note, Score, Sound};

impl Score {
    /// All notes in seconds, sorted by start, pitch, track. The pedal does not prolong them.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let sounds = score.sounds();
    /// assert_eq!((sounds[1].start, sounds[1].end, sounds[1].pitch), (0.5, 1.0, 64));
    /// ```
    pub fn sounds(&self) -> Vec<Sound> {
        let clock = Clock::new(self);
        let numbered = self.tracks.iter().enumerate().flat_map(|(i, t)| t.notes.iter().map(move |n| (i, n)));
        let mut notes: Vec<(usize, &Note)> = numbered.collect();
        notes.sort_by_key(|&(track, note)| (note.start, note.pitch, track));
        let sound = |&(track, note): &(usize, &Note)| Sound {
            start: clock.seconds(note.start),
            end: clock.seconds(note.end),
            pitch: note.pitch,
            velocity: note.velocity,
            track,
        };
        notes.iter().map(sound).collect()
    }

    /// [`Score::sounds`] of the tracks whose notes have a pitch.
    pub fn pitched_sounds(&self) -> Vec<Sound> {
        let mut sounds = self.sounds();
        sounds.retain(|sound| !self.tracks[sound.track].is_drums());
        sounds
    }

    /// Length in seconds, up to the end of the last note.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// assert_eq!(score.duration(), 1.0);
    /// ```
    pub fn duration(&self) -> f64 {
        let last = self.tracks.iter().flat_map(|t| &t.notes).map(|n| n.end).max();
        last.map_or(0.0, |tick| Clock::new(self).seconds(tick))
    }
}

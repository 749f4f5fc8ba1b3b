//! Overlaying scores: both at the same time.

use crate::midi::{Clock, Event, Note, Pedal, Score};

impl Score {
    /// This score with the tracks of the other added, aligned in seconds: what sounds at two seconds in the other
    /// sounds at two seconds here. Tempi, metres, keys and markers are those of this score, or of the other where this
    /// one has none.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let both = score.overlay(&score.transpose(7)?);
    /// assert_eq!((both.tracks.len(), both.duration()), (2, 1.0));
    /// # Ok::<(), etude::Error>(())
    /// ```
    #[must_use]
    pub fn overlay(&self, other: &Self) -> Self {
        let (from, to) = (Clock::new(other), Clock::new(self));
        let tick = |tick: u32| to.tick(from.seconds(tick));
        let events =
            |events: &[Event]| -> Vec<Event> { events.iter().map(|event| event.at(tick(event.tick))).collect() };
        let mut score = self.clone();
        score.tracks.extend(other.tracks.iter().cloned().map(|mut track| {
            for note in &mut track.notes {
                let start = tick(note.start);
                *note = Note { start, end: tick(note.end).max(start.saturating_add(1)), ..*note };
            }
            for pedal in &mut track.pedals {
                let start = tick(pedal.start);
                *pedal = Pedal { start, end: tick(pedal.end).max(start.saturating_add(1)) };
            }
            track.events = events(&track.events);
            track
        }));
        score.events.extend(events(&other.events));
        if score.markers.is_empty() {
            score.markers = other.markers.clone();
            score.markers.iter_mut().for_each(|marker| marker.tick = tick(marker.tick));
        }
        score.repairs.extend(&other.repairs);
        if other.length > 0 {
            score.length = score.length.max(tick(other.length));
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use crate::midi::{Note, Score, Tempo, Track};

    fn at(ticks_per_quarter: u32, bpm: f64, start: u32, pitch: u8) -> Score {
        let mut score = Score::new(ticks_per_quarter);
        score.tempos = vec![Tempo::from_bpm(bpm)];
        let notes = vec![Note { start, pitch, end: start + ticks_per_quarter, velocity: 80 }];
        score.tracks.push(Track { notes, ..Track::default() });
        score
    }

    #[test]
    fn both_sound_at_their_own_moments() {
        // Two seconds: four quarters at 120, two at 60.
        let (first, second) = (at(480, 120.0, 4 * 480, 60), at(96, 60.0, 2 * 96, 64));
        let both = first.overlay(&second);
        assert_eq!((both.tempo(), both.tracks.len(), both.len()), (120.0, 2, 2));
        let sounds = both.sounds();
        assert!(sounds.iter().all(|sound| (sound.start - 2.0).abs() < 1e-6), "{sounds:?}");
        let (short, long) = (sounds[0].end - sounds[0].start, sounds[1].end - sounds[1].start);
        assert!((short - 0.5).abs() < 1e-3 && (long - 1.0).abs() < 1e-3, "{sounds:?}");
    }
}

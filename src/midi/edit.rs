//! Edits that give a new score: stretching and resampling in time.

use crate::error::{Error, Result};
use crate::midi::{Event, Key, Marker, Meter, Note, Pedal, Score, Tempo, Track};

/// The longest quarter note that a MIDI file can hold, in microseconds.
const SLOWEST: f64 = 16_777_215.0;

impl Score {
    /// Makes everything last `factor` times as long by changing the tempo map: ticks stay.
    ///
    /// # Errors
    /// Fails unless `factor` is positive and finite and the resulting tempi fit a MIDI file.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// assert_eq!(score.duration(), 1.0); // two quarters at 120
    /// assert_eq!(score.stretch(2.0)?.duration(), 2.0);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn stretch(&self, factor: f64) -> Result<Self> {
        if !(factor.is_finite() && factor > 0.0) {
            return Err(Error::mistake(format!("cannot stretch by {factor}: the factor must be positive"))
                .with_hint("2.0 makes it last twice as long, 0.5 half as long"));
        }
        let mut score = self.clone();
        if score.tempos.first().is_none_or(|t| t.tick > 0) {
            score.tempos.insert(0, Tempo::DEFAULT);
        }
        for tempo in &mut score.tempos {
            let micros = (f64::from(tempo.micros_per_quarter) * factor).round();
            if !(1.0..=SLOWEST).contains(&micros) {
                let before = 60e6 / f64::from(tempo.micros_per_quarter);
                let message =
                    format!("cannot stretch by {factor}: a tempo of {before:.1} would become {:.4}", 60e6 / micros);
                return Err(Error::mistake(message).with_hint("a MIDI file holds tempi from 3.6 to 60,000,000"));
            }
            tempo.micros_per_quarter = micros as u32;
        }
        Ok(score)
    }

    /// The same music at another resolution: positions are rounded to the nearest tick, notes last at least one.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// assert_eq!(score.resample(96).end(), 192);
    /// ```
    #[must_use]
    pub fn resample(&self, ticks_per_quarter: u32) -> Self {
        let (from, to) = (u64::from(self.ticks_per_quarter.max(1)), u64::from(ticks_per_quarter.max(1)));
        if from == to {
            return self.clone();
        }
        let scale = |tick: u32| u32::try_from((u64::from(tick) * to + from / 2) / from).unwrap_or(u32::MAX);
        let note = |n: &Note| {
            let start = scale(n.start).min(u32::MAX - 1);
            Note { start, end: scale(n.end).max(start + 1), ..*n }
        };
        let events = |events: &[Event]| -> Vec<Event> { events.iter().map(|e| e.at(scale(e.tick))).collect() };
        let track = |t: &Track| Track {
            name: t.name.clone(),
            notes: t.notes.iter().map(note).collect(),
            pedals: t.pedals.iter().map(|p| Pedal { start: scale(p.start), end: scale(p.end) }).collect(),
            events: events(&t.events),
            ..*t
        };
        let mut score = Self {
            ticks_per_quarter: to as u32,
            tracks: self.tracks.iter().map(track).collect(),
            tempos: self.tempos.iter().map(|t| Tempo { tick: scale(t.tick), ..*t }).collect(),
            meters: self.meters.iter().map(|m| Meter { tick: scale(m.tick), ..*m }).collect(),
            keys: self.keys.iter().map(|k| Key { tick: scale(k.tick), ..*k }).collect(),
            markers: self.markers.iter().map(|m| Marker { tick: scale(m.tick), text: m.text.clone() }).collect(),
            events: events(&self.events),
            repairs: self.repairs.clone(),
            length: scale(self.length),
        };
        for track in &mut score.tracks {
            track.notes.sort_unstable();
            track.pedals.retain(|p| p.end > p.start);
        }
        score
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two notes, a drum, a key and markers.
    pub(crate) fn score() -> Score {
        let mut score = Score::new(480);
        let note = |start, pitch| Note { start, pitch, end: start + 480, velocity: 80 };
        score.tracks.push(Track { notes: vec![note(0, 21), note(480, 100)], ..Track::default() });
        score.tracks.push(Track { channel: Track::DRUMS, notes: vec![note(0, 2)], ..Track::default() });
        score.keys.push(Key { tick: 0, sharps: -3, minor: true });
        score.markers.push(Marker { tick: 0, text: "chord:F#m7b5/E".into() });
        score.markers.push(Marker { tick: 0, text: "form:A1".into() });
        score
    }

    #[test]
    fn stretching_changes_time_but_not_ticks() {
        let long = score().stretch(1.5).expect("it fits");
        assert!((long.duration() - 1.5).abs() < 1e-9);
        assert_eq!(long.tracks, score().tracks);
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 40.0] {
            assert!(score().stretch(factor).is_err(), "{factor}");
        }
    }

    #[test]
    fn resampling_keeps_moments_and_never_loses_a_note() {
        let coarse = score().resample(1);
        assert_eq!(coarse.len(), 3);
        assert_eq!(coarse.tracks[0].notes[1], Note { start: 1, pitch: 100, end: 2, velocity: 80 });
        assert!((score().resample(960).duration() - score().duration()).abs() < 1e-12);
    }
}

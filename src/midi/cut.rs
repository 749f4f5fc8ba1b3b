//! Parts of a score.

use crate::error::{Error, Result};
use crate::midi::{Clock, Key, Marker, Meter, Note, Pedal, Score, Tempo, Track, state};

impl Score {
    /// The notes between two moments (seconds), moved to the start; notes across an edge are cut there. The tempo,
    /// metre, key and chord in force at `from` are kept, as is the channel state (pitch bends, controllers, …).
    ///
    /// # Errors
    /// Fails unless `0 <= from < to`.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let second = score.slice(0.5, 1.0)?;
    /// assert_eq!(second.sounds()[0].pitch, 64);
    /// assert!(score.slice(1.0, 0.5).is_err());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn slice(&self, from: f64, to: f64) -> Result<Self> {
        if !(from >= 0.0 && from < to) {
            return Err(Error::mistake(format!("cannot slice from {from} to {to} seconds"))
                .with_hint("give two moments in seconds, the earlier first: slice(0, 10)"));
        }
        let clock = Clock::new(self);
        Ok(self.slice_ticks(clock.tick(from), clock.tick(to)))
    }

    /// Without the silence before the first note (whole bars only when the score has metres that matter).
    #[must_use]
    pub fn trim(&self) -> Self {
        let Some(first) = self.tracks.iter().filter_map(|t| t.notes.first()).map(|n| n.start).min() else {
            return self.clone();
        };
        let bar = || self.bars().into_iter().take_while(|&b| b <= first).last().unwrap_or(0);
        let from = if self.meters.is_empty() { first } else { bar() };
        if from == 0 { self.clone() } else { self.slice_ticks(from, u32::MAX) }
    }

    /// The notes from tick `from` up to `to`, moved to the start.
    #[must_use]
    pub fn slice_ticks(&self, from: u32, to: u32) -> Self {
        let shift = |start: u32, end: u32| {
            let (start, end) = (start.max(from), end.min(to));
            (start < end).then(|| (start - from, end - from))
        };
        let note = |n: &Note| shift(n.start, n.end).map(|(start, end)| Note { start, end, ..*n });
        let pedal = |p: &Pedal| shift(p.start, p.end).map(|(start, end)| Pedal { start, end });
        let track = |t: &Track| {
            let mut notes: Vec<Note> = t.notes.iter().filter_map(note).collect();
            notes.sort_unstable();
            let pedals = t.pedals.iter().filter_map(pedal).collect();
            Track { name: t.name.clone(), notes, pedals, events: state::between(&t.events, from, to), ..*t }
        };
        Self {
            ticks_per_quarter: self.ticks_per_quarter,
            tracks: self.tracks.iter().map(track).collect(),
            tempos: in_force(&self.tempos, from, to, |t| t.tick, |t, tick| Tempo { tick, ..*t }),
            meters: self.meters_between(from, to),
            keys: in_force(&self.keys, from, to, |k| k.tick, |k, tick| Key { tick, ..*k }),
            markers: self.markers_between(from, to),
            events: state::between(&self.events, from, to),
            repairs: self.repairs.clone(),
            length: self.length.min(to).saturating_sub(from),
        }
    }

    /// The metres, with bar lines where they were: a cut bar is first.
    fn meters_between(&self, from: u32, to: u32) -> Vec<Meter> {
        let mut meters = in_force(&self.meters, from, to, |m| m.tick, |m, tick| Meter { tick, ..*m });
        if let Some(&first) = meters.first().filter(|m| m.tick == 0) {
            let line = self.bar_line_from(from).saturating_sub(from);
            let next = meters.get(1).map_or(to.saturating_sub(from), |m| m.tick);
            if line > 0 && line < next {
                meters.insert(1, Meter { tick: line, ..first });
            }
        }
        meters
    }

    fn markers_between(&self, from: u32, to: u32) -> Vec<Marker> {
        let (before, rest) = self.markers.split_at(self.markers.partition_point(|m| m.tick < from));
        let inside = rest.iter().take_while(|m| m.tick < to);
        let mut markers: Vec<Marker> = inside.map(|m| Marker { tick: m.tick - from, text: m.text.clone() }).collect();
        let chord = |m: &&Marker| m.chord_symbol().is_some();
        let replaced = markers.iter().take_while(|m| m.tick == 0).any(|m| chord(&m));
        if let Some(held) = before.iter().rev().find(chord).filter(|_| !replaced) {
            markers.insert(0, Marker { tick: 0, text: held.text.clone() });
        }
        markers
    }
}

/// The members of a sorted list from `from` up to `to`, moved to the start, with the one in force at `from` first.
fn in_force<T: Copy>(list: &[T], from: u32, to: u32, tick: impl Fn(&T) -> u32, at: impl Fn(&T, u32) -> T) -> Vec<T> {
    let begin = list.partition_point(|x| tick(x) <= from).saturating_sub(1);
    list[begin..].iter().take_while(|x| tick(x) < to).map(|x| at(x, tick(x).saturating_sub(from))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A note a beat for three bars of 3/4 at 60, on ticks of 100.
    fn score() -> Score {
        let mut score = Score::new(100);
        let note = |beat: u32| Note { start: 100 * beat, pitch: 60 + beat as u8, end: 100 * beat + 100, velocity: 80 };
        let pedals = vec![Pedal { start: 150, end: 450 }];
        score.tracks.push(Track { notes: (0..9).map(note).collect(), pedals, ..Track::default() });
        score.tempos = vec![Tempo::from_bpm(60.0), Tempo { tick: 400, micros_per_quarter: 2_000_000 }];
        score.meters = vec![Meter { tick: 0, numerator: 3, denominator: 4 }];
        score.markers =
            [(0, "chord:C"), (100, "form:A"), (450, "chord:F")].map(|(tick, t)| Marker { tick, text: t.into() }).into();
        score
    }

    #[test]
    fn a_slice_holds_what_sounds_between_two_moments() {
        let part = score().slice(1.5, 5.0).expect("a slice");
        let notes = &part.tracks[0].notes;
        assert_eq!((notes[0].start, notes[0].end, notes[0].pitch), (0, 50, 61));
        assert_eq!((notes.len(), part.end()), (4, 300));
        assert!((part.duration() - 3.5).abs() < 1e-9);
        assert_eq!(part.tracks[0].pedals, [Pedal { start: 0, end: 300 }]);
        assert_eq!(part.tempos, [Tempo::from_bpm(60.0), Tempo { tick: 250, micros_per_quarter: 2_000_000 }]);
    }

    #[test]
    fn a_slice_keeps_bar_lines_and_the_chord_in_force() {
        let part = score().slice_ticks(150, 900);
        assert_eq!(part.bars(), [0, 150, 450]);
        let markers: Vec<(u32, &str)> = part.markers.iter().map(|m| (m.tick, m.text.as_str())).collect();
        assert_eq!(markers, [(0, "chord:C"), (300, "chord:F")]);
        assert_eq!(score().slice_ticks(450, 900).markers.len(), 1);
    }

    #[test]
    fn slices_join_to_the_whole() {
        let whole =
            score().slice(0.0, 2.0).expect("a slice").append(&score().slice(2.0, f64::INFINITY).expect("a slice"));
        assert_eq!(whole.tracks[0].notes, score().tracks[0].notes);
        assert!((whole.duration() - score().duration()).abs() < 1e-9);
    }

    #[test]
    fn moments_in_the_wrong_order_are_refused() {
        for (from, to) in [(2.0, 2.0), (3.0, 1.0), (-1.0, 1.0), (f64::NAN, 1.0), (0.0, f64::NAN)] {
            assert!(score().slice(from, to).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn trimming_cuts_whole_bars_where_there_are_bars() {
        let mut late = score().slice_ticks(0, 900);
        for note in &mut late.tracks[0].notes {
            (note.start, note.end) = (note.start + 400, note.end + 400);
        }
        assert_eq!(late.trim().tracks[0].notes[0].start, 100);
        late.meters.clear();
        assert_eq!(late.trim().tracks[0].notes[0].start, 0);
        assert_eq!(Score::new(1).trim(), Score::new(1));
    }
}

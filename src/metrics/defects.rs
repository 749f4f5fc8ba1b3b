//! Obvious defects of a generated piece: notes or silences that are too long, too many pitches at once, endless
//! repetition.

use crate::midi::{Score, Sound};

/// The longest note that is not a defect, in seconds.
const LONGEST_NOTE: f64 = 8.0;
/// The longest silence between notes that is not a defect, in seconds.
const LONGEST_SILENCE: f64 = 2.0;
/// The most pitches at once that are not a defect.
const MOST_PITCHES: usize = 10;
/// The most repetitions of a pattern in a row that are not a defect.
const MOST_REPEATS: usize = 8;
/// The longest pattern looked for, in onsets.
const LONGEST_PATTERN: usize = 8;
/// The tolerance of times, in seconds.
const SAME: f64 = 0.03;

/// The measured defects of a piece.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defects {
    /// The longest note in seconds; more than 8 are a defect.
    pub longest_note: f64,
    /// The longest silence between notes in seconds; more than 2 are a defect.
    pub longest_silence: f64,
    /// The most pitches that sound at once; more than 10 are a defect.
    pub polyphony: usize,
    /// The most repetitions of a pattern (the same pitches in the same rhythm) in a row; more than 8 are a defect.
    pub repeats: usize,
}

impl Defects {
    /// Measures a piece; drums do not count.
    ///
    /// ```
    /// use etude::metrics::Defects;
    /// use etude::midi::{Note, Score, Track};
    ///
    /// let mut score = Score::new(480);
    /// score.tracks.push(Track { notes: vec![Note { start: 0, pitch: 60, end: 480 * 20, velocity: 80 }], ..Track::default() });
    /// let defects = Defects::of(&score);
    /// assert_eq!((defects.longest_note, defects.any()), (10.0, true));
    /// ```
    pub fn of(score: &Score) -> Self {
        let sounds = score.pitched_sounds();
        Self {
            longest_note: sounds.iter().map(|sound| sound.end - sound.start).fold(0.0, f64::max),
            longest_silence: longest_silence(&sounds),
            polyphony: polyphony(&sounds),
            repeats: repeats(&sounds),
        }
    }

    /// True when there is a defect.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// assert!(!etude::metrics::Defects::of(&score).any());
    /// ```
    pub fn any(&self) -> bool {
        self.longest_note > LONGEST_NOTE
            || self.longest_silence > LONGEST_SILENCE
            || self.polyphony > MOST_PITCHES
            || self.repeats > MOST_REPEATS
    }
}

fn longest_silence(sounds: &[Sound]) -> f64 {
    let (mut longest, mut until) = (0.0_f64, None);
    for sound in sounds {
        let before: f64 = until.unwrap_or(sound.start);
        longest = longest.max(sound.start - before);
        until = Some(before.max(sound.end));
    }
    longest
}

fn polyphony(sounds: &[Sound]) -> usize {
    let mut edges: Vec<(f64, i32)> = sounds.iter().flat_map(|s| [(s.start, 1), (s.end, -1)]).collect();
    edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let counts = edges.iter().scan(0, |now, (_, step)| {
        *now += step;
        Some(*now)
    });
    usize::try_from(counts.max().unwrap_or(0)).unwrap_or(0)
}

/// The notes that begin together: seconds since the previous onset, and their pitches.
struct Instant {
    wait: f64,
    pitches: Vec<u8>,
}

/// The most repetitions in a row of a pattern of one to eight onsets.
fn repeats(sounds: &[Sound]) -> usize {
    let mut instants: Vec<Instant> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for sound in sounds {
        match instants.last_mut() {
            Some(instant) if sound.start - last < SAME => instant.pitches.push(sound.pitch),
            _ => {
                let wait = if last.is_finite() { sound.start - last } else { 0.0 };
                instants.push(Instant { wait, pitches: vec![sound.pitch] });
                last = sound.start;
            }
        }
    }
    instants.iter_mut().for_each(|instant| instant.pitches.sort_unstable());
    // The time before the first onset is unknown.
    let same = |a: usize, b: usize| {
        instants[a].pitches == instants[b].pitches && (b == 0 || (instants[a].wait - instants[b].wait).abs() < SAME)
    };
    let of = |length: usize| {
        let (mut most, mut run) = (0, 0);
        for place in length..instants.len() {
            run = if same(place, place - length) { run + 1 } else { 0 };
            most = most.max(run);
        }
        1 + most / length
    };
    (1..=LONGEST_PATTERN.min(instants.len().saturating_sub(1))).map(of).max().unwrap_or(instants.len().min(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    /// Notes as (start, end, pitch) in hundredths of a second.
    fn defects(notes: &[(u32, u32, u8)]) -> Defects {
        let mut score = Score::new(50);
        let notes = notes.iter().map(|&(start, end, pitch)| Note { start, pitch, end, velocity: 80 }).collect();
        score.tracks.push(Track { notes, ..Track::default() });
        Defects::of(&score)
    }

    #[test]
    fn each_fault_is_found_and_music_has_none() {
        let scale: Vec<_> = (0..40).map(|i| (25 * i, 25 * i + 24, 50 + (i * 7 % 23) as u8)).collect();
        let fine = defects(&scale);
        assert!(!fine.any(), "{fine:?}");
        assert_eq!((fine.polyphony, fine.repeats), (1, 1));
        assert!(defects(&[(0, 801, 60)]).any() && !defects(&[(0, 800, 60)]).any());
        let silent = defects(&[(0, 10, 60), (5, 100, 62), (320, 330, 64)]);
        assert!(silent.any() && (silent.longest_silence - 2.2).abs() < 1e-9, "{silent:?}");
        let cluster: Vec<_> = (0..11).map(|i| (0, 50, 60 + i)).collect();
        assert_eq!((defects(&cluster).polyphony, defects(&cluster).any()), (11, true));
        assert_eq!(defects(&[]), Defects { longest_note: 0.0, longest_silence: 0.0, polyphony: 0, repeats: 0 });
    }

    #[test]
    fn a_pattern_that_is_stuck_is_counted_whatever_its_length() {
        for length in 1..=8_u32 {
            let stuck = |times: u32| {
                let notes: Vec<_> =
                    (0..length * times).map(|i| (20 * i, 20 * i + 15, 60 + (i % length) as u8)).collect();
                defects(&notes).repeats
            };
            assert_eq!((stuck(8), stuck(9)), (8, 9), "{length}");
        }
        let rhythm: Vec<_> = (0..40).map(|i| (20 * i, 20 * i + 15, 40 + (i * i % 31) as u8)).collect();
        assert!(defects(&rhythm).repeats < 3, "an even rhythm alone is not a defect");
    }
}

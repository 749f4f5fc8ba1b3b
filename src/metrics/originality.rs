//! The overlap of a generated piece with the pieces that a model was trained on: the longest shared run of notes.
//!
//! A piece is its notes by onset, then pitch. Two runs are the same when they have the same intervals between
//! successive notes, in any key, and the same pairs of neighbours begin together; other differences of rhythm are
//! ignored. Runs are found by the intervals of [`SEED`] notes in a row, then extended.

use std::collections::HashMap;

use crate::error::Result;
use crate::midi::Score;
use crate::progress::Progress;

/// Notes in a row by which runs are found; shorter runs are in all music.
const SEED: usize = 8;
/// The most positions indexed for one sequence of intervals; scales and trills have more.
const MOST_PLACES: usize = 64;
/// Notes whose onsets differ by less than this count as simultaneous, in seconds.
const TOGETHER: f64 = 0.03;

/// The longest run of notes that a generated piece shares with a corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedPassage {
    /// The number of notes; 0 where not even eight in a row are shared.
    pub notes: usize,
    /// The index of the piece in the corpus.
    pub piece: usize,
    /// The bar of the piece in which it begins, from 1.
    pub bar: usize,
    /// Start in the generated piece, in seconds.
    pub at: f64,
}

/// The step from one note to the next: semitones, and whether both begin together.
type MelodicStep = (i8, bool);

/// A piece as steps between successive notes.
struct NoteLine {
    intervals: Vec<MelodicStep>,
    /// The onset of each note, in seconds.
    onsets: Vec<f64>,
}

impl NoteLine {
    fn of(score: &Score) -> Self {
        let notes: Vec<(f64, u8)> = score.pitched_sounds().iter().map(|s| (s.start, s.pitch)).collect();
        // Notes that begin together are sorted by pitch, whatever their small differences in time.
        let mut ordered: Vec<(f64, u8)> = Vec::with_capacity(notes.len());
        let mut begin = 0;
        for (place, &(at, pitch)) in notes.iter().enumerate() {
            if at - notes[begin].0 >= TOGETHER {
                begin = place;
            }
            ordered.push((notes[begin].0, pitch));
        }
        ordered.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let step = |pair: &[(f64, u8)]| {
            let semitones = i16::from(pair[1].1) - i16::from(pair[0].1);
            (semitones.clamp(-127, 127) as i8, pair[1].0 == pair[0].0)
        };
        Self { intervals: ordered.windows(2).map(step).collect(), onsets: ordered.iter().map(|note| note.0).collect() }
    }

    fn seeds(&self) -> impl Iterator<Item = (usize, &[MelodicStep])> {
        self.intervals.windows(SEED - 1).enumerate()
    }
}

/// An index of pieces, for comparison with generated ones.
#[derive(Debug)]
pub struct Corpus {
    lines: Vec<Vec<MelodicStep>>,
    /// The bar of each note, by piece.
    bars: Vec<Vec<u32>>,
    /// The positions (piece and note) of each sequence of [`SEED`] notes.
    places: HashMap<Vec<MelodicStep>, Vec<(u32, u32)>>,
}

impl Corpus {
    /// Indexes pieces.
    ///
    /// # Errors
    /// `interrupted`, when the user cancels.
    pub fn new(pieces: &[Score], progress: &Progress) -> Result<Self> {
        let mut task = progress.task("indexing", Some(pieces.len() as u64), "pieces");
        let mut corpus = Self { lines: Vec::new(), bars: Vec::new(), places: HashMap::new() };
        for (piece, score) in (0..).zip(pieces) {
            let line = NoteLine::of(score);
            for (note, seed) in line.seeds() {
                if note % 4096 == 0 {
                    progress.check()?;
                }
                let places = corpus.places.entry(seed.to_vec()).or_default();
                if places.len() < MOST_PLACES {
                    places.push((piece, note as u32));
                }
            }
            let clock = crate::midi::Clock::new(score);
            let bars: Vec<f64> = score.bars().iter().map(|&bar| clock.seconds(bar)).collect();
            let bar = |&at: &f64| bars.partition_point(|&bar| bar <= at + 1e-6).max(1) as u32;
            corpus.bars.push(line.onsets.iter().map(bar).collect());
            corpus.lines.push(line.intervals);
            task.advance(1)?;
        }
        Ok(corpus)
    }

    /// The longest run of notes that `take` shares with a piece; `without` is left out of the comparison.
    ///
    /// ```
    /// # use etude::harmony::Chart;
    /// # use etude::metrics::Corpus;
    /// # use etude::progress::Progress;
    /// let chart: Chart = "Dm7 G7 | Cmaj7 A7 | Fm7 Bb7 | Ebmaj7".parse()?;
    /// let piece = chart.score(120.0);
    /// let corpus = Corpus::new(&[piece.clone()], &Progress::silent())?;
    /// // A copy in another key is a copy.
    /// assert_eq!(corpus.longest_shared(&piece.transpose(3)?, None).notes, piece.len());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn longest_shared(&self, take: &Score, without: Option<usize>) -> SharedPassage {
        let line = NoteLine::of(take);
        let mut longest = SharedPassage { notes: 0, piece: 0, bar: 0, at: 0.0 };
        for (note, seed) in line.seeds() {
            for &(piece, place) in self.places.get(seed).map_or(&[][..], Vec::as_slice) {
                let (piece, place) = (piece as usize, place as usize);
                if Some(piece) == without {
                    continue;
                }
                // A run that extends backwards was found at its beginning already.
                let (ours, theirs) = (&line.intervals, &self.lines[piece]);
                if note > 0 && place > 0 && ours[note - 1] == theirs[place - 1] {
                    continue;
                }
                let steps = ours[note..].iter().zip(&theirs[place..]).take_while(|(a, b)| a == b).count();
                if steps + 1 > longest.notes {
                    let bar = self.bars[piece][place] as usize;
                    longest = SharedPassage { notes: steps + 1, piece, bar, at: line.onsets[note] };
                }
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    fn melody(pitches: &[u8], step: u32) -> Score {
        let mut score = Score::new(480);
        let note = |(i, &pitch): (u32, &u8)| Note { start: step * i, pitch, end: step * i + 100, velocity: 80 };
        score.tracks.push(Track { notes: (0..).zip(pitches).map(note).collect(), ..Track::default() });
        score
    }

    /// Pitches without a repeated run of eight.
    fn pitches(seed: u32, count: u32) -> Vec<u8> {
        (0..count).map(|i| 48 + ((i * i * 7 + i * 13 + seed * 31 + (i * seed) % 11) % 29) as u8).collect()
    }

    #[test]
    fn a_copied_run_is_found_in_another_key_and_rhythm() {
        let corpus = [melody(&pitches(1, 60), 240), melody(&pitches(2, 60), 480)];
        let index = Corpus::new(&corpus, &Progress::silent()).expect("nothing stops it");
        let mut take = pitches(5, 20);
        take.extend(pitches(2, 60)[16..36].iter().map(|pitch| pitch + 5));
        take.extend(pitches(7, 20));
        let shared = index.longest_shared(&melody(&take, 120), None);
        assert!((20..=22).contains(&shared.notes), "{shared:?}");
        assert_eq!((shared.piece, shared.bar), (1, 5));
        assert!(index.longest_shared(&corpus[1], None).notes == 60);
        assert!(index.longest_shared(&corpus[1], Some(1)).notes < 20, "itself is left out");
        assert_eq!(index.longest_shared(&melody(&[60, 62], 10), None).notes, 0);
    }
}

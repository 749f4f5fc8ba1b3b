//! Figures of one piece, with the formulas of muspy 0.5 (Dong et al. 2020, arXiv:2008.01951). Drums (channel 10) count
//! for onsets only.
//!
//! ```text
//! pitch-class entropy  = − Σ pᵢ log₂ pᵢ,  pᵢ the share of the notes in pitch class i            bits, 0 to 3.585
//! scale consistency    = the largest share of the notes in one of the 24 major and natural minor scales
//! groove consistency   = 1 − mean share of the positions of a bar at which two neighbouring bars differ in having an onset
//! polyphony            = mean number of pitches that sound, over the time in which any does
//! polyphony rate       = share of the time in which more than two pitches sound
//! empty beat rate      = share of the beats in which nothing sounds
//! ```
//!
//! Groove consistency compares bars of 4/4 at [`GRID`] positions a quarter: at the hundreds of ticks of a file it is near
//! 1 for any music. What a piece without notes has no answer to is NaN.

use crate::midi::{Note, Score};

/// Grid positions of a quarter at which onsets are compared.
const GRID: u32 = 4;

/// The figures of a piece.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PieceFigures {
    /// The number of pitched notes.
    pub notes: usize,
    /// The number of different pitches.
    pub pitches: usize,
    /// The number of different pitch classes.
    pub pitch_classes: usize,
    /// Semitones from the lowest to the highest.
    pub pitch_range: u8,
    /// The entropy of the pitch classes, in bits.
    pub pitch_class_entropy: f64,
    /// 0 to 1.
    pub scale_consistency: f64,
    /// 0 to 1.
    pub groove_consistency: f64,
    /// The mean number of pitches at once.
    pub polyphony: f64,
    /// 0 to 1.
    pub polyphony_rate: f64,
    /// 0 to 1.
    pub empty_beat_rate: f64,
}

impl PieceFigures {
    /// The names of the figures, in the order of [`PieceFigures::values`].
    pub const NAMES: [&'static str; 10] = [
        "notes",
        "pitches",
        "pitch_classes",
        "pitch_range",
        "pitch_class_entropy",
        "scale_consistency",
        "groove_consistency",
        "polyphony",
        "polyphony_rate",
        "empty_beat_rate",
    ];

    /// The number of counts, which are the first of the names.
    pub const COUNTS: usize = 4;

    /// Measures a piece.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let figures = etude::metrics::PieceFigures::of(&score);
    /// assert_eq!((figures.notes, figures.pitch_range, figures.pitch_class_entropy), (2, 4, 1.0));
    /// ```
    pub fn of(score: &Score) -> Self {
        let notes: Vec<&Note> = score.pitched().flat_map(|t| &t.notes).collect();
        let mut used = [false; 128];
        let mut classes = [0_usize; 12];
        for note in &notes {
            used[usize::from(note.pitch.min(127))] = true;
            classes[usize::from(note.pitch) % 12] += 1;
        }
        let pitches = || (0..128_u8).filter(|&pitch| used[usize::from(pitch)]);
        let (polyphony, polyphony_rate) = polyphony(&notes, last(score));
        Self {
            notes: notes.len(),
            pitches: pitches().count(),
            pitch_classes: classes.iter().filter(|&&n| n > 0).count(),
            pitch_range: pitches().max().zip(pitches().min()).map_or(0, |(high, low)| high - low),
            pitch_class_entropy: entropy(&classes),
            scale_consistency: scale_consistency(&classes),
            groove_consistency: groove_consistency(score, GRID),
            polyphony,
            polyphony_rate,
            empty_beat_rate: empty_beat_rate(score),
        }
    }

    /// The figures as numbers.
    pub fn values(&self) -> [f64; 10] {
        [
            self.notes as f64,
            self.pitches as f64,
            self.pitch_classes as f64,
            f64::from(self.pitch_range),
            self.pitch_class_entropy,
            self.scale_consistency,
            self.groove_consistency,
            self.polyphony,
            self.polyphony_rate,
            self.empty_beat_rate,
        ]
    }
}

/// The last tick at which a note ends.
fn last(score: &Score) -> u32 {
    score.tracks.iter().flat_map(|t| &t.notes).map(|note| note.end).max().unwrap_or(0)
}

fn entropy(counts: &[usize]) -> f64 {
    let total: usize = counts.iter().sum();
    if total == 0 {
        return f64::NAN;
    }
    let shares = counts.iter().filter(|&&n| n > 0).map(|&n| n as f64 / total as f64);
    -shares.map(|p| p * p.log2()).sum::<f64>() + 0.0
}

fn scale_consistency(classes: &[usize; 12]) -> f64 {
    const MAJOR: [usize; 7] = [0, 2, 4, 5, 7, 9, 11];
    const MINOR: [usize; 7] = [0, 2, 3, 5, 7, 8, 10];
    let total: usize = classes.iter().sum();
    let inside = |scale: &[usize; 7], root: usize| scale.iter().map(|step| classes[(root + step) % 12]).sum::<usize>();
    let most = (0..12).flat_map(|root| [inside(&MAJOR, root), inside(&MINOR, root)]).max().unwrap_or(0);
    most as f64 / total as f64 // 0 / 0 is NaN
}

/// Onsets on a grid of `grid` positions a quarter (the nearest, halves up), bar by bar of 4/4.
fn groove_consistency(score: &Score, grid: u32) -> f64 {
    let per_quarter = u64::from(score.ticks_per_quarter.max(1));
    let place = |tick: u32| (u64::from(tick) * u64::from(grid) * 2 + per_quarter) / (2 * per_quarter);
    let bar = u64::from(4 * grid);
    let bars = place(last(score)) / bar + 1;
    if bars < 2 {
        return f64::NAN;
    }
    let mut onsets: Vec<u64> = score.tracks.iter().flat_map(|t| &t.notes).map(|note| place(note.start)).collect();
    onsets.sort_unstable();
    onsets.dedup();
    let has = |place: u64| onsets.binary_search(&place).is_ok();
    // A position differs when one of two neighbouring bars has it: seen from every onset, forward and back.
    let differ = |&at: &u64| {
        let next = u64::from(at / bar + 1 < bars && !has(at + bar));
        let before = u64::from(at >= bar && !has(at - bar));
        next + before
    };
    let distance: u64 = onsets.iter().map(differ).sum();
    1.0 - distance as f64 / (bar * (bars - 1)) as f64
}

/// The mean number of pitches while any sounds, and the share of all time with more than two.
fn polyphony(notes: &[&Note], end: u32) -> (f64, f64) {
    let mut edges: Vec<(u32, bool, u8)> = notes
        .iter()
        .filter(|note| note.end > note.start)
        .flat_map(|note| [(note.start, true, note.pitch), (note.end, false, note.pitch)])
        .collect();
    edges.sort_unstable();
    let mut held = [0_usize; 256];
    let (mut sounding, mut since) = (0_u64, 0_u32);
    let (mut pitches, mut any, mut many) = (0_u64, 0_u64, 0_u64);
    for (tick, begins, pitch) in edges {
        let span = u64::from(tick - since);
        pitches += sounding * span;
        any += if sounding > 0 { span } else { 0 };
        many += if sounding > 2 { span } else { 0 };
        since = tick;
        let held = &mut held[usize::from(pitch)];
        if begins {
            *held += 1;
            sounding += u64::from(*held == 1);
        } else {
            *held -= 1;
            sounding -= u64::from(*held == 0);
        }
    }
    (pitches as f64 / any as f64, many as f64 / f64::from(end))
}

fn empty_beat_rate(score: &Score) -> f64 {
    let end = last(score);
    let quarter = score.ticks_per_quarter.max(1);
    if end < 1 {
        return f64::NAN;
    }
    let beats = end / quarter + 1;
    let mut spans: Vec<(u32, u32)> =
        score.tracks.iter().flat_map(|t| &t.notes).map(|note| (note.start / quarter, note.end / quarter)).collect();
    spans.sort_unstable();
    let (mut full, mut next) = (0, 0); // beats before `next` are counted
    for (first, last) in spans {
        let first = first.max(next);
        if last >= first {
            full += last + 1 - first;
            next = last + 1;
        }
    }
    1.0 - f64::from(full) / f64::from(beats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::Track;

    fn score(ticks_per_quarter: u32, notes: &[(u32, u32, u8)]) -> Score {
        let mut score = Score::new(ticks_per_quarter);
        let note = |&(start, end, pitch): &(u32, u32, u8)| Note { start, end, pitch, velocity: 80 };
        score.tracks.push(Track { notes: notes.iter().map(note).collect(), ..Track::default() });
        score
    }

    /// muspy 0.5.0 on the same notes; resolution 4, bars of 16:
    /// ```python
    /// for i in range(40):
    ///     start, pitch = i * 3 + i % 2, 48 + i * 7 % 23
    ///     notes += [Note(start, pitch, 2 + i % 5), Note(start, pitch + 4 + i % 3, 4)]
    /// n_pitches_used(m), n_pitch_classes_used(m), pitch_range(m), pitch_class_entropy(m), scale_consistency(m),
    /// groove_consistency(m, 16), polyphony(m), polyphony_rate(m), empty_beat_rate(m)
    /// ```
    const GOLDEN: [f64; 10] = [
        80.0,
        28.0,
        12.0,
        27.0,
        3.556_000_240_912_220_4,
        0.65,
        0.678_571_428_571_428_6,
        2.580_645_161_290_322_5,
        0.435_483_870_967_741_94,
        0.0,
    ];

    #[test]
    fn the_figures_are_those_of_muspy() {
        let notes: Vec<(u32, u32, u8)> = (0..40_u32)
            .flat_map(|i| {
                let start = i * 3 + i % 2;
                let pitch = 48 + (i * 7 % 23) as u8;
                [(start, start + 2 + i % 5, pitch), (start, start + 4, pitch + 4 + (i % 3) as u8)]
            })
            .collect();
        let figures = PieceFigures::of(&score(4, &notes));
        for ((name, ours), theirs) in PieceFigures::NAMES.iter().zip(figures.values()).zip(GOLDEN) {
            assert!((ours - theirs).abs() < 1e-12, "{name}: {ours}, not {theirs}");
        }
    }

    #[test]
    fn nothing_has_no_figures_and_one_note_has_plain_ones() {
        let none = PieceFigures::of(&score(480, &[]));
        assert!(none.pitch_class_entropy.is_nan() && none.scale_consistency.is_nan() && none.polyphony.is_nan());
        assert_eq!((none.notes, none.pitch_range), (0, 0));
        let one = PieceFigures::of(&score(480, &[(0, 480, 60)]));
        assert_eq!((one.pitch_class_entropy, one.scale_consistency, one.polyphony), (0.0, 1.0, 1.0));
        assert!(one.groove_consistency.is_nan(), "one bar has no neighbour");
    }

    #[test]
    fn equal_bars_have_all_the_groove_and_a_pitch_held_twice_is_one_pitch() {
        let bars: Vec<_> =
            (0..8).flat_map(|bar| [0, 360, 960].map(|at| (bar * 1920 + at, bar * 1920 + at + 100, 60))).collect();
        assert_eq!(PieceFigures::of(&score(480, &bars)).groove_consistency, 1.0);
        let twice = PieceFigures::of(&score(480, &[(0, 960, 60), (480, 1440, 60)]));
        assert_eq!((twice.polyphony, twice.polyphony_rate), (1.0, 0.0));
    }
}

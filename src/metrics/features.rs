//! The features by which Yang & Lerch (2018) compare pieces, as their `mgeval` takes them from a file.
//!
//! Notes are taken in the order of their onsets, lower pitches first; drums are left out. The mean time between onsets
//! counts those of a chord as well, with nothing between them. The pitch-class histogram weighs notes by their length in
//! hundredths of a second and their velocity, as a piano roll does. In the transition of pitch classes, a note leads to
//! those of its track that begin within 50 ms of its end. Lengths fall into twelve classes, the nearest in 96ths of a bar
//! (that of the first metre): whole, half, quarter, 8th, 16th, the same but the whole dotted, and triplets of half,
//! quarter and 8th notes.

use crate::midi::{Meter, Score, Sound};

/// The features, in the order of [`Features::values`].
pub(super) const NAMES: [&str; 10] = [
    "pitch_count",
    "pitch_range",
    "pitch_interval",
    "pitch_class_histogram",
    "pitch_class_transition",
    "note_count",
    "inter_onset_interval",
    "note_length_histogram",
    "note_length_transition",
    "polyphony",
];

/// 96ths of a bar.
const LENGTHS: [f64; 12] = [96.0, 48.0, 24.0, 12.0, 6.0, 72.0, 36.0, 18.0, 9.0, 32.0, 16.0, 8.0];

/// A note leads to one that begins this near to its end, in seconds.
const NEAR: f64 = 0.05;

/// The features of a piece, numbers as vectors of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Features([Vec<f64>; 10]);

impl Features {
    /// Computes the features of a piece.
    pub(super) fn of(score: &Score) -> Self {
        let notes = score.pitched_sounds();
        let mut used = [false; 128];
        notes.iter().for_each(|note| used[usize::from(note.pitch.min(127))] = true);
        let pitches = || (0..128_usize).filter(|&pitch| used[pitch]);
        let range = pitches().max().zip(pitches().min()).map_or(0, |(high, low)| high - low);
        let interval = |pair: &[Sound]| (f64::from(pair[0].pitch) - f64::from(pair[1].pitch)).abs();
        let lengths = lengths(score);
        Self([
            vec![pitches().count() as f64],
            vec![range as f64],
            vec![mean(notes.windows(2).map(interval))],
            class_histogram(&notes),
            class_transition(&notes, score.tracks.len()),
            vec![notes.len() as f64],
            vec![mean(notes.windows(2).map(|pair| pair[1].start - pair[0].start))],
            scaled(counted(12, lengths.iter().copied())),
            counted(144, lengths.windows(2).map(|pair| pair[0] * 12 + pair[1])),
            vec![finite(super::PieceFigures::of(score).polyphony)],
        ])
    }

    /// The values of a feature by name; empty for an unknown name.
    pub(super) fn of_name(&self, name: &str) -> &[f64] {
        NAMES.iter().position(|known| *known == name).map_or(&[], |at| self.values(at))
    }

    /// The values of feature number `at`.
    pub(super) fn values(&self, at: usize) -> &[f64] {
        &self.0[at]
    }
}

/// The mean of some values; 0 of an empty list.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

fn counted(classes: usize, places: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    places.for_each(|place| counts[place] += 1.0);
    counts
}

/// Divided by the sum, when there is one.
fn scaled(mut values: Vec<f64>) -> Vec<f64> {
    let sum: f64 = values.iter().sum();
    if sum > 0.0 {
        values.iter_mut().for_each(|value| *value /= sum);
    }
    values
}

fn class_histogram(notes: &[Sound]) -> Vec<f64> {
    let mut weights = vec![0.0; 12];
    for note in notes {
        let frames = (note.end * 100.0).floor() - (note.start * 100.0).floor();
        weights[usize::from(note.pitch) % 12] += frames * f64::from(note.velocity);
    }
    scaled(weights)
}

fn class_transition(notes: &[Sound], tracks: usize) -> Vec<f64> {
    let mut counts = vec![0.0; 144];
    for track in 0..tracks {
        let own: Vec<&Sound> = notes.iter().filter(|note| note.track == track).collect();
        if own.len() < 2 {
            continue; // a single note leads nowhere, however short it is
        }
        for note in &own {
            // Onsets are sorted: those within 50 ms are neighbours.
            let first = own.partition_point(|next| next.start <= note.end - NEAR);
            for next in own[first..].iter().take_while(|next| next.start < note.end + NEAR) {
                counts[usize::from(note.pitch) % 12 * 12 + usize::from(next.pitch) % 12] += 1.0;
            }
        }
    }
    counts
}

/// The class of each note's length.
fn lengths(score: &Score) -> Vec<usize> {
    let meter = score.meters.first().unwrap_or(&Meter::DEFAULT);
    let quarters = 4.0 * f64::from(meter.numerator.max(1)) / f64::from(meter.denominator.max(1));
    let unit = quarters * f64::from(score.ticks_per_quarter.max(1)) / 96.0;
    let mut notes: Vec<_> = score.pitched().flat_map(|t| &t.notes).collect();
    notes.sort_by_key(|note| (note.start, note.pitch));
    let class = |length: f64| {
        let off = |class: &usize| (LENGTHS[*class] - length).abs();
        (0..LENGTHS.len()).min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(0)
    };
    notes.iter().map(|note| class(f64::from(note.end - note.start) / unit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::midi::{Note, Track};

    /// C4 a quarter, E4 a dotted 8th right after it, C5 a quarter at once with it: 120 beats a minute.
    fn score() -> Score {
        let mut score = Score::new(480);
        let notes = [(0, 480, 60), (480, 840, 64), (480, 960, 72)];
        let note = |(start, end, pitch)| Note { start, end, pitch, velocity: 100 };
        score.tracks.push(Track { notes: notes.map(note).to_vec(), ..Track::default() });
        score
    }

    #[test]
    fn a_small_piece_has_the_features_counted_by_hand() {
        let features = Features::of(&score());
        let named = |name: &str| features.values(NAMES.iter().position(|n| *n == name).expect("a feature"));
        assert_eq!(
            (named("pitch_count"), named("pitch_range"), named("note_count")),
            (&[3.0][..], &[12.0][..], &[3.0][..])
        );
        assert_eq!((named("pitch_interval"), named("inter_onset_interval")), (&[6.0][..], &[0.25][..]));
        let histogram = named("pitch_class_histogram");
        assert!(
            (histogram[0] - 100.0 / 137.0).abs() < 0.01 && (histogram[4] - 37.0 / 137.0).abs() < 0.01,
            "{histogram:?}"
        );
        let transition = named("pitch_class_transition");
        assert_eq!((transition[4], transition[0], transition.iter().sum::<f64>()), (1.0, 1.0, 2.0));
        let lengths = named("note_length_histogram");
        assert!((lengths[2] - 2.0 / 3.0).abs() < 1e-12 && (lengths[7] - 1.0 / 3.0).abs() < 1e-12, "{lengths:?}");
        assert_eq!(named("note_length_transition")[2 * 12 + 7], 1.0);
        assert_eq!(named("polyphony"), [(480.0 + 2.0 * 360.0 + 120.0) / 960.0]);
    }

    #[test]
    fn silence_has_features_too() {
        let silence = Features::of(&Score::new(480));
        assert!((0..NAMES.len()).all(|at| silence.values(at).iter().all(|x| *x == 0.0)));
    }
}

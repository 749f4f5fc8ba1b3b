//! The weights of the recogniser: features given a chord, and changes from chord to chord.
//!
//! A log-linear model (a conditional random field over windows): each kind of feature has a table of weights by quality
//! and interval above the root, so that all keys share them; a change of chord has weights by the motion of the root
//! and both qualities, and by its place in the bar. `learn.rs` fits them to files with known chords and writes
//! `tables.bin`.

use std::sync::OnceLock;

use super::evidence::{Evidence, KINDS, When, when};
use crate::harmony::Quality;

/// Number of qualities.
pub(super) const QUALITIES: usize = Quality::ALL.len();

/// Number of states of the path: `12 · quality + root`.
pub(super) const STATES: usize = 12 * QUALITIES;

/// One value per state.
pub(super) type Scores = [f32; STATES];

/// Weights by quality and interval (or motion of the root) in semitones.
pub(super) type Profile = [[f32; 12]; QUALITIES];

/// Number of weights.
#[cfg(test)]
pub(super) const WEIGHTS: usize = KINDS * STATES + QUALITIES * STATES + QUALITIES + PLACES;

/// Number of places in a bar.
const PLACES: usize = 4;

/// The integer in the file for a weight of 1.
const UNIT: f32 = 1024.0;

/// The weight of a change to the same chord, which does not occur.
const NEVER: f32 = -30.0;

/// The weights, in nats.
#[derive(Debug, Clone)]
pub(super) struct ChordModel {
    /// Of each kind of evidence.
    pub(super) tables: [Profile; KINDS],
    /// Of a change: `[quality before][quality after][motion of the root]`.
    pub(super) succession: Vec<Profile>,
    /// Of a quality at the beginning of a piece.
    pub(super) start: [f32; QUALITIES],
    /// Of a change, by [`Place`](super::windows::Place).
    pub(super) change: [f32; PLACES],
}

impl ChordModel {
    /// The model that is built in.
    pub(super) fn get() -> &'static Self {
        static MODEL: OnceLock<ChordModel> = OnceLock::new();
        MODEL.get_or_init(|| Self::from_weights(&Self::built_in()))
    }

    /// The weights of the model that is built in.
    pub(super) fn built_in() -> Vec<f32> {
        let values = include_bytes!("tables.bin").chunks_exact(2);
        values.map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / UNIT).collect()
    }

    /// From a list of weights; those that are missing are 0.
    pub(super) fn from_weights(weights: &[f32]) -> Self {
        let mut weights = weights.iter().copied().chain(std::iter::repeat(0.0));
        let mut next = || weights.next().unwrap_or(0.0);
        let mut profile = || {
            let mut profile = [[0.0; 12]; QUALITIES];
            profile.iter_mut().flatten().for_each(|w| *w = next());
            profile
        };
        let tables = std::array::from_fn(|_| profile());
        let succession = (0..QUALITIES).map(|_| profile()).collect();
        let start = std::array::from_fn(|_| next());
        let change = std::array::from_fn(|_| next());
        Self { tables, succession, start, change }
    }

    /// The file of a list of weights.
    #[cfg(test)]
    pub(super) fn file(weights: &[f32]) -> Vec<u8> {
        let value = |w: &f32| ((w * UNIT).round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16).to_le_bytes();
        weights.iter().flat_map(value).collect()
    }

    /// The score of a window for every state: as the first window of a chord, and as a later one.
    pub(super) fn emissions(&self, evidence: &Evidence) -> (Scores, Scores) {
        // Doubled, so that no index wraps.
        let doubled: [[f32; 24]; KINDS] = std::array::from_fn(|k| std::array::from_fn(|i| evidence[k][i % 12]));
        let heard: [bool; KINDS] = std::array::from_fn(|k| evidence[k].iter().any(|e| *e != 0.0));
        let (mut first, mut later) = ([0.0; STATES], [0.0; STATES]);
        for quality in 0..QUALITIES {
            let (mut both, mut begin, mut stay) = ([0.0f32; 12], [0.0f32; 12], [0.0f32; 12]);
            for kind in (0..KINDS).filter(|k| heard[*k]) {
                let sums = match when(kind) {
                    When::First => &mut begin,
                    When::Later => &mut stay,
                    When::Always => &mut both,
                };
                for (interval, weight) in self.tables[kind][quality].iter().enumerate() {
                    let sound = &doubled[kind][interval..interval + 12];
                    sums.iter_mut().zip(sound).for_each(|(sum, s)| *sum += weight * s);
                }
            }
            for root in 0..12 {
                first[12 * quality + root] = both[root] + begin[root];
                later[12 * quality + root] = both[root] + stay[root];
            }
        }
        (first, later)
    }

    /// What each change from a state (row) to another (column) weighs.
    pub(super) fn transitions(&self) -> Vec<Scores> {
        let row = |from: usize| {
            let (before, old) = (from / 12, from % 12);
            std::array::from_fn(|to| {
                let weight = self.succession[before][to / 12][(to % 12 + 12 - old) % 12];
                if from == to { NEVER } else { weight }
            })
        };
        (0..STATES).map(row).collect()
    }
}

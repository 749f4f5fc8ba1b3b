//! How well a chord explains what sounds.
//!
//! Every chord of a small vocabulary is held against a chroma: sound on its tones speaks for it, other sound and missing
//! tones against it, and the bass for the root or at least for a chord tone. The vocabulary is the families of
//! [`Quality`](crate::harmony::Quality), the altered dominants and the suspended chords in their usual forms.

use super::windows::Chroma;

/// The suffixes of the vocabulary, and what the plainer ones have ahead of the rarer.
const VOCABULARY: [(&str, f32); 18] = [
    ("", 0.12),
    ("m", 0.12),
    ("7", 0.06),
    ("maj7", -0.06),
    ("m7", 0.0),
    ("m7b5", -0.05),
    ("dim7", -0.05),
    ("dim", -0.09),
    ("6", -0.1),
    ("m6", -0.1),
    ("aug", -0.09),
    ("7sus4", -0.09),
    ("sus4", -0.12),
    ("mMaj7", -0.15),
    ("7b9", -0.12),
    ("7#9", -0.15),
    ("7#5", -0.1),
    ("7b5", -0.13),
];

/// What the absence of root, third, fifth and further tones costs. Pianists leave out the root.
const MISSING: [f32; 4] = [0.0, 0.28, 0.1, 0.18];

/// A tone is there in full with this share of the sound.
const PRESENT: f32 = 0.2;

/// What sound outside the chord costs, where sound inside earns 1.
const FOREIGN: f32 = 0.7;

/// What a bass on the root earns, and what a bass that stays on one chord tone earns.
const ROOT_BASS: f32 = 0.2;
const STEADY_BASS: f32 = 0.12;

/// A chord of the vocabulary.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// What stands behind the root.
    pub(super) suffix: &'static str,
    /// Semitones above the root, the root first.
    tones: Vec<usize>,
    prior: f32,
}

/// All of the vocabulary.
pub(super) fn vocabulary() -> Vec<Template> {
    let template = |&(suffix, prior): &(&'static str, f32)| {
        let chord = super::Chord::on(0, suffix);
        Template { suffix, tones: chord.intervals().iter().map(|i| usize::from(i % 12)).collect(), prior }
    };
    VOCABULARY.iter().map(template).collect()
}

/// The chord that explains a chroma and a bass best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Match {
    /// How well: 1 is a chord alone over its root.
    pub(super) fit: f32,
    /// Pitch class of the root.
    pub(super) root: u8,
    /// Index in the vocabulary.
    pub(super) template: usize,
}

/// Finds the best chord for a chroma and a bass, each of which sums to one (or to nothing).
pub(super) fn best(vocabulary: &[Template], chroma: &Chroma, bass: &Chroma) -> Match {
    // What a tone at each place of a chord (root, third, fifth, others) is worth, for two octaves: no wrapping inside.
    let mut worth = [[0.0f32; 24]; 4];
    let mut low = [0.0f32; 24];
    for i in 0..24 {
        let share = chroma[i % 12];
        let missing = (1.0 - share / PRESENT).max(0.0);
        for (place, worth) in worth.iter_mut().enumerate() {
            worth[i] = (1.0 + FOREIGN) * share - MISSING[place] * missing;
        }
        low[i] = bass[i % 12];
    }
    let mut best = Match { fit: f32::NEG_INFINITY, root: 0, template: 0 };
    for root in 0..12 {
        for (index, template) in vocabulary.iter().enumerate() {
            let (mut sum, mut steady) = (0.0, 0.0f32);
            for (place, &tone) in template.tones.iter().enumerate() {
                sum += worth[place.min(3)][root + tone];
                steady = steady.max(low[root + tone]);
            }
            let fit = sum - FOREIGN + template.prior + ROOT_BASS * low[root] + STEADY_BASS * steady;
            if fit > best.fit {
                best = Match { fit, root: root as u8, template: index };
            }
        }
    }
    best
}

impl Template {
    /// The bass of a chord on `root` when it is a chord tone that holds most of the bass: `None` for the root.
    pub(super) fn bass(&self, root: u8, bass: &Chroma) -> Option<u8> {
        let tones = self.tones.iter().skip(1).filter(|t| **t != 11).map(|t| (usize::from(root) + t) % 12);
        tones.filter(|&t| bass[t] > 0.5).map(|t| t as u8).next()
    }
}

//! From a state of the path to a chord symbol: the usual form of its quality, and the bass.

use super::windows::{Chroma, Window};
use crate::harmony::{Chord, Quality};

/// The chord of windows that share a state, `12 · quality + root`; `None` where nothing sounds.
pub(super) fn name(state: usize, windows: &[Window]) -> Option<Chord> {
    let (mut chroma, mut bass): (Chroma, Chroma) = ([0.0; 12], [0.0; 12]);
    for window in windows {
        chroma.iter_mut().zip(&window.chroma).for_each(|(sum, c)| *sum += c);
        if let Some(low) = window.bass {
            bass[usize::from(low.class)] += low.depth;
        }
    }
    if chroma.iter().all(|c| *c <= 0.0) {
        return None;
    }
    let root = state % 12;
    let share = |interval: usize| chroma[(root + interval) % 12];
    let chord = Chord::on(root as u8, suffix(Quality::ALL[state / 12], share));
    let total: f32 = bass.iter().sum();
    let tones = chord.intervals().iter().skip(1).filter(|i| **i != 11).map(|i| (root + usize::from(*i)) % 12);
    let low = tones.map(|class| class as u8).find(|class| bass[usize::from(*class)] > 0.5 * total);
    Some(chord.over(low))
}

/// The form of a quality that fits what sounds at an interval above the root.
fn suffix(quality: Quality, share: impl Fn(usize) -> f32) -> &'static str {
    match quality {
        Quality::Altered => {
            let forms = [("7b9", 1), ("7#9", 3), ("7#5", 8), ("7b5", 6)];
            let best = forms.iter().max_by(|a, b| share(a.1).total_cmp(&share(b.1)));
            best.map_or("7b9", |form| form.0)
        }
        Quality::Suspended if share(10) > 0.0 => "7sus4",
        Quality::Suspended => "sus4",
        other => other.suffix(),
    }
}

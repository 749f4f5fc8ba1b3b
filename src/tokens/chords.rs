//! The chord tokens of the performance encoding: `Chord_N.C.`, then fourteen qualities on each of twelve roots.
//!
//! The index of a chord in the block is `0` for no chord, else `1 + 14·root + quality`; a transposition rotates the
//! roots and keeps the qualities.

use crate::harmony::{ChordAt, ChordClass, Quality};

/// The number of chord tokens.
pub(super) const COUNT: u32 = 1 + 12 * QUALITIES;

const QUALITIES: u32 = Quality::ALL.len() as u32;
const ROOTS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];

/// The index of a chord in the block.
pub(super) fn place(class: ChordClass) -> u32 {
    match class {
        ChordClass::None => 0,
        ChordClass::Some { root, quality } => {
            let quality = Quality::ALL.iter().position(|&q| q == quality).expect("ALL holds every quality");
            1 + u32::from(root % 12) * QUALITIES + quality as u32
        }
    }
}

/// The chord at an index below [`COUNT`].
pub(super) fn class(place: u32) -> Option<ChordClass> {
    let Some(index) = place.checked_sub(1) else { return Some(ChordClass::None) };
    let quality = Quality::ALL[(index % QUALITIES) as usize];
    (place < COUNT).then_some(ChordClass::Some { root: (index / QUALITIES) as u8, quality })
}

/// The name of the token at an index: `Chord_Eb:m7`; a plain major triad is `maj`.
pub(super) fn name(place: u32) -> String {
    match class(place) {
        Some(ChordClass::Some { root, quality }) => {
            let suffix = if quality == Quality::Major { "maj" } else { quality.suffix() };
            format!("Chord_{}:{suffix}", ROOTS[usize::from(root)])
        }
        _ => "Chord_N.C.".to_string(),
    }
}

/// The same quality `semitones` higher.
pub(super) fn transpose(place: u32, semitones: i32) -> u32 {
    match place.checked_sub(1) {
        None => 0,
        Some(index) => {
            let root = ((index / QUALITIES) as i32 + semitones).rem_euclid(12) as u32;
            1 + root * QUALITIES + index % QUALITIES
        }
    }
}

/// The chord changes on a grid: (step, index) in order of time. Of several chords on one step the last is used, and a
/// chord that is in force already is not a change.
pub(super) fn changes(chords: &[ChordAt], step: impl Fn(&ChordAt) -> Option<u32>) -> Vec<(u32, u32)> {
    let mut placed: Vec<(u32, u32)> = chords.iter().filter_map(|c| Some((step(c)?, place(c.chord.class())))).collect();
    placed.sort_by_key(|&(step, _)| step);
    let mut changes: Vec<(u32, u32)> = Vec::with_capacity(placed.len());
    for (i, &(step, place)) in placed.iter().enumerate() {
        let overruled = placed.get(i + 1).is_some_and(|next| next.0 == step);
        if !overruled && changes.last().is_none_or(|last| last.1 != place) {
            changes.push((step, place));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_classes_are_inverse() {
        assert_eq!(COUNT, 169);
        for p in 0..COUNT {
            assert_eq!(class(p).map(place), Some(p));
        }
        assert_eq!(class(COUNT), None);
    }

    #[test]
    fn names_are_all_different_and_spelled_with_flats_but_for_f_sharp() {
        let names: std::collections::HashSet<String> = (0..COUNT).map(name).collect();
        assert_eq!(names.len(), 169);
        for expected in ["Chord_N.C.", "Chord_C:maj", "Chord_Db:maj7", "Chord_F#:m7b5", "Chord_Bb:7", "Chord_B:aug"] {
            assert!(names.contains(expected), "{expected}");
        }
    }

    #[test]
    fn transposing_rotates_the_roots() {
        let place = |root, quality| place(ChordClass::Some { root, quality });
        assert_eq!(transpose(place(11, Quality::Seven), 2), place(1, Quality::Seven));
        assert_eq!(transpose(place(0, Quality::Minor), -3), place(9, Quality::Minor));
        assert_eq!(transpose(0, 5), 0);
    }
}

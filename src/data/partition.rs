//! Splits pieces into training and held-out: by piece, never by window, copies of one file together.

use std::collections::HashMap;
use std::path::Path;

use rand::seq::SliceRandom;

use crate::data::random::{Draw, rng};

/// Names of folders of held-out pieces, next to `train`.
const HELD_OUT: [&str; 4] = ["val", "validation", "valid", "dev"];

/// For every piece, whether it is held out, when all of them are in two folders side by side, `train` and `val`, and
/// some in each. The real folders count, whatever path named them.
pub(super) fn by_folder(pieces: &[&Path]) -> Option<Vec<bool>> {
    let above =
        pieces.first()?.ancestors().skip(1).find(|above| pieces.iter().all(|piece| piece.starts_with(above)))?;
    let side = |piece: &&Path| match piece.strip_prefix(above).ok()?.iter().next()?.to_str()? {
        "train" => Some(false),
        name if HELD_OUT.contains(&name) => Some(true),
        _ => None,
    };
    let held: Vec<bool> = pieces.iter().map(side).collect::<Option<_>>()?;
    (held.contains(&false) && held.contains(&true)).then_some(held)
}

/// For every piece, whether it is held out; `contents` identifies copies of one file.
///
/// A share of `share` of the pieces is, rounded: at least one when it is above 0 and there are two different contents,
/// never all.
pub(super) fn held_out(contents: &[u64], share: f64, seed: u64) -> Vec<bool> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of = HashMap::new();
    for (piece, content) in contents.iter().enumerate() {
        let group = *group_of.entry(content).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(piece),
            None => groups.push(vec![piece]),
        }
    }
    let mut held = vec![false; contents.len()];
    if share <= 0.0 || groups.len() < 2 {
        return held;
    }
    groups.shuffle(&mut rng(seed, Draw::Sides, 0));
    let mut wanted = ((contents.len() as f64 * share).round() as usize).clamp(1, contents.len() - 1);
    // The last group always stays for training.
    let last = groups.len() - 1;
    for group in &groups[..last] {
        if group.len() <= wanted {
            wanted -= group.len();
            group.iter().for_each(|&piece| held[piece] = true);
        }
    }
    if !held.contains(&true) {
        groups[0].iter().for_each(|&piece| held[piece] = true);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(held: &[bool]) -> usize {
        held.iter().filter(|&&h| h).count()
    }

    #[test]
    fn a_share_is_held_out_but_never_none_and_never_all() {
        let contents: Vec<u64> = (0..20).collect();
        assert_eq!(count(&held_out(&contents, 0.1, 1)), 2);
        assert_eq!(count(&held_out(&contents, 0.13, 1)), 3);
        assert_eq!(count(&held_out(&contents, 0.001, 1)), 1);
        assert_eq!(count(&held_out(&contents, 0.999, 1)), 19);
        assert_eq!(count(&held_out(&contents, 0.0, 1)), 0);
        assert_eq!(held_out(&[7], 0.5, 1), [false]);
        assert!(held_out(&[], 0.5, 1).is_empty());
    }

    #[test]
    fn the_seed_decides() {
        let contents: Vec<u64> = (0..50).collect();
        assert_eq!(held_out(&contents, 0.2, 1), held_out(&contents, 0.2, 1));
        assert_ne!(held_out(&contents, 0.2, 1), held_out(&contents, 0.2, 2));
    }

    #[test]
    fn copies_of_one_file_stay_on_one_side() {
        for seed in 0..50 {
            let held = held_out(&[1, 2, 1, 3, 2, 1, 4, 5], 0.3, seed);
            assert_eq!((held[0], held[0], held[1]), (held[2], held[5], held[4]), "seed {seed}");
            assert!((1..8).contains(&count(&held)));
        }
        assert_eq!(held_out(&[1, 1, 1], 0.5, 0), [false; 3]);
        // Both groups are larger than the share: one is held out all the same.
        assert_eq!(count(&held_out(&[1, 1, 2, 2], 0.1, 0)), 2);
    }

    #[test]
    fn folders_called_train_and_val_are_the_two_sides() {
        let sides = |pieces: &[&str]| by_folder(&pieces.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(sides(&["a/train/b/1.mid", "a/val/2.mid", "a/train/3.mid"]), Some(vec![false, true, false]));
        assert_eq!(sides(&["train/1.mid", "validation/2.mid"]), Some(vec![false, true]));
        assert_eq!(sides(&["a/train/1.mid", "a/2.mid"]), None, "a piece is beside them");
        assert_eq!(sides(&["a/val/1.mid", "a/val/2.mid"]), None, "nothing is left to train on");
        assert_eq!(sides(&["a/train/1.mid", "a/train/2.mid"]), None, "nothing is held out");
        assert_eq!(sides(&["a/train.mid", "b/val/1.mid"]), None);
        assert_eq!(sides(&[]), None);
    }
}

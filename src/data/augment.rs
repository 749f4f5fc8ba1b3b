//! Augmentation: transposed and time-stretched copies of training pieces; 12 transpositions × 3 tempi make 36 of each.

use rand::Rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The copies that are made of every training piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// The number of transpositions, the original included: 12 means −5 to +6 semitones. A copy that would leave the
    /// keyboard (21–108) is moved by an octave or left out.
    pub transpose: usize,
    /// Tempo factors: 1.1 plays a tenth faster.
    pub tempo: Vec<f64>,
    /// Number of copies drawn at random for each piece (all when absent).
    pub sample: Option<usize>,
}

impl Default for Augment {
    fn default() -> Self {
        Self { transpose: 1, tempo: vec![1.0], sample: None }
    }
}

/// One copy of a piece.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Copy {
    /// Tempo factor.
    pub(super) tempo: f64,
    /// Semitones up.
    pub(super) semitones: i32,
    /// Whether it has chord tokens.
    pub(super) chords: bool,
    /// Whether it has its style token.
    pub(super) style: bool,
}

/// The key numbers of a piano.
const KEYBOARD: std::ops::RangeInclusive<i32> = 21..=108;
/// The number of pitches in MIDI.
const MOST_TRANSPOSITIONS: usize = 128;
/// Accepted tempo factors.
const TEMPI: std::ops::RangeInclusive<f64> = 0.1..=10.0;

impl Augment {
    /// Checks the ranges of all options.
    ///
    /// # Errors
    /// Names the option, its value and what it may be.
    ///
    /// ```
    /// use etude::data::Augment;
    ///
    /// assert!(Augment { transpose: 12, tempo: vec![0.9, 1.0, 1.1], sample: None }.validate().is_ok());
    /// assert!(Augment { transpose: 0, ..Augment::default() }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        if !(1..=MOST_TRANSPOSITIONS).contains(&self.transpose) {
            return Err(Error::mistake(format!(
                "augment.transpose is {}, but it counts transpositions: 1 to {MOST_TRANSPOSITIONS}",
                self.transpose
            ))
            .with_hint("1 keeps the original only, 12 makes -5 to +6 semitones"));
        }
        if self.tempo.is_empty() {
            return Err(Error::mistake("augment.tempo is empty").with_hint("[1.0] keeps the original only"));
        }
        if let Some(bad) = self.tempo.iter().find(|f| !TEMPI.contains(f)) {
            return Err(Error::mistake(format!("augment.tempo has {bad}, but a tempo factor lies in 0.1 to 10"))
                .with_hint("1.1 plays a tenth faster, 0.9 slower"));
        }
        if self.sample == Some(0) {
            return Err(Error::mistake("augment.sample is 0, but every piece needs a copy")
                .with_hint("leave it out to make all copies"));
        }
        Ok(())
    }

    /// The transpositions of a piece whose lowest and highest keys are given (`None`: drums only).
    fn transpositions(&self, keys: Option<(u8, u8)>) -> Vec<i32> {
        let Some((low, high)) = keys else { return vec![0] };
        let fits = |by: i32| {
            by == 0 || KEYBOARD.contains(&(i32::from(low) + by)) && KEYBOARD.contains(&(i32::from(high) + by))
        };
        let n = self.transpose as i32;
        let mut all: Vec<i32> = Vec::with_capacity(self.transpose);
        for by in -(n - 1) / 2..=n / 2 {
            if let Some(by) = [by, by - 12, by + 12].into_iter().find(|&by| fits(by))
                && !all.contains(&by)
            {
                all.push(by);
            }
        }
        all
    }

    /// The copies of one piece, grouped by tempo; `mean` is the mean number of copies, in place of `sample`. A share of
    /// `dropout` has no chords.
    pub(super) fn copies(
        &self,
        keys: Option<(u8, u8)>,
        mean: Option<f64>,
        dropout: f64,
        rng: &mut impl Rng,
    ) -> Vec<Copy> {
        let by = self.transpositions(keys);
        let mut places: Vec<usize> = (0..self.tempo.len() * by.len()).collect();
        let sample = mean.map(|mean| mean as usize + usize::from(rng.random::<f64>() < mean.fract())).or(self.sample);
        if let Some(k) = sample.filter(|&k| k < places.len()) {
            places = index::sample(rng, places.len(), k).into_vec();
            places.sort_unstable();
        }
        places
            .into_iter()
            .map(|place| Copy {
                tempo: self.tempo[place / by.len()],
                semitones: by[place % by.len()],
                chords: rng.random::<f64>() >= dropout,
                style: true,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::{Draw, rng};

    fn twelve() -> Augment {
        Augment { transpose: 12, tempo: vec![0.9, 1.0, 1.1], sample: None }
    }

    #[test]
    fn twelve_keys_and_three_tempi_make_thirty_six_copies() {
        let copies = twelve().copies(Some((40, 80)), None, 0.0, &mut rng(0, Draw::Copies, 0));
        assert_eq!(copies.len(), 36);
        assert_eq!(copies[..12].iter().map(|c| c.semitones).collect::<Vec<_>>(), (-5..=6).collect::<Vec<_>>());
        assert!(copies.iter().all(|c| c.chords));
    }

    #[test]
    fn a_copy_beyond_the_keyboard_moves_by_an_octave_or_goes() {
        // The top key is 106: +3 would be 109, an octave lower fits.
        assert_eq!(twelve().transpositions(Some((50, 106))), [-5, -4, -3, -2, -1, 0, 1, 2, -9, -8, -7, -6]);
        // The whole keyboard: no transposition fits.
        assert_eq!(twelve().transpositions(Some((21, 108))), [0]);
        // Notes outside the keyboard: the original stays, and the transpositions that fit.
        assert_eq!(twelve().transpositions(Some((18, 60))), [7, 8, 9, 10, 11, 0, 13, 14, 3, 4, 5, 6]);
        assert_eq!(twelve().transpositions(None), [0]);
    }

    #[test]
    fn so_many_are_drawn_by_seed() {
        let some = Augment { sample: Some(5), ..twelve() };
        let draw = |seed| some.copies(Some((40, 80)), None, 0.5, &mut rng(seed, Draw::Copies, 3));
        assert_eq!(draw(1).len(), 5);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).is_sorted_by_key(|c| c.tempo));
    }

    #[test]
    fn chords_are_dropped_by_their_share() {
        let many = Augment { transpose: 12, tempo: vec![1.0; 100], sample: None };
        let without = |share| {
            let copies = many.copies(Some((40, 80)), None, share, &mut rng(0, Draw::Copies, 0));
            copies.iter().filter(|c| !c.chords).count()
        };
        assert_eq!(without(0.0), 0);
        assert_eq!(without(1.0), 1200);
        assert!((250..350).contains(&without(0.25)), "{}", without(0.25));
    }
}

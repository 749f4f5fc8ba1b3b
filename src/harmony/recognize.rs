//! Hears the chords of a score, inversions included.
//!
//! The score is cut into stretches of windows so that the chords which explain the stretches best explain the whole
//! best, minus a price for every change, which is lower on bar lines than between. The best cut ending at each window
//! follows from the best cuts ending before it, so the time grows with the windows.

use super::templates::{self, Match, Template};
use super::windows::{Chroma, Place, Window, windows};
use crate::harmony::{Chord, ChordAt};
use crate::midi::{Clock, Score};

/// The most windows in a stretch; longer chords are put together again.
const LONGEST: usize = 8;

impl Place {
    /// What a change of chord costs here, in windows that are explained perfectly.
    fn price(self) -> f32 {
        match self {
            Self::Bar => 0.3,
            Self::Half => 0.5,
            Self::Beat => 0.9,
            Self::Free => 0.65,
        }
    }
}

/// The chords that sound, one wherever the harmony changes. Markers are not looked at; drums are not heard.
pub fn recognize(score: &Score) -> Vec<ChordAt> {
    let clock = Clock::new(score);
    let windows = windows(score);
    let vocabulary = templates::vocabulary();
    let mut chords: Vec<ChordAt> = Vec::new();
    for stretch in stretches(&windows, &vocabulary) {
        let template = &vocabulary[stretch.found.template];
        let bass = template.bass(stretch.found.root, &stretch.bass);
        let chord = Chord::on(stretch.found.root, template.suffix).over(bass);
        if chords.last().is_none_or(|last| last.chord != chord) {
            let tick = windows[stretch.first].start;
            chords.push(ChordAt::new(tick, chord, &clock, score.ticks_per_quarter));
        }
    }
    chords
}

/// Windows from `first` on that have one chord.
#[derive(Debug, Clone)]
struct Stretch {
    first: usize,
    bass: Chroma,
    found: Match,
}

/// The best cut of the windows; silence belongs to the chord before it.
fn stretches(windows: &[Window], vocabulary: &[Template]) -> Vec<Stretch> {
    // The best cut of the windows before each, its value, and its last stretch.
    let mut values = vec![0.0f32];
    let mut lasts: Vec<Option<Stretch>> = vec![None];
    for end in 1..=windows.len() {
        let (mut value, mut last) = (f32::NEG_INFINITY, None);
        let (mut chroma, mut bass, mut weight): (Chroma, Chroma, f32) = ([0.0; 12], [0.0; 12], 0.0);
        for first in (end.saturating_sub(LONGEST)..end).rev() {
            let window = &windows[first];
            add(&mut chroma, &window.chroma);
            add(&mut bass, &window.bass);
            weight += window.chroma.iter().sum::<f32>().min(1.0);
            let shares = shares(&bass);
            let found = (weight > 0.0).then(|| templates::best(vocabulary, &self::shares(&chroma), &shares));
            let here = values[first] + found.map_or(0.0, |f| weight * f.fit - window.place.price());
            if here > value {
                value = here;
                last = Some((first, found.map(|found| Stretch { first, bass: shares, found })));
            }
        }
        values.push(value);
        lasts.push(
            last.and_then(|(first, stretch)| stretch.or(Some(Stretch { first, bass: [0.0; 12], found: SILENCE }))),
        );
    }
    let mut cut = Vec::new();
    let mut end = windows.len();
    while let Some(stretch) = lasts.get_mut(end).and_then(Option::take) {
        end = stretch.first;
        if stretch.found != SILENCE {
            cut.push(stretch);
        }
    }
    cut.reverse();
    cut
}

/// Stands for no chord.
const SILENCE: Match = Match { fit: 0.0, root: u8::MAX, template: usize::MAX };

fn add(sum: &mut Chroma, more: &Chroma) {
    for (s, m) in sum.iter_mut().zip(more) {
        *s += m;
    }
}

fn shares(chroma: &Chroma) -> Chroma {
    let sum: f32 = chroma.iter().sum();
    chroma.map(|c| if sum > 0.0 { c / sum } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harmony::{Chart, ChordClass, Quality};

    /// What is heard in a chart played without its markers.
    fn heard(chart: &str) -> Vec<String> {
        let chart: Chart = chart.parse().unwrap_or_else(|e| panic!("{e}"));
        let mut score = chart.score(120.0);
        score.markers.clear();
        recognize(&score).iter().map(|c| c.chord.name()).collect()
    }

    #[test]
    fn what_is_voiced_is_heard() {
        assert_eq!(heard("Dm7 G7 Cmaj7 A7"), ["Dm7", "G7", "Cmaj7", "A7"]);
        assert_eq!(heard("C Am | F G7 | C"), ["C", "Am", "F", "G7", "C"]);
        assert_eq!(heard("C C C F"), ["C", "F"]);
    }

    #[test]
    fn inversions_are_heard_with_their_bass() {
        assert_eq!(heard("C/E F C/G G7/B C"), ["C/E", "F", "C/G", "G7/B", "C"]);
        assert_eq!(heard("C | C/E"), ["C", "C/E"]);
    }

    #[test]
    fn every_family_is_heard_on_every_root() {
        for quality in Quality::ALL {
            for root in 0..12 {
                let class = ChordClass::Some { root, quality };
                // An altered chord in full has seven tones, any of which may be another's; its usual form is the 7#5.
                let name = if quality == Quality::Altered {
                    format!("{}7#5", Chord::of_class(class).root().expect("a root"))
                } else {
                    Chord::of_class(class).name()
                };
                let chart: Chart = name.parse().expect("a chart");
                let found = recognize(&chart.score(100.0));
                let classes: Vec<ChordClass> = found.iter().map(|c| c.chord.class()).collect();
                assert_eq!(classes, [class], "{name}: {found:?}");
            }
        }
    }

    #[test]
    fn silence_has_no_chord() {
        assert_eq!(recognize(&Score::new(480)), []);
        assert_eq!(heard("N.C. N.C. G7 N.C. C"), ["G7", "C"]);
    }
}

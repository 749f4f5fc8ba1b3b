//! The tokens of the vocabulary and the layout of their ids.

use crate::harmony::Quality;
use crate::tokens::timed::LONGEST_SHIFT;
use crate::tokens::{Kind, Vocabulary};

use super::lengths;

/// Roots by pitch class.
const ROOTS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
/// The largest move of the pitch anchor with a chord: from −5 to 6 or back.
pub(super) const FARTHEST: i32 = 11;
/// The lowest and the highest anchor.
pub(super) const ANCHORS: std::ops::RangeInclusive<i32> = -5..=6;

/// A decoded token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Pad,
    Bos,
    Eos,
    Mask,
    /// The pitch above the anchor, or the key number where pitches are absolute.
    Pitch(i32),
    /// The index of a length.
    Duration(u8),
    /// Steps of time.
    Shift(u32),
    /// A velocity bin.
    Velocity(u8),
    /// A bar begins.
    Bar,
    /// A beat that is not the first of a bar.
    Beat,
    NoChord,
    /// The root of a chord: its pitch class, or the move of the anchor.
    Root(i32),
    Quality(Quality),
    /// The index of a style.
    Style(u8),
}

/// The first ids of the blocks of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    relative: bool,
    duration: u32,
    shift: u32,
    velocity: u32,
    beat: u32,
    chord: u32,
    root: u32,
    quality: u32,
    style: u32,
    end: u32,
}

const PITCH: u32 = 4;

impl Layout {
    /// The layout with or without beats, with or without chords, pitches relative or not, and with a number of styles.
    pub(super) fn new(relative: bool, beats: bool, chords: bool, styles: usize) -> Self {
        let pitches = if relative { 128 + (ANCHORS.end() - ANCHORS.start()) as u32 } else { 128 };
        let roots = if relative { 2 * FARTHEST as u32 + 1 } else { 12 };
        let duration = PITCH + pitches;
        let shift = duration + lengths::COUNT as u32;
        let velocity = shift + LONGEST_SHIFT;
        let beat = velocity + 32;
        let chord = beat + if beats { 2 } else { 0 };
        let root = chord + u32::from(chords);
        let quality = root + if chords { roots } else { 0 };
        let style = quality + if chords { Quality::ALL.len() as u32 } else { 0 };
        Self { relative, duration, shift, velocity, beat, chord, root, quality, style, end: style + styles as u32 }
    }

    /// The values of the first pitch and the first root.
    fn bases(&self) -> (i32, i32) {
        if self.relative { (-ANCHORS.end(), -FARTHEST) } else { (0, 0) }
    }

    pub(super) fn event(&self, id: u32) -> Option<Event> {
        let (pitch, root) = self.bases();
        Some(match id {
            0 => Event::Pad,
            1 => Event::Bos,
            2 => Event::Eos,
            3 => Event::Mask,
            _ if id < self.duration => Event::Pitch((id - PITCH) as i32 + pitch),
            _ if id < self.shift => Event::Duration((id - self.duration) as u8),
            _ if id < self.velocity => Event::Shift(id - self.shift + 1),
            _ if id < self.beat => Event::Velocity((id - self.velocity) as u8),
            _ if id < self.chord => {
                if id == self.beat {
                    Event::Bar
                } else {
                    Event::Beat
                }
            }
            _ if id < self.root => Event::NoChord,
            _ if id < self.quality => Event::Root((id - self.root) as i32 + root),
            _ if id < self.style => Event::Quality(Quality::ALL[(id - self.quality) as usize]),
            _ if id < self.end => Event::Style((id - self.style) as u8),
            _ => return None,
        })
    }

    /// The id of an event that the vocabulary has.
    pub(super) fn id(&self, event: Event) -> u32 {
        let (pitch, root) = self.bases();
        match event {
            Event::Pad => 0,
            Event::Bos => 1,
            Event::Eos => 2,
            Event::Mask => 3,
            Event::Pitch(above) => PITCH + (above - pitch) as u32,
            Event::Duration(place) => self.duration + u32::from(place),
            Event::Shift(steps) => self.shift + steps - 1,
            Event::Velocity(bin) => self.velocity + u32::from(bin),
            Event::Bar => self.beat,
            Event::Beat => self.beat + 1,
            Event::NoChord => self.chord,
            Event::Root(to) => self.root + (to - root) as u32,
            Event::Quality(quality) => {
                let place = Quality::ALL.iter().position(|&q| q == quality).expect("ALL holds every quality");
                self.quality + place as u32
            }
            Event::Style(place) => self.style + u32::from(place),
        }
    }

    /// The names and kinds of all ids.
    pub(super) fn vocabulary(&self, styles: &[String]) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for event in (0..self.end).filter_map(|id| self.event(id)) {
            vocabulary.push(self.name(event, styles), kind(event));
        }
        vocabulary
    }

    fn name(&self, event: Event, styles: &[String]) -> String {
        match event {
            Event::Pad => "PAD_None".to_string(),
            Event::Bos => "BOS_None".to_string(),
            Event::Eos => "EOS_None".to_string(),
            Event::Mask => "MASK_None".to_string(),
            Event::Pitch(above) => format!("Pitch_{above}"),
            Event::Duration(place) => format!("Duration_{}", lengths::steps(place)),
            Event::Shift(steps) => format!("TimeShift_{steps}"),
            Event::Velocity(bin) => format!("Velocity_{bin}"),
            Event::Bar => "Bar_None".to_string(),
            Event::Beat => "Beat_None".to_string(),
            Event::NoChord => "Chord_N.C.".to_string(),
            Event::Root(to) if self.relative => format!("Root_{to:+}"),
            Event::Root(to) => format!("Root_{}", ROOTS[to as usize % 12]),
            Event::Quality(Quality::Major) => "Quality_maj".to_string(),
            Event::Quality(quality) => format!("Quality_{}", quality.suffix()),
            Event::Style(place) => format!("Style_{}", styles[usize::from(place)]),
        }
    }
}

fn kind(event: Event) -> Kind {
    match event {
        Event::Pad | Event::Bos | Event::Eos | Event::Mask => Kind::Special,
        Event::Pitch(_) => Kind::Note,
        Event::Duration(_) | Event::Shift(_) => Kind::Time,
        Event::Velocity(_) => Kind::Velocity,
        Event::NoChord | Event::Root(_) | Event::Quality(_) => Kind::Chord,
        Event::Bar | Event::Beat | Event::Style(_) => Kind::Given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_events_are_inverse_in_every_layout() {
        for (relative, beats, chords) in [(true, true, true), (false, true, true), (false, false, false)] {
            let styles = ["rag".to_string(), "solo".to_string()];
            let layout = Layout::new(relative, beats, chords, styles.len());
            for id in 0..layout.end {
                let event = layout.event(id).expect("it is in the vocabulary");
                assert_eq!(layout.id(event), id, "{event:?}");
            }
            assert_eq!(layout.event(layout.end), None);
            let vocabulary = layout.vocabulary(&styles);
            let names: std::collections::HashSet<_> = (0..layout.end).filter_map(|id| vocabulary.name(id)).collect();
            assert_eq!(names.len(), layout.end as usize);
        }
    }
}

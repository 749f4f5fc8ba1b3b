//! The tokens of the `note_duration` vocabulary and the layout of their ids.

use crate::harmony::Quality;
use crate::tokens::timed::LONGEST_SHIFT;
use crate::tokens::{TokenKind, Vocabulary};

use super::{lengths, tempos};

/// Roots by pitch class.
const ROOTS: [&str; 12] = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
/// The largest move of the pitch anchor with a chord: from −5 to 6 or back.
pub(super) const FARTHEST: i32 = 11;
/// The lowest and the highest anchor.
pub(super) const ANCHORS: std::ops::RangeInclusive<i32> = -5..=6;

/// A decoded token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoteEvent {
    Pad,
    Bos,
    Eos,
    Mask,
    /// Twelve times the octave and the semitones above the root, or the key number where pitches are absolute.
    Pitch(i32),
    /// The index of a length.
    Duration(u8),
    /// Steps of time.
    Shift(u32),
    /// A velocity bin.
    Velocity(u8),
    /// The next thing that happens is a bar line.
    Bar,
    /// The next thing that happens is a beat that begins no bar.
    Beat,
    NoChord,
    /// The root of a chord: its pitch class, or the move of the anchor.
    Root(i32),
    Quality(Quality),
    /// The index of a style.
    Style(u8),
    /// The index of the tempo from here on.
    Tempo(u8),
}

impl NoteEvent {
    /// Whether it is given rather than predicted, but for the time to a click.
    pub(super) fn is_given(self) -> bool {
        matches!(self, Self::NoChord | Self::Root(_) | Self::Quality(_) | Self::Style(_) | Self::Tempo(_))
    }

    /// The steps that a time shift lets pass.
    pub(super) fn shift(self) -> Option<u32> {
        if let Self::Shift(steps) = self { Some(steps) } else { None }
    }
}

/// What a vocabulary has.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayoutOptions {
    /// Whether pitches are relative to the chord.
    pub(super) relative: bool,
    pub(super) beats: bool,
    pub(super) chords: bool,
    pub(super) tempos: bool,
    /// The number of styles.
    pub(super) styles: usize,
}

/// The first ids of the blocks of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoteLayout {
    relative: bool,
    duration: u32,
    shift: u32,
    velocity: u32,
    beat: u32,
    chord: u32,
    root: u32,
    quality: u32,
    style: u32,
    tempo: u32,
    end: u32,
}

const PITCH: u32 = 4;

impl NoteLayout {
    /// The layout of an encoding with these options.
    pub(super) fn new(with: LayoutOptions) -> Self {
        let LayoutOptions { relative, beats, chords, tempos, styles } = with;
        // Key numbers end in the middle of an octave.
        let pitches = if relative { 132 } else { 128 };
        let roots = if relative { 2 * FARTHEST as u32 + 1 } else { 12 };
        let duration = PITCH + pitches;
        let shift = duration + lengths::COUNT as u32;
        let velocity = shift + LONGEST_SHIFT;
        let beat = velocity + 32;
        let chord = beat + if beats { 2 } else { 0 };
        let root = chord + u32::from(chords);
        let quality = root + if chords { roots } else { 0 };
        let style = quality + if chords { Quality::ALL.len() as u32 } else { 0 };
        let tempo = style + styles as u32;
        let end = tempo + if tempos { tempos::COUNT as u32 } else { 0 };
        Self { relative, duration, shift, velocity, beat, chord, root, quality, style, tempo, end }
    }

    /// The values of the first pitch and the first root.
    fn bases(&self) -> (i32, i32) {
        if self.relative { (0, -FARTHEST) } else { (0, 0) }
    }

    pub(super) fn event(&self, id: u32) -> Option<NoteEvent> {
        let (pitch, root) = self.bases();
        Some(match id {
            0 => NoteEvent::Pad,
            1 => NoteEvent::Bos,
            2 => NoteEvent::Eos,
            3 => NoteEvent::Mask,
            _ if id < self.duration => NoteEvent::Pitch((id - PITCH) as i32 + pitch),
            _ if id < self.shift => NoteEvent::Duration((id - self.duration) as u8),
            _ if id < self.velocity => NoteEvent::Shift(id - self.shift + 1),
            _ if id < self.beat => NoteEvent::Velocity((id - self.velocity) as u8),
            _ if id < self.chord => {
                if id == self.beat {
                    NoteEvent::Bar
                } else {
                    NoteEvent::Beat
                }
            }
            _ if id < self.root => NoteEvent::NoChord,
            _ if id < self.quality => NoteEvent::Root((id - self.root) as i32 + root),
            _ if id < self.style => NoteEvent::Quality(Quality::ALL[(id - self.quality) as usize]),
            _ if id < self.tempo => NoteEvent::Style((id - self.style) as u8),
            _ if id < self.end => NoteEvent::Tempo((id - self.tempo) as u8),
            _ => return None,
        })
    }

    /// The id of an event that the vocabulary has.
    pub(super) fn id(&self, event: NoteEvent) -> u32 {
        let (pitch, root) = self.bases();
        match event {
            NoteEvent::Pad => 0,
            NoteEvent::Bos => 1,
            NoteEvent::Eos => 2,
            NoteEvent::Mask => 3,
            NoteEvent::Pitch(above) => PITCH + (above - pitch) as u32,
            NoteEvent::Duration(place) => self.duration + u32::from(place),
            NoteEvent::Shift(steps) => self.shift + steps - 1,
            NoteEvent::Velocity(bin) => self.velocity + u32::from(bin),
            NoteEvent::Bar => self.beat,
            NoteEvent::Beat => self.beat + 1,
            NoteEvent::NoChord => self.chord,
            NoteEvent::Root(to) => self.root + (to - root) as u32,
            NoteEvent::Quality(quality) => {
                let place = Quality::ALL.iter().position(|&q| q == quality).expect("ALL holds every quality");
                self.quality + place as u32
            }
            NoteEvent::Style(place) => self.style + u32::from(place),
            NoteEvent::Tempo(place) => self.tempo + u32::from(place),
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

    fn name(&self, event: NoteEvent, styles: &[String]) -> String {
        match event {
            NoteEvent::Pad => "PAD_None".to_string(),
            NoteEvent::Bos => "BOS_None".to_string(),
            NoteEvent::Eos => "EOS_None".to_string(),
            NoteEvent::Mask => "MASK_None".to_string(),
            NoteEvent::Pitch(above) => format!("Pitch_{above}"),
            NoteEvent::Duration(place) => format!("Duration_{}", lengths::steps(place)),
            NoteEvent::Shift(steps) => format!("TimeShift_{steps}"),
            NoteEvent::Velocity(bin) => format!("Velocity_{bin}"),
            NoteEvent::Bar => "Bar_None".to_string(),
            NoteEvent::Beat => "Beat_None".to_string(),
            NoteEvent::NoChord => "Chord_N.C.".to_string(),
            NoteEvent::Root(to) if self.relative => format!("Root_{to:+}"),
            NoteEvent::Root(to) => format!("Root_{}", ROOTS[to as usize % 12]),
            NoteEvent::Quality(Quality::Major) => "Quality_maj".to_string(),
            NoteEvent::Quality(quality) => format!("Quality_{}", quality.suffix()),
            NoteEvent::Style(place) => format!("Style_{}", styles[usize::from(place)]),
            NoteEvent::Tempo(place) => format!("Tempo_{}", tempos::beats_per_minute(place)),
        }
    }
}

fn kind(event: NoteEvent) -> TokenKind {
    match event {
        NoteEvent::Pad | NoteEvent::Bos | NoteEvent::Eos | NoteEvent::Mask => TokenKind::Special,
        NoteEvent::Pitch(_) => TokenKind::Note,
        NoteEvent::Duration(_) | NoteEvent::Shift(_) => TokenKind::Time,
        NoteEvent::Velocity(_) => TokenKind::Velocity,
        NoteEvent::NoChord | NoteEvent::Root(_) | NoteEvent::Quality(_) => TokenKind::Chord,
        NoteEvent::Style(_) => TokenKind::Style,
        NoteEvent::Tempo(_) => TokenKind::Tempo,
        NoteEvent::Bar | NoteEvent::Beat => TokenKind::Click,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_events_are_inverse_in_every_layout() {
        for (relative, beats, chords) in [(true, true, true), (false, true, true), (false, false, false)] {
            let styles = ["rag".to_string(), "solo".to_string()];
            let with = LayoutOptions { relative, beats, chords, tempos: beats, styles: styles.len() };
            let layout = NoteLayout::new(with);
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

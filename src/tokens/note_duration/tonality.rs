//! The chord in force along a sequence, and the anchor of relative pitches.

use crate::harmony::{ChordClass, Quality};

use super::event::{ANCHORS, NoteEvent};

/// The chord state of a sequence.
///
/// Where pitches are relative, a pitch event has the octave of the key number and the semitones above the root of the last
/// chord, modulo 12; `N.C.` does not change it. So a voice keeps its octave when the chord changes under it. The anchor is that
/// root as the key nearest to C: −5 (G) to 6 (F♯) semitones from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tonality {
    relative: bool,
    pub(super) anchor: i32,
    pub(super) chord: Option<ChordClass>,
    /// The root, while the token of its quality is still to come.
    pub(super) root: Option<u8>,
}

impl Tonality {
    pub(super) fn new(relative: bool) -> Self {
        Self { relative, anchor: 0, chord: None, root: None }
    }

    /// The initial state of a sequence of this encoding.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.relative)
    }

    /// The events that set a chord in this state.
    pub(super) fn events(&self, class: ChordClass) -> Vec<NoteEvent> {
        match class {
            ChordClass::None => vec![NoteEvent::NoChord],
            ChordClass::Some { root, quality } => vec![self.root_event(root), NoteEvent::Quality(quality)],
        }
    }

    fn root_event(&self, root: u8) -> NoteEvent {
        if self.relative {
            NoteEvent::Root(anchor_of(root) - self.anchor)
        } else {
            NoteEvent::Root(i32::from(root % 12))
        }
    }

    /// The key number of a pitch event, when it lies in MIDI's range.
    pub(super) fn pitch(&self, above: i32) -> Option<u8> {
        let octave = above - above.rem_euclid(12);
        let pitch = if self.relative { octave + (above + self.anchor).rem_euclid(12) } else { above };
        u8::try_from(pitch).ok().filter(|pitch| *pitch < 128)
    }

    /// The event of a key number.
    pub(super) fn pitch_event(&self, pitch: u8) -> NoteEvent {
        let pitch = i32::from(pitch);
        let octave = pitch - pitch.rem_euclid(12);
        NoteEvent::Pitch(if self.relative { octave + (pitch - self.anchor).rem_euclid(12) } else { pitch })
    }

    /// Whether a root event leads to a valid anchor.
    pub(super) fn reaches(&self, to: i32) -> bool {
        !self.relative || ANCHORS.contains(&(self.anchor + to))
    }

    /// Applies an event; only chord events change the state. A root that leads to no valid anchor is taken modulo 12.
    pub(super) fn push(&mut self, event: NoteEvent) {
        match event {
            NoteEvent::NoChord => (self.chord, self.root) = (Some(ChordClass::None), None),
            NoteEvent::Root(to) if self.relative => {
                let root = (self.anchor + to).rem_euclid(12) as u8;
                (self.anchor, self.root) = (anchor_of(root), Some(root));
            }
            NoteEvent::Root(to) => self.root = Some(to.rem_euclid(12) as u8),
            NoteEvent::Quality(quality) => {
                if let Some(root) = self.root.take() {
                    self.chord = Some(ChordClass::Some { root, quality });
                }
            }
            _ => {}
        }
    }
}

/// The root as semitones from the nearest C.
fn anchor_of(root: u8) -> i32 {
    let root = i32::from(root % 12);
    if root <= *ANCHORS.end() { root } else { root - 12 }
}

/// The tones of a chord above its root, a bit a semitone.
pub(super) fn tones(quality: Quality) -> u16 {
    let class = ChordClass::Some { root: 0, quality };
    crate::harmony::Chord::of_class(class).pitches().iter().fold(0, |set, &pitch| set | 1 << (pitch % 12))
}

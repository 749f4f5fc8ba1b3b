//! Encodes a score.

use crate::harmony::{ChordAt, ChordClass};
use crate::midi::{Clock, Score};
use crate::tokens::chords;
use crate::tokens::timed::{LONGEST_SHIFT, TimedNote, step, timed_notes};

use super::event::{NoteEvent, NoteLayout};
use super::tonality::Tonality;
use super::{NoteDuration, lengths};

/// The ids of a score over these chords, without BOS and EOS.
pub(super) fn encode(scheme: &NoteDuration, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
    let notes = timed_notes(score);
    let Some(last) = notes.last().map(|note| note.start) else { return Vec::new() };
    let chords = if scheme.chords { chords::changes(chords, |chord| step(chord.seconds)) } else { Vec::new() };
    let mut beats = if scheme.beats { beats(score, last) } else { Vec::new() }.into_iter().peekable();
    let mut chords = chords.into_iter().peekable();
    let mut line = EncodedLine { layout: scheme.layout, ids: Vec::with_capacity(4 * notes.len()), now: 0 };
    let mut tonality = Tonality::new(scheme.chord_relative);
    let mut loudness = None;
    // The beats and chords up to a step.
    let mut given = |line: &mut EncodedLine, tonality: &mut Tonality, until: u32| loop {
        let beat = beats.peek().map(|beat| beat.0);
        let chord = chords.peek().map(|chord| chord.0);
        let Some(at) = beat.into_iter().chain(chord).min().filter(|&at| at <= until) else { break };
        if beat == Some(at) {
            let bar = beats.next().is_some_and(|(_, bar)| bar);
            line.emit(if bar { NoteEvent::Bar } else { NoteEvent::Beat });
            line.ids.extend(approach(line.layout, at.saturating_sub(line.now)));
            line.now = at.max(line.now) - u32::from(is_early(at.saturating_sub(line.now)));
        } else {
            line.pass(at);
        }
        if chord == Some(at)
            && let Some(class) = chords.next().and_then(|(_, place)| chords::class(place))
        {
            set(line, tonality, class);
        }
    };
    for (note, next) in notes.iter().zip(next_onsets(&notes)) {
        given(&mut line, &mut tonality, note.start);
        line.pass(note.start);
        if loudness != Some(note.bin) {
            line.emit(NoteEvent::Velocity(note.bin));
            loudness = Some(note.bin);
        }
        line.emit(tonality.pitch_event(note.pitch));
        let most = next.map_or(u32::MAX, |next| next - note.start);
        line.emit(NoteEvent::Duration(lengths::nearest(note.end - note.start, most)));
    }
    // Chords after the last onset are encoded, too: they are in force while it sounds.
    given(&mut line, &mut tonality, u32::MAX);
    line.ids
}

fn set(line: &mut EncodedLine, tonality: &mut Tonality, class: ChordClass) {
    for event in tonality.events(class) {
        line.emit(event);
        tonality.push(event);
    }
}

/// For every note the next onset of its pitch.
fn next_onsets(notes: &[TimedNote]) -> Vec<Option<u32>> {
    let mut later = [None; 128];
    let mut next: Vec<Option<u32>> =
        notes.iter().rev().map(|note| later[usize::from(note.pitch)].replace(note.start)).collect();
    next.reverse();
    next
}

/// The beats up to the last onset, as (step, whether a bar begins); none where the notes are not aligned with the beat.
fn beats(score: &Score, last: u32) -> Vec<(u32, bool)> {
    if !score.keeps_time() {
        return Vec::new();
    }
    let clock = Clock::new(score);
    let mut beats: Vec<(u32, bool)> =
        score.beats().iter().filter_map(|beat| Some((step(clock.seconds(beat.tick))?, beat.bar))).collect();
    beats.retain(|&(at, _)| at <= last);
    beats.dedup_by_key(|beat| beat.0);
    beats
}

/// The ids of the time up to a click that was announced. The first that is no [`LONGEST_SHIFT`] is the last, so that they are
/// told from the time after the click; a time that is a multiple of it ends a step early.
pub(super) fn approach(layout: NoteLayout, steps: u32) -> Vec<u32> {
    let steps = steps - u32::from(is_early(steps));
    let mut ids = vec![layout.id(NoteEvent::Shift(LONGEST_SHIFT)); (steps / LONGEST_SHIFT) as usize];
    if !steps.is_multiple_of(LONGEST_SHIFT) {
        ids.push(layout.id(NoteEvent::Shift(steps % LONGEST_SHIFT)));
    }
    ids
}

/// Whether a click so far ahead is set a step early.
fn is_early(steps: u32) -> bool {
    steps > 0 && steps.is_multiple_of(LONGEST_SHIFT)
}

/// Ids being written.
struct EncodedLine {
    layout: NoteLayout,
    ids: Vec<u32>,
    /// Steps since the start.
    now: u32,
}

impl EncodedLine {
    fn emit(&mut self, event: NoteEvent) {
        self.ids.push(self.layout.id(event));
    }

    fn pass(&mut self, then: u32) {
        let gap = then.saturating_sub(self.now);
        let longest = self.layout.id(NoteEvent::Shift(LONGEST_SHIFT));
        self.ids.extend(std::iter::repeat_n(longest, (gap / LONGEST_SHIFT) as usize));
        if !gap.is_multiple_of(LONGEST_SHIFT) {
            self.emit(NoteEvent::Shift(gap % LONGEST_SHIFT));
        }
        self.now = self.now.max(then);
    }
}

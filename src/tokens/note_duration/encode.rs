//! Encodes a score as `note_duration` ids.

use crate::harmony::{ChordAt, ChordClass};
use crate::midi::{Clock, Score};
use crate::tokens::chords;
use crate::tokens::timed::{RATE, TimedNote, shifts, shifts_to_click, step, timed_notes};

use super::event::{NoteEvent, NoteLayout};
use super::tonality::Tonality;
use super::{NoteDuration, lengths, tempos};

/// The ids of a score over these chords, without BOS and EOS.
pub(super) fn encode(scheme: &NoteDuration, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
    let notes = timed_notes(score);
    let Some(last) = notes.last().map(|note| note.start) else { return Vec::new() };
    let chords = if scheme.chords { chords::changes(chords, |chord| step(chord.seconds)) } else { Vec::new() };
    let mut beats = if scheme.beats { beats(score, last) } else { Vec::new() }.into_iter().peekable();
    let mut chords = chords.into_iter().peekable();
    let mut line = EncodedLine { layout: scheme.layout, ids: Vec::with_capacity(4 * notes.len()), now: 0 };
    let mut tonality = Tonality::new(scheme.chord_relative);
    let (mut loudness, mut tempo) = (None, None);
    // The beats and chords up to a step.
    let mut given = |line: &mut EncodedLine, tonality: &mut Tonality, until: u32| loop {
        let beat = beats.peek().map(|beat| beat.step);
        let chord = chords.peek().map(|chord| chord.0);
        let Some(at) = beat.into_iter().chain(chord).min().filter(|&at| at <= until) else { break };
        if beat == Some(at) {
            let Some(beat) = beats.next() else { break };
            line.emit(if beat.bar { NoteEvent::Bar } else { NoteEvent::Beat });
            line.shift(shifts_to_click(at.saturating_sub(line.now)));
            if let Some(place) = beat.tempo.filter(|&place| scheme.tempos && tempo != Some(place)) {
                line.emit(NoteEvent::Tempo(place));
                tempo = Some(place);
            }
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

/// A beat of a piece.
#[derive(Debug, Clone, Copy)]
struct EncodedBeat {
    step: u32,
    /// Whether a bar begins.
    bar: bool,
    /// The index of the tempo up to the next bar line, at the first beat of all and at bar lines.
    tempo: Option<u8>,
}

/// The beats up to the last onset; none where the notes are not aligned with the beat.
fn beats(score: &Score, last: u32) -> Vec<EncodedBeat> {
    if !score.keeps_time() {
        return Vec::new();
    }
    let clock = Clock::new(score);
    let mut beats: Vec<(u32, bool)> =
        score.beats().iter().filter_map(|beat| Some((step(clock.seconds(beat.tick))?, beat.bar))).collect();
    beats.retain(|&(at, _)| at <= last);
    beats.dedup_by_key(|beat| beat.0);
    let beat = |i: usize| {
        let (step, bar) = beats[i];
        EncodedBeat { step, bar, tempo: if bar || i == 0 { tempo(&beats[i..]) } else { None } }
    };
    (0..beats.len()).map(beat).collect()
}

/// The index of the mean tempo from the first of these beats to the next bar line, or to the last beat where there is none;
/// `None` of a single beat.
fn tempo(beats: &[(u32, bool)]) -> Option<u8> {
    let next = beats.iter().skip(1).position(|&(_, bar)| bar).map_or(beats.len() - 1, |place| place + 1);
    let steps = beats[next].0 - beats[0].0;
    (steps > 0).then(|| tempos::nearest(60.0 * RATE * next as f64 / f64::from(steps)))
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
        self.shift(shifts(then.saturating_sub(self.now)));
    }

    fn shift(&mut self, shifts: impl Iterator<Item = u32>) {
        for steps in shifts {
            self.emit(NoteEvent::Shift(steps));
            self.now += steps;
        }
    }
}

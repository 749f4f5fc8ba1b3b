//! Decodes `note_duration` ids to a score.

use crate::harmony::Chord;
use crate::midi::{Marker, Meter, Note, Score, Tempo, Track};
use crate::tokens::timed::{AnnouncedClick, RATE, velocity};

use super::event::NoteEvent;
use super::tonality::Tonality;
use super::{NoteDuration, lengths};

/// Without beats: at this resolution and 120 beats per minute a tick is a step of 10 ms.
const STEPS_PER_QUARTER: u32 = 50;
/// With beats: fine enough that every step of a beat has a tick of its own.
const TICKS_PER_QUARTER: u32 = 480;
/// Longer beats, in steps, are ignored: time is then counted without beats.
const LONGEST_BEAT: u32 = 480;
/// The velocity bin of notes before the first velocity token.
const UNSAID: u8 = 16;

/// The content of ids, in steps.
#[derive(Debug, Default)]
struct Heard {
    /// (start, end, pitch, bin), by start.
    notes: Vec<(u32, u32, u8, u8)>,
    /// (step, whether a bar begins).
    beats: Vec<(u32, bool)>,
    chords: Vec<(u32, Chord)>,
}

/// The score of any ids: one piano track, chord markers, and the tempo and metre of the beats.
///
/// A pitch without a duration, one outside MIDI's range, and one that is struck twice in one instant are left out; a
/// key that is struck while it sounds ends the note before.
pub(super) fn decode(scheme: &NoteDuration, ids: &[u32]) -> Score {
    let heard = hear(scheme, ids);
    let grid = BeatGrid::new(&heard.beats);
    let mut score = Score::new(grid.ticks_per_quarter);
    score.tempos = grid.tempos();
    score.meters = grid.meters(&heard.beats);
    let chord = |(step, chord): &(u32, Chord)| Marker { tick: grid.tick(*step), text: format!("chord:{chord}") };
    score.markers = heard.chords.iter().map(chord).collect();
    let note = |&(start, end, pitch, bin): &(u32, u32, u8, u8)| {
        let start = grid.tick(start);
        Note { start, pitch, end: grid.tick(end).max(start + 1), velocity: velocity(bin) }
    };
    let mut notes: Vec<Note> = heard.notes.iter().map(note).collect();
    notes.sort_unstable();
    score.tracks.push(Track { name: "Piano".to_string(), notes, ..Track::default() });
    score
}

fn hear(scheme: &NoteDuration, ids: &[u32]) -> Heard {
    let mut heard = Heard::default();
    let mut tonality = Tonality::new(scheme.chord_relative);
    let (mut now, mut bin, mut pitch) = (0_u32, UNSAID, None);
    // The last note of each pitch.
    let mut latest = [usize::MAX; 128];
    let mut click = AnnouncedClick::none();
    let mut begun = false;
    for event in ids.iter().filter_map(|&id| scheme.layout.event(id)) {
        let shift = event.shift();
        heard.beats.extend(click.reached_before(shift).map(|bar| (now, bar)));
        match event {
            NoteEvent::Shift(steps) => {
                now = now.saturating_add(steps);
                heard.beats.extend(click.reached_after(shift).map(|bar| (now, bar)));
            }
            NoteEvent::Velocity(velocity) => bin = velocity,
            NoteEvent::Pitch(above) => {
                pitch = tonality.pitch(above);
                begun = true;
                continue;
            }
            NoteEvent::Duration(place) => {
                if let Some(pitch) = pitch {
                    let last = &mut latest[usize::from(pitch)];
                    match heard.notes.get_mut(*last) {
                        Some(before) if before.0 == now => {}
                        before => {
                            if let Some(before) = before {
                                before.1 = before.1.min(now);
                            }
                            *last = heard.notes.len();
                            heard.notes.push((now, now.saturating_add(lengths::steps(place)), pitch, bin));
                        }
                    }
                }
            }
            NoteEvent::Bar | NoteEvent::Beat if begun => click.announce(event == NoteEvent::Bar),
            NoteEvent::Bar | NoteEvent::Beat => heard.beats.push((now, event == NoteEvent::Bar)),
            NoteEvent::NoChord | NoteEvent::Root(_) | NoteEvent::Quality(_) => {
                tonality.push(event);
                if !matches!(event, NoteEvent::Root(_))
                    && let Some(class) = tonality.chord
                {
                    heard.chords.push((now, Chord::of_class(class)));
                }
            }
            NoteEvent::Pad | NoteEvent::Bos | NoteEvent::Eos | NoteEvent::Mask | NoteEvent::Style(_) => {}
            // The beats tell the tempo.
            NoteEvent::Tempo(_) => {}
        }
        pitch = None;
        begun |= !matches!(
            event,
            NoteEvent::Pad | NoteEvent::Bos | NoteEvent::Mask | NoteEvent::Style(_) | NoteEvent::Tempo(_)
        );
    }
    heard
}

/// A span of even time: its start and its length.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    step: u32,
    tick: u32,
    steps: u32,
    ticks: u32,
}

/// Steps to ticks.
struct BeatGrid {
    ticks_per_quarter: u32,
    /// By step, the first at step 0; the last has no end.
    stretches: Vec<Stretch>,
}

impl BeatGrid {
    /// A quarter for every beat; 120 beats per minute where there are none.
    fn new(beats: &[(u32, bool)]) -> Self {
        let lengths: Vec<u32> = beats.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let free = Stretch { step: 0, tick: 0, steps: STEPS_PER_QUARTER, ticks: STEPS_PER_QUARTER };
        let free = Self { ticks_per_quarter: STEPS_PER_QUARTER, stretches: vec![free] };
        let (Some(&(begin, _)), Some(&first)) = (beats.first(), lengths.first()) else { return free };
        if lengths.iter().any(|length| !(1..=LONGEST_BEAT).contains(length)) || begin > LONGEST_BEAT {
            return free;
        }
        let ticks = TICKS_PER_QUARTER;
        // The span before the first beat is a whole number of beats.
        let before = begin.div_ceil(first);
        let pickup = (begin > 0).then_some(Stretch { step: 0, tick: 0, steps: begin, ticks: before * ticks });
        let last = lengths[lengths.len() - 1];
        let lengths = lengths.iter().copied().chain([last]);
        let stretch = |(place, (&(step, _), steps)): (u32, (&(u32, bool), u32))| Stretch {
            step,
            tick: (before + place).saturating_mul(ticks),
            steps,
            ticks,
        };
        let stretches = pickup.into_iter().chain((0..).zip(beats.iter().zip(lengths)).map(stretch)).collect();
        Self { ticks_per_quarter: ticks, stretches }
    }

    fn tick(&self, step: u32) -> u32 {
        let at = self.stretches.partition_point(|stretch| stretch.step <= step).saturating_sub(1);
        let Stretch { step: begin, tick, steps, ticks } = self.stretches[at];
        let (inside, steps) = (u64::from(step - begin) * u64::from(ticks), u64::from(steps));
        u32::try_from(u64::from(tick) + (inside + steps / 2) / steps).unwrap_or(u32::MAX - 1)
    }

    fn tempos(&self) -> Vec<Tempo> {
        let tempo = |stretch: &Stretch| {
            let quarters = f64::from(stretch.ticks) / f64::from(self.ticks_per_quarter);
            let micros = f64::from(stretch.steps) / RATE * 1e6 / quarters;
            Tempo { tick: stretch.tick, micros_per_quarter: micros.round() as u32 }
        };
        let mut tempos: Vec<Tempo> = self.stretches.iter().map(tempo).collect();
        tempos.dedup_by_key(|tempo| tempo.micros_per_quarter);
        tempos
    }

    /// A metre of as many quarters as the bar has beats, at each change of that number.
    fn meters(&self, beats: &[(u32, bool)]) -> Vec<Meter> {
        if self.ticks_per_quarter != TICKS_PER_QUARTER {
            return Vec::new();
        }
        let bars: Vec<usize> = (0..beats.len()).filter(|&place| beats[place].1).collect();
        let mut meters: Vec<Meter> = Vec::new();
        let mut put = |tick: u32, count: usize| {
            let numerator = u8::try_from(count).unwrap_or(4).max(1);
            if meters.last().is_none_or(|last| last.numerator != numerator) {
                meters.push(Meter { tick, numerator, denominator: 4 });
            }
        };
        match bars.first() {
            // Beats before the first bar line are a bar.
            Some(&first) if first > 0 || beats[0].0 > 0 => {
                put(0, (self.tick(beats[first].0) / TICKS_PER_QUARTER) as usize)
            }
            Some(_) => {}
            None => put(0, 4),
        }
        for (place, &bar) in bars.iter().enumerate() {
            match bars.get(place + 1) {
                Some(next) => put(self.tick(beats[bar].0), next - bar),
                None if place == 0 => put(self.tick(beats[bar].0), 4.max(beats.len() - bar)),
                None => {}
            }
        }
        meters
    }
}

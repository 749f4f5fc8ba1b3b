//! The events of one track chunk become notes, tempi, metres and markers.

use std::collections::HashMap;

use midly::num::u7;
use midly::{EventIter, MetaMessage, MidiMessage, TrackEvent, TrackEventKind};

use super::LAST_TICK;
use super::chunks::Chunk;
use super::held::Held;
use super::pedal::Pedals;
use crate::error::{Error, Result};
use crate::midi::write::LONGEST_TEXT;
use crate::midi::{Key, Marker, Meter, Score, Tempo, Track};

/// Longer track names are cut, in bytes: a name is kept once for every channel and program of its track.
const LONGEST_NAME: usize = 256;

/// Fills a score track by track.
#[derive(Debug)]
pub(super) struct Reader {
    /// What every score begins with.
    empty: Score,
    /// What was read so far; its lists are sorted by [`Reader::finish`].
    score: Score,
    /// Tracks without notes that stand beside one with notes in their chunk.
    ghosts: Vec<usize>,
    /// False under SMPTE timing, where a tempo means nothing.
    tempo_counts: bool,
    held: Held,
    pedals: Pedals,
    /// Programs that tracks set on a channel before they played on it: later tracks that set none begin with these.
    programs: [Option<u8>; 16],
}

/// The state of one track chunk.
#[derive(Debug)]
struct Part {
    tick: u32,
    name: Option<String>,
    /// The first (channel, program) it chooses: what a track without notes is for.
    chosen: Option<(u8, u8)>,
    /// Program of each channel.
    programs: [u8; 16],
    /// Channels that have played.
    played: u16,
    /// Index of the track of a channel and program.
    tracks: HashMap<(u8, u8), usize>,
    /// The track of each channel under its present program, if it is known.
    current: [Option<usize>; 16],
}

impl Reader {
    pub(super) fn new(empty: Score, tempo_counts: bool) -> Self {
        Self {
            score: empty.clone(),
            empty,
            ghosts: Vec::new(),
            tempo_counts,
            held: Held::new(),
            pedals: Pedals::default(),
            programs: [None; 16],
        }
    }

    /// Reads one track chunk.
    pub(super) fn read(&mut self, chunk: &Chunk<'_>) -> Result<()> {
        let mut part = Part {
            tick: 0,
            name: None,
            chosen: None,
            programs: self.programs.map(|p| p.unwrap_or(0)),
            played: 0,
            tracks: HashMap::new(),
            current: [None; 16],
        };
        let first = self.score.tracks.len();
        let mut events = EventIter::new(chunk.bytes);
        let mut ended = false;
        loop {
            let (unread, running) = (events.unread(), events.running_status());
            let offset = chunk.offset + (chunk.bytes.len() - unread.len());
            let event = match events.next() {
                Some(Ok(event)) => event,
                _ if unread.is_empty() => break,
                _ => match skip_meta(unread) {
                    Some((delta, rest)) => {
                        part.advance(delta, offset)?;
                        events = EventIter::new(rest);
                        continue;
                    }
                    None if ended || (chunk.cut && runs_out(unread, running)) => break,
                    None => return Err(no_event(unread, offset)),
                },
            };
            part.advance(event.delta.as_int(), offset)?;
            // Some writers end a track at once and go on: what follows counts as long as it makes sense.
            ended |= event.kind == TrackEventKind::Meta(MetaMessage::EndOfTrack);
            self.event(&mut part, &event);
        }
        self.end_of_track(part, first);
        Ok(())
    }

    fn event(&mut self, part: &mut Part, event: &TrackEvent<'_>) {
        let tick = part.tick;
        match event.kind {
            TrackEventKind::Midi { channel, message } => self.message(part, channel.as_int(), message),
            TrackEventKind::Meta(MetaMessage::TrackName(name)) if part.name.is_none() => {
                part.name = Some(text(name, LONGEST_NAME))
            }
            TrackEventKind::Meta(MetaMessage::Marker(words) | MetaMessage::CuePoint(words)) => {
                self.score.markers.push(Marker { tick, text: text(words, LONGEST_TEXT) });
            }
            TrackEventKind::Meta(MetaMessage::Tempo(micros)) if micros.as_int() > 0 && self.tempo_counts => {
                self.score.tempos.push(Tempo { tick, micros_per_quarter: micros.as_int() });
            }
            TrackEventKind::Meta(MetaMessage::TimeSignature(numerator @ 1.., power @ 0..=7, _, _)) => {
                self.score.meters.push(Meter { tick, numerator, denominator: 1 << power });
            }
            TrackEventKind::Meta(MetaMessage::KeySignature(sharps @ -7..=7, minor)) => {
                self.score.keys.push(Key { tick, sharps, minor });
            }
            _ => {}
        }
    }

    fn message(&mut self, part: &mut Part, channel: u8, message: MidiMessage) {
        let (tick, slot) = (part.tick, usize::from(channel));
        match message {
            MidiMessage::NoteOn { key, vel } if vel > u7::from(0) => {
                let track = self.track(part, channel);
                part.played |= 1 << channel;
                self.held.press(channel, track, tick, key.as_int(), vel.as_int());
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                self.held.release(channel, key.as_int(), tick);
            }
            MidiMessage::ProgramChange { program } => {
                part.programs[slot] = program.as_int();
                part.chosen = part.chosen.or(Some((channel, program.as_int())));
                part.current[slot] = None;
                if part.played & 1 << channel == 0 {
                    self.programs[slot] = Some(program.as_int());
                }
            }
            MidiMessage::Controller { controller, value } if controller == 64 => {
                let track = self.track(part, channel);
                self.pedals.set(channel, track, tick, value.as_int());
            }
            _ => {}
        }
    }

    /// The track for what now happens on a channel.
    fn track(&mut self, part: &mut Part, channel: u8) -> usize {
        let slot = usize::from(channel);
        *part.current[slot].get_or_insert_with(|| {
            let program = part.programs[slot];
            *part.tracks.entry((channel, program)).or_insert_with(|| {
                self.score.tracks.push(Track { channel, program, ..Track::default() });
                self.score.tracks.len() - 1
            })
        })
    }

    fn end_of_track(&mut self, part: Part, first: usize) {
        for struck in self.held.close(part.tick) {
            self.score.tracks[struck.track].notes.push(struck.note);
        }
        let silent = |t: &Track| t.notes.is_empty();
        let tracks = &mut self.score.tracks;
        if !tracks[first..].iter().all(silent) {
            self.ghosts.extend((first..tracks.len()).filter(|&t| silent(&tracks[t])));
        }
        let Some(name) = part.name else { return };
        if tracks.len() == first {
            let (channel, program) = part.chosen.unwrap_or_default();
            tracks.push(Track { channel, program, ..Track::default() });
        }
        for track in &mut tracks[first..] {
            track.name.clone_from(&name);
        }
    }

    /// Hands the score over, in order, and begins a new one. Of several tempi, metres or keys at one tick the last
    /// counts.
    pub(super) fn finish(&mut self) -> Score {
        let mut score = std::mem::replace(&mut self.score, self.empty.clone());
        for track in &mut score.tracks {
            track.notes.sort_unstable();
        }
        std::mem::take(&mut self.pedals).hand_out(&mut score.tracks);
        for ghost in std::mem::take(&mut self.ghosts) {
            score.tracks[ghost] = Track::default();
        }
        score.tracks.retain(|t| !(t.notes.is_empty() && t.name.is_empty() && t.pedals.is_empty()));
        last_at_each_tick(&mut score.tempos, |t| t.tick);
        last_at_each_tick(&mut score.meters, |m| m.tick);
        last_at_each_tick(&mut score.keys, |k| k.tick);
        score.markers.sort_by_key(|m| m.tick);
        self.programs = [None; 16];
        score
    }
}

impl Part {
    fn advance(&mut self, delta: u32, offset: usize) -> Result<()> {
        self.tick = self.tick.checked_add(delta).filter(|&t| t <= LAST_TICK).ok_or_else(|| {
            Error::broken(format!("offset {offset}: {delta} ticks of silence lead past tick {LAST_TICK}"))
                .with_hint("the file is damaged there; export it again")
        })?;
        Ok(())
    }
}

fn last_at_each_tick<T: Copy>(list: &mut Vec<T>, tick: impl Fn(&T) -> u32) {
    list.sort_by_key(&tick);
    list.dedup_by(|later, kept| {
        let same = tick(later) == tick(kept);
        if same {
            *kept = *later;
        }
        same
    });
}

/// Text as the file means it: UTF-8, or Latin-1 where it is none (older files hold `Für Elise` so). Longer text than
/// `most` bytes is cut.
fn text(bytes: &[u8], most: usize) -> String {
    let bytes = bytes.split(|&b| b == 0).next().unwrap_or(bytes);
    let mut text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    };
    text.truncate(text.floor_char_boundary(most));
    text
}

/// Reads a variable-length number: seven bits a byte, the last without its top bit, four bytes at most.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().enumerate().take(4) {
        value = value << 7 | u32::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// Steps over a meta event whose contents make no sense (a key signature of one byte, say) but whose length does.
fn skip_meta(event: &[u8]) -> Option<(u32, &[u8])> {
    let (delta, rest) = number(event)?;
    let (length, rest) = number(rest.strip_prefix(&[0xff])?.get(1..)?)?;
    Some((delta, rest.get(length as usize..)?))
}

/// True when these bytes are the beginning of an event.
fn runs_out(event: &[u8], running: Option<u8>) -> bool {
    let Some((_, rest)) = number(event) else { return event.len() < 4 };
    let (status, data) = match rest {
        [] => return true,
        [status, data @ ..] if *status >= 0x80 => (*status, data),
        data => (running.unwrap_or(0), data),
    };
    match status {
        0x80..=0xef => data.iter().all(|&b| b < 0x80),
        0xf0 | 0xf7 | 0xff => true,
        _ => false,
    }
}

fn no_event(bytes: &[u8], offset: usize) -> Error {
    let shown: Vec<String> = bytes.iter().take(6).map(|b| format!("{b:02x}")).collect();
    Error::broken(format!("offset {offset}: no MIDI event begins with {}", shown.join(" ")))
        .with_hint("the file is damaged there; export it again")
}

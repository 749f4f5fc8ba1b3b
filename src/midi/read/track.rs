//! Reads the events of one track chunk as notes, tempi, metres and markers; other events are kept unchanged.

use std::collections::HashMap;

use super::LAST_TICK;
use super::chunks::TrackChunk;
use super::note_matching::NoteMatching;
use super::part::{Address, ChunkState, Slot};
use super::pedal::{Move, Pedals};
use super::walk::{EndReason, Raw, Walker};
use crate::error::{Error, Result};
use crate::midi::repair::{self, Fault, Repair};
use crate::midi::write::LONGEST_TEXT;
use crate::midi::{Event, Key, Marker, Message, Meter, Note, Score, Tempo, Track};

/// The longest track name, in bytes: a name is stored once for every channel and program of its track.
const LONGEST_NAME: usize = 256;

/// Builds a score track by track.
#[derive(Debug)]
pub(super) struct ScoreReader {
    /// The score that each file begins with.
    empty: Score,
    /// The score so far; its lists are sorted by [`ScoreReader::finish`].
    score: Score,
    /// False under SMPTE timing, where tempo events are ignored.
    tempo_counts: bool,
    /// The keys that are down, by port.
    ports: Vec<(u8, NoteMatching)>,
    pedals: Pedals,
    /// Programs that chunks set on a channel before its first note, by tick: chunks that set none inherit them.
    programs: HashMap<Address, Vec<(u32, u8)>>,
    /// The device names in the file, in order: each is a port.
    devices: Vec<Box<[u8]>>,
    /// Ticks at which a chunk silences a channel.
    silences: Vec<(Address, u32)>,
    /// Repairs made.
    pub(super) repairs: Vec<Repair>,
}

impl ScoreReader {
    pub(super) fn new(empty: Score, tempo_counts: bool, repairs: Vec<Repair>) -> Self {
        Self {
            score: empty.clone(),
            empty,
            tempo_counts,
            ports: vec![(0, NoteMatching::new())],
            pedals: Pedals::default(),
            programs: HashMap::new(),
            devices: Vec::new(),
            silences: Vec::new(),
            repairs,
        }
    }

    /// Reads one track chunk. Gives the offset at which it ended.
    pub(super) fn read(&mut self, chunk: &TrackChunk<'_>) -> Result<usize> {
        let mut part = ChunkState::default();
        let first = self.score.tracks.len();
        let mut walker = Walker::new(chunk.bytes, chunk.offset);
        let mut port = 0;
        let mut ended = false;
        loop {
            let offset = chunk.offset + walker.at;
            let (wait, raw) = match walker.next(&mut self.repairs) {
                Ok(next) => next,
                Err(EndReason::End) => {
                    if chunk.unbounded {
                        repair::note(&mut self.repairs, if ended { Fault::Length } else { Fault::Cut }, offset);
                    }
                    break;
                }
                Err(_) if ended => {
                    repair::note(&mut self.repairs, Fault::Length, offset);
                    break;
                }
                Err(EndReason::Cut) => {
                    repair::note(&mut self.repairs, if chunk.unbounded { Fault::Cut } else { Fault::Length }, offset);
                    walker.at = chunk.bytes.len();
                    break;
                }
                Err(EndReason::NoStatus) => return Err(no_event(walker.rest(), offset)),
            };
            match part.tick.checked_add(wait).filter(|&t| t <= LAST_TICK) {
                Some(tick) => part.tick = tick,
                None => {
                    repair::note(&mut self.repairs, Fault::Late, offset);
                    walker.at = chunk.bytes.len();
                    break;
                }
            }
            match raw {
                Raw::Channel(status, a, b) => self.message(&mut part, port, status, a, b),
                Raw::Meta(0x2f, _) => {
                    // Some writers put an end-of-track first: the events after it are read as long as they are valid.
                    ended = true;
                    self.score.length = self.score.length.max(part.tick);
                    walker.forget_status();
                    if chunk.unbounded {
                        repair::note(&mut self.repairs, Fault::Length, offset);
                        break;
                    }
                }
                Raw::Meta(0x21, &[number]) => {
                    part.numbered = true;
                    if number != part.port {
                        part.change_port(number);
                        port = self.port(number);
                    }
                }
                Raw::System => {}
                Raw::Meta(0x09, name) => {
                    let number = self.device(name);
                    if !part.numbered && number != part.port {
                        part.change_port(number);
                        port = self.port(number);
                    }
                    self.meta(&mut part, 0x09, name, offset);
                }
                Raw::Meta(kind, data) => self.meta(&mut part, kind, data, offset),
                Raw::SysEx(data) => keep(&mut part, Message::SysEx(data.into())),
                Raw::Escape(data) => keep(&mut part, Message::Escape(data.into())),
            }
        }
        let end = chunk.offset + walker.at;
        self.end_of_track(part, first, end);
        Ok(end)
    }

    /// Index of the keys of a port.
    fn port(&mut self, number: u8) -> usize {
        self.ports.iter().position(|p| p.0 == number).unwrap_or_else(|| {
            self.ports.push((number, NoteMatching::new()));
            self.ports.len() - 1
        })
    }

    /// The port for a device name (meta event 09, RP-019): the first is port 0.
    fn device(&mut self, name: &[u8]) -> u8 {
        let known = self.devices.iter().position(|device| **device == *name);
        let place = known.unwrap_or_else(|| {
            if self.devices.len() < 256 {
                self.devices.push(name.into());
            }
            self.devices.len() - 1
        });
        place as u8
    }

    fn meta(&mut self, part: &mut ChunkState, kind: u8, data: &[u8], offset: usize) {
        let tick = part.tick;
        let mut wrong = false;
        match (kind, data) {
            // Empty texts, which fill a delta time that is too long for one event.
            (0x01, []) => {}
            (0x03, name) if part.name.is_none() => part.name = Some(text(name, LONGEST_NAME)),
            (0x06, words) => self.score.markers.push(Marker { tick, text: text(words, LONGEST_TEXT) }),
            (0x51, &[a, b, c]) if (a | b | c) > 0 => {
                let micros_per_quarter = u32::from_be_bytes([0, a, b, c]);
                if self.tempo_counts {
                    self.score.tempos.push(Tempo { tick, micros_per_quarter });
                }
            }
            (0x58, &[numerator, power, ref rest @ ..]) if numerator > 0 && power <= 7 => {
                wrong = rest.len() != 2;
                self.score.meters.push(Meter { tick, numerator, denominator: 1 << power });
            }
            (0x59, &[sharps, minor]) if (-7..=7).contains(&(sharps as i8)) => {
                self.score.keys.push(Key { tick, sharps: sharps as i8, minor: minor != 0 });
            }
            (0x21 | 0x51 | 0x58 | 0x59, _) => wrong = true,
            _ => keep(part, Message::Meta { kind, data: data.into() }),
        }
        if wrong {
            repair::note(&mut self.repairs, Fault::Meta, offset);
        }
    }

    #[inline]
    fn message(&mut self, part: &mut ChunkState, port: usize, status: u8, a: u8, b: u8) {
        let (tick, channel) = (part.tick, status & 15);
        match status & 0xf0 {
            0x90 if b > 0 => {
                let slot = part.slot(channel);
                let track = match slot.current {
                    Some(track) => track,
                    None => self.begin(slot, tick),
                };
                let note = Note { start: tick, pitch: a, end: tick, velocity: b };
                self.ports[port].1.press(&mut self.score.tracks, channel, track, note);
            }
            0x80 | 0x90 => self.ports[port].1.release(&mut self.score.tracks, channel, a, tick),
            0xb0 if a == 64 => {
                self.pedal(part.slot(channel), tick, if b >= 64 { Move::Down } else { Move::Up });
                // Half pedals: spans only hold down or up.
                if !matches!(b, 0 | 127) {
                    self.other(part, port, status, a, b);
                }
            }
            _ => self.other(part, port, status, a, b),
        }
    }

    /// Handles a message that is neither a note nor the sustain pedal.
    fn other(&mut self, part: &mut ChunkState, port: usize, status: u8, a: u8, b: u8) {
        let (tick, channel) = (part.tick, status & 15);
        let Some(message) = Event::channel_message(status, a, b) else { return };
        let address = (part.port, channel);
        match message {
            Message::Program(program) => {
                part.chosen = part.chosen.or(Some((address, program)));
                let slot = part.slot(channel);
                slot.program = Some(program);
                slot.current = None;
                if slot.last.is_none() {
                    self.programs.entry(address).or_default().push((tick, program));
                }
            }
            Message::Controller { number: 121, .. } => self.pedal(part.slot(channel), tick, Move::Up),
            Message::Controller { number: number @ (120 | 123..=127), .. } => {
                self.ports[port].1.end_all(&mut self.score.tracks, Some(channel), tick);
                self.silences.push((address, tick));
                if number == 120 {
                    self.pedal(part.slot(channel), tick, Move::Cut);
                }
            }
            _ => {}
        }
        let slot = part.slot(channel);
        let event = Event { tick, port: address.0, channel, message };
        match slot.current {
            Some(track) => self.score.tracks[track].events.push(event),
            None => slot.events.push(event),
        }
    }

    fn pedal(&mut self, slot: &mut Slot, tick: u32, what: Move) {
        match slot.current {
            Some(track) => self.pedals.set(slot.address, Some(track), tick, what),
            None => slot.pedal.push((tick, what)),
        }
    }

    /// The track for a note at `tick`: created if need be, with the pending events added.
    fn begin(&mut self, slot: &mut Slot, tick: u32) -> usize {
        let inherited = self.programs.get(&slot.address).filter(|_| slot.program.is_none());
        let program = slot.program.or_else(|| inherited.and_then(|p| in_force(p, tick))).unwrap_or(0);
        let track = self.track(slot, program);
        slot.last = Some(track);
        // Programs that another chunk changes are looked up at every note.
        if inherited_once(self.programs.get(&slot.address), slot) {
            slot.current = Some(track);
        }
        if !(slot.events.is_empty() && slot.pedal.is_empty()) {
            self.hand_over(slot, track);
        }
        track
    }

    fn track(&mut self, slot: &mut Slot, program: u8) -> usize {
        if let Some(&(_, track)) = slot.tracks.iter().find(|t| t.0 == program) {
            return track;
        }
        let (port, channel) = slot.address;
        self.score.tracks.push(Track { port, channel, program, ..Track::default() });
        let track = self.score.tracks.len() - 1;
        slot.tracks.push((program, track));
        track
    }

    fn hand_over(&mut self, slot: &mut Slot, track: usize) {
        self.score.tracks[track].events.append(&mut slot.events);
        for (tick, what) in slot.pedal.drain(..) {
            self.pedals.set(slot.address, Some(track), tick, what);
        }
    }

    fn end_of_track(&mut self, mut part: ChunkState, first: usize, offset: usize) {
        for (_, keys) in &mut self.ports {
            for _ in 0..keys.end_all(&mut self.score.tracks, None, part.tick) {
                repair::note(&mut self.repairs, Fault::Unended, offset);
            }
        }
        let silent = self.score.tracks.len() == first;
        for slot in &mut part.slots {
            if let Some(track) = slot.last {
                self.hand_over(slot, track);
            } else if silent && slot.pedal.iter().any(|p| p.1 == Move::Down) {
                let inherited = self.programs.get(&slot.address).and_then(|p| p.last()).map(|p| p.1);
                let track = self.track(slot, slot.program.or(inherited).unwrap_or(0));
                self.hand_over(slot, track);
            } else {
                for (tick, what) in slot.pedal.drain(..) {
                    self.pedals.set(slot.address, None, tick, what);
                }
            }
        }
        if self.score.tracks.len() == first && part.name.is_some() {
            let ((port, channel), program) = part.chosen.unwrap_or_default();
            self.score.tracks.push(Track { port, channel, program, ..Track::default() });
        }
        self.place_events(part, first);
    }

    /// Gives the tracks of a chunk its name and the pending events.
    fn place_events(&mut self, part: ChunkState, first: usize) {
        let score = &mut self.score;
        let named = part.name.is_some();
        for slot in part.slots {
            // A track without notes belongs to one channel; the chunk's events for other channels go to the score.
            let own = |t: &&mut Track| named && t.notes.is_empty() && (t.port, t.channel) == slot.address;
            match score.tracks[first..].iter_mut().find(own) {
                Some(track) => track.events.extend(slot.events),
                None => score.events.extend(slot.events),
            }
        }
        let metas = part.metas.into_iter();
        match score.tracks.get_mut(first) {
            Some(track) if metas.len() > 0 => {
                track.events = sorted(metas.chain(std::mem::take(&mut track.events)).collect())
            }
            Some(_) => {}
            None => score.events.extend(metas),
        }
        if let Some(name) = part.name {
            for track in &mut score.tracks[first..] {
                track.name.clone_from(&name);
            }
        }
        for programs in self.programs.values_mut().filter(|p| !p.is_sorted_by_key(|p| p.0)) {
            programs.sort_by_key(|p| p.0);
        }
    }

    /// Finishes the score, sorted, and begins a new one. Of several tempi, metres or keys at one tick the last is used.
    pub(super) fn finish(&mut self) -> Score {
        let mut score = std::mem::replace(&mut self.score, self.empty.clone());
        self.silence(&mut score.tracks);
        // The notes of a track come in the order of their starts.
        for chord in score.tracks.iter_mut().flat_map(|t| t.notes.chunk_by_mut(|a, b| a.start == b.start)) {
            if chord.len() > 1 {
                chord.sort_unstable();
            }
        }
        std::mem::take(&mut self.pedals).hand_out(&mut score.tracks);
        for track in &mut score.tracks {
            if track.notes.is_empty() && track.name.is_empty() && track.pedals.is_empty() {
                score.events.append(&mut track.events);
            }
        }
        score.tracks.retain(|t| !(t.notes.is_empty() && t.name.is_empty() && t.pedals.is_empty()));
        last_at_each_tick(&mut score.tempos, |t| t.tick);
        last_at_each_tick(&mut score.meters, |m| m.tick);
        last_at_each_tick(&mut score.keys, |k| k.tick);
        score.markers.sort_by_key(|m| m.tick);
        if score.length <= score.last_event() {
            score.length = 0;
        }
        score.events.sort_by_key(|e| (e.tick, e.message.is_channel(), e.port, e.channel));
        self.programs.clear();
        score
    }

    /// Ends the notes that other chunks silence.
    fn silence(&mut self, tracks: &mut [Track]) {
        let mut silences = std::mem::take(&mut self.silences);
        silences.sort_unstable();
        silences.dedup();
        for track in tracks.iter_mut().filter(|_| !silences.is_empty()) {
            let address = (track.port, track.channel);
            for note in &mut track.notes {
                let next = silences.partition_point(|&s| s <= (address, note.start));
                if let Some((_, tick)) = silences.get(next).filter(|s| s.0 == address) {
                    note.end = note.end.min(*tick);
                }
            }
        }
    }
}

/// True when the program of a channel is known until the chunk itself changes it.
fn inherited_once(programs: Option<&Vec<(u32, u8)>>, slot: &Slot) -> bool {
    slot.program.is_some() || programs.is_none_or(|p| p.len() < 2)
}

/// The last program at or before a tick, or else the first.
fn in_force(programs: &[(u32, u8)], tick: u32) -> Option<u8> {
    let next = programs.partition_point(|p| p.0 <= tick);
    programs.get(next.saturating_sub(1)).map(|p| p.1)
}

/// Keeps an event without a channel.
fn keep(part: &mut ChunkState, message: Message) {
    part.metas.push(Event { tick: part.tick, port: 0, channel: 0, message });
}

fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|e| e.tick);
    events
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

/// Decodes text: UTF-8, or else Latin-1, which older files use. Text longer than `most` bytes is cut.
fn text(bytes: &[u8], most: usize) -> String {
    let bytes = bytes.split(|&b| b == 0).next().unwrap_or(bytes);
    let mut text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    };
    text.truncate(text.floor_char_boundary(most));
    text
}

fn no_event(bytes: &[u8], offset: usize) -> Error {
    let shown: Vec<String> = bytes.iter().take(6).map(|b| format!("{b:02x}")).collect();
    Error::broken(format!("offset {offset}: no MIDI event begins with {}", shown.join(" ")))
        .with_hint("the file is damaged there; export it again")
}

//! Encodes a score as MidiTok's ids: events in order, with time tokens between them.

use crate::midi::{Meter, Score};
use crate::tokens::bpe_words::WordSplit;

use super::grid::{NoteGrid, Placed, ticks_per_bar, ticks_per_beat};
use super::token::{DRUMS, Token};
use super::{BeatScheme, EncodedScore, MidiTok};

/// An event at a tick; numbers are indices into the grid.
#[derive(Debug, Clone, Copy)]
enum EncodedEvent {
    Meter(usize),
    Tempo(usize),
    On(usize),
    Off(usize),
}

pub(super) fn encode(miditok: &MidiTok, score: &Score) -> EncodedScore {
    let grid = NoteGrid::new(miditok, score);
    let mut writer = TokenWriter::new(miditok, &grid);
    for (tick, event) in events(miditok, &grid) {
        match event {
            EncodedEvent::Meter(i) => writer.meter(grid.meters[i]),
            EncodedEvent::Tempo(i) => {
                writer.advance(tick);
                writer.emit(Token::Tempo(grid.tempos[i].1));
            }
            EncodedEvent::On(i) => {
                writer.advance(tick);
                writer.on(&grid.notes[i]);
            }
            EncodedEvent::Off(i) => {
                writer.advance(tick);
                writer.off(&grid.notes[i]);
            }
        }
    }
    EncodedScore { ids: writer.ids, ticks: writer.ticks, lines: lines(miditok.config.split, &grid) }
}

/// All events by tick; at one tick metre, tempo, then voice by voice ends before onsets.
fn events(miditok: &MidiTok, grid: &NoteGrid) -> Vec<(u32, EncodedEvent)> {
    let mut events: Vec<(u32, EncodedEvent)> =
        Vec::with_capacity(grid.meters.len() + grid.tempos.len() + 2 * grid.notes.len());
    if miditok.config.use_time_signatures {
        events.extend(grid.meters.iter().enumerate().map(|(i, meter)| (meter.tick, EncodedEvent::Meter(i))));
    }
    events.extend(grid.tempos.iter().enumerate().map(|(i, tempo)| (tempo.0, EncodedEvent::Tempo(i))));
    for (i, note) in grid.notes.iter().enumerate() {
        events.push((note.start, EncodedEvent::On(i)));
        if miditok.style == BeatScheme::MidiLike {
            events.push((note.end, EncodedEvent::Off(i)));
        }
    }
    // A stable sort keeps note ends before onsets at one tick.
    events.sort_by_key(|&(tick, _)| tick);
    events
}

/// The bar lines or beats up to the last event; the first is 0.
fn lines(split: WordSplit, grid: &NoteGrid) -> Vec<u32> {
    let begins = grid.notes.iter().map(|note| note.start);
    let begins =
        begins.chain(grid.meters.iter().map(|meter| meter.tick)).chain(grid.tempos.iter().map(|tempo| tempo.0));
    let last = begins.max().unwrap_or(0);
    let mut lines = Vec::new();
    for (i, &meter) in grid.meters.iter().enumerate() {
        let end = grid.meters.get(i + 1).map_or(last + 1, |next| next.tick);
        let length = match split {
            WordSplit::No => return vec![0],
            WordSplit::Bar => ticks_per_bar(meter, grid.ticks_per_quarter),
            WordSplit::Beat => ticks_per_beat(meter, grid.ticks_per_quarter).max(1),
        };
        lines.extend((meter.tick..end).step_by(length as usize));
    }
    lines
}

struct TokenWriter<'a> {
    miditok: &'a MidiTok,
    ticks_per_quarter: u32,
    meter: Meter,
    now: u32,
    /// Where the bar began (REMI).
    bar: Option<u32>,
    /// Whether the position token of `now` was written (REMI).
    positioned: bool,
    ids: Vec<u32>,
    ticks: Vec<u32>,
}

impl<'a> TokenWriter<'a> {
    fn new(miditok: &'a MidiTok, grid: &NoteGrid) -> Self {
        let size = 6 * grid.notes.len() + 16;
        Self {
            miditok,
            ticks_per_quarter: grid.ticks_per_quarter,
            meter: grid.meters[0],
            now: 0,
            bar: None,
            positioned: false,
            ids: Vec::with_capacity(size),
            ticks: Vec::with_capacity(size),
        }
    }

    /// Ticks in a beat of the metre in force.
    fn beat(&self) -> u32 {
        ticks_per_beat(self.meter, self.ticks_per_quarter)
    }

    fn emit(&mut self, token: Token) {
        self.say_at(token, self.now);
    }

    /// Appends a token; one that is not in the vocabulary is switched off by the configuration (velocities, programs)
    /// and skipped.
    fn say_at(&mut self, token: Token, tick: u32) {
        if let Some(id) = self.miditok.layout.id(token) {
            self.ids.push(id);
            self.ticks.push(tick);
        }
    }

    /// Appends time tokens up to an event.
    fn advance(&mut self, tick: u32) {
        if self.miditok.style != BeatScheme::Remi {
            return self.shift(tick);
        }
        self.begin_bars(tick, true);
        if !self.positioned || tick != self.now {
            let ticks_per_position = self.beat() / self.miditok.config.positions();
            let index = (tick - self.bar.unwrap_or(0)) / ticks_per_position.max(1);
            self.now = tick;
            self.emit(Token::Position(index as u16));
            self.positioned = true;
        }
    }

    fn shift(&mut self, tick: u32) {
        let beat = self.beat();
        let mut at = self.now;
        for length in self.miditok.lengths.spell(tick - self.now, beat) {
            self.say_at(Token::Shift(length), at);
            at += self.miditok.lengths.ticks(length, beat);
        }
        self.now = tick;
    }

    /// Appends the bars up to `tick`, each with its metre; the last without unless `last_too`.
    fn begin_bars(&mut self, tick: u32, last_too: bool) {
        let length = ticks_per_bar(self.meter, self.ticks_per_quarter);
        let mut next = self.bar.map_or(0, |bar| bar + length);
        while next <= tick {
            self.bar = Some(next);
            self.positioned = false;
            self.say_at(Token::Bar, next);
            next += length;
            if last_too || next <= tick {
                self.say_meter(self.bar.unwrap_or(0));
            }
        }
    }

    fn meter(&mut self, meter: Meter) {
        match self.miditok.style {
            BeatScheme::Remi => self.begin_bars(meter.tick, false),
            _ => self.shift(meter.tick),
        }
        self.meter = meter;
        self.now = meter.tick;
        self.positioned = false;
        self.say_meter(meter.tick);
    }

    fn say_meter(&mut self, tick: u32) {
        let meter = (self.meter.numerator, self.meter.denominator);
        if let Some(index) = self.miditok.config.time_signatures.iter().position(|&known| known == meter) {
            self.say_at(Token::TimeSig(index as u8), tick);
        }
    }

    fn on(&mut self, note: &Placed) {
        let drum = note.voice == DRUMS && self.miditok.config.use_pitchdrum_tokens;
        self.emit(Token::Program(note.voice));
        self.emit(if drum { Token::Drum(note.pitch) } else { Token::Pitch(note.pitch) });
        self.emit(Token::Velocity(note.velocity));
        if self.miditok.style != BeatScheme::MidiLike {
            let beat = self.beat();
            self.emit(Token::Duration(self.miditok.lengths.nearest(note.end - note.start, beat)));
        }
    }

    fn off(&mut self, note: &Placed) {
        let drum = note.voice == DRUMS && self.miditok.config.use_pitchdrum_tokens;
        self.emit(Token::Program(note.voice));
        self.emit(if drum { Token::DrumOff(note.pitch) } else { Token::NoteOff(note.pitch) });
    }
}

//! Writes Standard MIDI Files: format 1, a conductor track and one track for each part.

mod chunk;
mod programs;

use std::path::Path;

use crate::atomic;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::midi::{Event, Message, Score, Track};

use chunk::{ChunkWriter, rank};
use programs::Programs;

/// The finest division of a file.
const FINEST: u32 = 32_767;

/// The longest text, in bytes.
pub(super) const LONGEST_TEXT: usize = 1 << 16;

impl Score {
    /// Writes a MIDI file, atomically.
    ///
    /// # Errors
    /// Names the path when the file system refuses.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// let path = folder.path().join("two_notes.mid");
    /// score.write(&path)?;
    /// assert_eq!(Score::read(&path)?.len(), 2);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_until(path, &Interrupt::new())
    }

    /// [`Score::write`], which a user can cancel: a piece of hours, or a damaged file, has a million notes.
    ///
    /// # Errors
    /// Those of [`Score::write`]; `interrupted`, when the user cancels, and then nothing is written.
    pub fn write_until(&self, path: impl AsRef<Path>, interrupt: &Interrupt) -> Result<()> {
        atomic::write(path.as_ref(), &self.bytes(interrupt)?)
    }

    /// The bytes of a MIDI file (format 1) that reads back as this score.
    ///
    /// A file holds only note-on and note-off events: of overlapping notes of one pitch in a track, the first to begin
    /// reads back as the first to end.
    ///
    /// Every note is played with the program of its track: where tracks of several programs share a channel, each
    /// repeats its program change before its notes, which also works in players that ignore ports. Tracks of several
    /// programs that hold the same key of a channel at the same time cannot share it: the later one is given a free
    /// channel, on another port when all sixteen are taken.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// let read = Score::from_bytes(&score.to_bytes())?;
    /// assert_eq!(read.sounds(), score.sounds());
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        // Nobody cancels, and nothing else can fail.
        self.bytes(&Interrupt::new()).unwrap_or_default()
    }

    fn bytes(&self, interrupt: &Interrupt) -> Result<Vec<u8>> {
        if !(1..=FINEST).contains(&self.ticks_per_quarter) {
            return self.resample(FINEST.min(self.ticks_per_quarter.max(1))).bytes(interrupt);
        }
        // The header counts tracks in 16 bits.
        let tracks = &self.tracks[..self.tracks.len().min(0xfffe)];
        let programs = Programs::plan(tracks, &self.events, interrupt)?;
        let mut bytes = b"MThd\0\0\0\x06\0\x01".to_vec();
        bytes.reserve(8 * self.len() + 256);
        bytes.extend((tracks.len() as u16 + 1).to_be_bytes());
        bytes.extend((self.ticks_per_quarter as u16).to_be_bytes());
        let mut conductor = self.conductor();
        conductor.until(self.length);
        conductor.write(&mut bytes);
        for (index, track) in tracks.iter().enumerate() {
            interrupt.check()?;
            let mut chunk = part(track, programs.of(index));
            self.settings_of_channel(index, programs.of(index), &mut chunk);
            chunk.write(&mut bytes);
        }
        Ok(bytes)
    }

    /// Other tracks' events for the channel of a track that is written on another channel.
    fn settings_of_channel<'a>(&'a self, index: usize, part: &programs::TrackPlan, chunk: &mut ChunkWriter<'a>) {
        let own = &self.tracks[index];
        let address = (own.port, own.channel.min(15));
        if (part.port, part.channel) == address {
            return;
        }
        let others = self.tracks.iter().enumerate().filter(|(i, t)| *i != index && (t.port, t.channel) == address);
        let loose = self.events.iter().filter(|e| (e.port, e.channel) == address);
        for event in others.flat_map(|(_, t)| &t.events).chain(loose) {
            if matches!(
                event.message,
                Message::Controller { number: ..=119, .. } | Message::Bend(_) | Message::Pressure(_)
            ) {
                chunk.event(event.tick, &event.message, part.channel);
            }
        }
    }

    /// Metres, keys, tempi, markers and the score's own events, by tick.
    fn conductor(&self) -> ChunkWriter<'_> {
        let mut chunk = ChunkWriter::default();
        for meter in &self.meters {
            let power = meter.denominator.max(1).ilog2() as u8;
            chunk.meta(meter.tick, 0x58, &[meter.numerator.max(1), power, 24, 8]);
        }
        for key in &self.keys {
            chunk.meta(key.tick, 0x59, &[key.sharps as u8, key.minor.into()]);
        }
        for tempo in &self.tempos {
            chunk.meta(tempo.tick, 0x51, &tempo.micros_per_quarter.clamp(1, 0xff_ffff).to_be_bytes()[1..]);
        }
        for marker in &self.markers {
            chunk.text(marker.tick, 0x06, short(&marker.text));
        }
        let mut port = 0;
        for event in &self.events {
            if event.message.is_channel() && event.port != port {
                port = event.port;
                chunk.meta(event.tick, 0x21, &[port]);
            }
            chunk.event(event.tick, &event.message, event.channel);
        }
        chunk
    }
}

/// Name, programs, notes, pedal and events of a track, by tick. At one tick, note-offs come before pedal and other
/// events, and note-ons after them.
fn part<'a>(track: &'a Track, programs: &programs::TrackPlan) -> ChunkWriter<'a> {
    let channel = programs.channel.min(15);
    let mut chunk = ChunkWriter::with_room(2 * track.notes.len() + 2 * track.pedals.len() + track.events.len() + 3);
    if !track.name.is_empty() {
        chunk.head(0x03, short(&track.name));
    }
    // A device name implies a port where no port event is given.
    let named = track.events.iter().any(|e| matches!(e.message, Message::Meta { kind: 0x09, .. }));
    if programs.port > 0 || named {
        chunk.port(programs.port);
    }
    for event in &track.events {
        chunk.event(event.tick, &event.message, channel);
    }
    for &(tick, program) in &programs.changes {
        chunk.channel(tick, rank::PROGRAM, [0xc0 | channel, program.min(127), 0]);
    }
    for note in &track.notes {
        let key = note.pitch.min(127);
        chunk.channel(note.start, rank::NOTE_ON, [0x90 | channel, key, note.velocity.clamp(1, 127)]);
        // A note-on of velocity 0 ends a note without breaking running status.
        chunk.channel(note.end.max(note.start.saturating_add(1)), rank::NOTE_OFF, [0x90 | channel, key, 0]);
    }
    for span in &track.pedals {
        if !pedal_value(&track.events, span.start, true) {
            chunk.channel(span.start, rank::PEDAL_DOWN, [0xb0 | channel, 64, 127]);
        }
        if !pedal_value(&track.events, span.end, false) {
            chunk.channel(span.end, rank::PEDAL_UP, [0xb0 | channel, 64, 0]);
        }
    }
    chunk
}

/// Whether the events, sorted by tick, hold a pedal value at a tick: half pedals are kept.
fn pedal_value(events: &[Event], tick: u32, down: bool) -> bool {
    let mut there = events[events.partition_point(|e| e.tick < tick)..].iter().take_while(|e| e.tick == tick);
    there.any(|e| match e.message {
        Message::Controller { number: 64, value } => (value >= 64) == down,
        _ => false,
    })
}

/// True for an event that would read back as a program change of a channel.
fn program(event: &Event) -> Option<u8> {
    if let Message::Program(program) = event.message { Some(program.min(127)) } else { None }
}

fn short(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(LONGEST_TEXT)]
}

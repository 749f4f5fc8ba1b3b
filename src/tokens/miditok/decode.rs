//! Decodes MidiTok's ids to a score.

use std::collections::VecDeque;

use crate::midi::{Note, Score, Tempo, Track};

use super::token::{DRUMS, Token};
use super::walk::Walk;
use super::{BeatScheme, MidiTok};

/// The velocity of notes without a velocity token.
const UNSAID: u8 = 100;
const MICROS_PER_QUARTER: u32 = 500_000;

/// The score of any ids: one track for each voice.
///
/// What MidiTok's decoder cannot read is left out: a pitch without its velocity or its length, an end without an onset,
/// and a metre that is not at a bar line. In MIDILike a note that has not ended ends with the last token, at least one
/// position long.
pub(super) fn decode(miditok: &MidiTok, ids: &[u32]) -> Score {
    let tokens: Vec<Token> = ids.iter().filter_map(|&id| miditok.layout.token(id)).collect();
    let mut decoder = MidiTokDecoder {
        miditok,
        score: Score::new(miditok.config.ticks_per_quarter()),
        walk: Walk::new(miditok),
        voice: 0,
        notes: Vec::new(),
        open: VecDeque::new(),
    };
    for (i, &token) in tokens.iter().enumerate() {
        decoder.take(token, &tokens[i + 1..]);
    }
    decoder.finish()
}

struct MidiTokDecoder<'a> {
    miditok: &'a MidiTok,
    score: Score,
    walk: Walk,
    /// The voice of the notes that follow (programs).
    voice: u8,
    notes: Vec<(u8, Note)>,
    /// Notes that have not ended (MIDILike), in the order they began.
    open: VecDeque<(u8, Note)>,
}

impl MidiTokDecoder<'_> {
    fn take(&mut self, token: Token, rest: &[Token]) {
        if self.walk.take(self.miditok, token) {
            self.meter();
        }
        match token {
            Token::Pitch(pitch) => self.on(if self.miditok.config.use_programs { self.voice } else { 0 }, pitch, rest),
            Token::Drum(pitch) => self.on(DRUMS, pitch, rest),
            Token::NoteOff(pitch) => self.off(if self.miditok.config.use_programs { self.voice } else { 0 }, pitch),
            Token::DrumOff(pitch) => self.off(DRUMS, pitch),
            Token::Program(voice) => self.voice = voice,
            Token::Tempo(bin) => {
                let micros = (60e6 / self.miditok.tempos[usize::from(bin)]).round() as u32;
                let tick = self.walk.now;
                self.score.tempos.push(Tempo { tick, micros_per_quarter: micros });
            }
            _ => {}
        }
    }

    /// Adds a change of metre, which replaces one at the same tick.
    fn meter(&mut self) {
        let meter = self.walk.meter;
        self.score.meters.pop_if(|before| before.tick >= meter.tick);
        self.score.meters.push(meter);
    }

    fn on(&mut self, voice: u8, pitch: u8, rest: &[Token]) {
        let mut rest = rest.iter().copied();
        let mut velocity = UNSAID;
        if self.miditok.config.use_velocities {
            let Some(Token::Velocity(bin)) = rest.next() else { return };
            velocity = self.miditok.velocities[usize::from(bin)];
        }
        let start = self.walk.now;
        if self.miditok.style == BeatScheme::MidiLike {
            self.open.push_back((voice, Note { start, pitch, end: start, velocity }));
        } else if let Some(Token::Duration(length)) = rest.next() {
            let end = start.saturating_add(self.miditok.lengths.ticks(length, self.walk.ticks_per_beat()));
            self.notes.push((voice, Note { start, pitch, end, velocity }));
        }
    }

    fn off(&mut self, voice: u8, pitch: u8) {
        let Some(i) = self.open.iter().position(|(v, note)| (*v, note.pitch) == (voice, pitch)) else { return };
        if let Some((voice, note)) = self.open.remove(i) {
            self.end(voice, note);
        }
    }

    fn end(&mut self, voice: u8, note: Note) {
        let end = self.walk.now.max(note.start.saturating_add(self.walk.ticks_per_position(self.miditok)));
        self.notes.push((voice, Note { end, ..note }));
    }

    fn finish(mut self) -> Score {
        while let Some((voice, note)) = self.open.pop_front() {
            self.end(voice, note);
        }
        // Positions may go back in a bar; of tempi at one tick the last is used.
        self.score.tempos.reverse();
        self.score.tempos.sort_by_key(|tempo| tempo.tick);
        self.score.tempos.dedup_by_key(|tempo| tempo.tick);
        if self.score.tempos.is_empty() {
            self.score.tempos.push(Tempo { tick: 0, micros_per_quarter: MICROS_PER_QUARTER });
        }
        self.notes.sort_unstable();
        for of_voice in self.notes.chunk_by(|a, b| a.0 == b.0) {
            let voice = of_voice[0].0;
            let (channel, program, name) = match voice {
                DRUMS => (9, 0, "Drums".to_string()),
                0 => (0, 0, "Piano".to_string()),
                program => (channel(self.score.tracks.len()), program, format!("Program {program}")),
            };
            let notes = of_voice.iter().map(|&(_, note)| note).collect();
            self.score.tracks.push(Track { name, channel, program, notes, ..Track::default() });
        }
        self.score
    }
}

/// MIDI channels in turn, without the drum channel.
fn channel(track: usize) -> u8 {
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15][track % 15]
}

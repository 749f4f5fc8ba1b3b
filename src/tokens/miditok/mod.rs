//! The encodings of MidiTok 3.1.0 that count time in beats: REMI, TSD and MIDILike.
//!
//! Vocabularies, ids, grids and roundings are MidiTok's (Fradet et al. 2021), so that ids and `tokenizer.json` go both
//! ways. A score becomes one stream:
//!
//! - REMI (Huang and Yang 2020): `Bar TimeSig Position Pitch Velocity Duration …`
//! - TSD: `TimeSig Pitch Velocity Duration TimeShift …`
//! - MIDILike (Oore et al. 2018): `TimeSig NoteOn Velocity TimeShift NoteOff …`
//!
//! Where we differ: without `use_programs` MidiTok gives one sequence a track; here all pitched tracks are one voice
//! and all drum tracks another, in one sequence. Voices, and notes of one voice that fall on one position, are sorted
//! (program, pitch, velocity, duration) instead of kept in file order; and in MIDILike, overlapping notes of one pitch
//! end in the order in which they began, as its decoder assumes. So a score has one spelling, and decoding loses
//! nothing that was encoded.

mod config;
mod decode;
mod encode;
mod grid;
mod lengths;
mod rules;
#[cfg(test)]
mod tests;
mod token;
mod walk;

pub(super) use config::{Config, KEYS};
pub(super) use rules::MidiTokRules;

use crate::midi::Score;
use crate::tokens::bpe_words::Words;
use crate::tokens::pitches::{PIANO, key_name};
use crate::tokens::{TokenKind, Vocabulary};

use lengths::Lengths;
use token::{DRUMS, MidiTokLayout, Token};
use walk::Walk;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BeatScheme {
    Remi,
    Tsd,
    MidiLike,
}

impl BeatScheme {
    pub(super) const ALL: [Self; 3] = [Self::Remi, Self::Tsd, Self::MidiLike];

    /// The name in scripts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Remi => "remi",
            Self::Tsd => "tsd",
            Self::MidiLike => "midi_like",
        }
    }

    /// The name of MidiTok's class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Remi => "REMI",
            Self::Tsd => "TSD",
            Self::MidiLike => "MIDILike",
        }
    }
}

/// One of the encodings with its configuration and the tables that follow from it.
#[derive(Debug)]
pub(super) struct MidiTok {
    style: BeatScheme,
    config: Config,
    lengths: Lengths,
    /// The MIDI velocity of each bin.
    velocities: Vec<u8>,
    /// Beats per minute of each bin.
    tempos: Vec<f64>,
    layout: MidiTokLayout,
}

impl MidiTok {
    pub(super) fn new(style: BeatScheme, config: Config) -> Self {
        let lengths = Lengths::new(&config.beat_res);
        let layout = MidiTokLayout::new(style, &config, &lengths);
        let bins = f64::from(config.num_velocities);
        let velocities =
            (1..config.num_velocities).map(|i| (f64::from(i) * (127.0 / bins)) as u8).chain([127]).collect();
        let tempos = tempos(&config);
        Self { style, config, lengths, velocities, tempos, layout }
    }

    pub(super) fn style(&self) -> BeatScheme {
        self.style
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for &token in self.layout.tokens() {
            vocabulary.push(self.name(token), kind(token));
        }
        vocabulary
    }

    pub(super) fn encode(&self, score: &Score) -> Vec<u32> {
        encode::encode(self, score).ids
    }

    /// The ids of a score, cut into words at its bars or beats.
    pub(super) fn words(&self, score: &Score) -> Words {
        encode::encode(self, score).words()
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Score {
        decode::decode(self, ids)
    }

    pub(super) fn pitch(&self, id: u32) -> Option<u8> {
        match self.layout.token(id) {
            Some(Token::Pitch(pitch)) => Some(pitch),
            _ => None,
        }
    }

    /// The ids of the same piece `semitones` higher; `None` when a pitch would leave the piano or the vocabulary, or
    /// when drums have the same tokens as pitches.
    pub(super) fn transpose(&self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        if self.config.use_programs && !self.config.use_pitchdrum_tokens && semitones != 0 {
            return None;
        }
        let shift = |pitch: u8| {
            let moved = i32::from(pitch) + semitones;
            (semitones == 0 || PIANO.contains(&moved)).then_some(moved as u8)
        };
        ids.iter()
            .map(|&id| match self.layout.token(id) {
                Some(Token::Pitch(pitch)) => self.layout.id(Token::Pitch(shift(pitch)?)),
                Some(Token::NoteOff(pitch)) => self.layout.id(Token::NoteOff(shift(pitch)?)),
                _ => Some(id),
            })
            .collect()
    }

    /// Seconds at which each id happens, at 120 beats per minute.
    pub(super) fn moments(&self, ids: &[u32]) -> Vec<f64> {
        let mut walk = Walk::new(self);
        ids.iter()
            .map(|&id| {
                let now = walk.seconds();
                if let Some(token) = self.layout.token(id) {
                    walk.take(self, token);
                }
                now
            })
            .collect()
    }

    /// A description of a token for display, where its name is not enough.
    pub(super) fn gloss(&self, id: u32) -> String {
        match self.layout.token(id) {
            Some(Token::Pitch(pitch) | Token::NoteOff(pitch)) => key_name(pitch),
            Some(Token::Duration(i) | Token::Shift(i)) => {
                // 5040 is a multiple of all common resolutions.
                format!("{:.3} beats", f64::from(self.lengths.ticks(i, 5040)) / 5040.0)
            }
            _ => String::new(),
        }
    }

    fn name(&self, token: Token) -> String {
        let like = self.style == BeatScheme::MidiLike;
        match token {
            Token::Special(i) => ["PAD_None", "BOS_None", "EOS_None", "MASK_None"][usize::from(i)].to_string(),
            Token::Bar => "Bar_None".to_string(),
            Token::Pitch(pitch) => format!("{}_{pitch}", if like { "NoteOn" } else { "Pitch" }),
            Token::NoteOff(pitch) => format!("NoteOff_{pitch}"),
            Token::Velocity(bin) => format!("Velocity_{}", self.velocities[usize::from(bin)]),
            Token::Duration(i) => format!("Duration_{}", self.lengths.name(i)),
            Token::Shift(i) => format!("TimeShift_{}", self.lengths.name(i)),
            Token::Position(i) => format!("Position_{i}"),
            Token::Drum(pitch) => format!("{}_{pitch}", if like { "DrumOn" } else { "PitchDrum" }),
            Token::DrumOff(pitch) => format!("DrumOff_{pitch}"),
            Token::Tempo(bin) => format!("Tempo_{:?}", self.tempos[usize::from(bin)]), // "40.0", as Python prints it
            Token::Program(DRUMS) => "Program_-1".to_string(),
            Token::Program(program) => format!("Program_{program}"),
            Token::TimeSig(i) => {
                let (numerator, denominator) = self.config.time_signatures[usize::from(i)];
                format!("TimeSig_{numerator}/{denominator}")
            }
        }
    }

    /// The nearest bin; the louder of two equally near ones.
    fn velocity_bin(&self, velocity: u8) -> u8 {
        nearest(&self.velocities, |&bin| f64::from(bin), f64::from(velocity)) as u8
    }

    /// The tempo bin whose quarter is nearest to a number of microseconds; the slower of two equally near ones.
    fn tempo_bin(&self, micros: f64) -> u16 {
        let rising: Vec<f64> = self.tempos.iter().rev().map(|tempo| 60e6 / tempo).collect();
        (rising.len() - 1 - nearest(&rising, |&x| x, micros)) as u16
    }

    /// The bin nearest to 120 beats per minute.
    fn default_tempo(&self) -> u16 {
        let distance = |i: &usize| (self.tempos[*i] - 120.0).abs();
        (0..self.tempos.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0) as u16
    }
}

/// The ids of a score with their ticks, and the ticks at which words begin.
#[derive(Debug, Clone)]
struct EncodedScore {
    ids: Vec<u32>,
    ticks: Vec<u32>,
    lines: Vec<u32>,
}

impl EncodedScore {
    /// A word ends before the first id that is at the next line or later.
    fn words(self) -> Words {
        let mut words = Words::default();
        let mut lines = self.lines.into_iter().peekable();
        for (id, tick) in self.ids.into_iter().zip(self.ticks) {
            while lines.next_if(|&line| line <= tick).is_some() {
                words.cut();
            }
            words.ids.push(id);
        }
        words
    }
}

fn kind(token: Token) -> TokenKind {
    match token {
        Token::Special(_) => TokenKind::Special,
        Token::Pitch(_) => TokenKind::Note,
        Token::NoteOff(_) => TokenKind::NoteOff,
        Token::Velocity(_) => TokenKind::Velocity,
        Token::Bar | Token::Duration(_) | Token::Shift(_) | Token::Position(_) => TokenKind::Time,
        Token::Drum(_) | Token::DrumOff(_) | Token::Tempo(_) | Token::Program(_) | Token::TimeSig(_) => {
            TokenKind::Other
        }
    }
}

/// The index of the value nearest to `wanted` in an ascending list; the higher of two equally near ones.
fn nearest<T>(rising: &[T], value: impl Fn(&T) -> f64, wanted: f64) -> usize {
    let above = rising.partition_point(|x| value(x) < wanted);
    let distance = |i: usize| rising.get(i).map_or(f64::INFINITY, |x| (value(x) - wanted).abs());
    match above.checked_sub(1) {
        Some(below) if distance(below) < distance(above) => below,
        _ => above.min(rising.len().saturating_sub(1)),
    }
}

/// The tempo bins, rounded to two digits (half to even), at even steps or at even factors.
fn tempos(config: &Config) -> Vec<f64> {
    let (low, high) = config.tempo_range;
    let steps = (config.num_tempos - 1).max(1) as f64;
    let bin = |i: usize| match i {
        0 => low,
        i if i + 1 == config.num_tempos => high,
        i if config.log_tempos => 10_f64.powf(low.log10() + i as f64 * ((high.log10() - low.log10()) / steps)),
        i => i as f64 * ((high - low) / steps) + low,
    };
    (0..config.num_tempos).map(|i| (bin(i) * 100.0).round_ties_even() / 100.0).collect()
}

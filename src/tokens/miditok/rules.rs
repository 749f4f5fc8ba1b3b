//! The grammar of REMI, TSD and MIDILike: exactly the sequences that encoding a score gives.
//!
//! At one instant: the metre, the tempo, then voice by voice the notes that end in the order they began (MIDILike) and
//! the notes that begin by pitch, velocity, length. Time is a bar with its metre, or a later position (REMI), or
//! shifts, the longest first (TSD, MIDILike).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::harmony::ChordAt;

use super::token::{DRUMS, Token};
use super::walk::Walk;
use super::{BeatScheme, MidiTok};

const EOS: Token = Token::Special(2);

/// The state of a sequence.
#[derive(Debug, Clone)]
pub(crate) struct MidiTokRules {
    miditok: Arc<MidiTok>,
    walk: Walk,
    next: PendingToken,
    /// The last token at this instant, as far as the order depends on it.
    order: InstantOrder,
    /// Whether there was an event since time advanced; a sequence ends with an event.
    eventful: bool,
    /// Whether there was a position token in this bar (REMI).
    positioned: bool,
    /// The longest shift that may follow the last shift as a token of its own (TSD, MIDILike).
    slack: Option<u32>,
    metre_said: bool,
    tempo_said: bool,
    /// Notes that sound by voice and pitch, each in the order they began (MIDILike).
    open: BTreeMap<(u8, u8), VecDeque<OpenNote>>,
    /// Notes that have begun.
    begun: u32,
    /// The tick that time may not pass.
    horizon: Option<u32>,
}

/// A token that needs another after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PendingToken {
    Any,
    /// A bar, which needs its metre.
    Metre,
    /// A program, which needs a note that begins or ends.
    OfVoice(u8),
    Velocity(Onset),
    Duration(Onset),
    Nothing,
}

/// A note that begins; the order of the fields is the order of notes at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Onset {
    voice: u8,
    pitch: u8,
    velocity: u8,
    length: u16,
}

/// The order of events at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InstantOrder {
    Time,
    Metre,
    Tempo,
    /// The note of this number of this voice has ended.
    Off(u8, u32),
    On(Onset),
}

/// A note that sounds.
#[derive(Debug, Clone, Copy)]
struct OpenNote {
    start: u32,
    number: u32,
}

/// The set of sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taste {
    /// All that encoding a score can give.
    Judge,
    /// Fewer, for sampling: no two notes of one pitch at once.
    Sample,
}

impl MidiTokRules {
    pub(crate) fn new(miditok: &Arc<MidiTok>) -> Self {
        Self {
            walk: Walk::new(miditok),
            miditok: Arc::clone(miditok),
            next: PendingToken::Any,
            order: InstantOrder::Time,
            eventful: true,
            positioned: false,
            slack: None,
            metre_said: false,
            tempo_said: false,
            open: BTreeMap::new(),
            begun: 0,
            horizon: None,
        }
    }

    pub(crate) fn allow(&self, mask: &mut [bool]) {
        let horizon = self.near_horizon();
        for (id, allowed) in mask.iter_mut().enumerate() {
            *allowed = self.token(id as u32).is_some_and(|token| self.permits(token, Taste::Sample, horizon));
        }
    }

    pub(crate) fn samples(&self, id: u32) -> bool {
        self.token(id).is_some_and(|token| self.permits(token, Taste::Sample, self.near_horizon()))
    }

    /// The horizon; where no event is left at this instant, time may pass it.
    fn near_horizon(&self) -> Option<u32> {
        if self.stuck() { None } else { self.horizon }
    }

    pub(crate) fn accepts(&self, id: u32) -> bool {
        let Some(token) = self.token(id) else { return false };
        self.permits(token, Taste::Judge, self.horizon) || (self.permits(token, Taste::Judge, None) && self.stuck())
    }

    /// Whether the horizon leaves only the end.
    fn stuck(&self) -> bool {
        let says = |&token: &Token| token != EOS && self.permits(token, Taste::Sample, self.horizon);
        self.horizon.is_some() && !self.miditok.layout.tokens().iter().any(says)
    }

    fn token(&self, id: u32) -> Option<Token> {
        self.miditok.layout.token(id)
    }

    fn permits(&self, token: Token, taste: Taste, horizon: Option<u32>) -> bool {
        match (self.next, token) {
            (_, EOS) => self.ends(),
            (PendingToken::Nothing, _) | (_, Token::Special(_)) => false,
            (PendingToken::Metre, Token::TimeSig(_)) => true,
            (PendingToken::Velocity(onset), Token::Velocity(velocity)) => {
                let last = self.last_onset(onset);
                last.is_none_or(|last| velocity >= last.velocity)
            }
            (PendingToken::Duration(onset), Token::Duration(length)) => {
                let last = self.last_onset(onset).filter(|last| last.velocity == onset.velocity);
                last.is_none_or(|last| length >= last.length)
            }
            (PendingToken::OfVoice(voice), Token::Pitch(pitch)) => {
                self.says(voice, false) && self.begins(voice, pitch, taste)
            }
            (PendingToken::OfVoice(DRUMS), Token::Drum(pitch)) => {
                self.says(DRUMS, true) && self.begins(DRUMS, pitch, taste)
            }
            (PendingToken::OfVoice(voice), Token::NoteOff(pitch)) => {
                self.says(voice, false) && self.closes(voice, pitch)
            }
            (PendingToken::OfVoice(DRUMS), Token::DrumOff(pitch)) => {
                self.says(DRUMS, true) && self.closes(DRUMS, pitch)
            }
            (PendingToken::Any, _) => self.permits_any(token, taste, horizon),
            _ => false,
        }
    }

    /// Whether a token may come where none is unfinished.
    fn permits_any(&self, token: Token, taste: Taste, horizon: Option<u32>) -> bool {
        let programs = self.miditok.config.use_programs;
        let within = |tick: u32| horizon.is_none_or(|horizon| tick <= horizon);
        match token {
            Token::Bar => {
                let waits = self.walk.bar.is_some() && (self.positioned && !self.eventful || !self.begun_well());
                !waits && within(self.walk.next_bar())
            }
            Token::Position(index) => {
                let Some(bar) = self.walk.bar else { return false };
                let tick = bar + u32::from(index) * self.walk.ticks_per_position(&self.miditok);
                let later = if self.positioned { self.eventful && tick > self.walk.now } else { true };
                let first = self.begun_well() || index == 0;
                later && first && tick < self.walk.next_bar() && within(tick)
            }
            Token::Shift(length) => {
                let ticks = self.miditok.lengths.ticks(length, self.walk.ticks_per_beat());
                let fits = self.slack.is_none_or(|slack| ticks <= slack);
                self.begun_well() && fits && within(self.walk.now.saturating_add(ticks))
            }
            Token::TimeSig(index) => self.changes_metre(index),
            Token::Tempo(_) => {
                matches!(self.order, InstantOrder::Time | InstantOrder::Metre) && self.placed() && self.metre_known()
            }
            Token::Program(voice) => programs && self.placed() && self.begun_well() && self.serves(voice, taste),
            Token::Pitch(pitch) => !programs && self.happens() && self.begins(0, pitch, taste),
            Token::Drum(pitch) => !programs && self.happens() && self.begins(DRUMS, pitch, taste),
            Token::NoteOff(pitch) => !programs && self.happens() && self.closes(0, pitch),
            Token::DrumOff(pitch) => !programs && self.happens() && self.closes(DRUMS, pitch),
            _ => false,
        }
    }

    fn ends(&self) -> bool {
        let done = self.next == PendingToken::Any && self.eventful && self.open.is_empty() && self.begun_well();
        done || self.next == PendingToken::Nothing
    }

    /// Whether events may come: in REMI only after a position.
    fn placed(&self) -> bool {
        self.miditok.style != BeatScheme::Remi || self.positioned
    }

    fn happens(&self) -> bool {
        self.placed() && self.begun_well()
    }

    fn metre_known(&self) -> bool {
        self.metre_said || !self.miditok.config.use_time_signatures
    }

    /// Whether the tokens at the beginning of every sequence have come.
    fn begun_well(&self) -> bool {
        self.metre_known() && (self.tempo_said || !self.miditok.config.use_tempos)
    }

    /// A metre by itself (TSD, MIDILike): the first, or a change at a bar line.
    fn changes_metre(&self, index: u8) -> bool {
        if self.miditok.style == BeatScheme::Remi || self.order != InstantOrder::Time {
            return false;
        }
        let metre = self.miditok.config.time_signatures[usize::from(index)];
        let same = metre == (self.walk.meter.numerator, self.walk.meter.denominator);
        !self.metre_said || (self.walk.now > self.walk.meter.tick && !same && self.walk.at_bar_line())
    }

    /// Whether a voice uses drum tokens.
    fn says(&self, voice: u8, drum: bool) -> bool {
        drum == (voice == DRUMS && self.miditok.config.use_pitchdrum_tokens)
    }

    /// Whether a program can be followed by a note.
    fn serves(&self, voice: u8, taste: Taste) -> bool {
        let config = &self.miditok.config;
        let drum = self.says(voice, true);
        let (low, high) = if drum { config.drums_pitch_range } else { config.pitch_range };
        (low..=high).any(|pitch| self.begins(voice, pitch, taste) || self.closes(voice, pitch))
    }

    /// The previous note of this instant, if it has the voice and pitch of `onset`.
    fn last_onset(&self, onset: Onset) -> Option<Onset> {
        match self.order {
            InstantOrder::On(last) if (last.voice, last.pitch) == (onset.voice, onset.pitch) => Some(last),
            _ => None,
        }
    }

    fn begins(&self, voice: u8, pitch: u8, taste: Taste) -> bool {
        let in_order = match self.order {
            InstantOrder::On(last) if taste == Taste::Judge && !self.miditok.config.remove_duplicated_notes => {
                (voice, pitch) >= (last.voice, last.pitch)
            }
            InstantOrder::On(last) => (voice, pitch) > (last.voice, last.pitch),
            InstantOrder::Off(last, _) => voice >= last,
            _ => true,
        };
        in_order && (taste == Taste::Judge || !self.open.contains_key(&(voice, pitch)))
    }

    fn closes(&self, voice: u8, pitch: u8) -> bool {
        let first = self.open.get(&(voice, pitch)).and_then(VecDeque::front);
        first.is_some_and(|open| {
            let in_order = match self.order {
                InstantOrder::Off(last, number) => voice > last || (voice == last && open.number > number),
                InstantOrder::On(last) => voice > last.voice,
                _ => true,
            };
            in_order && open.start < self.walk.now
        })
    }

    pub(crate) fn push(&mut self, id: u32) {
        let Some(token) = self.token(id).filter(|_| self.accepts(id)) else { return };
        let shifted = matches!(token, Token::Shift(_));
        let from = self.walk.clone();
        self.walk.take(&self.miditok, token);
        match token {
            Token::Special(_) => self.next = PendingToken::Nothing,
            Token::Bar => {
                self.next =
                    if self.miditok.config.use_time_signatures { PendingToken::Metre } else { PendingToken::Any };
                self.passed();
                self.positioned = false;
            }
            Token::Position(_) => {
                self.passed();
                self.positioned = true;
            }
            Token::Shift(length) => {
                self.slack = self.slack_after(length, &from);
                self.passed();
            }
            Token::TimeSig(_) => {
                let changed = !self.metre_said || self.walk.meter != from.meter;
                self.next = PendingToken::Any;
                self.metre_said = true;
                self.happened(if changed { InstantOrder::Metre } else { InstantOrder::Time }, changed);
            }
            Token::Tempo(_) => {
                self.tempo_said = true;
                self.happened(InstantOrder::Tempo, true);
            }
            Token::Program(voice) => self.next = PendingToken::OfVoice(voice),
            Token::Pitch(pitch) => self.on(self.voice(0), pitch),
            Token::Drum(pitch) => self.on(DRUMS, pitch),
            Token::NoteOff(pitch) => self.off(self.voice(0), pitch),
            Token::DrumOff(pitch) => self.off(DRUMS, pitch),
            Token::Velocity(velocity) => {
                if let PendingToken::Velocity(onset) = self.next {
                    self.after_velocity(Onset { velocity, ..onset });
                }
            }
            Token::Duration(length) => {
                if let PendingToken::Duration(onset) = self.next {
                    self.note(Onset { length, ..onset });
                }
            }
        }
        if !shifted {
            self.slack = None;
        }
    }

    fn passed(&mut self) {
        self.order = InstantOrder::Time;
        self.eventful = false;
    }

    fn happened(&mut self, order: InstantOrder, eventful: bool) {
        self.order = order;
        self.eventful = eventful;
    }

    /// The longest shift after this one: too short to be joined with it, and shorter than was possible before.
    fn slack_after(&self, length: u16, from: &Walk) -> Option<u32> {
        let beat = from.ticks_per_beat();
        let ticks = self.miditok.lengths.ticks(length, beat);
        let longer = (usize::from(length) + 1 < self.miditok.lengths.len())
            .then(|| self.miditok.lengths.ticks(length + 1, beat) - ticks - 1);
        let before = self.slack.map(|slack| slack - ticks);
        match (longer, before) {
            (Some(longer), Some(before)) => Some(longer.min(before)),
            (longer, before) => longer.or(before),
        }
    }

    /// The voice of a note: that of the program before it, or the only one.
    fn voice(&self, only: u8) -> u8 {
        match self.next {
            PendingToken::OfVoice(voice) => voice,
            _ => only,
        }
    }

    fn on(&mut self, voice: u8, pitch: u8) {
        let onset = Onset { voice, pitch, velocity: 0, length: 0 };
        if self.miditok.config.use_velocities {
            self.next = PendingToken::Velocity(onset);
        } else {
            self.after_velocity(onset);
        }
    }

    fn after_velocity(&mut self, onset: Onset) {
        if self.miditok.style == BeatScheme::MidiLike {
            let Onset { voice, pitch, .. } = onset;
            let open = OpenNote { start: self.walk.now, number: self.begun };
            self.open.entry((voice, pitch)).or_default().push_back(open);
            self.note(onset);
        } else {
            self.next = PendingToken::Duration(onset);
        }
    }

    fn note(&mut self, onset: Onset) {
        self.begun += 1;
        self.next = PendingToken::Any;
        self.happened(InstantOrder::On(onset), true);
    }

    fn off(&mut self, voice: u8, pitch: u8) {
        let Some(queue) = self.open.get_mut(&(voice, pitch)) else { return };
        if let Some(open) = queue.pop_front() {
            if queue.is_empty() {
                self.open.remove(&(voice, pitch));
            }
            self.next = PendingToken::Any;
            self.happened(InstantOrder::Off(voice, open.number), true);
        }
    }

    /// The bar line or beat at or before the tick of `id`.
    pub(crate) fn word(&self, id: u32) -> u64 {
        let split = self.miditok.config.split();
        match self.token(id) {
            Some(token @ (Token::Bar | Token::Position(_))) => {
                let mut walk = self.walk.clone();
                walk.take(&self.miditok, token);
                u64::from(walk.line(split))
            }
            _ => u64::from(self.walk.line(split)),
        }
    }

    /// In MIDILike, notes may end after the last bar or beat in which one begins.
    pub(crate) fn has_tail(&self) -> bool {
        self.miditok.style == BeatScheme::MidiLike
    }

    pub(crate) fn begins_something(&self, id: u32) -> bool {
        matches!(self.token(id), Some(Token::Pitch(_) | Token::Drum(_) | Token::TimeSig(_) | Token::Tempo(_)))
    }

    pub(crate) fn shifts(&self, id: u32) -> bool {
        matches!(self.token(id), Some(Token::Shift(_)))
    }

    pub(crate) fn sounds(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn set_horizon(&mut self, at: Option<&ChordAt>) {
        self.horizon = at.map(|at| self.tick(at));
    }

    pub(crate) fn reached(&self, at: &ChordAt) -> bool {
        self.walk.now >= self.tick(at)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.walk.seconds()
    }

    /// The position nearest to a beat, in ticks.
    fn tick(&self, at: &ChordAt) -> u32 {
        let positions = self.miditok.config.positions();
        let position = (at.beat * f64::from(positions)).round() as u32;
        position.saturating_mul(self.miditok.config.ticks_per_quarter() / positions)
    }
}

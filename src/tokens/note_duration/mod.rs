//! Notes with their duration, pitches counted from the root of the chord, on a click where there is one.
//!
//! | tokens | meaning |
//! |---|---|
//! | `PAD_None BOS_None EOS_None MASK_None` | special |
//! | `Pitch_0 … Pitch_131` | a note: twelve times the octave of its key, and its semitones above the root of the chord in force, modulo 12; with `chord_relative: false` the key number, `Pitch_0 … Pitch_127` |
//! | `Duration_1 … Duration_2000` | how long it sounds, in steps of 10 ms: 128 lengths, each step up to 0.4 s, then 4.5 % apart up to 20 s |
//! | `TimeShift_1 … TimeShift_100` | 1 to 100 steps of 10 ms pass |
//! | `Velocity_0 … Velocity_31` | loudness of what follows, four MIDI velocities each |
//! | `Bar_None Beat_None` | the next thing that happens is a bar line or another beat; the time until then follows (option `beats`) |
//! | `Chord_N.C.` | no chord from here on (option `chords`) |
//! | `Root_-11 … Root_+11` | the root of the chord from here on, as the way from the root before, both as keys from G to F♯ around C; with `chord_relative: false` `Root_C … Root_B` |
//! | `Quality_maj … Quality_aug` | its quality, always behind the root |
//! | `Style_rag …` | what kind of music it is, in front (option `styles`) |
//! | `Tempo_25 … Tempo_400` | the beats a minute of this bar and of those after it, behind the bar line where they change; 65 tempi, 4.4 % apart (option `tempos`) |
//!
//! Events at one instant have one order: the beat, the tempo, the chord, then the notes by pitch, each as an optional
//! velocity, a pitch and a duration. Time between instants is `TimeShift_100` as often as it fits and then the rest.
//! A file that names its metre and keeps to it ([`Score::keeps_time`]) has a token for each bar and beat; a decoded
//! score has a quarter for every beat.
//!
//! A bar or a beat is announced: its token comes before the time that leads to it (except at the very beginning). So a
//! model predicts whether another note comes before the next beat, and is given when that beat is, as it is given the
//! chords and the style. Were the time first, a model that cannot know the exact moment of the beat would stop shortly
//! before it, where by then only a note could follow. The first shift after the token that is no `TimeShift_100` is the
//! last before the beat; a beat that is a multiple of a second away is set 10 ms early.
//!
//! The tempo is given, too: how long a note lasts, and when the next begins, goes by the length of the beat, which a small
//! model does not add up from the time that has passed.
//!
//! A pitch that is struck while it sounds ends the note before, so a duration is never longer than the time to the next
//! onset of its pitch. The sustain pedal is folded into the durations.
//!
//! For byte-pair encoding, words are cut every two seconds, at clicks and at what is given.

mod decode;
mod encode;
mod event;
mod lengths;
mod rules;
mod tempos;
#[cfg(test)]
mod tests;
mod tonality;

use std::sync::Arc;

pub(super) use rules::NoteRules;

use crate::error::{Error, Result};
use crate::harmony::{ChordAt, ChordClass, chord_markers};
use crate::midi::Score;
use crate::tokens::bpe_words::Words;
use crate::tokens::pitches::{PIANO, key_name};
use crate::tokens::timed::{AnnouncedClick, RATE, velocity};
use crate::tokens::{Options, Vocabulary};

use event::{LayoutOptions, NoteEvent, NoteLayout};
use tonality::Tonality;

/// Steps in a word.
const WORD: u64 = 200;

/// The styles of the bundled base.
const STYLES: [&str; 8] = ["rag", "solo", "lead_sheet", "roll", "classical", "score", "chorale", "song"];
/// The most styles that are accepted.
const MOST_STYLES: usize = 200;

/// The keys of [`Options`] that this encoding supports.
pub(super) const KEYS: [&str; 5] = ["chords", "chord_relative", "beats", "tempos", "styles"];

/// The encoding with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoteDuration {
    pub(super) chords: bool,
    pub(super) chord_relative: bool,
    pub(super) beats: bool,
    pub(super) tempos: bool,
    pub(super) styles: Arc<[String]>,
    layout: NoteLayout,
}

impl NoteDuration {
    /// # Errors
    /// Pitches relative to chords without chords, and styles without a name or with one name twice.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let chords = options.chords.unwrap_or(true);
        let chord_relative = options.chord_relative.unwrap_or(chords);
        if chord_relative && !chords {
            return Err(Error::mistake("chord_relative counts pitches from the chords, and chords is false")
                .with_hint("leave chord_relative out, or set chords: true"));
        }
        let styles: Vec<String> = match &options.styles {
            Some(styles) => styles.clone(),
            None => STYLES.map(str::to_string).to_vec(),
        };
        if let Some(place) = (0..styles.len()).find(|&i| styles[i].is_empty() || styles[..i].contains(&styles[i])) {
            return Err(Error::mistake(format!(
                "styles[{place}] is '{}': every style needs a name of its own",
                styles[place]
            )));
        }
        if styles.len() > MOST_STYLES {
            return Err(Error::mistake(format!("styles has {} names, but {MOST_STYLES} are the most", styles.len())));
        }
        let beats = options.beats.unwrap_or(true);
        let tempos = options.tempos.unwrap_or(beats);
        if tempos && !beats {
            return Err(Error::mistake("tempos stand at bar lines, and beats is false")
                .with_hint("leave tempos out, or set beats: true"));
        }
        let with = LayoutOptions { relative: chord_relative, beats, chords, tempos, styles: styles.len() };
        Ok(Self { chords, chord_relative, beats, tempos, styles: styles.into(), layout: NoteLayout::new(with) })
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        self.layout.vocabulary(&self.styles)
    }

    pub(super) fn encode(&self, score: &Score) -> Vec<u32> {
        encode::encode(self, score, &chord_markers(score))
    }

    pub(super) fn encode_with(&self, score: &Score, chords: &[ChordAt]) -> Vec<u32> {
        encode::encode(self, score, chords)
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Score {
        decode::decode(self, ids)
    }

    /// Splits ids into words.
    pub(super) fn words(&self, ids: Vec<u32>) -> Words {
        let mut words = Words::default();
        let (mut now, mut word) = (0, None);
        let mut click = AnnouncedClick::none();
        for id in ids {
            let event = self.layout.event(id);
            let shift = event.and_then(NoteEvent::shift);
            click.reached_before(shift);
            if matches!(event, Some(NoteEvent::Bar | NoteEvent::Beat)) {
                click.announce(());
            }
            // What is given: the click with the time up to it, the tempo, the chord, the style.
            let alone = click.ahead().is_some() || event.is_some_and(NoteEvent::is_given);
            click.reached_after(shift);
            if alone || word != Some(now / WORD) {
                words.cut();
            }
            words.ids.push(id);
            word = (!alone).then_some(now / WORD);
            now += u64::from(shift.unwrap_or(0));
        }
        words
    }

    /// The key number of a pitch token, where pitches are absolute.
    pub(super) fn pitch(&self, id: u32) -> Option<u8> {
        match self.layout.event(id) {
            Some(NoteEvent::Pitch(above)) if !self.chord_relative => u8::try_from(above).ok(),
            _ => None,
        }
    }

    /// The pitch class of a pitch token: above the root of the chord in force where pitches are relative.
    pub(super) fn pitch_class(&self, id: u32) -> Option<u8> {
        match self.layout.event(id) {
            Some(NoteEvent::Pitch(above)) => Some(above.rem_euclid(12) as u8),
            _ => None,
        }
    }

    /// The tones of the chord in force after a token, as pitch classes in the frame of [`NoteDuration::pitch_class`]: a
    /// bit each, none without a chord; `None` when it does not change. `root` is state that the caller keeps between
    /// calls.
    pub(super) fn chord_tones(&self, id: u32, root: &mut u8) -> Option<u16> {
        match self.layout.event(id)? {
            NoteEvent::NoChord => Some(0),
            NoteEvent::Root(to) if !self.chord_relative => {
                *root = to as u8 % 12;
                None
            }
            NoteEvent::Quality(quality) => {
                let tones = u32::from(tonality::tones(quality));
                let turn = if self.chord_relative { 0 } else { *root };
                Some(((tones << turn | tones << turn >> 12) & 0xfff) as u16)
            }
            _ => None,
        }
    }

    /// The number of step counts that are rounded to the length of a token; 1 for all other tokens.
    pub(super) fn width(&self, id: u32) -> u32 {
        match self.layout.event(id) {
            Some(NoteEvent::Duration(place)) => lengths::width(place),
            _ => 1,
        }
    }

    pub(super) fn style_id(&self, name: &str) -> Result<u32> {
        match self.styles.iter().position(|style| style == name) {
            Some(place) => Ok(self.layout.id(NoteEvent::Style(place as u8))),
            None => {
                let known: Vec<&str> = self.styles.iter().map(String::as_str).collect();
                Err(Error::unknown("style", name, &known))
            }
        }
    }

    /// The id of the tempo nearest to `beats_per_minute`; `None` in a vocabulary without them.
    pub(super) fn tempo_id(&self, beats_per_minute: f64) -> Option<u32> {
        self.tempos.then(|| self.layout.id(NoteEvent::Tempo(tempos::nearest(beats_per_minute))))
    }

    pub(super) fn beat_id(&self, bar: bool) -> Option<u32> {
        self.beats.then(|| self.layout.id(if bar { NoteEvent::Bar } else { NoteEvent::Beat }))
    }

    /// The ids of the same piece `semitones` higher; `None` when a pitch would leave the piano.
    pub(super) fn transpose(&self, ids: &[u32], semitones: i32) -> Option<Vec<u32>> {
        let (mut from, mut to) = (Tonality::new(self.chord_relative), Tonality::new(self.chord_relative));
        let mut moved = Vec::with_capacity(ids.len());
        for &id in ids {
            let event = self.layout.event(id);
            match event {
                Some(NoteEvent::Pitch(above)) => {
                    let pitch = i32::from(from.pitch(above)?) + semitones;
                    if semitones != 0 && !PIANO.contains(&pitch) {
                        return None;
                    }
                    moved.push(self.layout.id(to.pitch_event(u8::try_from(pitch).ok()?)));
                }
                Some(event @ NoteEvent::Root(_)) => {
                    from.push(event);
                    let root = (i32::from(from.root?) + semitones).rem_euclid(12) as u8;
                    let chord = ChordClass::Some { root, quality: crate::harmony::Quality::Major };
                    let event = to.events(chord)[0];
                    to.push(event);
                    moved.push(self.layout.id(event));
                }
                Some(event) => {
                    from.push(event);
                    to.push(event);
                    moved.push(id);
                }
                None => moved.push(id),
            }
        }
        Some(moved)
    }

    /// The steps that a time shift lets pass.
    pub(super) fn shift_steps(&self, id: u32) -> Option<u32> {
        self.layout.event(id).and_then(NoteEvent::shift)
    }

    /// The id of a time shift of 1 to 100 steps.
    pub(super) fn shift(&self, steps: u32) -> u32 {
        self.layout.id(NoteEvent::Shift(steps))
    }

    pub(super) fn rules(&self) -> NoteRules {
        NoteRules::new(self)
    }

    /// Seconds at which each id happens.
    pub(super) fn moments(&self, ids: &[u32]) -> Vec<f64> {
        let mut steps = 0_u64;
        ids.iter()
            .map(|&id| {
                let now = steps;
                steps += u64::from(self.shift_steps(id).unwrap_or(0));
                now as f64 / RATE
            })
            .collect()
    }

    /// A description of a token for display: key names where pitches are absolute, seconds, the loudness.
    pub(super) fn gloss(&self, id: u32) -> String {
        match self.layout.event(id) {
            Some(NoteEvent::Pitch(above)) if !self.chord_relative => key_name(above as u8),
            Some(NoteEvent::Shift(steps)) => format!("{:.2} s", f64::from(steps) / RATE),
            Some(NoteEvent::Duration(place)) => format!("for {:.2} s", f64::from(lengths::steps(place)) / RATE),
            Some(NoteEvent::Velocity(bin)) => format!("loudness {}", velocity(bin)),
            Some(NoteEvent::Tempo(place)) => format!("{} beats a minute", tempos::beats_per_minute(place)),
            _ => String::new(),
        }
    }
}

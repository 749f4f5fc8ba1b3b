//! The score: notes and other events in ticks, sorted, with tempo and metre maps.

use crate::midi::{Event, Message, Repair};

/// A piece of music. Ticks count from the start; `ticks_per_quarter` of them make a quarter note.
///
/// ```
/// use etude::midi::{Note, Score, Tempo, Track};
///
/// let mut score = Score::new(480);
/// score.tempos.push(Tempo::from_bpm(60.0));
/// let notes = vec![Note { start: 0, pitch: 60, end: 480, velocity: 80 }];
/// score.tracks.push(Track { name: "piano".into(), notes, ..Track::default() });
///
/// let higher = score.transpose(7)?.stretch(0.5)?;
/// assert_eq!(higher.tracks[0].notes[0].pitch, 67);
/// assert!((higher.duration() - 0.5).abs() < 1e-9);
///
/// let twice = higher.append(&higher);
/// assert_eq!(twice.len(), 2);
/// assert_eq!(Score::from_bytes(&twice.to_bytes())?, twice);
/// # Ok::<(), etude::Error>(())
/// ```
///
/// Two scores are equal when they hold the same music; `repairs` are not compared.
#[derive(Debug, Clone)]
pub struct Score {
    /// Ticks in a quarter note (PPQ).
    pub ticks_per_quarter: u32,
    /// The tracks that hold notes or a name, in file order.
    pub tracks: Vec<Track>,
    /// Tempo changes by tick; empty means 120 beats per minute.
    pub tempos: Vec<Tempo>,
    /// Metre changes by tick; empty means 4/4.
    pub meters: Vec<Meter>,
    /// Key signatures by tick.
    pub keys: Vec<Key>,
    /// Markers by tick; chords are markers such as `chord:Cm7`.
    pub markers: Vec<Marker>,
    /// Events that belong to no track, by tick: text before the music, settings of channels without notes.
    pub events: Vec<Event>,
    /// Repairs made while it was read.
    pub repairs: Vec<Repair>,
    /// The tick at which it ends, if that is after everything in it (a rest at the end); else 0.
    pub length: u32,
}

/// One part: an instrument and its notes, sorted by start, then pitch.
///
/// Program changes among its events are not compared: `program` is the instrument of its notes.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// The name in the file, or empty.
    pub name: String,
    /// MIDI port, 0 where a file names none; each port has channels of its own.
    pub port: u8,
    /// MIDI channel, 0–15.
    pub channel: u8,
    /// General MIDI program, 0–127.
    pub program: u8,
    /// The notes.
    pub notes: Vec<Note>,
    /// Spans in which the sustain pedal is down.
    pub pedals: Vec<Pedal>,
    /// Other events of the track, by tick: pitch bends, controllers, aftertouch, lyrics, ….
    pub events: Vec<Event>,
}

/// One note, from `start` up to `end`, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Onset in ticks.
    pub start: u32,
    /// Key number, 0–127; 60 is middle C.
    pub pitch: u8,
    /// End in ticks, greater than `start`.
    pub end: u32,
    /// Loudness, 1–127.
    pub velocity: u8,
}

/// The sustain pedal held from `start` to `end`, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pedal {
    /// Pedal down, in ticks.
    pub start: u32,
    /// Pedal up, in ticks.
    pub end: u32,
}

/// A tempo that holds from `tick` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tempo {
    /// Where it begins.
    pub tick: u32,
    /// Microseconds in a quarter note; 500,000 is 120 beats per minute.
    pub micros_per_quarter: u32,
}

/// A metre that holds from `tick` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// Where it begins.
    pub tick: u32,
    /// Beats in a bar.
    pub numerator: u8,
    /// The note value of a beat: 4 is a quarter.
    pub denominator: u8,
}

/// A key signature that holds from `tick` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Where it begins.
    pub tick: u32,
    /// Sharps (positive) or flats (negative), −7 to 7.
    pub sharps: i8,
    /// True for a minor key.
    pub minor: bool,
}

/// A text at a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Its position.
    pub tick: u32,
    /// The text.
    pub text: String,
}

impl Marker {
    /// The prefix of chord markers.
    pub const CHORD: &'static str = "chord:";

    /// The chord symbol of a chord marker; `None` for other markers.
    ///
    /// ```
    /// use etude::midi::Marker;
    ///
    /// let marker = Marker { tick: 0, text: "chord:Dm7".into() };
    /// assert_eq!(marker.chord_symbol(), Some("Dm7"));
    /// ```
    pub fn chord_symbol(&self) -> Option<&str> {
        self.text.strip_prefix(Self::CHORD).map(str::trim)
    }
}

/// A note in seconds, as plots, metrics and scripts read it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sound {
    /// Onset in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// Key number, 0–127.
    pub pitch: u8,
    /// Loudness, 1–127.
    pub velocity: u8,
    /// Index of its track.
    pub track: usize,
}

impl Track {
    /// The channel of General MIDI's drums, counted from 0.
    pub const DRUMS: u8 = 9;

    /// Whether it is a drum track, whose note numbers are not pitches.
    pub fn is_drums(&self) -> bool {
        self.channel == Self::DRUMS
    }
}

impl Score {
    /// A score without notes; see [`Score::ticks_per_quarter`].
    ///
    /// ```
    /// use etude::midi::{Note, Score, Track};
    ///
    /// let mut score = Score::new(480);
    /// score.tracks.push(Track { notes: vec![Note { start: 0, pitch: 60, end: 480, velocity: 80 }], ..Track::default() });
    /// assert_eq!((score.len(), score.end()), (1, 480));
    /// assert_eq!(score.duration(), 0.5); // 120 beats per minute unless a tempo event says otherwise
    /// ```
    pub fn new(ticks_per_quarter: u32) -> Self {
        Self {
            ticks_per_quarter,
            tracks: Vec::new(),
            tempos: Vec::new(),
            meters: Vec::new(),
            keys: Vec::new(),
            markers: Vec::new(),
            events: Vec::new(),
            repairs: Vec::new(),
            length: 0,
        }
    }

    /// The tracks whose notes have a pitch: all but drums.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// score.tracks.push(Track { channel: Track::DRUMS, ..Track::default() });
    /// assert_eq!((score.tracks.len(), score.pitched().count()), (2, 1));
    /// ```
    pub fn pitched(&self) -> impl Iterator<Item = &Track> + Clone {
        self.tracks.iter().filter(|track| !track.is_drums())
    }

    /// Number of notes in all tracks.
    pub fn len(&self) -> usize {
        self.tracks.iter().map(|t| t.notes.len()).sum()
    }

    /// True when no track has a note.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last tick at which a note or a pedal ends.
    ///
    /// ```
    /// # use etude::midi::{Note, Score, Track};
    /// # let mut score = Score::new(480);
    /// # score.tracks.push(Track { notes: vec![
    /// #     Note { start: 0, end: 480, pitch: 60, velocity: 80 },
    /// #     Note { start: 480, end: 960, pitch: 64, velocity: 80 },
    /// # ], ..Track::default() });
    /// assert_eq!(score.end(), 960);
    /// ```
    pub fn end(&self) -> u32 {
        let ends = |t: &Track| t.notes.iter().map(|n| n.end).chain(t.pedals.iter().map(|p| p.end)).max();
        self.tracks.iter().filter_map(ends).max().unwrap_or(0)
    }

    /// The tick at which an appended score begins: [`Score::end`], or after the rest behind it.
    pub fn close(&self) -> u32 {
        self.end().max(self.length)
    }

    /// The last tick of anything in it.
    pub(super) fn last_event(&self) -> u32 {
        let events = self.tracks.iter().flat_map(|t| &t.events).chain(&self.events).map(|e| e.tick);
        let maps = self.tempos.iter().map(|t| t.tick).chain(self.meters.iter().map(|m| m.tick));
        let texts = self.keys.iter().map(|k| k.tick).chain(self.markers.iter().map(|m| m.tick));
        events.chain(maps).chain(texts).max().unwrap_or(0).max(self.end())
    }

    /// The tempo at the start in beats (quarters) per minute: 120 until the first tempo event.
    ///
    /// ```
    /// assert_eq!(etude::midi::Score::new(480).tempo(), 120.0);
    /// ```
    pub fn tempo(&self) -> f64 {
        self.tempos.iter().take_while(|t| t.tick == 0).last().unwrap_or(&Tempo::DEFAULT).bpm()
    }

    /// The lowest and the highest tempo, when there are several.
    pub fn tempo_range(&self) -> Option<(f64, f64)> {
        let first = self.tempos.first().is_none_or(|t| t.tick > 0).then_some(Tempo::DEFAULT.bpm());
        let end = self.end();
        let later = self.tempos.iter().filter(|t| t.tick == 0 || t.tick < end).map(Tempo::bpm);
        let tempi = || first.into_iter().chain(later.clone());
        let (low, high) = (tempi().fold(f64::INFINITY, f64::min), tempi().fold(0.0, f64::max));
        (low < high).then_some((low, high))
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        let Self { ticks_per_quarter, tracks, tempos, meters, keys, markers, events, repairs: _, length } = self;
        *ticks_per_quarter == other.ticks_per_quarter
            && *tracks == other.tracks
            && *tempos == other.tempos
            && *meters == other.meters
            && *keys == other.keys
            && *markers == other.markers
            && *events == other.events
            && *length == other.length
    }
}

impl PartialEq for Track {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, port, channel, program, notes, pedals, events } = self;
        let messages = |events: &[Event]| -> Vec<(u32, Message)> {
            let inner = events.iter().filter(|e| !matches!(e.message, Message::Program(_)));
            inner.map(|e| (e.tick, e.message.clone())).collect()
        };
        *name == other.name
            && (*port, *channel, *program) == (other.port, other.channel, other.program)
            && *notes == other.notes
            && *pedals == other.pedals
            && messages(events) == messages(&other.events)
    }
}

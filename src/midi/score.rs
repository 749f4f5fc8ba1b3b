//! The score: plain sorted data in ticks, with the maps that give ticks a meaning.

/// A piece of music. Ticks count from the start; `ticks_per_quarter` of them make a quarter note.
#[derive(Debug, Clone, PartialEq)]
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
    /// Markers and cue points by tick; chords stand here as `chord:Cm7`.
    pub markers: Vec<Marker>,
}

/// One part: an instrument and its notes, sorted by start, then pitch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Track {
    /// The name in the file, or empty.
    pub name: String,
    /// MIDI channel, 0–15.
    pub channel: u8,
    /// General MIDI program, 0–127.
    pub program: u8,
    /// The notes.
    pub notes: Vec<Note>,
    /// Spans in which the sustain pedal is down.
    pub pedals: Vec<Pedal>,
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
    /// Where it stands.
    pub tick: u32,
    /// What it says.
    pub text: String,
}

/// A note in seconds, as it sounds; what plots, metrics and scripts look at.
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

impl Score {
    /// A score without notes; see [`Score::ticks_per_quarter`].
    pub fn new(ticks_per_quarter: u32) -> Self {
        Self {
            ticks_per_quarter,
            tracks: Vec::new(),
            tempos: Vec::new(),
            meters: Vec::new(),
            keys: Vec::new(),
            markers: Vec::new(),
        }
    }

    /// All notes in seconds, sorted by start, pitch, track.
    pub fn sounds(&self) -> Vec<Sound> {
        todo!()
    }

    /// Number of notes in all tracks.
    pub fn len(&self) -> usize {
        self.tracks.iter().map(|t| t.notes.len()).sum()
    }

    /// True when no track has a note.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last tick at which anything ends.
    pub fn end(&self) -> u32 {
        todo!()
    }

    /// Length in seconds, up to the end of the last note.
    pub fn duration(&self) -> f64 {
        todo!()
    }

    /// The ticks of all bar lines up to the end, the first at 0.
    pub fn bars(&self) -> Vec<u32> {
        todo!()
    }

    /// The first tempo in beats (quarters) per minute.
    pub fn tempo(&self) -> f64 {
        todo!()
    }
}

//! `Options` of an encoding.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The options of an encoding; absent ones have their defaults.
///
/// `chords` is for the encodings `performance` and `note_duration`, `chord_relative`, `beats`, `tempos` and `styles` are for
/// `note_duration`; all others are for `remi`, `tsd` and `midi_like`, with the names, meanings and defaults of
/// MidiTok's `TokenizerConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether the vocabulary has chord tokens (true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chords: Option<bool>,
    /// Whether pitches are counted from the root of the chord in force (true where there are chords).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chord_relative: Option<bool>,
    /// Whether bars and beats have tokens where a file keeps to its metre (true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beats: Option<bool>,
    /// Whether the tempo has tokens where bars have (true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tempos: Option<bool>,
    /// The names of the styles that a sequence can begin with (those of the bundled base).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub styles: Option<Vec<String>>,
    /// The lowest and the highest pitch; others are left out ([21, 109]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pitch_range: Option<(u8, u8)>,
    /// Positions a beat by length: "0_4": 8 means that lengths up to four beats are resolved to an eighth of a beat
    /// (#{ "0_4": 8, "4_12": 4 }).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beat_res: Option<Map<String, Value>>,
    /// Velocity bins, 1 to 127 (32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_velocities: Option<u8>,
    /// Whether notes have velocity tokens (true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_velocities: Option<bool>,
    /// Whether the metre has tokens (true); without, all is 4/4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_time_signatures: Option<bool>,
    /// Numerators by denominator; other metres are left out (#{ "8": [3, 12, 6], "4": [5, 6, 3, 2, 1, 4] }).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_signature_range: Option<Map<String, Value>>,
    /// Whether the tempo has tokens (false); without, a decoded score has 120 beats per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_tempos: Option<bool>,
    /// Tempo bins (32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_tempos: Option<usize>,
    /// The lowest and the highest tempo in beats per minute ([40, 250]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tempo_range: Option<(f64, f64)>,
    /// Whether tempo bins grow by a factor rather than by a step (false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_tempos: Option<bool>,
    /// Whether every note has a program token (false): REMI with it is REMI+.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_programs: Option<bool>,
    /// Whether drums have tokens of their own (true); without them and without programs, drums are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_pitchdrum_tokens: Option<bool>,
    /// The lowest and the highest key of the drums ([27, 88]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drums_pitch_range: Option<(u8, u8)>,
    /// Whether of notes with one voice, position and pitch only the first stays (false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_duplicated_notes: Option<bool>,
    /// What train_bpe joins tokens within: "bar", "beat" or "no", the whole piece ("bar").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encode_ids_split: Option<String>,
}

impl Options {
    /// Refuses options that the encoding does not support: `knows` are the supported ones.
    pub(super) fn only(&self, scheme: &str, knows: &[&str]) -> Result<()> {
        let Ok(Value::Object(given)) = serde_json::to_value(self) else { return Ok(()) };
        match given.keys().find(|key| !knows.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Error::mistake(format!("the encoding '{scheme}' has no option '{key}'"))
                .with_hint(format!("it has: {}", knows.join(", ")))),
        }
    }
}

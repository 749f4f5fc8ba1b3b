//! MidiTok's `TokenizerConfig`: the supported part of it, checked.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::tokens::Options;
use crate::tokens::bpe_words::WordSplit;

/// The options that these encodings have.
pub(crate) const KEYS: [&str; 15] = [
    "pitch_range",
    "beat_res",
    "num_velocities",
    "use_velocities",
    "use_time_signatures",
    "time_signature_range",
    "use_tempos",
    "num_tempos",
    "tempo_range",
    "log_tempos",
    "use_programs",
    "use_pitchdrum_tokens",
    "drums_pitch_range",
    "remove_duplicated_notes",
    "encode_ids_split",
];

/// Features that a MidiTok configuration may turn on and that are not supported here.
const OFF: [&str; 20] = [
    "use_chords",
    "use_rests",
    "use_key_signatures",
    "use_sustain_pedals",
    "use_pitch_bends",
    "use_control_changes",
    "use_pitch_intervals",
    "program_changes",
    "delete_equal_successive_tempo_changes",
    "delete_equal_successive_time_sig_changes",
    "ac_polyphony_track",
    "ac_polyphony_bar",
    "ac_pitch_class_bar",
    "ac_note_density_track",
    "ac_note_density_bar",
    "ac_note_duration_bar",
    "ac_note_duration_track",
    "ac_repetition_track",
    "use_bar_end_tokens",
    "add_trailing_bars",
];

const SPECIAL: [&str; 4] = ["PAD_None", "BOS_None", "EOS_None", "MASK_None"];

/// Lengths of `from` up to `to` beats are quantised to beats divided by `positions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolution {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) positions: u32,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(super) pitch_range: (u8, u8),
    /// By `from`; there is one at least.
    pub(super) beat_res: Vec<Resolution>,
    pub(super) num_velocities: u8,
    pub(super) use_velocities: bool,
    pub(super) use_time_signatures: bool,
    /// (numerator, denominator) in the order of their tokens.
    pub(super) time_signatures: Vec<(u8, u8)>,
    pub(super) use_tempos: bool,
    pub(super) num_tempos: usize,
    pub(super) tempo_range: (f64, f64),
    pub(super) log_tempos: bool,
    pub(super) use_programs: bool,
    pub(super) use_pitchdrum_tokens: bool,
    pub(super) drums_pitch_range: (u8, u8),
    pub(super) remove_duplicated_notes: bool,
    pub(super) split: WordSplit,
}

impl Config {
    /// # Errors
    /// Names the option that is out of range, and its value.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let mut config = Self {
            pitch_range: options.pitch_range.unwrap_or((21, 109)),
            beat_res: match &options.beat_res {
                Some(map) => beat_res(map)?,
                None => vec![Resolution { from: 0, to: 4, positions: 8 }, Resolution { from: 4, to: 12, positions: 4 }],
            },
            num_velocities: options.num_velocities.unwrap_or(32),
            use_velocities: options.use_velocities.unwrap_or(true),
            use_time_signatures: options.use_time_signatures.unwrap_or(true),
            time_signatures: match &options.time_signature_range {
                Some(map) => time_signatures(map)?,
                None => vec![(3, 8), (12, 8), (6, 8), (5, 4), (6, 4), (3, 4), (2, 4), (1, 4), (4, 4)],
            },
            use_tempos: options.use_tempos.unwrap_or(false),
            num_tempos: options.num_tempos.unwrap_or(32),
            tempo_range: options.tempo_range.unwrap_or((40.0, 250.0)),
            log_tempos: options.log_tempos.unwrap_or(false),
            use_programs: options.use_programs.unwrap_or(false),
            use_pitchdrum_tokens: options.use_pitchdrum_tokens.unwrap_or(true),
            drums_pitch_range: options.drums_pitch_range.unwrap_or((27, 88)),
            remove_duplicated_notes: options.remove_duplicated_notes.unwrap_or(false),
            split: split(options.encode_ids_split.as_deref().unwrap_or("bar"))?,
        };
        if !config.use_time_signatures {
            config.time_signatures = vec![(4, 4)];
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        for (name, (low, high)) in [("pitch_range", self.pitch_range), ("drums_pitch_range", self.drums_pitch_range)] {
            if low >= high || high > 127 {
                return Err(wrong(name, format!("[{low}, {high}]"), "two pitches of 0 to 127, the lower first"));
            }
        }
        if !(1..=127).contains(&self.num_velocities) {
            return Err(wrong("num_velocities", self.num_velocities, "1 to 127"));
        }
        let (low, high) = self.tempo_range;
        if !(low > 0.0 && low < high && high.is_finite()) {
            return Err(wrong("tempo_range", format!("[{low}, {high}]"), "two tempi above 0, the lower first"));
        }
        if !(1..=1000).contains(&self.num_tempos) {
            return Err(wrong("num_tempos", self.num_tempos, "1 to 1000"));
        }
        Ok(())
    }

    /// Where byte-pair encoding cuts words.
    pub(crate) fn split(&self) -> WordSplit {
        self.split
    }

    /// The most positions in a beat.
    pub(super) fn positions(&self) -> u32 {
        self.beat_res.iter().map(|r| r.positions).max().unwrap_or(1)
    }

    /// Ticks in a quarter of a decoded score: the shortest beat of the vocabulary has [`Config::positions`] ticks.
    pub(super) fn ticks_per_quarter(&self) -> u32 {
        let shortest = self.time_signatures.iter().map(|&(_, denominator)| denominator).max().unwrap_or(4);
        self.positions() * u32::from(shortest.max(4)) / 4
    }

    /// The content of `config` in a `tokenizer.json`. MidiTok uses its defaults for keys that are not written.
    pub(crate) fn to_json(&self) -> Value {
        let beat_res: Map<String, Value> =
            self.beat_res.iter().map(|r| (format!("{}_{}", r.from, r.to), json!(r.positions))).collect();
        let mut meters: Map<String, Value> = Map::new();
        for &(numerator, denominator) in &self.time_signatures {
            let numerators = meters.entry(denominator.to_string()).or_insert_with(|| json!([]));
            if let Value::Array(numerators) = numerators {
                numerators.push(json!(numerator));
            }
        }
        json!({
            "pitch_range": [self.pitch_range.0, self.pitch_range.1],
            "beat_res": beat_res,
            "num_velocities": self.num_velocities,
            "remove_duplicated_notes": self.remove_duplicated_notes,
            "encode_ids_split": self.split.name(),
            "special_tokens": SPECIAL,
            "use_velocities": self.use_velocities,
            "use_tempos": self.use_tempos,
            "use_time_signatures": self.use_time_signatures,
            "use_programs": self.use_programs,
            "use_pitchdrum_tokens": self.use_pitchdrum_tokens,
            "num_tempos": self.num_tempos,
            "tempo_range": [self.tempo_range.0, self.tempo_range.1],
            "log_tempos": self.log_tempos,
            "time_signature_range": meters,
            "one_token_stream_for_programs": self.use_programs,
            "drums_pitch_range": [self.drums_pitch_range.0, self.drums_pitch_range.1],
            "additional_params": {},
        })
    }

    /// Reads the content of `config` in a `tokenizer.json`.
    ///
    /// # Errors
    /// Names the key whose value is wrong or that asks for an unsupported feature.
    pub(crate) fn from_json(config: &Map<String, Value>) -> Result<Self> {
        let mut known = Map::new();
        let more = config.get("additional_params").and_then(Value::as_object);
        for (key, value) in config.iter().chain(more.into_iter().flatten()) {
            let refused = match key.as_str() {
                k if KEYS.contains(&k) => {
                    known.insert(key.clone(), value.clone());
                    false
                }
                "special_tokens" => *value != json!(SPECIAL),
                "use_note_duration_programs" => value.as_array().is_none_or(|programs| programs.len() != 129),
                "programs" => {
                    let all = value.as_array().is_some_and(|programs| programs.len() == 129);
                    config.get("use_programs") == Some(&json!(true)) && !all
                }
                "one_token_stream_for_programs" => {
                    config.get("use_programs") == Some(&json!(true)) && *value != json!(true)
                }
                "max_bar_embedding" | "max_duration" => !value.is_null(),
                k if OFF.contains(&k) => *value != json!(false),
                _ => false, // a detail of a feature that is off
            };
            if refused {
                return Err(Error::broken(format!("the key '{key}' under 'config' is {value}"))
                    .with_hint("this feature of MidiTok is not supported here"));
            }
        }
        let options = serde_json::from_value(Value::Object(known))
            .map_err(|e| Error::broken(e.to_string()).context("while reading the key 'config'"))?;
        Self::new(&options)
    }
}

fn split(name: &str) -> Result<WordSplit> {
    let known = WordSplit::ALL.map(WordSplit::name);
    let split = WordSplit::ALL.into_iter().find(|split| split.name() == name);
    split.ok_or_else(|| Error::unknown("value of the option 'encode_ids_split'", name, &known))
}

fn beat_res(map: &Map<String, Value>) -> Result<Vec<Resolution>> {
    let mut ranges = Vec::new();
    for (key, value) in map {
        let range = key.split_once('_').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let positions = value.as_u64().filter(|p| (1..=64).contains(p));
        match (range, positions) {
            (Some((from, to)), Some(positions)) if from < to && to <= 256 => {
                ranges.push(Resolution { from, to, positions: positions as u32 });
            }
            _ => {
                return Err(wrong(
                    "beat_res",
                    format!("\"{key}\": {value}"),
                    "\"from_to\": positions a beat (1 to 64)",
                ));
            }
        }
    }
    ranges.sort_by_key(|r| r.from);
    let finest = ranges.iter().map(|r| r.positions).max().unwrap_or(0);
    let joined = ranges.first().is_some_and(|r| r.from == 0) && ranges.windows(2).all(|w| w[0].to == w[1].from);
    if !joined || ranges.iter().any(|r| finest % r.positions != 0) {
        let shown = serde_json::to_string(map).unwrap_or_default();
        return Err(wrong("beat_res", shown, "ranges that join from 0 on, each resolution a divisor of the finest"));
    }
    Ok(ranges)
}

fn time_signatures(map: &Map<String, Value>) -> Result<Vec<(u8, u8)>> {
    let mut meters = Vec::new();
    for (key, value) in map {
        let denominator = key.parse::<u8>().ok().filter(|d| d.is_power_of_two() && *d <= 64);
        let numerators: Option<Vec<u8>> = value.as_array().and_then(|numerators| {
            numerators.iter().map(|n| n.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|&n| n > 0)).collect()
        });
        match (denominator, numerators) {
            (Some(denominator), Some(numerators)) => meters.extend(numerators.iter().map(|&n| (n, denominator))),
            _ => {
                let wanted = "\"denominator\": [numerators], a denominator being a power of two up to 64";
                return Err(wrong("time_signature_range", format!("\"{key}\": {value}"), wanted));
            }
        }
    }
    if !meters.contains(&(4, 4)) {
        let shown = serde_json::to_string(map).unwrap_or_default();
        return Err(wrong("time_signature_range", shown, "a range with 4/4, the default metre"));
    }
    Ok(meters)
}

fn wrong(option: &str, value: impl std::fmt::Display, wanted: &str) -> Error {
    Error::mistake(format!("the option '{option}' cannot be {value}")).with_hint(format!("it takes {wanted}"))
}

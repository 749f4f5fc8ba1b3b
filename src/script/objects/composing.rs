//! Creates scores: from notes, and by merging scores.

use rhai::{Array, Dynamic, Map};

use crate::error::{Error, Result};
use crate::midi::{Clock, Note, Score as Midi, Tempo, Track};
use crate::script::convert::{article, number, options, whole};
use crate::script::failure::Fallible;
use crate::script::objects::Score;
use crate::script::registry::Registry;

/// Ticks a quarter of a created score.
const TICKS_PER_QUARTER: u32 = 480;
/// The latest end of a note, in seconds: a day.
const LATEST: f64 = 86_400.0;

/// The options of `score`.
const OPTIONS: &[(&str, &str)] = &[
    ("tempo", "beats a minute (120)"),
    ("program", "the instrument, 0 to 127 in General MIDI (0, a piano)"),
    ("name", "of the track (\"Piano\")"),
];

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScoreOptions {
    tempo: f64,
    program: u8,
    name: String,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { tempo: 120.0, program: 0, name: "Piano".into() }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "score(notes: array) -> Score",
        "A score of notes, each a map as score.notes gives them: pitch (60 is middle C), start and end (seconds), and \
         velocity (80 where absent).",
        |notes: Array| -> Fallible<Score> { Ok(Score::new(compose(&notes, &ScoreOptions::default())?)) },
    );
    let member = registry.function(
        "score(notes: array, options: map) -> Score",
        "The same with a tempo and an instrument.\nOptions:",
        |notes: Array, map: Map| -> Fallible<Score> { Ok(Score::new(compose(&notes, &options("score", &map)?)?)) },
    );
    member.options = OPTIONS;
    registry.function(
        "mix(first: Score, second: Score) -> Score",
        "Both at the same time, each with its own tracks, in the tempo and metre of the first. a + b is one after the other.",
        |first: Score, second: Score| Score::new(first.0.overlay(&second.0)),
    );
}

fn compose(notes: &[Dynamic], options: &ScoreOptions) -> Result<Midi> {
    if !(1.0..=1000.0).contains(&options.tempo) {
        return Err(Error::mistake(format!("score: tempo is {}, not 1 to 1000 beats a minute", options.tempo)));
    }
    if options.program > 127 {
        return Err(Error::mistake(format!("score: program is {}, not 0 to 127", options.program)));
    }
    let mut score = Midi::new(TICKS_PER_QUARTER);
    score.tempos = vec![Tempo::from_bpm(options.tempo)];
    let clock = Clock::new(&score);
    let notes = notes.iter().enumerate().map(|(place, value)| note(place, value, &clock));
    let mut notes = notes.collect::<Result<Vec<Note>>>()?;
    notes.sort_unstable();
    score.tracks.push(Track { name: options.name.clone(), program: options.program, notes, ..Track::default() });
    Ok(score)
}

/// The note of a map; `place` is its index in the array.
fn note(place: usize, value: &Dynamic, clock: &Clock) -> Result<Note> {
    let wrong = |message: String| Error::mistake(format!("score: notes[{place}] {message}"));
    let Some(map) = value.read_lock::<Map>() else {
        return Err(wrong(format!("is {}", article(value)))
            .with_hint("a note is a map: #{ pitch: 60, start: 0.0, end: 0.5, velocity: 80 }"));
    };
    if let Some(key) = map.keys().find(|key| !["pitch", "start", "end", "velocity", "track"].contains(&key.as_str())) {
        return Err(wrong(format!("has the key '{key}'")).with_hint("a note has pitch, start, end and velocity"));
    }
    let there = |key: &str| map.get(key).ok_or_else(|| wrong(format!("has no {key}")));
    let named = |key: &str| format!("score: notes[{place}].{key}");
    let within = |key: &str, least: i64| -> Result<u8> {
        let value = whole(&named(key), there(key)?)?;
        let fits = u8::try_from(value).ok().filter(|value| (least..=127).contains(&i64::from(*value)));
        fits.ok_or_else(|| wrong(format!("has the {key} {value}, not {least} to 127")))
    };
    let pitch = within("pitch", 0)?;
    let velocity = if map.contains_key("velocity") { within("velocity", 1)? } else { 80 };
    let (start, end) = (number(&named("start"), there("start")?)?, number(&named("end"), there("end")?)?);
    if !(start >= 0.0 && start < end && end <= LATEST) {
        return Err(wrong(format!("goes from {start} s to {end} s"))
            .with_hint("start is 0 or later, end is after it, and both are seconds"));
    }
    let start = clock.tick(start);
    Ok(Note { start, pitch, end: clock.tick(end).max(start + 1), velocity })
}

//! The members of `Score`, and `midi(path)`, which reads one.

use std::path::Path;

use rhai::{Array, Dynamic, Map};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::midi::{self, Clock};
use crate::progress::Progress;
use crate::script::convert::{number, options, whole};
use crate::script::failure::Fallible;
use crate::script::objects::{Audio, Chords, Figure, Score, audio};
use crate::script::registry::{Members, Registry};

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "midi(path: string) -> Score",
        "Reads a MIDI file.\nFormats 0, 1 and 2, also in RIFF.",
        |path: &str| -> Fallible<Score> { Ok(Score::new(midi::Score::read(crate::files::locate(path)?)?)) },
    );
    let mut score = registry.object::<Score>();
    let ctx = score.ctx();
    score.get(
        "notes -> array",
        "Its notes by time, each a map: pitch (60 is middle C), velocity (1 to 127), start and end (seconds), track.",
        move |s: &mut Score| -> Fallible<Array> { Ok(notes(s, ctx.progress().interrupt())?) },
    );
    properties(&mut score);
    edits(&mut score);
    let ctx = score.ctx();
    score.method(
        "chords() -> Chords",
        "Its chords in its bars: what its markers say, or what is heard in it.",
        move |s: &mut Score| -> Fallible<Chords> { Ok(Chords::heard(&s.0, s.chords(ctx.progress().interrupt())?)) },
    );
    let ctx = score.ctx();
    score.method(
        "save(path: string)",
        "Writes it, by the ending of the path.\n.mid, .midi and .kar are MIDI, .wav and .mp3 sound, .svg and .png its piano \
         roll.",
        move |s: &mut Score, path: &str| -> Fallible<()> { Ok(save(s, &crate::files::locate(path)?, ctx.progress())?) },
    );
    score.method(
        "plot() -> Figure",
        "Its piano roll: time from left to right, pitch from bottom to top.",
        |s: &mut Score| Figure::roll(s.clone()),
    );
    sound(&mut score);
}

fn sound(score: &mut Members<Score>) {
    score.method(
        "audio() -> Audio",
        "Its sound: a player in a notebook, a file by save.",
        |s: &mut Score| -> Fallible<Audio> { Ok(Audio::new(&s.0, &audio::Chosen::default())?) },
    );
    let member = score.method(
        "audio(options: map) -> Audio",
        "Its sound: a player in a notebook, a file by save.\nOptions:",
        |s: &mut Score, map: Map| -> Fallible<Audio> { Ok(Audio::new(&s.0, &options("audio", &map)?)?) },
    );
    member.options = audio::OPTIONS;
}

/// Writes a score in the format of the path's extension.
fn save(score: &Score, path: &Path, progress: &Progress) -> Result<()> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "mid" | "midi" | "kar" => score.0.write_until(path, progress.interrupt()),
        "svg" | "png" => Figure::roll(score.clone()).save(path, progress.interrupt()),
        sound if crate::audio::ENDINGS.contains(&sound) => Audio::plain(&score.0)?.save(path, progress),
        _ => {
            let message = format!("a score is not saved as {}: the ending says the format", path.display());
            Err(Error::mistake(message).with_hint(format!(
                "end it in .mid, .midi, .kar, .wav, .mp3, .svg or .png: save(\"{}\")",
                path.with_extension("mid").display()
            )))
        }
    }
}

fn properties(score: &mut Members<Score>) {
    score.get(
        "tracks -> array",
        "Its tracks, each a map: name, channel, program, notes (how many).",
        |s: &mut Score| s.0.tracks.iter().map(track).collect::<Array>(),
    );
    score.get("duration -> float", "Its length in seconds, up to the end of the last note.", |s: &mut Score| {
        s.0.duration()
    });
    score.get("tempo -> float", "Its tempo at the start, in beats a minute.", |s: &mut Score| s.0.tempo());
    score.get("repairs -> array", "What was repaired while the file was read, a line each.", |s: &mut Score| {
        s.0.repairs.iter().map(|r| Dynamic::from(r.to_string())).collect::<Array>()
    });
    score.get("bars -> int", "How many bars it has.", |s: &mut Score| s.0.bars().len() as i64);
    score.get("bar_lines -> array", "When each bar begins, in seconds.", |s: &mut Score| {
        let clock = Clock::new(&s.0);
        s.0.bars().into_iter().map(|tick| Dynamic::from(clock.seconds(tick))).collect::<Array>()
    });
    score.get("len -> int", "How many notes it has.", |s: &mut Score| s.0.len() as i64);
    score.operator(
        "==(other: Score) -> bool",
        "True when both have the same notes, tempi, metres and markers.",
        |a: &mut Score, b: Score| a.0 == b.0,
    );
    score.operator("!=(other: Score) -> bool", "True when they differ.", |a: &mut Score, b: Score| a.0 != b.0);
}

fn edits(score: &mut Members<Score>) {
    score.method(
        "transpose(semitones: int) -> Score",
        "The same, transposed by a number of semitones; drums stay.",
        |s: &mut Score, semitones: Dynamic| -> Fallible<Score> {
            let semitones = whole("transpose: semitones", &semitones)?;
            Ok(Score::new(s.0.transpose(semitones.clamp(-1000, 1000) as i32)?))
        },
    );
    score.method(
        "stretch(factor: float) -> Score",
        "The same, longer by a factor: 2 is half the tempo.",
        |s: &mut Score, factor: Dynamic| -> Fallible<Score> {
            Ok(Score::new(s.0.stretch(number("stretch: factor", &factor)?)?))
        },
    );
    score.method(
        "slice(from: float, to: float) -> Score",
        "What sounds between two moments (seconds), moved to the start.",
        |s: &mut Score, from: Dynamic, to: Dynamic| -> Fallible<Score> {
            Ok(Score::new(s.0.slice(number("slice: from", &from)?, number("slice: to", &to)?)?))
        },
    );
    score.operator("+(other: Score) -> Score", "This score and then the other.", |a: &mut Score, b: Score| {
        Score::new(a.0.append(&b.0))
    });
}

/// The notes as maps; a long piece has a million.
fn notes(score: &Score, interrupt: &Interrupt) -> Result<Array> {
    let sounds = score.0.sounds();
    let mut notes = Vec::with_capacity(sounds.len());
    for some in sounds.chunks(1024) {
        interrupt.check()?;
        notes.extend(some.iter().map(note));
    }
    Ok(notes)
}

fn note(sound: &midi::Sound) -> Dynamic {
    let entries: [(&str, Dynamic); 5] = [
        ("pitch", i64::from(sound.pitch).into()),
        ("velocity", i64::from(sound.velocity).into()),
        ("start", sound.start.into()),
        ("end", sound.end.into()),
        ("track", (sound.track as i64).into()),
    ];
    entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>().into()
}

fn track(track: &midi::Track) -> Dynamic {
    let entries: [(&str, Dynamic); 4] = [
        ("name", track.name.clone().into()),
        ("channel", i64::from(track.channel).into()),
        ("program", i64::from(track.program).into()),
        ("notes", (track.notes.len() as i64).into()),
    ];
    entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>().into()
}

//! Score: a piece of music, read from a MIDI file, decoded from tokens, or played by a model.

use std::path::Path;
use std::rc::Rc;

use rhai::{Array, Dynamic, Map};

use crate::audio;
use crate::error::{Error, Result};
use crate::harmony::{self, ChordAt};
use crate::interrupt::Interrupt;
use crate::midi;
use crate::plot;
use crate::progress::Progress;
use crate::script::Bundle;
use crate::script::convert::{number, whole};
use crate::script::failure::Fallible;
use crate::script::html;
use crate::script::objects::{Audio, Chords, Figure};
use crate::script::registry::{Members, Object, Registry};

/// A handle on a score. Scores do not change: every edit gives a new one.
#[derive(Debug, Clone)]
pub(crate) struct Score(pub(crate) Rc<midi::Score>);

/// Lines of a piano roll.
const ROLL_HEIGHT: usize = 16;

impl Score {
    pub(crate) fn new(score: midi::Score) -> Self {
        Self(Rc::new(score))
    }

    /// Its piano roll as text.
    pub(crate) fn roll_text(&self, width: usize) -> String {
        plot::piano_roll(&self.0, width, 2 * ROLL_HEIGHT)
    }

    /// Its piano roll with its chords; `None` when it has no notes.
    ///
    /// # Errors
    /// [`interrupted`](crate::error::Error::interrupted), when the user cancels.
    pub(crate) fn roll(&self, interrupt: &Interrupt) -> Result<Option<plot::Roll>> {
        plot::roll(&self.0, &self.chords(interrupt)?, interrupt)
    }

    /// The player of its sound, for a roll that is shown next.
    pub(crate) fn player(&self, roll: &plot::Roll, progress: &Progress) -> Bundle {
        let head = self.summary();
        let page = match Audio::of(self, &progress.quiet()) {
            Ok((sound, note)) => {
                let label = format!("{:.1} s of sound", self.0.duration());
                let note = note.map_or_else(String::new, |n| html::note(&n));
                let mended: String = mended(&self.0).iter().map(|line| html::note(line)).collect();
                format!("<div>{}{mended}{}{note}</div>", html::note(&head), html::roll_player(roll, &sound, &label))
            }
            Err(error) => html::note(&error.to_string()),
        };
        Bundle::text(head).with("text/html", Some(page))
    }

    /// Notes, length, tempo and bars in a line.
    fn summary(&self) -> String {
        let bars = self.0.bars().len();
        format!("{}, {}, {bars} bar{}", self.line(), tempo(&self.0), if bars == 1 { "" } else { "s" })
    }

    /// What its markers say; else what is heard in it.
    fn chords(&self, interrupt: &Interrupt) -> Result<Vec<ChordAt>> {
        let marked = harmony::chord_markers(&self.0);
        if marked.is_empty() { harmony::recognize_until(&self.0, interrupt) } else { Ok(marked) }
    }
}

impl Object for Score {
    const NAME: &'static str = "Score";
    const DOC: &'static str = "A piece of music: notes in tracks, tempo, metre and chord markers.\n\
        midi(path) reads one, a Tokenizer decodes one, a Model generates one. Scores do not change: transpose, stretch \
        and slice give new ones.";

    fn line(&self) -> String {
        let notes = self.0.len();
        format!("Score: {notes} note{}, {:.1} s", if notes == 1 { "" } else { "s" }, self.0.duration())
    }

    fn text(&self, width: usize) -> String {
        let score = &*self.0;
        let tracks: Vec<String> = score.tracks.iter().filter(|t| !t.notes.is_empty()).map(track_line).collect();
        let mut text = self.summary();
        for track in tracks.iter().take(8) {
            text += &format!("\n  {track}");
        }
        if tracks.len() > 8 {
            text += &format!("\n  … {} more tracks", tracks.len() - 8);
        }
        for line in mended(score) {
            text += &format!("\n  {line}");
        }
        if !score.is_empty() {
            text += &format!("\n{}", plot::piano_roll(score, width, ROLL_HEIGHT));
        }
        text
    }

    fn svg(&self, interrupt: &Interrupt) -> Option<String> {
        self.roll(interrupt).ok().flatten().map(|roll| roll.svg)
    }

    fn besides(&self, progress: &Progress) -> Vec<Bundle> {
        let roll = self.roll(progress.interrupt()).ok().flatten();
        roll.map(|roll| self.player(&roll, progress)).into_iter().collect()
    }
}

/// The tempo at the start, and whether it changes.
fn tempo(score: &midi::Score) -> String {
    let first = format!("{:.0} bpm", score.tempo());
    match score.tempo_range() {
        Some((low, high)) => format!("{first} at first, changing ({low:.0} to {high:.0})"),
        None => first,
    }
}

/// What was mended while it was read, a line each, four at most.
fn mended(score: &midi::Score) -> Vec<String> {
    let all = score.repairs.len();
    let mut lines: Vec<String> =
        score.repairs.iter().take(if all > 4 { 3 } else { 4 }).map(|r| format!("mended: {r}")).collect();
    if all > 4 {
        lines.push(format!("mended: … {} more in score.repairs", all - 3));
    }
    lines
}

fn track_line(track: &midi::Track) -> String {
    let name = if track.name.is_empty() { "track" } else { track.name.trim().trim_end_matches(':') };
    let range = |f: fn(_) -> Option<u8>| f(track.notes.iter().map(|n| n.pitch).collect::<Vec<_>>()).unwrap_or(0);
    let low = range(|p: Vec<u8>| p.into_iter().min());
    let high = range(|p: Vec<u8>| p.into_iter().max());
    match track.notes.len() {
        1 => format!("{name}: 1 note, pitch {low}"),
        notes => format!("{name}: {notes} notes, pitches {low} to {high}"),
    }
}

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
    facts(&mut score);
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
}

/// Writes a score in the format that the ending of the path names.
fn save(score: &Score, path: &Path, progress: &Progress) -> Result<()> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "mid" | "midi" | "kar" => score.0.write(path),
        "svg" | "png" => Figure::roll(score.clone()).save(path, progress.interrupt()),
        sound if audio::ENDINGS.contains(&sound) => Audio::plain(score)?.save(path, progress),
        _ => {
            let message = format!("a score is not saved as {}: the ending says the format", path.display());
            Err(Error::mistake(message).with_hint(format!(
                "end it in .mid, .midi, .kar, .wav, .mp3, .svg or .png: save(\"{}\")",
                path.with_extension("mid").display()
            )))
        }
    }
}

fn facts(score: &mut Members<Score>) {
    score.get(
        "tracks -> array",
        "Its tracks, each a map: name, channel, program, notes (how many).",
        |s: &mut Score| s.0.tracks.iter().map(track).collect::<Array>(),
    );
    score.get("duration -> float", "Its length in seconds, up to the end of the last note.", |s: &mut Score| {
        s.0.duration()
    });
    score.get("tempo -> float", "Its tempo at the start, in beats a minute.", |s: &mut Score| s.0.tempo());
    score.get("repairs -> array", "What was mended while the file was read, a line each.", |s: &mut Score| {
        s.0.repairs.iter().map(|r| Dynamic::from(r.to_string())).collect::<Array>()
    });
    score.get("bars -> int", "How many bars it has.", |s: &mut Score| s.0.bars().len() as i64);
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

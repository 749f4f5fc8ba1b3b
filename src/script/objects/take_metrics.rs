//! Metrics of a sample without a model: its defects, its share of chord tones, and its overlap with a corpus.

use rhai::{Array, Dynamic, Map};

use crate::error::Error;
use crate::harmony::{chord_adherence, chord_markers};
use crate::metrics::{Corpus, Defects, two_sample_test};
use crate::midi;
use crate::script::context::ScriptContext;
use crate::script::convert::{article, number, text};
use crate::script::failure::Fallible;
use crate::script::objects::{Chords, Score, style};
use crate::script::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "defects(score: Score) -> map",
        "What a listener hears at once as a fault: longest_note and longest_silence in seconds (more than 8 and 2 are a \
         defect), polyphony (the most pitches at once; 10), repeats (how often the same notes come in a row; 8); any is \
         true when there is one.",
        |score: Score| -> Map {
            let found = Defects::of(&score.0);
            let entries: [(&str, Dynamic); 5] = [
                ("longest_note", found.longest_note.into()),
                ("longest_silence", found.longest_silence.into()),
                ("polyphony", (found.polyphony as i64).into()),
                ("repeats", (found.repeats as i64).into()),
                ("any", found.any().into()),
            ];
            entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
        },
    );
    registry.function(
        "adherence(score: Score) -> float",
        "The share of onsets whose pitch is a tone of the chord in force, by the score's own chord markers; NaN without.",
        |score: Score| chord_adherence(&score.0, &chord_markers(&score.0)),
    );
    registry.function(
        "adherence(score: Score, chords: Chords, tempo: float, after: float) -> float",
        "The same by a chart that is repeated from the moment `after`, in seconds, at a tempo in beats a minute.",
        |score: Score, chords: Chords, tempo: Dynamic, after: Dynamic| -> Fallible<f64> {
            let (tempo, after) = (number("adherence: tempo", &tempo)?, number("adherence: after", &after)?);
            if !(1.0..=1000.0).contains(&tempo) {
                return Err(Error::mistake(format!("adherence: tempo is {tempo}, not 1 to 1000 beats a minute")).into());
            }
            let pass = chords.0.beats() * 60.0 / tempo;
            let onsets = chords.0.onsets(tempo);
            let passes = if pass > 0.0 { (score.0.duration() / pass) as usize + 2 } else { 0 };
            let moved = (0..passes).flat_map(|k| {
                onsets.iter().map(move |at| {
                    let seconds = at.seconds + after + k as f64 * pass;
                    crate::harmony::ChordAt { seconds, ..at.clone() }
                })
            });
            Ok(chord_adherence(&score.0, &moved.collect::<Vec<_>>()))
        },
    );
    let ctx = registry.ctx();
    registry.function(
        "originality(take: Score | array, corpus: string | array) -> map | array",
        "The longest run of notes that a take shares with a piece, in any key: longest (notes), piece (a path, or the \
         place in the array), bar, at (seconds into the take). The corpus is a folder, or an array of paths and scores.",
        move |take: Dynamic, corpus: Dynamic| originality(&ctx, &take, &corpus),
    );
    let ctx = registry.ctx();
    registry.function(
        "two_sample_test(takes: array, pieces: array) -> map",
        "How well gradient-boosted trees tell takes from other pieces, by figures of both, on scores they were not trained \
         on (classifier two-sample test, Lopez-Paz & Oquab 2017): accuracy (0.5 is guessing), low and high (95 %), pieces \
         (of each set, ten or more).",
        move |takes: Array, pieces: Array| -> Fallible<Map> {
            let (takes, pieces) = (style::these("two_sample_test: takes", &takes)?, style::these("two_sample_test: pieces", &pieces)?);
            let found = two_sample_test(&takes, &pieces, ctx.progress())?;
            let entries: [(&str, Dynamic); 4] = [
                ("accuracy", found.accuracy.into()),
                ("low", found.interval.low.into()),
                ("high", found.interval.high.into()),
                ("pieces", (found.pieces as i64).into()),
            ];
            Ok(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
        },
    );
}

fn originality(ctx: &ScriptContext, take: &Dynamic, corpus: &Dynamic) -> Fallible<Dynamic> {
    let progress = ctx.progress();
    let (names, pieces) = pieces(corpus, progress)?;
    let index = Corpus::new(&pieces, progress)?;
    let about = |take: &midi::Score| -> Dynamic {
        let shared = index.longest_shared(take, None);
        let piece = if shared.notes > 0 { names[shared.piece].clone() } else { Dynamic::UNIT };
        let entries: [(&str, Dynamic); 4] = [
            ("longest", (shared.notes as i64).into()),
            ("piece", piece),
            ("bar", (shared.bar as i64).into()),
            ("at", shared.at.into()),
        ];
        entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>().into()
    };
    let one = |value: &Dynamic| match value.read_lock::<Score>() {
        Some(score) => {
            progress.check()?;
            Ok(about(&score.0))
        }
        None => Err(Error::mistake(format!("originality compares scores, not {}", article(value))).into()),
    };
    match take.as_array_ref() {
        Ok(takes) => Ok(takes.iter().map(one).collect::<Fallible<Array>>()?.into()),
        Err(_) => one(take),
    }
}

/// The pieces of a corpus and their names.
fn pieces(corpus: &Dynamic, progress: &crate::progress::Progress) -> Fallible<(Vec<Dynamic>, Vec<midi::Score>)> {
    let items: Array = match corpus.as_array_ref() {
        Ok(items) => items.clone(),
        Err(_) => vec![text("the corpus of originality", corpus)?.into()],
    };
    let (mut names, mut pieces): (Vec<Dynamic>, Vec<midi::Score>) = (Vec::new(), Vec::new());
    for item in &items {
        if let Some(score) = item.read_lock::<Score>() {
            names.push((names.len() as i64).into());
            pieces.push((*score.0).clone());
            continue;
        }
        for (file, score) in style::read(&text("a path of the corpus", item)?, progress)? {
            names.push(file.display().to_string().into());
            pieces.push(score);
        }
    }
    Ok((names, pieces))
}

//! `Style`: the similarity of scores to a corpus; figures of one score.

use std::path::PathBuf;
use std::rc::Rc;

use rhai::{Array, Dynamic, Map};

use crate::data;
use crate::error::Error;
use crate::metrics::{self, Likeness, PieceFigures};
use crate::midi;
use crate::plot;
use crate::script::context::ScriptContext;
use crate::script::convert::article;
use crate::script::failure::Fallible;
use crate::script::objects::{Model, Score};
use crate::script::registry::{Object, Registry};

/// A comparison, by feature.
#[derive(Debug, Clone)]
pub(crate) struct Style(Rc<Vec<Likeness>>, Option<f64>);

impl Style {
    fn mean(&self) -> f64 {
        let known: Vec<f64> = self.0.iter().map(|line| line.overlap).filter(|x| x.is_finite()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    }

    fn column(&self, f: fn(&Likeness) -> f64) -> Map {
        self.0.iter().map(|line| (line.feature.into(), f(line).into())).collect()
    }
}

impl Object for Style {
    const NAME: &'static str = "Style";
    const DOC: &'static str = "How near some scores are to a corpus, feature by feature (Yang & Lerch 2018): overlap 1 is the same, 0 nothing in common.";

    fn line(&self) -> String {
        format!("Style: mean overlap {:.3} over {} features", self.mean(), self.0.len())
    }

    fn text(&self, width: usize) -> String {
        let number = |x: f64| if x.is_finite() { format!("{x:.3}") } else { "–".into() };
        let row = |line: &Likeness| {
            let figures = [line.overlap, line.kl, line.within, line.across].map(number);
            std::iter::once(line.feature.replace('_', " ")).chain(figures).collect::<Vec<String>>()
        };
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        let headings = ["feature", "overlap", "KL", "within the corpus", "to the corpus"];
        let heard = self.1.map_or(String::new(), |d| format!("Fréchet distance of the model's embeddings: {d:.4}\n"));
        format!("{}\n{heard}{}", self.line(), plot::table_within(&headings, &rows, width))
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "style(scores: array, corpus: array | string) -> Style",
        "Compares scores with a corpus: an array of scores, or a folder of MIDI.",
        move |scores: Array, corpus: Dynamic| compare(&ctx, &scores, &corpus, None),
    );
    let ctx = registry.ctx();
    registry.function(
        "style(scores: array, corpus: array | string, model: Model) -> Style",
        "Compares scores with a corpus, also by a model: frechet is the distance between its embeddings of both.",
        move |scores: Array, corpus: Dynamic, model: Model| compare(&ctx, &scores, &corpus, Some(&model)),
    );
    registry.function(
        "figures(score: Score) -> map",
        "What can be counted in a score, as muspy does: pitch_class_entropy, scale_consistency, groove_consistency, polyphony, polyphony_rate, empty_beat_rate, notes, pitches, pitch_classes, pitch_range.",
        |score: Score| -> Map {
            let figures = PieceFigures::of(&score.0);
            let shown = |place: usize, value: f64| -> Dynamic {
                if place < PieceFigures::COUNTS { (value as i64).into() } else { value.into() }
            };
            let values = PieceFigures::NAMES.iter().zip(figures.values()).enumerate();
            values.map(|(place, (name, value))| ((*name).into(), shown(place, value))).collect()
        },
    );
    let ctx = registry.ctx();
    registry.members::<Model>().method(
        "embed(score: Score) -> array",
        "The vector of a piece: the mean over its tokens of the hidden states after the final norm.",
        move |m: &mut Model, score: Score| -> Fallible<Array> {
            let pieces = std::slice::from_ref(&*score.0);
            let vectors = metrics::embed(&m.model(), &*m.tokenizer()?, pieces, ctx.progress())?;
            let vector = vectors.into_iter().next();
            let vector = vector.ok_or_else(|| Error::mistake("a score without notes has no embedding"))?;
            Ok(vector.into_iter().map(Dynamic::from).collect())
        },
    );
    let mut style = registry.object::<Style>();
    style.get("overlap -> map", "The overlap of each feature, 0 to 1.", |s: &mut Style| s.column(|line| line.overlap));
    style.get("kl -> map", "The Kullback–Leibler divergence of each feature.", |s: &mut Style| {
        s.column(|line| line.kl)
    });
    style.get(
        "frechet -> any",
        "The Fréchet distance of the model's embeddings; () when no model listened.",
        |s: &mut Style| s.1.map_or(Dynamic::UNIT, Dynamic::from),
    );
    style.get("mean_overlap -> float", "The mean of the overlaps.", |s: &mut Style| s.mean());
}

fn compare(ctx: &ScriptContext, scores: &[Dynamic], corpus: &Dynamic, model: Option<&Model>) -> Fallible<Style> {
    let progress = ctx.progress();
    let pieces = these("style: scores", scores)?;
    let corpus = match corpus.as_immutable_string_ref() {
        Ok(folder) => read(&folder, progress)?.into_iter().map(|(_, score)| score).collect(),
        Err(_) => match corpus.as_array_ref() {
            Ok(scores) => these("style: corpus", &scores)?,
            Err(_) => {
                let message = format!("style: the corpus is an array of scores or a folder, not {}", article(corpus));
                return Err(Error::mistake(message).into());
            }
        },
    };
    let likeness = metrics::style(&pieces, &corpus, progress)?;
    let distance = |model: &Model| -> Fallible<f64> {
        let tokenizer = model.tokenizer()?;
        let heard = |pieces: &[midi::Score]| metrics::embed(&model.model(), &tokenizer, pieces, progress);
        Ok(metrics::frechet_distance(&heard(&pieces)?, &heard(&corpus)?)?)
    };
    Ok(Style(Rc::new(likeness), model.map(distance).transpose()?))
}

/// The scores of an array; `what` names it in errors.
pub(super) fn these(what: &str, values: &[Dynamic]) -> Fallible<Vec<midi::Score>> {
    let score = |value: &Dynamic| match value.read_lock::<Score>() {
        Some(score) => Ok((*score.0).clone()),
        None => Err(Error::mistake(format!("{what} holds {}, not scores only", article(value))).into()),
    };
    values.iter().map(score).collect()
}

/// The pieces under a path, with their files.
pub(super) fn read(path: &str, progress: &crate::progress::Progress) -> Fallible<Vec<(PathBuf, midi::Score)>> {
    let files: Vec<PathBuf> = data::scan(&crate::files::locate(path)?)?;
    let mut task = progress.task("reading", Some(files.len() as u64), "files");
    let mut scores = Vec::with_capacity(files.len());
    for file in files {
        // Unreadable files are left out.
        if let Ok(score) = midi::Score::read(&file) {
            scores.push((file, score));
        }
        task.advance(1)?;
    }
    Ok(scores)
}

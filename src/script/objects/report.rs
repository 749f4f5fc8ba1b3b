//! `Report`: the metrics of a model on held-out pieces.

use rhai::{Array, Dynamic, Map};

use crate::data;
use crate::metrics;
use crate::script::failure::Fallible;
use crate::script::html::{self, Cell};
use crate::script::objects::{Model, Split};
use crate::script::one_line::{brief, thousands};
use crate::script::registry::{Object, Registry};
use crate::tokens::Tokenizer;

/// The metrics of one evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Report(metrics::Report);

impl Object for Report {
    const NAME: &'static str = "Report";
    const DOC: &'static str =
        "How good a model is on rows it has not seen; accuracies are shares of right predictions.";

    fn line(&self) -> String {
        let (loss, perplexity) = (brief(self.0.loss), brief(self.0.perplexity));
        format!("Report: loss {loss}, perplexity {perplexity}, {} tokens", thousands(self.0.tokens as usize))
    }

    fn text(&self, _width: usize) -> String {
        self.0.to_string()
    }

    fn html(&self) -> Option<String> {
        let r = &self.0;
        let share = |name: &str, share: f64| {
            let text = if share.is_nan() { "–".into() } else { format!("{:.1} %", 100.0 * share) };
            vec![Cell::Word(name.into()), Cell::Number(text), Cell::Bar(share)]
        };
        let figure = |name: &str, text: String| vec![Cell::Word(name.into()), Cell::Number(text)];
        let rows = [
            figure("loss", brief(r.loss)),
            figure("perplexity", brief(r.perplexity)),
            share("note accuracy", r.note_accuracy),
            share("rhythm accuracy", r.rhythm_accuracy),
            share("harmonic consistency", r.harmonic_consistency),
            figure("bits a note", format!("{:.2}", r.bits_per_note)),
            figure("tokens", thousands(r.tokens as usize)),
        ];
        Some(html::table(&["", "", ""], &rows))
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    registry.function(
        "evaluate(model: Model, split: Split) -> Report",
        "Measures a model on the rows of a split: evaluate(net, data.val).",
        move |model: Model, split: Split| -> Fallible<Report> {
            let measure = |tokenizer: &Tokenizer, rows: &data::Split| {
                Ok(Report(metrics::evaluate(&model.model(), tokenizer, rows, ctx.progress())?))
            };
            if let Some(own) = model.other_than(&split.tokenizer) {
                return measure(&own, &split.split.translated(&split.tokenizer, &own));
            }
            model.meets(&split.tokenizer)?;
            measure(&split.tokenizer, &split.split)
        },
    );
    let mut report = registry.object::<Report>();
    report.get("loss -> float", "Mean cross-entropy, nats a token.", |r: &mut Report| r.0.loss);
    report.get("bits_per_note -> float", "Bits that a note costs, all its tokens together.", |r: &mut Report| {
        r.0.bits_per_note
    });
    report.get("perplexity -> float", "exp(loss).", |r: &mut Report| r.0.perplexity);
    report.get("note_accuracy -> float", "Share of right predictions where a pitch begins.", |r: &mut Report| {
        r.0.note_accuracy
    });
    report.get("rhythm_accuracy -> float", "Share of right predictions of time.", |r: &mut Report| r.0.rhythm_accuracy);
    report.get(
        "harmonic_consistency -> float",
        "Share of the predicted pitches that are tones of the chord in force.",
        |r: &mut Report| r.0.harmonic_consistency,
    );
    report.get(
        "intervals -> map",
        "Where each figure lies with 95 % confidence: an array of low and high.",
        |r: &mut Report| -> Map {
            let names = ["loss", "perplexity", "note_accuracy", "rhythm_accuracy", "harmonic_consistency"];
            let ends =
                |i: &metrics::Interval| Dynamic::from(vec![Dynamic::from(i.low), Dynamic::from(i.high)] as Array);
            names.iter().zip(&r.0.intervals).map(|(name, interval)| ((*name).into(), ends(interval))).collect()
        },
    );
    report.get("tokens -> int", "Tokens measured.", |r: &mut Report| r.0.tokens as i64);
}

//! `EvalSets`: held-out rows by name, measured one by one whenever the held-out loss is.

use std::rc::Rc;

use rhai::{Dynamic, Map};

use crate::data;
use crate::error::{Error, Result};
use crate::metrics::evaluate;
use crate::progress::Progress;
use crate::script::convert::article;
use crate::script::objects::{Dataset, Split};
use crate::train::Trainer;

/// Held-out rows by name.
#[derive(Debug, Clone, Default)]
pub(super) struct EvalSets(Rc<[(String, data::Split)]>);

/// The figures of one set.
#[derive(Debug, Clone)]
pub(super) struct EvalSetFigures {
    pub(super) name: String,
    /// Nats a token.
    pub(super) loss: f64,
    /// Bits that a note costs.
    pub(super) bits_per_note: f64,
}

impl EvalSets {
    /// Takes the option `eval_sets` out of a map of options.
    ///
    /// # Errors
    /// Names what is no rows.
    pub(super) fn take_from(map: &mut Map) -> Result<Self> {
        let Some(value) = map.remove("eval_sets") else { return Ok(Self::default()) };
        let Some(sets) = value.read_lock::<Map>() else {
            return Err(Error::mistake(format!("eval_sets must be a map, not {}", article(&value)))
                .with_hint("write #{ solos: dataset(\"solos\", tok, #{ val: 0 }).train }"));
        };
        let split = |(name, value): (&_, &Dynamic)| {
            let name = String::from(name as &str);
            match (value.read_lock::<Split>(), value.read_lock::<Dataset>()) {
                (Some(rows), _) if rows.split.is_empty() => {
                    Err(Error::mistake(format!("eval_sets: {name} has no rows")).with_hint("leave it out"))
                }
                (Some(rows), _) => Ok((name, rows.split.clone())),
                (_, Some(_)) => Err(Error::mistake(format!("eval_sets: {name} is a dataset, not rows of one"))
                    .with_hint("take its .val or its .train")),
                _ => {
                    Err(Error::mistake(format!("eval_sets: {name} must be rows of a dataset, not {}", article(value)))
                        .with_hint("take the .val of a dataset"))
                }
            }
        };
        sets.iter().map(split).collect::<Result<Rc<[_]>>>().map(Self)
    }

    /// Measures the model of a run on each set: with the moving average of its weights, if one is kept.
    ///
    /// # Errors
    /// See [`evaluate`].
    pub(super) fn measure(&self, run: &Trainer, progress: &Progress) -> Result<Vec<EvalSetFigures>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let figures = |(name, split): &(String, data::Split)| {
            let report = evaluate(run.model(), &run.data().tokenizer, split, progress)?;
            Ok(EvalSetFigures { name: name.clone(), loss: report.loss, bits_per_note: report.bits_per_note })
        };
        run.averaged(|| self.0.iter().map(figures).collect())
    }
}

//! `Loss`: a loss with its computation graph; `Grads`: its gradients.

use std::rc::Rc;

use rhai::Dynamic;

use crate::nn::{Parameter, Tape};
use crate::plot;
use crate::script::context::ScriptContext;
use crate::script::convert::number;
use crate::script::failure::Fallible;
use crate::script::objects::Tensor;
use crate::script::one_line::brief;
use crate::script::registry::{Object, Registry};
use crate::train;

/// A handle to a loss with its computation graph.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    tensor: candle_core::Tensor,
    tape: Rc<Tape>,
    parameters: Rc<Vec<Parameter>>,
    value: f64,
}

/// A handle to gradients.
#[derive(Debug, Clone)]
pub(crate) struct Grads(pub(crate) Rc<train::Grads>);

impl Loss {
    pub(crate) fn new((tensor, tape): (candle_core::Tensor, Tape), parameters: Vec<Parameter>) -> Fallible<Self> {
        let value = Tensor(tensor.clone()).values()?.first().copied().map_or(f64::NAN, f64::from);
        Ok(Self { tensor, tape: Rc::new(tape), parameters: Rc::new(parameters), value })
    }
}

impl Object for Loss {
    const NAME: &'static str = "Loss";
    const DOC: &'static str =
        "How far a model is off on a batch: loss.value in nats a token; loss.backward() gives the gradients.";

    fn line(&self) -> String {
        format!("Loss: {}", brief(self.value))
    }
}

impl Object for Grads {
    const NAME: &'static str = "Grads";
    const DOC: &'static str =
        "The gradients of one loss, a tensor for each weight that trains. They add up and divide.";

    fn line(&self) -> String {
        let norm = self.0.norm().map_or_else(|_| "?".into(), |n| format!("{n:.4}"));
        format!("Grads: {} tensors, norm {norm}", self.0.entries().len())
    }

    fn text(&self, width: usize) -> String {
        let row = |(name, grad): &(String, candle_core::Tensor)| {
            let norm =
                grad.sqr().and_then(|g| g.sum_all()).and_then(|s| s.to_scalar::<f32>()).map_or(f32::NAN, f32::sqrt);
            vec![name.clone(), format!("{:?}", grad.dims()), format!("{norm:.2e}")]
        };
        let entries = self.0.entries();
        let rows: Vec<Vec<String>> = entries.iter().take(20).map(row).collect();
        let more = entries.len().saturating_sub(20);
        let tail = if more > 0 { format!("\n… {more} more") } else { String::new() };
        format!("{}\n{}{tail}", self.line(), plot::table_within(&["weight", "shape", "norm"], &rows, width))
    }
}

pub(super) fn register(registry: &mut Registry) {
    let ctx = registry.ctx();
    let mut loss = registry.object::<Loss>();
    loss.get("value -> float", "Mean cross-entropy, nats a token.", |l: &mut Loss| l.value);
    loss.method("backward() -> Grads", "Goes back from the loss to every weight that trains.", move |l: &mut Loss| {
        backward(&ctx, l)
    });
    let mut grads = registry.object::<Grads>();
    grads.get("norm -> float", "The L2 norm over all of them.", |g: &mut Grads| -> Fallible<f64> { Ok(g.0.norm()?) });
    grads.get("names -> array", "The names of the weights.", |g: &mut Grads| -> rhai::Array {
        g.0.entries().iter().map(|(name, _)| Dynamic::from(name.clone())).collect()
    });
    grads.method(
        "clip(max_norm: float) -> Grads",
        "Scaled down so that the norm is at most this.",
        |g: &mut Grads, max: Dynamic| -> Fallible<Grads> {
            Ok(Grads(Rc::new(g.0.clip(number("clip: max_norm", &max)?)?)))
        },
    );
    grads.method(
        "of(name: string) -> Tensor",
        "The gradient of one weight.",
        |g: &mut Grads, name: &str| -> Fallible<Tensor> { Ok(Tensor(g.0.of(name)?)) },
    );
    grads.operator(
        "+(other: Grads) -> Grads",
        "Weight by weight, to accumulate.",
        |a: &mut Grads, b: Grads| -> Fallible<Grads> { Ok(Grads(Rc::new(a.0.add(&b.0)?))) },
    );
    grads.operator("*(factor: float) -> Grads", "All of them times a number.", |g: &mut Grads, factor: Dynamic| {
        scale(g, number("the factor", &factor))
    });
    grads.operator(
        "/(divisor: float) -> Grads",
        "All of them divided by a number.",
        |g: &mut Grads, divisor: Dynamic| scale(g, number("the divisor", &divisor).map(|d| 1.0 / d)),
    );
}

fn backward(ctx: &ScriptContext, loss: &Loss) -> Fallible<Grads> {
    let progress = ctx.progress();
    progress.check()?;
    match train::Grads::backward_tape(&loss.tape, &loss.tensor, &loss.parameters) {
        Ok(grads) => Ok(Grads(Rc::new(grads))),
        // An interrupted op fails with candle's message.
        Err(_) if progress.interrupt().is_set() => Err(crate::error::Error::interrupted().into()),
        Err(error) => Err(error.into()),
    }
}

fn scale(grads: &Grads, factor: crate::error::Result<f64>) -> Fallible<Grads> {
    Ok(Grads(Rc::new(grads.0.scale(factor?)?)))
}

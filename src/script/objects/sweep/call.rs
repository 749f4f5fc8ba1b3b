//! Trials that call a function of the script.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext};
use serde_json::Value;

use crate::error::Error;
use crate::script::Output;
use crate::script::context::ScriptContext;
use crate::script::convert::{from_json, number};
use crate::script::failure::Fallible;
use crate::sweep::{Standing, Sweep, Trial};

type SharedSweep = Rc<RefCell<Sweep>>;

/// Runs up to `n` trials, one after another.
pub(super) fn run(
    context: &NativeCallContext,
    ctx: &ScriptContext,
    (state, f): (&SharedSweep, &FnPtr),
    n: Option<u64>,
    watch: &mut dyn FnMut(&Sweep),
) -> Fallible<()> {
    let total = n.or_else(|| state.borrow().total());
    // The displayed table replaces the progress bar.
    let progress = if ctx.live() { ctx.progress().quiet() } else { ctx.progress().clone() };
    let mut task = progress.task("sweeping", total, "trials");
    let mut done = 0;
    while n.is_none_or(|n| done < n) {
        ctx.progress().check()?;
        let next = state.try_borrow_mut().map_err(|_| super::busy())?.next_trial()?;
        let Some(trial) = next else { break };
        watch(&state.borrow());
        one(context, ctx, (state, f), &trial)?;
        done += 1;
        watch(&state.borrow());
        task.advance(1)?;
    }
    Ok(())
}

fn one(
    context: &NativeCallContext,
    ctx: &ScriptContext,
    (state, f): (&SharedSweep, &FnPtr),
    trial: &Trial,
) -> Fallible<()> {
    let params = from_json(&Value::Object(trial.params.clone()));
    let before = ctx.set_trial(Some(listener(state, trial.number)));
    let given = f.call_within_context::<Dynamic>(context, (params,)).and_then(|value| measured(&value));
    ctx.set_trial(before);
    let mut sweep = state.borrow_mut();
    match given.map_err(Failed::of) {
        Ok(value) => {
            let mut values = sweep.trial(trial.number).map_or_else(Vec::new, |trial| trial.values.clone());
            values.extend(value);
            sweep.report(trial.number, &values);
            let lags = sweep.lagging().contains(&trial.number);
            sweep.end(trial.number, if lags { Standing::Stopped } else { Standing::Finished }, "")?;
            Ok(())
        }
        // Cancelled, or an error of the function itself: the trial is repeated later.
        Err(Failed { error, stop }) if stop || sweep.best().is_none() => {
            sweep.end(trial.number, Standing::Interrupted, "")?;
            Err(error)
        }
        Err(Failed { error, .. }) => {
            let note = error.to_string();
            sweep.end(trial.number, Standing::Failed, &note)?;
            ctx.say(Output::Warning(format!("trial {} failed: {note}\n", trial.number)));
            Ok(())
        }
    }
}

/// The result of the function: a number, or nothing when it used `report`.
fn measured(value: &Dynamic) -> Fallible<Option<f64>> {
    if value.is_unit() { Ok(None) } else { Ok(Some(number("what the trial gives", value)?)) }
}

/// Why the function returned no value.
struct Failed {
    error: Box<EvalAltResult>,
    stop: bool,
}

impl Failed {
    fn of(error: Box<EvalAltResult>) -> Self {
        let stop = matches!(error.unwrap_inner(), EvalAltResult::ErrorTerminated(..) | EvalAltResult::Exit(..));
        Self { error, stop }
    }
}

/// Records the measurements of a trial, and returns whether to continue it.
fn listener(state: &SharedSweep, number: u64) -> Rc<dyn Fn(f64) -> bool> {
    let state = state.clone();
    Rc::new(move |value| {
        let mut sweep = state.borrow_mut();
        let mut values = sweep.trial(number).map_or_else(Vec::new, |trial| trial.values.clone());
        values.push(value);
        sweep.report(number, &values);
        !sweep.lagging().contains(&number)
    })
}

/// `report(value)`
pub(super) fn report(ctx: &ScriptContext, value: &Dynamic) -> Fallible<bool> {
    let value = number("report", value)?;
    match ctx.trial() {
        Some(listener) => Ok(listener(value)),
        None => Err(Error::mistake("report: no trial is under way")
            .with_hint("it belongs in the function of a sweep: sweep(config, |p| { …; if !report(loss) { … } })")
            .into()),
    }
}

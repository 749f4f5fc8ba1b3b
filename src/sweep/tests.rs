//! Whole sweeps.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::{Standing, Sweep, SweepConfig, Trial, Worker};
use crate::error::{Error, Result};
use crate::progress::Progress;

fn refused(config: Value) -> String {
    SweepConfig::parse(&config).expect_err("a slip").to_string()
}

/// All trials a sweep would make of itself.
fn all(config: Value, most: usize) -> Vec<Value> {
    let mut sweep = Sweep::new(config, 7).expect("a sound sweep");
    let mut params = Vec::new();
    while let Some(trial) = sweep.next_trial().expect("no file") {
        params.push(Value::Object(trial.params));
        sweep.end(trial.number, Standing::Finished, "").expect("no file");
        if params.len() == most {
            break;
        }
    }
    params
}

#[test]
fn a_grid_goes_by_name_the_last_fastest_with_what_is_nested_in_its_place() {
    let config = json!({ "method": "grid", "parameters": {
        "r": { "values": [4, 8] }, "base": { "value": "b" },
        "augment": { "parameters": { "transpose": { "values": [1, 12] } } },
        "lr": { "values": [0.1, 1, 1.0] },
    } });
    let expected: Vec<Value> =
        [(1, 0.1, 4), (1, 0.1, 8), (1, 1.0, 4), (1, 1.0, 8), (12, 0.1, 4), (12, 0.1, 8), (12, 1.0, 4), (12, 1.0, 8)]
            .map(|(transpose, lr, r)| json!({ "augment": { "transpose": transpose }, "base": "b", "lr": lr, "r": r }))
            .into();
    assert_eq!(all(config.clone(), 99), expected);
    let mut capped = config;
    capped["run_cap"] = json!(3);
    assert_eq!(
        (all(capped.clone(), 99), Sweep::new(capped, 0).expect("sound").total()),
        (expected[..3].to_vec(), Some(3))
    );
}

#[test]
fn whole_numbers_and_steps_have_a_grid_too() {
    let side = |parameter: Value| -> Vec<Value> {
        all(json!({ "method": "grid", "parameters": { "x": parameter } }), 99)
            .into_iter()
            .map(|p| p["x"].clone())
            .collect()
    };
    assert_eq!(side(json!({ "min": 1, "max": 3 })), [json!(1), json!(2), json!(3)]);
    assert_eq!(side(json!({ "distribution": "q_uniform", "min": 0, "max": 1, "q": 0.5 })), [json!(0.0), json!(0.5)]);
    assert_eq!(
        side(json!({ "distribution": "q_uniform", "min": 2, "max": 9, "q": 3 })),
        [json!(2), json!(5), json!(8)]
    );
    assert!(
        refused(json!({ "method": "grid", "parameters": { "x": { "min": 0.0, "max": 1.0 } } }))
            .contains("method: random")
    );
    let huge = json!({ "method": "grid", "parameters": { "x": { "min": 0, "max": 9_000_000_000_000_000_000_i64 } } });
    assert!(refused(huge).contains("too many"));
}

/// `scipy.stats` 1.17 at u = 0.3: `norm.ppf(.3, 1, 2)`, `lognorm.ppf(.3, s=2, scale=exp(1))`, `beta.ppf(.3, 2, 3)`; the
/// rest by the formulas of `sweeps.params`.
#[test]
fn values_are_the_quantiles_of_their_distributions() {
    let at = |u: f64, mut parameter: Value| {
        if parameter.get("distribution").is_none() {
            parameter["distribution"] = json!("uniform");
        }
        let config =
            SweepConfig::parse(&json!({ "method": "random", "parameters": { "x": parameter } })).expect("sound");
        config.space.at(&[u])["x"].as_f64().expect("a number")
    };
    let near = |value: f64, wanted: f64| {
        assert!((value - wanted).abs() < 1e-9 * wanted.abs().max(1.0), "{value}, not {wanted}")
    };
    near(at(0.3, json!({ "min": 2, "max": 4 })), 2.6);
    near(at(0.3, json!({ "distribution": "int_uniform", "min": 1, "max": 10 })), 3.0);
    near(at(0.3, json!({ "distribution": "log_uniform", "min": 0, "max": 1 })), 0.3_f64.exp());
    near(at(0.25, json!({ "distribution": "log_uniform_values", "min": 1e-4, "max": 1.0 })), 1e-3);
    near(at(0.25, json!({ "distribution": "inv_log_uniform_values", "min": 1e-4, "max": 1.0 })), 1e-3);
    near(at(0.25, json!({ "distribution": "inv_log_uniform", "min": 0.0, "max": 4.0 })), (-3.0_f64).exp());
    near(at(0.3, json!({ "distribution": "normal", "mu": 1, "sigma": 2 })), -0.048_801_025_416_081_78);
    near(at(0.3, json!({ "distribution": "log_normal", "mu": 1, "sigma": 2 })), 0.952_370_608_392_698_4);
    near(at(0.3, json!({ "distribution": "beta", "a": 2, "b": 3 })), 0.272_383_942_075_105_36);
    near(at(0.26, json!({ "distribution": "q_uniform", "min": 0, "max": 10, "q": 0.5 })), 2.5);
    near(at(0.3, json!({ "distribution": "q_log_uniform_values", "min": 1, "max": 10000, "q": 4 })), 16.0);
    near(
        at(0.65, json!({ "distribution": "categorical", "values": [1, 2, 3], "probabilities": [0.6, 0.3, 0.1] })),
        2.0,
    );
}

#[test]
fn slips_are_named_with_their_remedies() {
    let parameter = |value: Value| refused(json!({ "method": "random", "parameters": { "lr": value } }));
    assert!(refused(json!({ "method": "grid", "paramters": {} })).contains("did you mean 'parameters'"));
    assert!(refused(json!({ "method": "bayse", "parameters": {} })).contains("did you mean 'bayes'"));
    assert!(refused(json!({ "parameters": {} })).contains("needs the key 'method'"));
    assert!(refused(json!({ "method": "custom", "parameters": {} })).contains("method: bayes"));
    assert!(refused(json!({ "method": "grid", "parameters": {} })).contains("at least one parameter"));
    assert!(
        refused(json!({ "method": "bayes", "parameters": { "x": { "values": [1, 2] } } })).contains("metric: {name")
    );
    assert!(parameter(json!({ "mim": 0, "max": 1 })).contains("did you mean 'min'"));
    assert!(parameter(json!({ "min": 2, "max": 1 })).contains("min 2, which is not less than max 1"));
    assert!(
        parameter(json!({ "min": "a", "max": 1 })).contains("min of the parameter 'lr' must be a number, not \"a\"")
    );
    assert!(parameter(json!({ "min": 1 })).contains("needs the key 'max'"));
    assert!(parameter(json!({})).contains("says nothing about its values"));
    assert!(
        parameter(json!({ "distribution": "log_uniform_value", "min": 1, "max": 2 })).contains("'log_uniform_values'")
    );
    assert!(parameter(json!({ "distribution": "log_uniform_values", "min": 0, "max": 2 })).contains("above 0"));
    assert!(
        parameter(json!({ "distribution": "normal", "mu": 0, "min": 1 }))
            .contains("no key of the parameter 'lr' (normal)")
    );
    assert!(parameter(json!({ "values": [] })).contains("at least one value"));
    assert!(parameter(json!({ "values": [1, 2], "probabilities": [0.5, 0.6] })).contains("sum to 1.1"));
    assert!(parameter(json!({ "values": [1, 2], "probabilities": [1.0] })).contains("1 probabilities for 2 values"));
    let metric =
        |metric: Value| refused(json!({ "method": "random", "metric": metric, "parameters": { "x": { "value": 1 } } }));
    assert!(metric(json!({ "name": "loss", "goal": "minimise" })).contains("did you mean 'minimize'"));
    assert!(metric(json!({ "goal": "minimize" })).contains("needs the key 'name'"));
    let agent = json!({ "method": "grid", "program": "train.py", "command": ["${env}"], "parameters": { "x": { "value": 1 } } });
    assert_eq!(
        SweepConfig::parse(&agent).expect("sound").notes,
        ["passed over, for W&B's own server and agent: program, command"]
    );
}

#[test]
fn one_seed_draws_the_same_trials_and_another_others() {
    let config =
        json!({ "method": "random", "parameters": { "x": { "min": 0.0, "max": 1.0 }, "y": { "values": ["a", "b"] } } });
    let first = all(config.clone(), 20);
    assert_eq!(first, all(config.clone(), 20));
    let mut other = Sweep::new(config, 8).expect("sound");
    assert_ne!(Value::Object(other.next_trial().expect("no file").expect("there is one").params), first[0]);
    let a = first.iter().filter(|trial| trial["y"] == "a").count();
    assert!((3..18).contains(&a), "{a} of 20");
}

/// A bowl with its bottom at x = 0.7 and the right word: after as many trials, what the estimator found is nearer to the
/// bottom than what chance finds, on the mean of twenty seeds.
#[test]
fn bayes_finds_the_bottom_sooner_than_chance() {
    let reached = |method: &str, seed: u64| {
        let config = json!({ "method": method, "metric": { "name": "loss" }, "parameters": {
            "x": { "min": 0.0, "max": 1.0 }, "y": { "distribution": "log_uniform_values", "min": 1e-4, "max": 1.0 },
            "word": { "values": ["a", "b", "c", "d"] } } });
        let mut sweep = Sweep::new(config, seed).expect("sound");
        for _ in 0..40 {
            let trial = sweep.next_trial().expect("no file").expect("there is one");
            let number = |name: &str| trial.params[name].as_f64().expect("a number");
            let miss = if trial.params["word"] == "c" { 0.0 } else { 0.3 };
            let loss = (number("x") - 0.7).powi(2) + (number("y").log10() + 2.0).powi(2) / 4.0 + miss;
            sweep.report(trial.number, &[9.0, loss]);
            sweep.end(trial.number, Standing::Finished, "").expect("no file");
        }
        sweep.value(sweep.best().expect("there is one")).expect("measured")
    };
    let mean = |method: &str| (0..20).map(|seed| reached(method, seed)).sum::<f64>() / 20.0;
    let (bayes, random) = (mean("bayes"), mean("random"));
    assert!(bayes < random / 2.0, "bayes {bayes}, random {random}");
}

#[test]
fn a_sweep_goes_on_where_it_was_killed_and_refuses_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = json!({ "method": "random", "metric": { "name": "acc", "goal": "maximize" }, "run_cap": 4,
                         "parameters": { "x": { "min": 0.0, "max": 1.0 } } });
    let whole = all(config.clone(), 9);
    let mut sweep = Sweep::open(config.clone(), 7, dir.path()).expect("a new folder");
    let busy = Sweep::open(config.clone(), 7, dir.path()).expect_err("it is at work");
    assert!(busy.message().contains("another sweep is at work"), "{busy}");
    for value in [0.5, 0.8] {
        let trial = sweep.next_trial().expect("written").expect("there is one");
        sweep.report(trial.number, &[f64::NAN, value, 0.1]);
        sweep.end(trial.number, Standing::Finished, "").expect("written");
    }
    let third = sweep.next_trial().expect("written").expect("there is one");
    drop(sweep); // in the middle of the third

    let mut sweep = Sweep::open(config.clone(), 99, dir.path()).expect("the same sweep");
    assert_eq!(sweep.trials()[2].standing, Standing::Interrupted);
    let again = sweep.next_trial().expect("written").expect("there is one");
    assert_eq!((again.number, &again.params), (3, &third.params));
    sweep.end(3, Standing::Failed, "no room").expect("written");
    assert_eq!(sweep.next_trial().expect("written").expect("there is one").number, 4);
    assert_eq!(sweep.next_trial().expect("written"), None, "run_cap");
    let params: Vec<Value> = sweep.trials().iter().map(|t| Value::Object(t.params.clone())).collect();
    assert_eq!(params, whole, "the seed is that of the beginning");
    assert_eq!((sweep.best().map(|t| t.number), sweep.value(&sweep.trials()[1])), (Some(2), Some(0.8)));
    let (headings, rows) = sweep.table();
    assert_eq!(headings, ["trial", "standing", "acc", "measured", "x", "cause"]);
    assert_eq!(rows.iter().map(|row| row[5].as_str()).collect::<Vec<_>>(), ["", "", "no room", ""]);
    assert_eq!((rows[1][..4].join(" "), rows[2][..3].join(" ")), ("2 * finished 0.8000 2".into(), "3 failed –".into()));
    drop(sweep);
    let sweep = Sweep::open(config.clone(), 99, dir.path()).expect("the same sweep");
    assert_eq!(sweep.trials()[2].standing, Standing::Interrupted, "what failed comes again");
    drop(sweep);

    let mut other = config;
    other["parameters"]["x"]["max"] = json!(2.0);
    let error = Sweep::open(other, 7, dir.path()).expect_err("another sweep");
    assert!(error.message().contains("other parameters"), "{error}");
    std::fs::write(dir.path().join("sweep.json"), "{").expect("written");
    let broken = json!({ "method": "random", "parameters": { "x": { "min": 0.0, "max": 1.0 } } });
    assert!(Sweep::open(broken, 7, dir.path()).is_err_and(|e| e.message().contains("is not a sweep")));
}

#[test]
fn a_target_ends_the_sweep() {
    let config = json!({ "method": "random", "metric": { "name": "loss", "target": 0.5 }, "parameters": { "x": { "min": 0.0, "max": 1.0 } } });
    let mut sweep = Sweep::new(config, 1).expect("sound");
    for value in [0.9, 0.4] {
        let trial = sweep.next_trial().expect("no file").expect("not yet");
        sweep.report(trial.number, &[value]);
        sweep.end(trial.number, Standing::Finished, "").expect("no file");
    }
    assert_eq!(sweep.next_trial().expect("no file"), None);
}

/// A trial that measures once a look: `slope · n`, to its end after ten or until it is stopped.
struct Runner {
    slope: f64,
    looks: usize,
    stopped: bool,
    fails: bool,
    at_once: Rc<Cell<(usize, usize)>>,
}

impl Worker for Runner {
    fn values(&mut self) -> Vec<f64> {
        (1..=self.looks).map(|n| self.slope * n as f64).collect()
    }

    fn ended(&mut self) -> Result<Option<(Standing, String)>> {
        self.looks += 1;
        let end = match () {
            () if self.fails => Some((Standing::Failed, "out of memory".to_string())),
            () if self.stopped => Some((Standing::Interrupted, String::new())),
            () if self.looks == 10 => Some((Standing::Finished, String::new())),
            () => None,
        };
        if end.is_some() {
            let (now, most) = self.at_once.get();
            self.at_once.set((now - 1, most));
        }
        Ok(end)
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

fn launcher(at_once: &Rc<Cell<(usize, usize)>>, fails: bool) -> impl FnMut(&Trial) -> Result<Box<dyn Worker>> {
    let at_once = at_once.clone();
    move |trial| {
        let (now, most) = at_once.get();
        at_once.set((now + 1, most.max(now + 1)));
        let slope = trial.params["x"].as_f64().unwrap_or(0.0);
        Ok(Box::new(Runner { slope, looks: 0, stopped: false, fails, at_once: at_once.clone() }))
    }
}

fn race() -> Value {
    json!({ "method": "grid", "metric": { "name": "loss" }, "parameters": { "x": { "values": [1, 2, 3, 4] } },
            "early_terminate": { "type": "hyperband", "min_iter": 2, "eta": 2 } })
}

#[test]
fn trials_run_side_by_side_and_laggards_are_stopped() {
    let at_once = Rc::new(Cell::new((0, 0)));
    let mut sweep = Sweep::new(race(), 1).expect("sound");
    let over = sweep.run(None, 2, &mut launcher(&at_once, false), &mut |_| {}, &Progress::silent()).expect("it runs");
    assert_eq!((over, at_once.get()), (4, (0, 2)));
    let standings: HashMap<u64, Standing> = sweep.trials().iter().map(|t| (t.number, t.standing)).collect();
    assert_eq!(standings[&1], Standing::Finished);
    assert_eq!([standings[&3], standings[&4]], [Standing::Stopped; 2], "{standings:?}");
    assert_eq!(sweep.best().map(|t| t.number), Some(1));
}

#[test]
fn a_count_a_stop_and_trials_that_all_fail_end_a_sweep() {
    let at_once = Rc::new(Cell::new((0, 0)));
    let mut sweep = Sweep::new(race(), 1).expect("sound");
    assert_eq!(
        sweep.run(Some(1), 2, &mut launcher(&at_once, false), &mut |_| {}, &Progress::silent()).expect("it runs"),
        1
    );
    let stopped = Progress::silent();
    stopped.interrupt().trigger();
    let error = sweep.run(None, 2, &mut launcher(&at_once, false), &mut |_| {}, &stopped).expect_err("stopped");
    assert!(error.is_interrupted());
    let standings: Vec<Standing> = sweep.trials().iter().map(|t| t.standing).collect();
    assert_eq!(standings, [Standing::Finished, Standing::Interrupted, Standing::Interrupted]);
    assert_eq!(
        sweep.run(None, 9, &mut launcher(&at_once, false), &mut |_| {}, &Progress::silent()).expect("it goes on"),
        3
    );

    let mut sweep = Sweep::new(race(), 1).expect("sound");
    let error =
        sweep.run(None, 1, &mut launcher(&at_once, true), &mut |_| {}, &Progress::silent()).expect_err("all fail");
    assert!(error.message().contains("the first 3 trials failed: out of memory"), "{error}");
    assert!(sweep.trials().iter().all(|trial| trial.standing == Standing::Interrupted), "they come again");
    let (headings, rows) = sweep.table();
    assert_eq!(headings.last().map(String::as_str), Some("cause"));
    assert!(rows.iter().all(|row| row.last().is_some_and(|cause| cause == "out of memory")), "{rows:?}");
    // One or two that are all there are: no success either.
    let mut sweep = Sweep::new(race(), 1).expect("sound");
    let error = sweep.run(Some(2), 1, &mut launcher(&at_once, true), &mut |_| {}, &Progress::silent());
    assert!(error.expect_err("both fail").message().contains("all 2 trials failed: out of memory"));
    let mut sweep = Sweep::new(race(), 1).expect("sound");
    let refuse = |_: &Trial| -> Result<Box<dyn Worker>> { Err(Error::mistake("no program")) };
    assert!(sweep.run(None, 1, &mut { refuse }, &mut |_| {}, &Progress::silent()).is_err());
    assert_eq!(sweep.trials()[0].standing, Standing::Interrupted);
}

//! Sweep configurations: W&B's `sweep_config.yaml` (docs.wandb.ai, "Define a sweep configuration").

use serde_json::Value;

use super::grid::Grid;
use super::hyperband::Hyperband;
use super::keys::Keys;
use super::space::Space;
use crate::error::{Error, Result};

/// The supported keys.
const KEYS: [&str; 6] = ["method", "metric", "parameters", "early_terminate", "run_cap", "name"];
/// The keys that matter only to W&B's server and agent, and are ignored.
const PASSED_OVER: [&str; 10] =
    ["program", "command", "project", "entity", "description", "controller", "kind", "apiVersion", "job", "image_uri"];

/// How the parameters of trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchMethod {
    /// Every combination of values.
    Grid,
    /// Random values.
    Random,
    /// Bayesian optimisation by earlier trials.
    Bayes,
}

/// The objective of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, as runs log it: `val_loss`.
    pub name: String,
    /// Whether to maximise rather than minimise it.
    pub maximize: bool,
    /// The value at which the sweep ends.
    pub target: Option<f64>,
    /// The value that a failed trial counts as.
    pub impute: Impute,
}

/// The value that a failed trial counts as, for `bayes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impute {
    /// The worst value of all trials.
    Worst,
    /// Its best value so far.
    Best,
    /// Its latest value.
    Latest,
}

/// A sweep configuration, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepConfig {
    /// How the parameters of trials are chosen.
    pub method: SearchMethod,
    /// The objective; not required for grid and random search.
    pub metric: Option<Metric>,
    /// The searched parameters.
    pub space: Space,
    /// Early termination of trials, if any.
    pub early_terminate: Option<Hyperband>,
    /// The most trials.
    pub run_cap: Option<u64>,
    /// The name of the sweep.
    pub name: Option<String>,
    /// A sentence for each ignored key.
    pub notes: Vec<String>,
}

impl SweepConfig {
    /// Reads the map of a YAML file.
    ///
    /// # Errors
    /// A key that there is not, with the nearest; a value of the wrong kind; a method without what it needs.
    ///
    /// ```
    /// use etude::sweep::{Grid, SweepConfig};
    ///
    /// let yaml = "method: grid\nparameters:\n  lr: {values: [0.1, 0.01]}\n  batch_size: {values: [2, 4, 8]}\n";
    /// let sweep = SweepConfig::parse(&etude::config::parse_yaml(yaml)?)?;
    /// assert_eq!(Grid::new(&sweep.space)?.size(), 6);
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn parse(value: &Value) -> Result<Self> {
        refuse(value)?;
        let known: Vec<&str> = KEYS.iter().chain(&PASSED_OVER).copied().collect();
        let keys = Keys::new("the sweep", value, &known)?;
        keys.need("method")?;
        let method = match keys.word("method", &["grid", "random", "bayes"])? {
            Some("random") => SearchMethod::Random,
            Some("bayes") => SearchMethod::Bayes,
            _ => SearchMethod::Grid,
        };
        let metric = keys.get("metric").map(Metric::parse).transpose()?;
        let space = Space::parse(keys.need("parameters")?)?;
        let early_terminate = keys.get("early_terminate").map(Hyperband::parse).transpose()?;
        if metric.is_none() && (method == SearchMethod::Bayes || early_terminate.is_some()) {
            let what = if method == SearchMethod::Bayes { "method: bayes" } else { "early_terminate" };
            return Err(Error::mistake(format!("{what} goes by a metric, and the sweep names none"))
                .with_hint("metric: {name: val_loss, goal: minimize}"));
        }
        if method == SearchMethod::Bayes && space.searched().next().is_none() {
            return Err(Error::mistake("the sweep has no parameter with more than one value to search"));
        }
        if method == SearchMethod::Grid {
            Grid::new(&space)?;
        }
        let run_cap = keys.count("run_cap")?;
        let name = keys.text("name")?.map(String::from);
        let passed: Vec<&str> = PASSED_OVER.iter().copied().filter(|key| keys.has(key)).collect();
        let notes = match passed.as_slice() {
            [] => Vec::new(),
            keys => vec![format!("passed over, for W&B's own server and agent: {}", keys.join(", "))],
        };
        Ok(Self { method, metric, space, early_terminate, run_cap, name, notes })
    }

    /// The value of the metric as a cost: lower is better.
    pub(super) fn cost(&self, value: f64) -> f64 {
        if self.metric.as_ref().is_some_and(|metric| metric.maximize) { -value } else { value }
    }
}

/// Refuses keys that W&B supports and this program does not.
fn refuse(value: &Value) -> Result<()> {
    let has = |key: &str| value.get(key).is_some();
    if has("scheduler") || value.get("method").is_some_and(|method| method == "custom") {
        return Err(Error::mistake("a scheduler of its own (method: custom) runs in Python only")
            .with_hint("method: bayes searches here"));
    }
    if has("metrics") {
        return Err(
            Error::mistake("a sweep goes by one metric here, not by several").with_hint("metric: {name: val_loss}")
        );
    }
    Ok(())
}

impl Metric {
    fn parse(value: &Value) -> Result<Self> {
        let keys = Keys::new("metric", value, &["name", "goal", "target", "impute", "impute_while_running"])?;
        keys.need("name")?;
        let name = keys.text("name")?.unwrap_or_default().to_string();
        let maximize = keys.word("goal", &["minimize", "maximize"])? == Some("maximize");
        let target = keys.number("target")?.and_then(serde_json::Number::as_f64);
        let impute = match keys.word("impute", &["worst", "best", "latest"])? {
            Some("best") => Impute::Best,
            Some("latest") => Impute::Latest,
            _ => Impute::Worst,
        };
        // Running trials always count as poor ones.
        keys.word("impute_while_running", &["worst", "best", "latest", "false"])?;
        Ok(Self { name, maximize, target, impute })
    }
}

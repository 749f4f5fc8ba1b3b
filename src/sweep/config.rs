//! What a sweep is: W&B's `sweep_config.yaml` (docs.wandb.ai, "Define a sweep configuration").

use serde_json::Value;

use super::grid::Grid;
use super::hyperband::Hyperband;
use super::keys::Keys;
use super::space::Space;
use crate::error::{Error, Result};

/// The keys that mean something here.
const KEYS: [&str; 6] = ["method", "metric", "parameters", "early_terminate", "run_cap", "name"];
/// The keys that mean something to W&B's server and agent only.
const PASSED_OVER: [&str; 10] =
    ["program", "command", "project", "entity", "description", "controller", "kind", "apiVersion", "job", "image_uri"];

/// How values are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchMethod {
    /// Every combination.
    Grid,
    /// Any values.
    Random,
    /// Values that what came before makes promising.
    Bayes,
}

/// What is to become small, or large.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, as runs log it: `val_loss`.
    pub name: String,
    /// Whether more is better.
    pub maximize: bool,
    /// The sweep ends when a trial gets here.
    pub target: Option<f64>,
    /// What a trial that failed counts as.
    pub impute: Impute,
}

/// What a trial that failed counts as, for `bayes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impute {
    /// The worst value of all trials.
    Worst,
    /// The best it had.
    Best,
    /// The last it had.
    Latest,
}

/// A sweep, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepConfig {
    /// How values are chosen.
    pub method: SearchMethod,
    /// What is to become small, or large; a grid and a random search do without.
    pub metric: Option<Metric>,
    /// What is searched.
    pub space: Space,
    /// When trials are stopped before their end.
    pub early_terminate: Option<Hyperband>,
    /// The most trials.
    pub run_cap: Option<u64>,
    /// What it is called.
    pub name: Option<String>,
    /// What of it is passed over here, a sentence each.
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

    /// A value of the metric so that less is better.
    pub(super) fn cost(&self, value: f64) -> f64 {
        if self.metric.as_ref().is_some_and(|metric| metric.maximize) { -value } else { value }
    }
}

/// What W&B knows and this program has nothing for.
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
        // Trials under way always count as poor ones.
        keys.word("impute_while_running", &["worst", "best", "latest", "false"])?;
        Ok(Self { name, maximize, target, impute })
    }
}

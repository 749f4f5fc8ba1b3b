//! Comparison of runs: their results, configurations and curves.

use std::collections::BTreeSet;

use super::clock::date;
use super::{Runs, Summary};
use crate::progress::{four_digits, thousands};

/// The most points of a curve.
const POINTS: u64 = 1000;

impl Runs {
    /// A row for each run: name, start, status, last step and last values; preceded by the headings.
    pub fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let names = self.names();
        let mut headings: Vec<String> = ["run", "began", "status", "step"].map(String::from).to_vec();
        headings.extend(names.iter().map(|name| (*name).to_string()));
        let row = |run: &Summary| {
            let status = run.status.map_or("open", |status| status.name());
            let mut row = vec![run.name.clone(), date(run.began), status.into(), thousands(run.step())];
            row.extend(names.iter().map(|name| run.last(name).map_or(String::new(), short)));
            row
        };
        (headings, self.all.iter().map(row).collect())
    }

    /// The names of all values, the most frequent first.
    pub fn names(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.all.iter().flat_map(|run| run.values.keys().map(String::as_str)).collect();
        let mut names: Vec<&str> = all.into_iter().collect();
        names.sort_by_key(|name| {
            std::cmp::Reverse(self.all.iter().filter(|run| run.values.contains_key(*name)).count())
        });
        names
    }

    /// The configuration keys whose values differ: a row for each key, a column for each run, `-` where a run lacks the
    /// key.
    pub fn differences(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut headings = vec!["key".to_string()];
        headings.extend(self.all.iter().map(|run| run.name.clone()));
        let keys: BTreeSet<&String> = self.all.iter().flat_map(|run| run.config.keys()).collect();
        let rows = keys.into_iter().filter_map(|key| {
            let of = |run: &Summary| run.config.get(key).cloned().unwrap_or_else(|| "-".into());
            let values: Vec<String> = self.all.iter().map(of).collect();
            let differs = values.windows(2).any(|pair| pair[0] != pair[1]);
            differs.then(|| std::iter::once(key.clone()).chain(values).collect())
        });
        (headings, rows.collect())
    }

    /// A curve for each run that logged the value, all sampled at the same steps, and the distance of these steps.
    /// Curves are interpolated linearly between logged steps, and NaN outside.
    pub fn curves(&self, name: &str) -> (Vec<(String, Vec<f64>)>, u64) {
        let with: Vec<&Summary> = self.all.iter().filter(|run| run.values.contains_key(name)).collect();
        let last = with.iter().map(|run| run.step()).max().unwrap_or(0);
        let stride = last.div_ceil(POINTS).max(1);
        let curve = |run: &&Summary| {
            let at = |step: u64| value_at(run, name, step);
            (run.name.clone(), (0..=last / stride).map(|i| at(i * stride)).collect())
        };
        (with.iter().map(curve).collect(), stride)
    }
}

fn value_at(run: &Summary, name: &str, step: u64) -> f64 {
    let Some(values) = run.values.get(name) else { return f64::NAN };
    match (values.range(..=step).next_back(), values.range(step..).next()) {
        (Some((&before, &low)), Some((&after, &high))) if after > before => {
            low + (high - low) * (step - before) as f64 / (after - before) as f64
        }
        (Some((_, &value)), Some(_)) => value,
        _ => f64::NAN,
    }
}

/// An integer in full, any other value in four digits.
fn short(value: f64) -> String {
    let count = value.fract() == 0.0 && (0.0..1e15).contains(&value);
    if count { thousands(value as u64) } else { four_digits(value) }
}

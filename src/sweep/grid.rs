//! Every combination of the values, in the order of W&B's engine: the parameters by name, the last changing fastest.
//!
//! Values that are the same are tried once; a whole number written as 3.0 is 3. Of the numbers between two limits, those
//! of `int_uniform` are all on the grid, those of `q_uniform` are `min, min + q, min + 2q …` below `max`.

use serde_json::{Number, Value, json};

use super::distribution::{Distribution, QuantStep, RealShape};
use super::space::{SearchParameter, Space};
use crate::error::{Error, Result};

/// The most values of one parameter.
const MOST: u64 = 1_000_000;

/// A grid over the searched parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    sides: Vec<Vec<Value>>,
}

impl Grid {
    /// # Errors
    /// A parameter that has no list of values.
    pub fn new(space: &Space) -> Result<Self> {
        Ok(Self { sides: space.searched().map(|p| Ok(distinct(values(p)?))).collect::<Result<_>>()? })
    }

    /// How many combinations there are.
    pub fn size(&self) -> u64 {
        self.sides.iter().fold(1_u64, |product, side| product.saturating_mul(side.len() as u64))
    }

    /// Combination number `at`; `None` beyond the last.
    pub fn point(&self, at: u64) -> Option<Vec<Value>> {
        if at >= self.size() {
            return None;
        }
        let mut rest = at;
        let mut point: Vec<Value> = Vec::with_capacity(self.sides.len());
        for side in self.sides.iter().rev() {
            point.push(side[(rest % side.len() as u64) as usize].clone());
            rest /= side.len() as u64;
        }
        point.reverse();
        Some(point)
    }
}

fn values(parameter: &SearchParameter) -> Result<Vec<Value>> {
    let many = |n: u64| match n {
        n if n <= MOST => Ok(()),
        n => Err(Error::mistake(format!("the parameter '{}' has {n} values: too many for a grid", parameter.name()))
            .with_hint("take a larger q, or method: random")),
    };
    match &parameter.distribution {
        Distribution::Categorical { values, shares: None } => Ok(values.clone()),
        Distribution::IntUniform { min, max } => {
            many(max.abs_diff(*min).saturating_add(1))?;
            Ok((*min..=*max).map(|n| json!(n)).collect())
        }
        Distribution::Real { shape: RealShape::Uniform { min, max, whole }, step: Some(step) } => {
            many(((max - min) / step.q).ceil() as u64)?;
            Ok(range(*min, *max, *step, *whole && step.whole))
        }
        _ => Err(Error::mistake(format!(
            "the parameter '{}' has no list of values to lay a grid over",
            parameter.name()
        ))
        .with_hint(
            "a grid needs value, values without probabilities, int_uniform or q_uniform; or take method: random",
        )),
    }
}

/// `numpy.arange(min, max, q)`, to the last bit: its step is the difference of the first two values.
fn range(min: f64, max: f64, step: QuantStep, whole: bool) -> Vec<Value> {
    let n = ((max - min) / step.q).ceil().max(0.0) as u64;
    let distance = (min + step.q) - min;
    let value = |i: u64| match i {
        0 => min,
        1 => min + step.q,
        i => min + i as f64 * distance,
    };
    (0..n).map(value).map(|x| if whole { json!(x as i64) } else { json!(x) }).collect()
}

/// Removes duplicates: each value at its first position, in its last form.
fn distinct(values: Vec<Value>) -> Vec<Value> {
    let mut places = std::collections::HashMap::new();
    let mut kept: Vec<Value> = Vec::with_capacity(values.len());
    for value in values {
        match places.entry(key(&value)) {
            std::collections::hash_map::Entry::Occupied(at) => kept[*at.get()] = value,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(kept.len());
                kept.push(value);
            }
        }
    }
    kept
}

/// A text that equal values have in common.
fn key(value: &Value) -> String {
    let whole = |n: &Number| n.as_f64().filter(|x| n.is_f64() && x.fract() == 0.0);
    match value {
        Value::Number(n) => whole(n).map_or_else(|| n.to_string(), |x| format!("{x:.0}")),
        Value::Object(map) => {
            let mut entries: Vec<String> = map.iter().map(|(key, value)| format!("{key:?}:{}", inner(value))).collect();
            entries.sort_unstable();
            format!("{{{}}}", entries.join(","))
        }
        other => inner(other),
    }
}

/// The text of a value inside a list or map, where 3.0 differs from 3.
fn inner(value: &Value) -> String {
    match value {
        Value::Object(_) => key(value),
        Value::Array(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

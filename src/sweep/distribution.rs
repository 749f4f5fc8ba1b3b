//! How the values of one parameter are distributed, in W&B's words (docs.wandb.ai, "Sweep configuration options").
//!
//! A draw is a number `u` of `[0, 1)`; the value is the quantile at `u`. With `e = min + u (max − min)`, `Φ` the normal
//! and `I` the regularised incomplete beta function, and `⌊x⌉` the nearest whole number, the even one of two:
//!
//! ```text
//! categorical                  values[⌈u n⌉ − 1]; with probabilities, the first whose cumulative share exceeds u
//! int_uniform                  min + ⌈u (max − min + 1)⌉ − 1
//! uniform                      e
//! log_uniform                  exp(e): min and max are exponents; log_uniform_values: they are values
//! inv_log_uniform              exp(−(min + (1 − u)(max − min))), and inv_log_uniform_values
//! normal, log_normal           x = mu + sigma Φ⁻¹(u), exp(x)
//! beta                         I⁻¹(u; a, b)
//! q_…                          ⌊x / q⌉ q of the value x of the same name without q_
//! ```

use serde_json::{Number, Value, json};
use statrs::distribution::{Beta, ContinuousCDF as _, Normal};

use super::keys::Keys;
use crate::error::{Error, Result};

/// The distribution of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// A single value, which is not searched.
    Constant(Value),
    /// A choice of values, with equal or given probabilities.
    Categorical {
        /// The values.
        values: Vec<Value>,
        /// The probability of each, with sum 1.
        shares: Option<Vec<f64>>,
    },
    /// Integers with equal probability.
    IntUniform {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// Real numbers.
    Real {
        /// The shape of the distribution.
        shape: RealShape,
        /// The step to which values are quantised.
        step: Option<QuantStep>,
    },
}

/// A distribution of real numbers; limits of logarithmic ones are exponents of e.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the formulas")]
pub enum RealShape {
    Uniform { min: f64, max: f64, whole: bool },
    LogUniform { min: f64, max: f64 },
    InvLogUniform { min: f64, max: f64 },
    Normal { mu: f64, sigma: f64 },
    LogNormal { mu: f64, sigma: f64 },
    Beta { a: f64, b: f64 },
}

/// The step of quantised values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantStep {
    /// The step.
    pub q: f64,
    /// Whether it was given as an integer, so that the values are integers too.
    pub whole: bool,
}

/// The keys of each distribution, beside `distribution` itself.
const KINDS: [(&str, &[&str]); 18] = [
    ("constant", &["value"]),
    ("categorical", &["values", "probabilities"]),
    ("categorical_w_probabilities", &["values", "probabilities"]),
    ("int_uniform", &["min", "max"]),
    ("uniform", &["min", "max"]),
    ("q_uniform", &["min", "max", "q"]),
    ("log_uniform", &["min", "max"]),
    ("log_uniform_values", &["min", "max"]),
    ("q_log_uniform", &["min", "max", "q"]),
    ("q_log_uniform_values", &["min", "max", "q"]),
    ("inv_log_uniform", &["min", "max"]),
    ("inv_log_uniform_values", &["min", "max"]),
    ("normal", &["mu", "sigma"]),
    ("q_normal", &["mu", "sigma", "q"]),
    ("log_normal", &["mu", "sigma"]),
    ("q_log_normal", &["mu", "sigma", "q"]),
    ("beta", &["a", "b"]),
    ("q_beta", &["a", "b", "q"]),
];

/// All keys of a parameter.
pub(super) const KEYS: [&str; 12] =
    ["value", "values", "probabilities", "distribution", "min", "max", "q", "mu", "sigma", "a", "b", "parameters"];

impl Distribution {
    /// Parses the parameter called `name`.
    ///
    /// # Errors
    /// An unknown key or distribution, with the nearest known one; invalid limits; probabilities whose sum is not 1.
    pub(super) fn parse(name: &str, value: &Value) -> Result<Self> {
        let place = format!("the parameter '{name}'");
        let all = Keys::new(&*place, value, &KEYS)?;
        let names: Vec<&'static str> = KINDS.iter().map(|(name, _)| *name).collect();
        let kind = match all.word("distribution", &names)? {
            Some(kind) => kind,
            None => inferred(&all)?,
        };
        let known = KINDS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, keys)| *keys);
        let with_name: Vec<&str> = known.iter().copied().chain(["distribution"]).collect();
        let keys = Keys::new(format!("{place} ({kind})"), value, &with_name)?;
        match kind {
            "constant" => Ok(Self::Constant(keys.need("value")?.clone())),
            "categorical" | "categorical_w_probabilities" => categorical(&keys),
            "int_uniform" => int_uniform(&keys),
            _ => Ok(Self::Real { shape: shape(&keys, kind)?, step: step(&keys, kind)? }),
        }
    }

    /// The value at a place between 0 and 1.
    pub fn quantile(&self, u: f64) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Categorical { values, .. } => values[self.choice(u)].clone(),
            Self::IntUniform { min, max } => {
                let many = max.abs_diff(*min).saturating_add(1);
                let nth = (u * many as f64).ceil() - 1.0;
                json!(min.saturating_add((nth.max(0.0) as u64).min(many - 1) as i64))
            }
            Self::Real { shape, step: None } => json!(shape.quantile(u)),
            Self::Real { shape, step: Some(step) } => {
                let value = (shape.quantile(u) / step.q).round_ties_even() * step.q;
                if step.whole { json!(value as i64) } else { json!(value) }
            }
        }
    }

    /// The number of values of a categorical distribution; `None` for ordered ones.
    pub(super) fn choices(&self) -> Option<usize> {
        match self {
            Self::Categorical { values, .. } => Some(values.len()),
            _ => None,
        }
    }

    /// The centre of the interval of a choice in `[0, 1)`.
    pub(super) fn place(&self, choice: usize) -> f64 {
        match self {
            Self::Categorical { shares: Some(shares), .. } => {
                let before: f64 = shares.iter().take(choice).sum();
                before + shares.get(choice).copied().unwrap_or(0.0) / 2.0
            }
            Self::Categorical { values, shares: None } => (choice as f64 + 0.5) / values.len() as f64,
            _ => 0.5,
        }
    }

    /// The choice at a quantile.
    pub(super) fn choice(&self, u: f64) -> usize {
        match self {
            Self::Categorical { values, shares: None } => cell(u, values.len()),
            Self::Categorical { shares: Some(shares), .. } => {
                let mut sum = 0.0;
                let at = shares.iter().position(|share| {
                    sum += share;
                    u < sum
                });
                at.unwrap_or(shares.len() - 1)
            }
            _ => 0,
        }
    }
}

/// The index of the one of `n` equal cells that holds `u`; a border belongs to the cell before it.
fn cell(u: f64, n: usize) -> usize {
    ((u * n as f64).ceil() - 1.0).max(0.0).min(n as f64 - 1.0) as usize
}

impl RealShape {
    /// The number at a quantile; at 0 and 1 of unbounded distributions, a value near it.
    fn quantile(&self, u: f64) -> f64 {
        let inside = u.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        let normal = |mu: f64, sigma: f64| mu + sigma * Normal::standard().inverse_cdf(inside);
        match *self {
            Self::Uniform { min, max, .. } => min + u * (max - min),
            Self::LogUniform { min, max } => (min + u * (max - min)).exp(),
            Self::InvLogUniform { min, max } => (-(min + (1.0 - u) * (max - min))).exp(),
            Self::Normal { mu, sigma } => normal(mu, sigma),
            Self::LogNormal { mu, sigma } => normal(mu, sigma).exp(),
            Self::Beta { a, b } => Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(u)),
        }
    }
}

/// The distribution of a parameter that does not name one.
fn inferred(keys: &Keys<'_>) -> Result<&'static str> {
    let whole = |key| keys.number(key).map(|n| n.is_none_or(|n| n.is_i64() || n.is_u64()));
    if keys.has("value") {
        return Ok("constant");
    }
    if keys.has("values") {
        return Ok("categorical");
    }
    if keys.has("min") || keys.has("max") {
        return Ok(if whole("min")? && whole("max")? { "int_uniform" } else { "uniform" });
    }
    Err(keys
        .mistake("says nothing about its values")
        .with_hint("give it value: x, values: [x, y], min: and max:, or distribution: with what that asks for"))
}

fn categorical(keys: &Keys<'_>) -> Result<Distribution> {
    keys.need("values")?;
    let values = keys.list("values")?.unwrap_or_default().to_vec();
    let Some(given) = keys.list("probabilities")? else {
        return Ok(Distribution::Categorical { values, shares: None });
    };
    let shares: Vec<f64> = given.iter().filter_map(Value::as_f64).filter(|share| *share >= 0.0).collect();
    if shares.len() != given.len() {
        return Err(keys.mistake("has probabilities that are not numbers from 0 up"));
    }
    if shares.len() != values.len() {
        let (shares, values) = (shares.len(), values.len());
        return Err(keys.mistake(&format!("has {shares} probabilities for {values} values")));
    }
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > 1e-5 {
        return Err(keys.mistake(&format!("has probabilities that sum to {sum}")).with_hint("they must sum to 1"));
    }
    Ok(Distribution::Categorical { values, shares: Some(shares) })
}

fn int_uniform(keys: &Keys<'_>) -> Result<Distribution> {
    let end = |key: &str| -> Result<i64> {
        let number = keys.need_number(key)?;
        number.as_i64().ok_or_else(|| keys.wrong(key, "a whole number", &Value::Number(number.clone())))
    };
    let (min, max) = (end("min")?, end("max")?);
    if min < max { Ok(Distribution::IntUniform { min, max }) } else { Err(disorder(keys, min, max)) }
}

fn disorder(keys: &Keys<'_>, min: impl std::fmt::Display, max: impl std::fmt::Display) -> Error {
    keys.mistake(&format!("has min {min}, which is not less than max {max}"))
}

fn shape(keys: &Keys<'_>, kind: &str) -> Result<RealShape> {
    let plain = kind.strip_prefix("q_").unwrap_or(kind);
    let above_zero = |key: &str, usual: f64| match keys.real(key, usual)? {
        value if value > 0.0 && value.is_finite() => Ok(value),
        value => Err(keys.mistake(&format!("has {key} {value}")).with_hint("it must be above 0")),
    };
    match plain {
        "normal" => return Ok(RealShape::Normal { mu: keys.real("mu", 0.0)?, sigma: above_zero("sigma", 1.0)? }),
        "log_normal" => {
            return Ok(RealShape::LogNormal { mu: keys.real("mu", 0.0)?, sigma: above_zero("sigma", 1.0)? });
        }
        "beta" => return Ok(RealShape::Beta { a: above_zero("a", 1.0)?, b: above_zero("b", 1.0)? }),
        _ => {}
    }
    let (low, high) = (keys.need_number("min")?, keys.need_number("max")?);
    let real = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
    let whole = [low, high].iter().all(|n| n.is_i64() || n.is_u64());
    let (min, max) = (real(low), real(high));
    if min >= max {
        return Err(disorder(keys, low, high));
    }
    if plain.ends_with("_values") && min <= 0.0 {
        return Err(keys.mistake(&format!("has min {low}")).with_hint("a logarithm needs values above 0"));
    }
    Ok(match plain {
        "log_uniform" => RealShape::LogUniform { min, max },
        "log_uniform_values" => RealShape::LogUniform { min: min.ln(), max: max.ln() },
        "inv_log_uniform" => RealShape::InvLogUniform { min, max },
        "inv_log_uniform_values" => RealShape::InvLogUniform { min: -max.ln(), max: -min.ln() },
        _ => RealShape::Uniform { min, max, whole },
    })
}

fn step(keys: &Keys<'_>, kind: &str) -> Result<Option<QuantStep>> {
    if !kind.starts_with("q_") {
        return Ok(None);
    }
    let given = keys.number("q")?;
    let q = keys.real("q", 1.0)?;
    if !(q > 0.0 && q.is_finite()) {
        return Err(keys.mistake(&format!("has q {q}")).with_hint("it must be above 0"));
    }
    Ok(Some(QuantStep { q, whole: given.is_some_and(|n| n.is_i64() || n.is_u64()) }))
}

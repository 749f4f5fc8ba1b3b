//! The space that is searched: the parameters of a sweep, nested ones by their paths.

use serde_json::{Map, Value};

use super::distribution::Distribution;
use crate::error::{Error, Result};

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchParameter {
    /// The keys to it, from the outside in.
    pub path: Vec<String>,
    /// How its values are distributed.
    pub distribution: Distribution,
}

impl SearchParameter {
    /// Its name, a dot between the keys: `augment.transpose`.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// Whether there is anything to search for.
    pub fn is_searched(&self) -> bool {
        !matches!(self.distribution, Distribution::Constant(_))
    }
}

/// All parameters, sorted by name at every depth, as W&B's engine has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// The parameters.
    pub parameters: Vec<SearchParameter>,
}

impl Space {
    /// Reads the part `parameters` of a sweep.
    ///
    /// # Errors
    /// See [`Distribution`]; no parameter at all, and a name that is none.
    pub(super) fn parse(value: &Value) -> Result<Self> {
        let mut parameters = Vec::new();
        unfold(&[], value, &mut parameters)?;
        Ok(Self { parameters })
    }

    /// The parameters that have more than one value.
    pub fn searched(&self) -> impl Iterator<Item = &SearchParameter> {
        self.parameters.iter().filter(|parameter| parameter.is_searched())
    }

    /// A choice of values as a nested map: `values` has one for each of [`Space::searched`].
    pub(super) fn assemble(&self, values: impl IntoIterator<Item = Value>) -> Map<String, Value> {
        let mut values = values.into_iter();
        let mut all = Map::new();
        for parameter in &self.parameters {
            let value = match &parameter.distribution {
                Distribution::Constant(value) => value.clone(),
                _ => values.next().unwrap_or(Value::Null),
            };
            put(&mut all, &parameter.path, value);
        }
        all
    }

    /// The values at places between 0 and 1, one for each of [`Space::searched`].
    pub fn at(&self, places: &[f64]) -> Map<String, Value> {
        self.assemble(self.searched().zip(places).map(|(parameter, &u)| parameter.distribution.quantile(u)))
    }
}

fn unfold(path: &[String], value: &Value, found: &mut Vec<SearchParameter>) -> Result<()> {
    let place = if path.is_empty() { "parameters".to_string() } else { format!("parameters of '{}'", path.join(".")) };
    let map = match value {
        Value::Object(map) if !map.is_empty() => map,
        other => return Err(Error::mistake(format!("{place}: a map with at least one parameter, not {other}"))),
    };
    let mut names: Vec<&String> = map.keys().collect();
    names.sort_unstable(); // by code points, as Python sorts
    for name in names {
        if !is_name(name) {
            return Err(Error::mistake(format!("{place}: '{name}' is not a name"))
                .with_hint("names begin with a letter or _ and hold letters, digits, _ . and -"));
        }
        let inner: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
        match map[name].as_object().and_then(|entry| Some((entry, entry.get("parameters")?))) {
            Some((entry, nested)) if entry.len() == 1 => unfold(&inner, nested, found)?,
            Some(_) => {
                return Err(Error::mistake(format!("the parameter '{}' has parameters and more", inner.join(".")))
                    .with_hint("a parameter that holds others says nothing about itself"));
            }
            None => {
                let distribution = Distribution::parse(&inner.join("."), &map[name])?;
                found.push(SearchParameter { path: inner, distribution });
            }
        }
    }
    Ok(())
}

/// `[A-Za-z_][A-Za-z0-9_.-]*`
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn put(map: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            map.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = map.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

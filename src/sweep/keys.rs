//! Reads a map by key, with errors that name the place.

use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};

/// A map whose keys are all known.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    place: String,
    map: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    /// # Errors
    /// What is not a map, and a key that is not among `known`, with the nearest.
    pub(super) fn new(place: impl Into<String>, value: &'a Value, known: &[&str]) -> Result<Self> {
        let place = place.into();
        let Value::Object(map) = value else {
            return Err(Error::mistake(format!("{place} is a map, not {value}")));
        };
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Error::unknown(&format!("key of {place}"), key, known)),
            None => Ok(Self { place, map }),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// # Errors
    /// A key that is missing.
    pub(super) fn need(&self, key: &str) -> Result<&'a Value> {
        self.get(key).ok_or_else(|| Error::mistake(format!("{} needs the key '{key}'", self.place)))
    }

    /// The value that `read` converts; `wanted` describes its kind for errors.
    fn of<T>(&self, key: &str, wanted: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        self.get(key).map(|value| read(value).ok_or_else(|| self.wrong(key, wanted, value))).transpose()
    }

    /// # Errors
    /// A value that is not a number.
    pub(super) fn number(&self, key: &str) -> Result<Option<&'a Number>> {
        self.of(key, "a number", Value::as_number)
    }

    /// A number, or `usual` if it is not given.
    ///
    /// # Errors
    /// A value that is not a number.
    pub(super) fn real(&self, key: &str, usual: f64) -> Result<f64> {
        Ok(self.number(key)?.and_then(Number::as_f64).unwrap_or(usual))
    }

    /// # Errors
    /// A number that is missing, or a value that is none.
    pub(super) fn need_number(&self, key: &str) -> Result<&'a Number> {
        self.need(key)?;
        self.number(key)?.ok_or_else(|| Error::mistake(format!("{} needs the key '{key}'", self.place)))
    }

    /// A positive integer.
    ///
    /// # Errors
    /// Any other value.
    pub(super) fn count(&self, key: &str) -> Result<Option<u64>> {
        self.of(key, "a whole number from 1 up", |value| value.as_u64().filter(|n| *n > 0))
    }

    /// # Errors
    /// A value that is not text.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.of(key, "a text", Value::as_str)
    }

    /// # Errors
    /// A value that is neither true nor false.
    pub(super) fn switch(&self, key: &str, usual: bool) -> Result<bool> {
        Ok(self.of(key, "true or false", Value::as_bool)?.unwrap_or(usual))
    }

    /// # Errors
    /// A value that is not a list, or an empty one.
    pub(super) fn list(&self, key: &str) -> Result<Option<&'a [Value]>> {
        let some = |value: &'a Value| value.as_array().map(Vec::as_slice).filter(|items| !items.is_empty());
        self.of(key, "a list with at least one value", some)
    }

    /// A word among some.
    ///
    /// # Errors
    /// Another word, with the nearest of them.
    pub(super) fn word(&self, key: &str, known: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(word) = self.text(key)? else { return Ok(None) };
        match known.iter().find(|name| **name == word) {
            Some(name) => Ok(Some(*name)),
            None => Err(Error::unknown(&format!("{key} of {}", self.place), word, known)),
        }
    }

    pub(super) fn wrong(&self, key: &str, wanted: &str, got: &Value) -> Error {
        Error::mistake(format!("{key} of {} must be {wanted}, not {got}", self.place))
    }

    /// An error about this place.
    pub(super) fn mistake(&self, what: &str) -> Error {
        Error::mistake(format!("{} {what}", self.place))
    }
}

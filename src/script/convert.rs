//! Conversions between script values and Rust values: numbers, maps of options, JSON.

use rhai::{Array, Dynamic, Map};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config;
use crate::error::{Error, Result};
use crate::script::type_names::type_name;

/// A number, integer or float; `what` names it in errors.
pub(crate) fn number(what: &str, value: &Dynamic) -> Result<f64> {
    if let Ok(n) = value.as_float() {
        return Ok(n);
    }
    match value.as_int() {
        Ok(n) => Ok(n as f64),
        Err(_) => Err(Error::mistake(format!("{what} must be a number, not {}", article(value)))),
    }
}

/// A non-negative integer; `4.0` is accepted.
pub(crate) fn count(what: &str, value: &Dynamic) -> Result<u64> {
    let n = number(what, value)?;
    if n < 0.0 || n.fract() != 0.0 || n >= 9.0e18 {
        return Err(Error::mistake(format!("{what} must be a whole number from 0 up, not {n}")));
    }
    // The exact integer if there is one: a float has only 53 bits.
    Ok(value.as_int().map_or(n as u64, |i| i as u64))
}

/// An integer of either sign.
pub(crate) fn whole(what: &str, value: &Dynamic) -> Result<i64> {
    if let Ok(n) = value.as_int() {
        return Ok(n);
    }
    let n = number(what, value)?;
    if n.fract() != 0.0 || n.abs() >= 9.0e15 {
        return Err(Error::mistake(format!("{what} must be a whole number, not {n}")));
    }
    Ok(n as i64)
}

/// An array of numbers.
pub(crate) fn numbers(what: &str, values: &[Dynamic]) -> Result<Vec<f64>> {
    values.iter().enumerate().map(|(i, v)| number(&format!("{what}[{i}]"), v)).collect()
}

/// An array of ids.
pub(crate) fn ids(what: &str, values: &[Dynamic]) -> Result<Vec<u32>> {
    let id = |(i, v): (usize, &Dynamic)| {
        let name = format!("{what}[{i}]");
        let id = count(&name, v)?;
        u32::try_from(id).map_err(|_| Error::mistake(format!("{name} is {id}, which no vocabulary holds")))
    };
    values.iter().enumerate().map(id).collect()
}

/// Converts ids to a script array.
pub(crate) fn from_ids(ids: &[u32]) -> Array {
    ids.iter().map(|&id| Dynamic::from(i64::from(id))).collect()
}

/// A string; the error names the type that was given.
pub(crate) fn text(what: &str, value: &Dynamic) -> Result<String> {
    match value.as_immutable_string_ref() {
        Ok(text) => Ok(text.to_string()),
        Err(_) => Err(Error::mistake(format!("{what} must be a string, not {}", article(value)))),
    }
}

/// The position of an index in a sequence; −1 is the last, as in arrays.
pub(crate) fn place(what: &str, index: i64, len: usize) -> Result<usize> {
    let at = if index < 0 { index + len as i64 } else { index };
    if at < 0 || at >= len as i64 {
        let holds = if len == 1 { "1 of them".into() } else { format!("{len} of them, 0 to {}", len as i64 - 1) };
        let there = if len == 0 { "none".into() } else { holds };
        return Err(Error::mistake(format!("there is no {what} {index}: there are {there}")));
    }
    Ok(at as usize)
}

/// Deserialises an option struct from a script map; `what` names it ("sampler").
pub(crate) fn options<T: DeserializeOwned>(what: &str, map: &Map) -> Result<T> {
    config::from_map(what, json_map(what, map)?)
}

/// A script map as JSON.
pub(crate) fn json_map(what: &str, map: &Map) -> Result<Value> {
    let entry = |(key, value): (&_, &Dynamic)| Ok((String::from(key as &str), json(&format!("{what}: {key}"), value)?));
    map.iter().map(|(key, value)| entry((key, value))).collect::<Result<serde_json::Map<_, _>>>().map(Value::Object)
}

/// A script value as JSON; `what` names it in errors.
pub(crate) fn json(what: &str, value: &Dynamic) -> Result<Value> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(b) = value.as_bool() {
        return Ok(b.into());
    }
    if let Ok(n) = value.as_int() {
        return Ok(n.into());
    }
    if let Ok(n) = value.as_float() {
        let number = serde_json::Number::from_f64(n);
        return number
            .map(Value::Number)
            .ok_or_else(|| Error::mistake(format!("{what} is {n}, which is not a number")));
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(text.as_str().into());
    }
    if let Ok(c) = value.as_char() {
        return Ok(c.to_string().into());
    }
    if let Ok(items) = value.as_array_ref() {
        return items.iter().enumerate().map(|(i, item)| json(&format!("{what}[{i}]"), item)).collect();
    }
    if let Ok(map) = value.as_map_ref() {
        return json_map(what, &map);
    }
    Err(Error::mistake(format!("{what} cannot be {}", article(value))))
}

/// JSON as a script value; integral numbers become integers.
pub(crate) fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(i) => i.into(),
            None => n.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(s) => s.into(),
        Value::Array(items) => items.iter().map(from_json).collect::<Array>().into(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.as_str().into(), from_json(value))).collect::<Map>().into()
        }
    }
}

/// "a Score", "an array"
pub(crate) fn article(value: &Dynamic) -> String {
    let name = type_name(value);
    match name.as_ref() {
        "()" => "()".into(),
        n if n.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) => format!("an {n}"),
        n => format!("a {n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_a_number() {
        assert_eq!(number("x", &Dynamic::from(3_i64)).ok(), Some(3.0));
        assert_eq!(count("x", &Dynamic::from(3.0)).ok(), Some(3));
        assert!(count("x", &Dynamic::from(-1_i64)).is_err());
        assert!(whole("x", &Dynamic::from(0.5)).is_err());
        let error = number("lr", &Dynamic::from("high")).expect_err("a string is not a number");
        assert_eq!(error.message(), "lr must be a number, not a string");
    }

    #[test]
    fn json_comes_back() {
        let value = serde_json::json!({"a": [1, 2.5, null], "b": {"c": "d", "e": true}});
        assert_eq!(json("x", &from_json(&value)).ok(), Some(value));
    }

    #[test]
    fn an_index_counts_from_either_end() {
        assert_eq!(place("chord", -1, 3).ok(), Some(2));
        let error = place("chord", 3, 3).expect_err("3 is beyond");
        assert_eq!(error.message(), "there is no chord 3: there are 3 of them, 0 to 2");
        assert!(place("chord", 0, 0).is_err());
    }
}

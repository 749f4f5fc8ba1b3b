//! Overrides: sets one key of a map from a text.

use serde_json::{Map, Value};

use super::yaml::parse;
use crate::error::{Error, Result};

/// Sets `a.b` in a map to what `value` says in YAML: `0.5`, `true`, `[0.9, 1.1]`, `a word`; nothing takes the value
/// back. Maps on the way are made.
///
/// # Errors
/// Names the key when a part of it is empty or names something that is not a map, and the value that is not YAML.
///
/// ```
/// let mut map = serde_json::json!({ "train": { "lr": 0.1 } });
/// etude::config::set(&mut map, "train.lr", "1e-4")?;
/// assert_eq!(map["train"]["lr"], 1e-4);
/// # Ok::<(), etude::Error>(())
/// ```
pub fn set(map: &mut Value, key: &str, value: &str) -> Result<()> {
    if key.split('.').any(|part| part.trim().is_empty()) {
        return Err(Error::mistake(format!("'{key}' is not a key"))
            .with_hint("keys are words with dots between them: train.lr=1e-4"));
    }
    let value = parse(value).map_err(|e| e.context(format!("the value of {key}")))?;
    let mut place = map;
    for (depth, part) in key.split('.').enumerate() {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(inner) = place else {
            let above: Vec<&str> = key.split('.').take(depth).collect();
            let above = if above.is_empty() { "what it is set in".into() } else { format!("'{}'", above.join(".")) };
            return Err(Error::mistake(format!("cannot set {key}: {above} is not a map, but {place}")));
        };
        place = inner.entry(part.trim()).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_set_and_its_maps_are_made() {
        let mut map = json!({ "seed": 1, "train": { "lr": 0.1, "steps": 5 } });
        for (key, value) in [
            ("seed", "7"),
            ("train.lr", "1e-4"),
            ("data.augment.tempo", "[0.9, 1.1]"),
            ("data.augment.transpose", "12"),
            ("out", "runs/a b"),
            ("train.steps", ""),
            ("quick", "true"),
        ] {
            set(&mut map, key, value).expect("a good key");
        }
        let wanted = json!({ "seed": 7, "train": { "lr": 1e-4, "steps": null }, "out": "runs/a b", "quick": true,
                             "data": { "augment": { "tempo": [0.9, 1.1], "transpose": 12 } } });
        assert_eq!(map, wanted);
        let mut nothing = Value::Null;
        set(&mut nothing, "a.b", "x").expect("a good key");
        assert_eq!(nothing, json!({ "a": { "b": "x" } }));
    }

    #[test]
    fn bad_keys_and_values_are_named() {
        let mut map = json!({ "seed": 1 });
        for key in ["", "a..b", ".a", "a."] {
            assert!(set(&mut map, key, "1").expect_err("no key").message().contains(&format!("'{key}'")));
        }
        let error = set(&mut map, "seed.deep.er", "1").expect_err("no map");
        assert_eq!(error.message(), "cannot set seed.deep.er: 'seed' is not a map, but 1");
        let error = set(&mut map, "lr", "[1, 2").expect_err("no YAML");
        assert!(error.message().starts_with("the value of lr: "), "{error}");
        assert_eq!(map, json!({ "seed": 1 }));
    }
}

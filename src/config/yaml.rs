//! YAML files.

use std::path::Path;

use serde_json::{Map, Number, Value};
use serde_yaml::Value as Yaml;

use crate::error::{Error, Result};
use crate::files::{read_text, without_mark};

/// Reads a YAML file into a map; `<<` merges work, an empty file is an empty map, a byte order mark is skipped.
///
/// # Errors
/// Names the file, the line and the column.
pub fn read_yaml(path: &Path) -> Result<Value> {
    parse_yaml(&read_text(path)?).map_err(|e| e.context(path.display()))
}

/// Reads a YAML text into a map.
///
/// # Errors
/// Names the line and the column, or says that it is not a map.
///
/// ```
/// let map = etude::config::parse_yaml("lr: 0.001\naugment: {transpose: 12}\n")?;
/// assert_eq!(map["augment"]["transpose"], 12);
/// assert!(etude::config::parse_yaml("- a list").is_err());
/// # Ok::<(), etude::Error>(())
/// ```
pub fn parse_yaml(text: &str) -> Result<Value> {
    match parse(text)? {
        Value::Null => Ok(Value::Object(Map::new())),
        map @ Value::Object(_) => Ok(map),
        _ => Err(Error::broken("holds no map").with_hint("settings are lines of the form `key: value`")),
    }
}

/// Reads YAML into a value.
pub(super) fn parse(text: &str) -> Result<Value> {
    let read = || -> Result<Yaml, serde_yaml::Error> {
        let mut value: Yaml = serde_yaml::from_str(without_mark(text))?;
        value.apply_merge()?;
        Ok(value)
    };
    json(read().map_err(|e| {
        match e.location() {
            Some(_) => Error::broken(e.to_string())
                .with_hint("indent with spaces, one `key: value` a line; quote texts with : or # in them"),
            None => Error::broken(e.to_string()),
        }
    })?)
}

fn json(value: Yaml) -> Result<Value> {
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::String(text) => Value::String(text),
        Yaml::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64().and_then(Number::from_f64)) {
            (Some(n), ..) => n.into(),
            (_, Some(n), _) => n.into(),
            (.., Some(x)) => Value::Number(x),
            _ => return Err(Error::broken(format!("{n} is not a number to reckon with"))),
        },
        Yaml::Sequence(items) => items.into_iter().map(json).collect::<Result<_>>()?,
        Yaml::Mapping(map) => {
            let entry = |(key, value): (Yaml, Yaml)| Ok((text(key)?, json(value)?));
            Value::Object(map.into_iter().map(entry).collect::<Result<_>>()?)
        }
        Yaml::Tagged(tagged) => return Err(Error::broken(format!("the tag {} has no meaning here", tagged.tag))),
    })
}

/// A key as text; numbers and booleans are converted.
fn text(key: Yaml) -> Result<String> {
    match json(key)? {
        Value::String(text) => Ok(text),
        Value::Array(_) | Value::Object(_) | Value::Null => Err(Error::broken("a key that is not a word")),
        other => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &[u8]) -> Result<Value> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file");
        std::fs::write(file.path(), text).expect("it can be written");
        let read = read_yaml(file.path());
        if let Err(e) = &read {
            assert!(e.message().contains(&file.path().display().to_string()), "the file is named: {e}");
        }
        read
    }

    #[test]
    fn a_map_is_read_with_its_merges() {
        let text = b"# settings\nlr: 1e-4\nbig: 1.5e-3\nsteps: 300\ntempo: [0.9, 1]\nbase: &b {r: 8}\nlora:\n  <<: *b\n  alpha: 16\non: true\nname: no\n";
        let wanted = json!({ "lr": 1e-4, "big": 1.5e-3, "steps": 300, "tempo": [0.9, 1], "base": { "r": 8 },
                             "lora": { "alpha": 16, "r": 8 }, "on": true, "name": "no" });
        assert_eq!(read(text).expect("good YAML"), wanted);
        assert_eq!(read(b"# nothing\n").expect("empty"), json!({}));
        assert_eq!(read(b"\xef\xbb\xbflr: 1\n").expect("a mark in front"), json!({ "lr": 1 }));
        assert_eq!(parse_yaml("\u{feff}lr: 1").expect("a mark in front"), json!({ "lr": 1 }));
    }

    #[test]
    fn a_mistake_is_named_with_line_and_column() {
        let error = read(b"lr: 1\ntrain:\n  a: 1\n b: 2\n").expect_err("bad indentation");
        assert!(error.message().contains("line 4 column 2"), "{error}");
        let error = read(b"lr: 1\nlr: 2\n").expect_err("a key twice");
        assert!(error.message().contains("duplicate entry with key \"lr\""), "{error}");
    }

    #[test]
    fn what_is_no_map_is_refused() {
        assert!(read(b"- 1\n- 2\n").expect_err("a list").message().contains("no map"));
        assert!(read(b"\xff\xfe\x00").expect_err("no text").message().contains("not text"));
        assert!(read(b"\x80").expect_err("no text").message().contains("not text"));
        assert!(read(b"x: .nan\n").is_err() && read(b"x: !tag 1\n").is_err() && read(b"? [1]\n: 2\n").is_err());
        assert!(read_yaml(Path::new("no/such.yaml")).expect_err("missing").message().contains("no/such.yaml"));
    }
}

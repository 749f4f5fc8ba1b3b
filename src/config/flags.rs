//! Parses command lines: `--key value`, `--key=value`, `--switch`, and positional words.

use serde_json::{Map, Value};

use super::foreign;
use super::set::set;
use crate::error::{Error, Result, nearest};

/// Parses the words of a command line into a map of flags and a list of positional words.
///
/// `known` holds the flags with their defaults: the value of a flag whose default is a text is taken literally; other
/// values are parsed as YAML (`5`, `true`, `[0.9, 1.1]`). `-` and `_` are the same in a name, a flag without a value is
/// true, a switch takes only the words `true` and `false`, `a.b` sets a key of the map `a`, and `--` ends the flags.
///
/// # Errors
/// An unknown flag, with the nearest known one; a flag without its value.
pub fn flags(words: &[String], known: &Map<String, Value>) -> Result<(Map<String, Value>, Vec<String>)> {
    let mut given = Value::Object(Map::new());
    let mut others = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            others.extend(words.by_ref().cloned());
            break;
        }
        let Some(flag) = word.strip_prefix("--") else {
            others.push(word.clone());
            continue;
        };
        let (flag, inline) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_string())),
            None => (flag, None),
        };
        let key = flag.replace('-', "_");
        let top = key.split('.').next().unwrap_or(&key);
        let Some(default) = known.get(top) else {
            return Err(unknown(&key, known));
        };
        let value = match inline {
            Some(value) => Some(value),
            // A switch takes only `true` or `false`.
            None if default.is_boolean() && key == top => {
                words.next_if(|next| ["true", "false"].contains(&next.as_str())).cloned()
            }
            None => words.next_if(|next| !next.starts_with("--")).cloned(),
        };
        take(&mut given, &key, default, value)?;
    }
    match given {
        Value::Object(map) => Ok((map, others)),
        _ => Ok((Map::new(), others)), // it began as a map and stays one
    }
}

fn take(given: &mut Value, key: &str, default: &Value, value: Option<String>) -> Result<()> {
    let top = key.split('.').next().unwrap_or(key);
    if default.is_object() && given.get(top).is_some_and(|before| before == &Value::Bool(true) || key == top) {
        // `--augment --augment.sample 2`, in either order: the switch gives the default map.
        let before = std::mem::replace(&mut given[top], default.clone());
        before.as_object().into_iter().flatten().for_each(|(key, value)| given[top][key] = value.clone());
        if key == top && value.is_none() {
            return Ok(());
        }
    }
    match value {
        Some(text) if default.is_string() && !key.contains('.') => {
            given[key] = Value::String(text);
            Ok(())
        }
        // A regular expression is not a YAML list: --target_modules '.*\.(q|v)_proj'.
        Some(text) if default.is_array() && text.contains(['\\', '*', '(', '|', '?', '^']) => {
            given[key] = Value::String(text);
            Ok(())
        }
        Some(text) if default.is_array() && !text.trim_start().starts_with('[') => {
            set(given, key, &format!("[{text}]")) // a list may be typed bare: --track jsonl,wandb
        }
        // A list of numbers where there is no default: --layers_to_transform 0,2.
        Some(text)
            if default.is_null()
                && (text.contains(',') || key == "layers_to_transform")
                && text.chars().all(|c| c.is_ascii_digit() || c == ',') =>
        {
            set(given, key, &format!("[{text}]"))
        }
        Some(text) => set(given, key, &text),
        None if matches!(default, Value::String(_) | Value::Number(_)) => {
            Err(Error::mistake(format!("--{key} needs a value")).with_hint(format!("--{key} {}", shown(default))))
        }
        None => set(given, key, "true"),
    }
}

/// The known key that was probably meant: one with a similar spelling, or one of which `name` is a part ("warmup").
pub(super) fn near<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let part = || known.iter().copied().find(|key| name.len() > 2 && key.contains(name));
    nearest(name, known).or_else(part)
}

/// The nearest flag, or all when none is near.
fn unknown(key: &str, known: &Map<String, Value>) -> Error {
    let keys: Vec<&str> = known.keys().map(String::as_str).collect();
    let error = Error::mistake(format!("no flag is called '--{key}'"));
    // Hints about other trainers' names are given only for the flags of a training.
    let theirs = known.contains_key("lr").then(|| foreign::answer(key, true)).flatten();
    match (theirs, near(key, &keys)) {
        (Some(answer), _) => error.with_hint(answer),
        (None, Some(near)) => error.with_hint(format!("did you mean '--{near}'?")),
        (None, None) => error.with_hint(format!("there are: --{}", keys.join(", --"))),
    }
}

/// A default in the form in which it would be typed.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "TEXT".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(line: &[&str]) -> Result<(Value, Vec<String>)> {
        let known = json!({ "lr": 1e-4, "max_steps": 5, "chords": "C", "out": "", "top_k": null, "augment": { "transpose": 1 }, "resume": false, "track": [] });
        let Value::Object(known) = known else { unreachable!("a map") };
        let words: Vec<String> = line.iter().map(ToString::to_string).collect();
        flags(&words, &known).map(|(map, others)| (Value::Object(map), others))
    }

    #[test]
    fn flags_are_read_by_what_they_are_when_absent() {
        let line = [
            "a",
            "--lr",
            "1e-3",
            "--max-steps=7",
            "--chords",
            "7",
            "--out",
            "1",
            "--top_k",
            "40",
            "--resume",
            "--augment.transpose",
            "12",
        ];
        let (map, others) = read(&line).expect("known flags");
        assert_eq!(
            map,
            json!({ "lr": 1e-3, "max_steps": 7, "chords": "7", "out": "1", "top_k": 40, "resume": true,
                                "augment": { "transpose": 12 } })
        );
        assert_eq!(others, ["a"]);
        let (map, others) = read(&["--augment", "--", "--lr"]).expect("known flags");
        assert_eq!((map, others), (json!({ "augment": true }), vec!["--lr".to_string()]));
        for line in [["--augment", "--augment.sample=2"], ["--augment.sample=2", "--augment"]] {
            assert_eq!(read(&line).expect("a map").0, json!({ "augment": { "transpose": 1, "sample": 2 } }));
        }
        assert_eq!(read(&["--track", "jsonl,wandb"]).expect("a list").0, json!({ "track": ["jsonl", "wandb"] }));
        assert_eq!(
            read(&["--track", r".*\.(q|v)_proj"]).expect("an expression").0,
            json!({ "track": r".*\.(q|v)_proj" })
        );
        assert_eq!(read(&["--top_k", "0,2"]).expect("numbers").0, json!({ "top_k": [0, 2] }));
        assert_eq!(read(&["--track", "[a]"]).expect("a list").0, json!({ "track": ["a"] }));
        assert_eq!(read(&["--lr", "-1"]).expect("a negative number").0, json!({ "lr": -1 }));
    }

    #[test]
    fn a_slip_is_named_with_its_remedy() {
        let error = read(&["--max-step", "3"]).expect_err("unknown");
        assert_eq!(error.message(), "no flag is called '--max_step'");
        assert!(error.hint().is_some_and(|hint| hint.contains("'--max_steps'")), "{error}");
        let error = read(&["--learning_rate", "3"]).expect_err("a name of another trainer");
        assert_eq!(error.hint(), Some("it is called '--lr' here"));
        assert_eq!(read(&["--lr"]).expect_err("no value").message(), "--lr needs a value");
        assert!(read(&["--lr", "[1"]).is_err());
    }
}

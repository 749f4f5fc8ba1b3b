//! Command lines and recipes for the programs: parses flags and YAML files to maps.

use std::path::Path;

use rhai::{Array, Dynamic, Map};
use serde_json::Value;

use crate::config::{self, Recipe};
use crate::data;
use crate::error::{Error, Result};
use crate::files::locate;
use crate::plot;
use crate::script::convert::{from_json, json_map, text};
use crate::script::failure::{Fallible, usage};
use crate::script::objects::Text;
use crate::script::programs::{CONFIGS, SWEEPS};
use crate::script::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "flags(args: array, known: map) -> map",
        "Reads `--key value` words. `known` has every flag with what it is when absent: a text takes the word as it is, other values are read as YAML. The words without dashes stand in `others`.",
        |args: Array, known: Map| -> Fallible<Dynamic> {
            let Value::Object(known) = json_map("flags", &known)? else { return Ok(Dynamic::UNIT) };
            let (given, others) = config::flags(&words(&args)?, &known).map_err(usage)?;
            let mut all = known;
            all.extend(given);
            all.insert("others".into(), others.into());
            Ok(from_json(&Value::Object(all)))
        },
    );
    registry.function(
        "recipe(args: array, more: map) -> map",
        "Reads the command line of a fine-tuning run: --config FILE, and any key of it as a flag; `more` are flags beside them, as for `flags`. Gives base_model, method, lora, data, train …, and under `settings` the keys that were set, flat.",
        |args: Array, more: Map| -> Fallible<Dynamic> { Ok(from_json(&recipe(&words(&args)?, &more).map_err(usage)?)) },
    );
    registry.function(
        "is_dataset(path: string) -> bool",
        "True when a dataset was saved in this folder, so that dataset(path) reads it.",
        |path: &str| locate(path).is_ok_and(|path| data::Dataset::is_saved(&path)),
    );
    registry.function(
        "table(headings: array, rows: array) -> Text",
        "Rows of values as a table with aligned columns.",
        |headings: Array, rows: Array| -> Fallible<Text> {
            let headings: Vec<String> = headings.iter().map(ToString::to_string).collect();
            let cells = |row: &Dynamic| -> Result<Vec<String>> {
                let cells = row.as_array_ref().map_err(|_| Error::mistake("table: a row is an array"))?;
                let given = cells.len();
                if given != headings.len() {
                    let wanted = headings.len();
                    return Err(Error::mistake(format!("table: a row has {given} values under {wanted} headings")));
                }
                Ok(cells.iter().map(ToString::to_string).collect())
            };
            let rows = rows.iter().map(cells).collect::<Result<Vec<_>>>()?;
            let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
            Ok(Text(plot::table(&headings, &rows)))
        },
    );
    registry.function(
        "to_yaml(value: map) -> string",
        "A map as YAML, one `key: value` a line.",
        |map: Map| -> Fallible<String> {
            let value = json_map("to_yaml", &map)?;
            Ok(serde_yaml::to_string(&value).map_err(Error::internal)?)
        },
    );
}

fn words(args: &[Dynamic]) -> Result<Vec<String>> {
    args.iter().map(|word| text("a word of the command line", word)).collect()
}

fn recipe(words: &[String], more: &Map) -> Result<Value> {
    let mut known = Recipe::defaults();
    let Value::Object(more) = json_map("recipe", more)? else { return Ok(Value::Null) };
    for key in ["config", "out", "output_dir", "data_dir", "wandb_project"] {
        known.insert(key.into(), Value::String(String::new())); // names may look like numbers
    }
    known.insert("augment".into(), Recipe::usual_copies());
    known.extend(more.clone());
    let (mut given, others) = config::flags(words, &known)?;
    let (file, mut settings) = match given.remove("config") {
        Some(Value::String(path)) => (path.clone(), read(&path)?),
        _ => (String::new(), Value::Object(serde_json::Map::new())),
    };
    // Errors of the file are reported as such, before flags are applied.
    Recipe::from_map(&file, settings.clone())?;
    let mut extra = more;
    for (key, value) in given {
        let key = if key == "out" { "output_dir".into() } else { key };
        match extra.get_mut(&key) {
            Some(place) => *place = value,
            None => overlay(&mut settings[key], value),
        }
    }
    let recipe = Recipe::from_map("the command line", settings.clone())?;
    let mut map = serde_json::to_value(&recipe).map_err(Error::internal)?;
    if let Value::Object(map) = &mut map {
        map.extend(extra);
        map.insert("settings".into(), settings);
        map.insert("others".into(), others.into());
    }
    Ok(map)
}

/// Merges a map into a map key by key; other values are replaced.
fn overlay(place: &mut Value, value: Value) {
    match (place, value) {
        (Value::Object(old), Value::Object(new)) => {
            new.into_iter().for_each(|(key, value)| overlay(old.entry(key).or_insert(Value::Null), value));
        }
        (place, value) => *place = value,
    }
}

/// Reads a settings file, or the built-in one of that name.
fn read(path: &str) -> Result<Value> {
    inside(path, CONFIGS)
}

/// Reads a sweep configuration, or the built-in one of that name.
pub(super) fn read_sweep(path: &str) -> Result<Value> {
    inside(path, SWEEPS)
}

fn inside(path: &str, texts: &[(&str, &str)]) -> Result<Value> {
    let file = locate(path)?;
    if file.exists() {
        return config::read_yaml(&file);
    }
    let name = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let inside = path == name || Path::new(path).parent() == Some(Path::new("configs"));
    match texts.iter().find(|(known, _)| inside && *known == name) {
        Some((_, text)) => config::parse_yaml(text),
        None => {
            let names: Vec<String> = texts.iter().map(|(name, _)| format!("configs/{name}.yaml")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Err(Error::unknown("file of settings", path, &names))
        }
    }
}

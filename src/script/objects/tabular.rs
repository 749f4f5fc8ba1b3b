//! CSV and JSON files: reads and writes arrays of maps.

use rhai::{Array, Dynamic, Map};
use std::collections::BTreeSet;

use crate::atomic;
use crate::error::{Error, Result};
use crate::files::{locate, read_text};
use crate::script::convert::{article, from_json, json};
use crate::script::csv;
use crate::script::failure::Fallible;
use crate::script::registry::Registry;

pub(super) fn register(registry: &mut Registry) {
    registry.function(
        "read_csv(path: string) -> array",
        "The rows of a table, each a map by the names in the first line. Commas, semicolons or tabs separate; numbers become numbers.",
        |path: &str| -> Fallible<Array> { Ok(rows(&text(path)?).map_err(|e| e.context(path))?) },
    );
    registry.function(
        "write_csv(path: string, rows: array)",
        "Writes a table: maps with the same keys, or arrays. What stood there is replaced.",
        |path: &str, rows: Array| -> Fallible<()> {
            Ok(atomic::write(&locate(path)?, csv::write(&table(&rows)?).as_bytes())?)
        },
    );
    registry.function(
        "read_json(path: string) -> any",
        "The value in a JSON file.",
        |path: &str| -> Fallible<Dynamic> {
            let text = text(path)?;
            let value = serde_json::from_str(&text);
            Ok(from_json(&value.map_err(|error| Error::broken(format!("{path} is not JSON: {error}")))?))
        },
    );
    registry.function(
        "write_json(path: string, value: any)",
        "Writes a value as JSON. What stood there is replaced.",
        |path: &str, value: Dynamic| -> Fallible<()> {
            let text = serde_json::to_string_pretty(&json("write_json", &value)?).map_err(Error::internal)? + "\n";
            Ok(atomic::write(&locate(path)?, text.as_bytes())?)
        },
    );
}

fn text(path: &str) -> Result<String> {
    read_text(&locate(path)?)
}

fn rows(text: &str) -> Result<Array> {
    let mut rows = csv::read(text)?.into_iter();
    let Some(names) = rows.next() else { return Ok(Array::new()) };
    let row = |row: Vec<String>| {
        // Missing fields at the end of a row are empty.
        let values = row.iter().map(|field| value(field)).chain(std::iter::repeat(Dynamic::UNIT));
        names.iter().zip(values).map(|(name, value)| (name.as_str().into(), value)).collect::<Map>().into()
    };
    Ok(rows.map(row).collect())
}

/// A field as a number or a boolean, if it looks like one; `()` for an empty one.
fn value(field: &str) -> Dynamic {
    let bare = field.trim();
    let zeros = bare
        .trim_start_matches('-')
        .strip_prefix('0')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match bare {
        "" => Dynamic::UNIT,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        // A number with leading zeros is an identifier.
        _ if zeros || !bare.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => field.into(),
        _ => bare
            .parse::<i64>()
            .map(Dynamic::from)
            .or_else(|_| bare.parse::<f64>().map(Dynamic::from))
            .unwrap_or_else(|_| field.into()),
    }
}

fn table(rows: &Array) -> Result<Vec<Vec<String>>> {
    let field = |value: &Dynamic| if value.is_unit() { String::new() } else { value.to_string() };
    let refused = |i: usize, row: &Dynamic| {
        Error::mistake(format!("write_csv: row {i} is {}", article(row)))
            .with_hint("rows are maps, #{ step: 1, loss: 2.5 }, or arrays, all of one kind")
    };
    if rows.first().is_some_and(Dynamic::is_array) {
        let row = |(i, row): (usize, &Dynamic)| {
            Ok(row.as_array_ref().map_err(|_| refused(i, row))?.iter().map(field).collect())
        };
        return rows.iter().enumerate().map(row).collect();
    }
    let mut names = BTreeSet::new();
    for (i, row) in rows.iter().enumerate() {
        names.extend(row.as_map_ref().map_err(|_| refused(i, row))?.keys().map(ToString::to_string));
    }
    let mut table = vec![names.iter().cloned().collect::<Vec<_>>()];
    for row in rows.iter().filter_map(|row| row.as_map_ref().ok()) {
        table.push(names.iter().map(|name| row.get(name.as_str()).map_or_else(String::new, field)).collect());
    }
    Ok(table)
}

//! Arrays and maps as collapsible HTML tables.

use std::collections::BTreeSet;

use rhai::{Array, Dynamic, Map};

use crate::script::catalog::Catalog;
use crate::script::html::{escape, folded, note};
use crate::script::one_line::{counted, line, thousands};
use crate::script::type_names::type_name;

/// The most rows of a table, columns of a table of maps, and nested tables.
const ROWS: usize = 100;
const COLUMNS: usize = 24;
const DEEP: usize = 3;
/// The most rows of a nested table.
const INNER_ROWS: usize = 20;
/// The most entries of an array or map that is open at first.
const OPEN: usize = 24;

/// An array or a map as HTML; `None` for other values, and for those that one line shows.
pub(super) fn page(catalog: &Catalog, value: &Dynamic) -> Option<String> {
    let size = match (value.as_array_ref(), value.as_map_ref()) {
        (Ok(items), _) => items.len(),
        (_, Ok(entries)) => entries.len(),
        _ => return None,
    };
    (size > 0).then(|| fold(catalog, value, DEEP, size <= OPEN))
}

fn fold(catalog: &Catalog, value: &Dynamic, deep: usize, open: bool) -> String {
    let rows = if deep == DEEP { ROWS } else { INNER_ROWS };
    if let Ok(items) = value.as_array_ref() {
        return folded(&counted(items.len(), "item"), &array(catalog, &items, deep, rows), open);
    }
    if let Ok(entries) = value.as_map_ref() {
        return folded(&counted(entries.len(), "entry"), &map(catalog, &entries, deep, rows), open);
    }
    escape(&line(catalog, value))
}

fn array(catalog: &Catalog, items: &Array, deep: usize, rows: usize) -> String {
    let shown = &items[..items.len().min(rows)];
    let columns: BTreeSet<String> = shown
        .iter()
        .filter_map(|i| i.as_map_ref().ok())
        .flat_map(|m| m.keys().map(ToString::to_string).collect::<Vec<_>>())
        .collect();
    let all_maps = !columns.is_empty() && columns.len() <= COLUMNS && shown.iter().all(Dynamic::is_map);
    let mut body = String::new();
    if all_maps {
        body += "<tr><td></td>";
        columns.iter().for_each(|c| body += &format!("<td style=\"text-align:left\"><b>{}</b></td>", escape(c)));
        body += "</tr>";
    }
    let long = shown.first().and_then(|item| item.as_array_ref().ok().map(|row| row.len())).unwrap_or(0);
    let grid = (1..=COLUMNS).contains(&long)
        && shown
            .iter()
            .all(|item| item.as_array_ref().is_ok_and(|row| row.len() == long && !row.iter().any(holds_more)));
    for (i, item) in shown.iter().enumerate() {
        body += &format!("<tr><td style=\"opacity:.6\">{i}</td>");
        if grid && let Ok(row) = item.as_array_ref() {
            row.iter().for_each(|value| body += &cell(catalog, value, deep));
            body += "</tr>";
            continue;
        }
        match item.as_map_ref() {
            Ok(map) if all_maps => {
                for column in &columns {
                    body += &map.get(column.as_str()).map_or_else(|| "<td></td>".into(), |v| cell(catalog, v, deep));
                }
            }
            _ => body += &cell(catalog, item, deep),
        }
        body += "</tr>";
    }
    table(&body, items.len().saturating_sub(rows))
}

fn holds_more(value: &Dynamic) -> bool {
    value.is_array() || value.is_map()
}

fn map(catalog: &Catalog, entries: &Map, deep: usize, rows: usize) -> String {
    let row = |(key, value): (&_, &Dynamic)| {
        let key: &str = key;
        format!("<tr><td style=\"text-align:left\"><b>{}</b></td>{}</tr>", escape(key), cell(catalog, value, deep))
    };
    let body: String = entries.iter().take(rows).map(|(key, value)| row((key.as_str(), value))).collect();
    table(&body, entries.len().saturating_sub(rows))
}

fn table(body: &str, left: usize) -> String {
    let more = if left > 0 { note(&format!("… {} more", thousands(left))) } else { String::new() };
    format!("<table>{body}</table>{more}")
}

fn cell(catalog: &Catalog, value: &Dynamic, deep: usize) -> String {
    let inner = value.as_array_ref().map(|a| a.len()).or_else(|_| value.as_map_ref().map(|m| m.len())).unwrap_or(0);
    let side = if value.is_int() || value.is_float() { "right" } else { "left" };
    let content =
        if inner > 0 && deep > 1 { fold(catalog, value, deep - 1, false) } else { escape(&line(catalog, value)) };
    let title = if value.is_string() || value.is_int() || value.is_float() || inner > 0 {
        String::new()
    } else {
        format!(" title=\"{}\"", escape(&type_name(value)))
    };
    format!("<td style=\"text-align:{side}\"{title}>{content}</td>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Dynamic) -> Option<String> {
        page(&Catalog::default(), &value)
    }

    #[test]
    fn maps_of_one_shape_become_one_table() {
        let note = |pitch: i64| -> Dynamic {
            Map::from([("pitch".into(), pitch.into()), ("<b>".into(), Dynamic::from("a&b"))]).into()
        };
        let html = shown(vec![note(60), note(61)].into()).expect("a table");
        assert!(html.starts_with("<div><div") && html.contains(">2 items</div><table><tr>"), "{html}");
        assert_eq!(html.matches("<tr>").count(), 3);
        assert!(html.contains("&lt;b&gt;") && html.contains("a&amp;b") && html.contains("<b>&lt;b&gt;</b>"));
    }

    #[test]
    fn what_is_large_or_deep_is_cut() {
        let numbers: Array = (0..100_000_i64).map(Dynamic::from).collect();
        let html = shown(numbers.into()).expect("a table");
        assert!(
            html.len() < 10_000
                && html.contains("… 99,900 more")
                && html.starts_with("<details><summary>100,000 items")
        );
        let grid = |inner: Dynamic, n: usize| Dynamic::from(vec![inner; n]);
        let deep = grid(grid(grid(grid(1_i64.into(), 300), 300), 30), 3);
        let html = shown(deep).expect("a table");
        assert_eq!(html.matches("<details").count(), 3 + 3 * 20);
    }

    #[test]
    fn what_is_no_collection_has_no_table() {
        assert_eq!(shown(1_i64.into()), None);
        assert_eq!(shown(Array::new().into()), None);
    }
}

//! Display forms of a value: plain text for one screen, and the rich forms (HTML, SVG, audio) that a notebook shows.

use rhai::{Array, Dynamic, Map};

use crate::interrupt::Interrupt;
use crate::plot::table_within;
use crate::script::Bundle;
use crate::script::catalog::Catalog;
use crate::script::context::ScriptContext;
use crate::script::html::LARGEST;
use crate::script::one_line::{counted, line, shorten, thousands, write};
use crate::script::tables;

/// The most lines of a result.
const LINES: usize = 24;
/// A value in all formats that the host of the session shows.
pub(crate) fn all(ctx: &ScriptContext, value: &Dynamic) -> Bundle {
    let interrupt = ctx.progress().interrupt();
    match ctx.catalog().showers.get(&value.type_id()).filter(|_| ctx.rich()) {
        Some(shower) if !shower.bounded => (shower.rich)(value, ctx.width(), ctx.progress()),
        Some(shower) => bounded((shower.rich)(value, ctx.width(), ctx.progress())),
        None if ctx.rich() => bounded(
            bundle(ctx.catalog(), value, ctx.width(), interrupt).with("text/html", tables::page(ctx.catalog(), value)),
        ),
        None => bundle(ctx.catalog(), value, ctx.width(), interrupt),
    }
}

/// The outputs before a value, if the host shows pictures and plays sound.
pub(crate) fn besides(ctx: &ScriptContext, value: &Dynamic) -> Vec<Bundle> {
    let shower = ctx.catalog().showers.get(&value.type_id()).filter(|_| ctx.rich());
    shower.map_or_else(Vec::new, |shower| (shower.besides)(value, ctx.progress()))
}

/// Limits a bundle to the maximum output size: the largest formats are removed, the text is truncated.
fn bounded(mut bundle: Bundle) -> Bundle {
    let size = |bundle: &Bundle| bundle.forms.values().map(String::len).sum::<usize>();
    let mut text = bundle.forms.remove("text/plain").unwrap_or_default();
    if text.len() > LARGEST / 2 {
        let end = text.floor_char_boundary(LARGEST / 2);
        let more = text[end..].chars().count();
        text.truncate(end);
        text += &format!("…\n… {} more characters: print(_) shows them", thousands(more));
    }
    while size(&bundle) + text.len() > LARGEST {
        let Some(kind) = bundle.forms.iter().max_by_key(|(_, form)| form.len()).map(|(kind, _)| *kind) else { break };
        let form = bundle.forms.remove(kind).unwrap_or_default();
        text += &format!("\n({kind} left out: {:.1} MB would make the notebook heavy)", form.len() as f64 / 1e6);
    }
    bundle.with("text/plain", Some(text))
}

/// A value in the formats that are fast to compute; the text is at most one screen.
pub(crate) fn bundle(catalog: &Catalog, value: &Dynamic, width: usize, interrupt: &Interrupt) -> Bundle {
    if let Some(shower) = catalog.showers.get(&value.type_id()) {
        return (shower.bundle)(value, width, interrupt);
    }
    if let Ok(text) = value.as_immutable_string_ref()
        && text.contains('\n')
    {
        return Bundle::text(text.as_str());
    }
    if let Ok(items) = value.as_array_ref() {
        return Bundle::text(array(catalog, &items, width));
    }
    if let Ok(entries) = value.as_map_ref() {
        return Bundle::text(map(catalog, &entries, width));
    }
    let mut text = String::new();
    write(catalog, value, &mut text, 2000);
    Bundle::text(shorten(text, 2000))
}

/// An array: on one line if it fits, else as a grid.
fn array(catalog: &Catalog, items: &Array, width: usize) -> String {
    if let Some(table) = rows_of_maps(catalog, items, width).or_else(|| rows_of_arrays(catalog, items, width)) {
        return table;
    }
    let whole: usize = items.iter().take(width).map(|item| line(catalog, item).chars().count() + 2).sum();
    if whole + 2 <= width && items.len() < width {
        return format!("[{}]", items.iter().map(|i| line(catalog, i)).collect::<Vec<_>>().join(", "));
    }
    let shown: Vec<String> = items.iter().take(LINES * width / 2).map(|item| line(catalog, item)).collect();
    let cell = shown.iter().map(|s| s.chars().count()).max().unwrap_or(0) + 2;
    let columns = (width.saturating_sub(2) / cell).max(1);
    // Numbers are right-aligned, texts left-aligned.
    let numbers = items.iter().take(LINES).all(|item| item.is_int() || item.is_float());
    let padded = |s: &String| if numbers { format!("{s:>w$}", w = cell - 2) } else { format!("{s:<w$}", w = cell - 2) };
    let mut text = String::from("[\n");
    for row in shown.chunks(columns).take(LINES) {
        text.push_str("  ");
        let cells = row.iter().map(padded).collect::<Vec<_>>().join(", ");
        text.push_str(cells.trim_end());
        text.push_str(",\n");
    }
    let left = items.len().saturating_sub(LINES * columns);
    if left > 0 {
        text.push_str(&format!("  … {} more\n", thousands(left)));
    }
    text.push_str(&format!("] ({})", counted(items.len(), "item")));
    text
}

/// Columns of a table in the terminal at most.
const COLUMNS: usize = 12;

/// Maps as a table: a column for each key.
fn rows_of_maps(catalog: &Catalog, items: &Array, width: usize) -> Option<String> {
    if items.len() < 2 || !items.iter().take(LINES).all(Dynamic::is_map) {
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for item in items.iter().take(LINES) {
        let map = item.as_map_ref().ok()?;
        names.extend(map.keys().map(ToString::to_string).filter(|key| !names.contains(key)).collect::<Vec<_>>());
    }
    if names.is_empty() || names.len() > COLUMNS {
        return None;
    }
    let cell = |value: &Dynamic| match value.as_immutable_string_ref() {
        Ok(text) => text.to_string(),
        Err(_) => line(catalog, value),
    };
    let row = |item: &Dynamic| -> Vec<String> {
        let map = item.as_map_ref().ok();
        let of = |name: &String| map.as_ref().and_then(|map| map.get(name.as_str()).map(cell)).unwrap_or_default();
        names.iter().map(of).collect()
    };
    let rows: Vec<Vec<String>> = items.iter().take(LINES).map(row).collect();
    let headings: Vec<&str> = names.iter().map(String::as_str).collect();
    let left = items.len().saturating_sub(LINES);
    let more = if left > 0 { format!("\n… {} more rows", thousands(left)) } else { String::new() };
    Some(format!("{}{more}", table_within(&headings, &rows, width)))
}

/// Arrays of one length as rows, their items below each other.
fn rows_of_arrays(catalog: &Catalog, items: &Array, width: usize) -> Option<String> {
    let long = items.first()?.as_array_ref().ok()?.len();
    let shown = || items.iter().take(LINES);
    if long == 0 || items.len() < 2 || !shown().all(|item| item.as_array_ref().is_ok_and(|row| row.len() == long)) {
        return None;
    }
    let cells = |item: &Dynamic| -> Option<Vec<String>> {
        let row = item.as_array_ref().ok()?;
        row.iter().map(|value| (!value.is_array() && !value.is_map()).then(|| line(catalog, value))).collect()
    };
    let rows: Vec<Vec<String>> = shown().map(cells).collect::<Option<_>>()?;
    let wide: Vec<usize> =
        (0..long).map(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0)).collect();
    if wide.iter().sum::<usize>() + 2 * long + 4 > width {
        return None;
    }
    let row = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&wide).map(|(cell, wide)| format!("{cell:>wide$}")).collect();
        format!("[{}]", cells.join(", "))
    };
    let left = items.len().saturating_sub(LINES);
    let more = if left > 0 { format!(",\n … {} more", thousands(left)) } else { String::new() };
    Some(format!("[{}{more}]", rows.iter().map(row).collect::<Vec<_>>().join(",\n ")))
}

/// A map: on one line if it fits, else an entry a line.
fn map(catalog: &Catalog, entries: &Map, width: usize) -> String {
    let mut text = String::new();
    write(catalog, &Dynamic::from_map(entries.clone()), &mut text, width);
    if text.chars().count() <= width {
        return text;
    }
    let mut text = String::from("#{\n");
    for (key, item) in entries.iter().take(LINES) {
        text.push_str(&format!("  {key}: {},\n", line(catalog, item)));
    }
    if entries.len() > LINES {
        text.push_str(&format!("  … {} more\n", thousands(entries.len() - LINES)));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Dynamic) -> String {
        bundle(&Catalog::default(), &value, 40, &Interrupt::new()).plain().to_string()
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        assert_eq!(shown(2.0.into()), "2.0");
        assert_eq!(shown("a\"b".into()), r#""a\"b""#);
        assert_eq!(shown("two\nlines".into()), "two\nlines");
        let items: Array = vec![1_i64.into(), 2.5.into(), "x".into()];
        assert_eq!(shown(items.into()), r#"[1, 2.5, "x"]"#);
        let map: Map = [("a".into(), Dynamic::from(1_i64))].into_iter().collect();
        assert_eq!(shown(map.into()), "#{ a: 1 }");
    }

    #[test]
    fn a_long_array_is_cut_to_a_screen() {
        let items: Array = (0..100_000_i64).map(Dynamic::from).collect();
        let text = shown(items.into());
        assert!(text.lines().count() <= LINES + 3, "{text}");
        assert!(text.ends_with("(100,000 items)"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= 41), "{text}");
    }

    #[test]
    fn texts_begin_below_each_other() {
        let name = |n: usize| Dynamic::from("x".repeat(n));
        let text = shown(Dynamic::from_array([3, 60, 41].map(name).to_vec()));
        assert!(text.lines().skip(1).take(3).all(|line| line.starts_with("  \"x") && line.ends_with("\",")), "{text}");
        assert_eq!((counted(1, "note"), counted(1024, "note")), ("1 note".into(), "1,024 notes".into()));
    }

    #[test]
    fn no_output_is_larger_than_a_notebook_bears() {
        let heavy = Bundle::text("é".repeat(LARGEST)).with("text/html", Some("x".repeat(LARGEST)));
        let bundle = bounded(heavy.with("image/svg+xml", Some("<svg/>".into())));
        assert!(bundle.forms.values().map(String::len).sum::<usize>() < LARGEST + 1000);
        assert_eq!(bundle.forms.keys().copied().collect::<Vec<_>>(), ["image/svg+xml", "text/plain"]);
        let end: String = bundle.plain().chars().skip(LARGEST / 4).collect();
        assert_eq!(
            end.trim_start_matches('é'),
            "…\n… 1,500,000 more characters: print(_) shows them\n(text/html left out: 2.0 MB would make the notebook heavy)"
        );
        let light = Bundle::text("light").with("text/html", Some("<b>light</b>".into()));
        assert_eq!(bounded(light.clone()), light);
    }

    #[test]
    fn a_float_is_brief() {
        assert_eq!(shown(2.823_456_7.into()), "2.823", "print(x) writes all of its digits");
        assert_eq!(shown(vec![Dynamic::from(2.823_456_7), Dynamic::UNIT].into()), "[2.823, ()]");
    }

    #[test]
    fn rows_stand_below_each_other() {
        let row = |step: i64, loss: f64| -> Dynamic {
            Map::from([("step".into(), step.into()), ("loss".into(), loss.into())]).into()
        };
        assert_eq!(
            shown(vec![row(9, 2.5), row(10, 2.256_78)].into()),
            " loss  step\n─────  ────\n  2.5     9\n2.257    10"
        );
        let grid = |rows: &[[i64; 2]]| -> Dynamic {
            rows.iter().map(|row| Dynamic::from(row.map(Dynamic::from).to_vec())).collect::<Array>().into()
        };
        assert_eq!(shown(grid(&[[1, 20], [300, 4]])), "[[  1, 20],\n [300,  4]]");
    }
}

//! Values on one line of text, and short numbers.

use rhai::{Dynamic, FnPtr};

use crate::script::catalog::Catalog;

/// The length at which a value is truncated.
const LINE: usize = 76;

/// A value in one line.
pub(crate) fn line(catalog: &Catalog, value: &Dynamic) -> String {
    let mut text = String::new();
    write(catalog, value, &mut text, LINE);
    shorten(text, LINE)
}

/// A float in short form: at most four significant digits, but all before the point.
pub(crate) fn brief(n: f64) -> String {
    let size = n.abs();
    if !n.is_finite() || size == 0.0 || (n.fract() == 0.0 && size < 1e15) {
        return format!("{n:?}");
    }
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    if !(1e-4..1e15).contains(&size) {
        let text = format!("{n:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(digits));
    }
    let places = (3 - size.log10().floor() as i32).max(0) as usize;
    trimmed(&format!("{n:.places$}"))
}

/// A count with commas between thousands.
pub(crate) fn thousands(n: usize) -> String {
    crate::progress::thousands(n as u64)
}

/// A number of things: "1 note", "1,024 notes".
pub(crate) fn counted(n: usize, what: &str) -> String {
    match (n, what) {
        (1, what) => format!("1 {what}"),
        (n, "entry") => format!("{} entries", thousands(n)),
        (n, what) => format!("{} {what}s", thousands(n)),
    }
}

/// Writes a value on one line; stops soon after `limit` characters, so that a long array is as cheap as a short one.
pub(super) fn write(catalog: &Catalog, value: &Dynamic, out: &mut String, limit: usize) {
    if let Some(shower) = catalog.showers.get(&value.type_id()) {
        out.push_str(&(shower.line)(value));
    } else if let Ok(items) = value.as_array_ref() {
        out.push('[');
        for (i, item) in items.iter().enumerate() {
            if out.len() > limit {
                break;
            }
            out.push_str(if i > 0 { ", " } else { "" });
            write(catalog, item, out, limit);
        }
        out.push(']');
    } else if let Ok(entries) = value.as_map_ref() {
        out.push_str("#{");
        for (i, (key, item)) in entries.iter().enumerate() {
            if out.len() > limit {
                break;
            }
            out.push_str(if i > 0 { ", " } else { " " });
            out.push_str(&format!("{key}: "));
            write(catalog, item, out, limit);
        }
        out.push_str(if entries.is_empty() { "}" } else { " }" });
    } else if let Some(f) = value.read_lock::<FnPtr>() {
        let known = catalog.functions(f.fn_name()).next();
        out.push_str(&match (f.is_anonymous(), known) {
            (true, _) => "closure".to_string(),
            (_, Some(function)) => format!("fn {}", function.signature()),
            _ => format!("fn {}", f.fn_name()),
        });
    } else if let Ok(text) = value.as_immutable_string_ref() {
        let head: String = text.chars().take(limit + 1).collect();
        out.push_str(&format!("{head:?}"));
    } else if let Ok(n) = value.as_float() {
        out.push_str(&brief(n));
    } else if value.is_unit() {
        out.push_str("()");
    } else {
        out.push_str(&value.to_string());
    }
}

/// A text cut to a number of characters; in [`line`]'s length it is one line.
pub(super) fn shorten(text: String, limit: usize) -> String {
    let text = if limit == LINE { text.replace('\n', " ") } else { text };
    if text.chars().count() <= limit {
        return text;
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_among_others_are_brief() {
        for (n, text) in [
            (2.823_456_7, "2.823"),
            (0.000_1, "0.0001"),
            (1234.567, "1235"),
            (2.0, "2.0"),
            (1.234_56e-7, "1.235e-7"),
            (-0.5, "-0.5"),
            (f64::NAN, "NaN"),
            (1e300, "1e300"),
        ] {
            assert_eq!(brief(n), text);
        }
    }
}

//! Rows under headings.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Widest cell of a table without a width, in columns.
const WIDEST_CELL: usize = 60;

/// Between two columns.
const GAP: &str = "  ";

/// Columns as wide as their widest cell (in terminal columns, a cell at most 60); columns of numbers to the right,
/// words to the left. Rows may be shorter than the headings.
///
/// ```
/// let text = etude::plot::table(&["step", "loss"], &[vec!["1".into(), "2.5".into()]]);
/// assert_eq!(text.lines().count(), 3);
/// ```
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths = widths(headings, rows).into_iter().map(|w| w.min(WIDEST_CELL)).collect::<Vec<_>>();
    draw(headings, rows, &widths)
}

/// A [`table`] of at most `width` columns: the widest columns are cut until it fits, none below 4.
pub fn table_within(headings: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut widths = widths(headings, rows);
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 4 => *widest -= 1,
            _ => break,
        }
    }
    draw(headings, rows, &widths)
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

fn widths(headings: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    (0..headings.len())
        .map(|c| rows.iter().map(|r| one_line(cell(r, c)).width()).chain([headings[c].width()]).max().unwrap_or(0))
        .collect()
}

fn draw(headings: &[&str], rows: &[Vec<String>], widths: &[usize]) -> String {
    let numeric: Vec<bool> = (0..headings.len())
        .map(|c| {
            let mut filled = rows.iter().map(|r| cell(r, c)).filter(|t| !t.is_empty()).peekable();
            filled.peek().is_some() && filled.all(is_number)
        })
        .collect();
    let line = |text: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = (0..widths.len()).map(|c| fit(&text(c), widths[c], numeric[c])).collect();
        cells.join(GAP).trim_end().to_owned()
    };
    let mut lines =
        vec![line(&|c| headings[c].to_owned()), widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join(GAP)];
    lines.extend(rows.iter().map(|row| line(&|c| one_line(cell(row, c)))));
    lines.join("\n")
}

/// Line ends and tabs would tear the table apart.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A number, perhaps with a sign, thousands commas, a percent sign or a unit after a space.
fn is_number(text: &str) -> bool {
    let number = text.split_once(' ').map_or(text, |(number, unit)| {
        if unit.chars().all(|c| c.is_alphabetic() || "/%µ".contains(c)) { number } else { "" }
    });
    let number = number.strip_suffix('%').unwrap_or(number).replace(',', "").replace('−', "-");
    number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && number.parse::<f64>().is_ok()
}

/// Pads or cuts to `width` terminal columns; what is cut ends with `…`.
fn fit(text: &str, width: usize, right: bool) -> String {
    let have = text.width();
    if have > width {
        return cut(text, width);
    }
    let pad = " ".repeat(width - have);
    if right { pad + text } else { text.to_owned() + pad.as_str() }
}

/// The first columns of a text, with `…` for what is left out.
fn cut(text: &str, width: usize) -> String {
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    let missing = width.saturating_sub(kept.width());
    kept + " ".repeat(missing).as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect()
    }

    #[test]
    fn numbers_stand_right_and_words_left() {
        let text = table(&["file", "notes"], &rows(&[&["maple leaf.mid", "1,234"], &["x.mid", "7"]]));
        assert_eq!(
            text,
            "\
file            notes
──────────────  ─────
maple leaf.mid  1,234
x.mid               7"
        );
    }

    #[test]
    fn wide_letters_count_as_two_columns() {
        let text = table(&["name", "n"], &rows(&[&["夜想曲", "1"], &["étude", "2"]]));
        assert_eq!(text, "name    n\n──────  ─\n夜想曲  1\nétude   2");
    }

    #[test]
    fn a_narrow_table_cuts_its_widest_column() {
        let long = rows(&[&["a very long name of a file.mid", "12"]]);
        assert_eq!(
            table_within(&["file", "notes"], &long, 20),
            "file           notes\n─────────────  ─────\na very long …     12"
        );
        let wide = rows(&[&["夜想曲夜想曲"]]);
        assert_eq!(table_within(&["t"], &wide, 6), "t\n──────\n夜想…");
    }

    #[test]
    fn short_rows_and_line_ends_keep_the_shape() {
        assert_eq!(table(&["a", "b"], &rows(&[&["x\ny"], &[]])), "a    b\n───  ─\nx y\n");
        assert_eq!(table(&["a"], &[]), "a\n─");
        assert_eq!(table(&[], &[]), "\n");
    }

    #[test]
    fn what_counts_as_a_number() {
        for yes in ["1", "-2.5", "1,000", "12%", "3e-4", "4 MiB", "12 tokens/s"] {
            assert!(is_number(yes), "{yes}");
        }
        for no in ["", "inf", "nan", "C4", "4x8", "2 of 3", "1 2"] {
            assert!(!is_number(no), "{no}");
        }
    }
}

//! Tables as text, columns aligned.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Widest cell of a table without a width, in columns; longer texts are wrapped.
const WIDEST_CELL: usize = 60;

/// The least width to which words are wrapped, if any other column can be narrowed.
const NARROWEST: usize = 12;

/// The most lines of a cell; the rest is left out.
const DEEPEST_CELL: usize = 12;

/// The gap between columns.
const GAP: &str = "  ";

/// Columns as wide as their widest cell (in terminal columns, a cell at most 60, then it is wrapped); columns of numbers
/// to the right, words to the left. Rows may be shorter than the headings.
///
/// ```
/// let text = etude::plot::table(&["step", "loss"], &[vec!["1".into(), "2.5".into()]]);
/// assert_eq!(text.lines().count(), 3);
/// ```
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = widths(headings, rows).into_iter().map(|w| w.min(WIDEST_CELL)).collect();
    draw(headings, rows, &(0..widths.len()).zip(widths).collect::<Vec<_>>())
}

/// A [`table`] of at most `width` columns. Numbers are not wrapped; words are, the widest columns first. Columns that
/// do not fit become tables of their own below, each with the first column repeated.
pub fn table_within(headings: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let natural = widths(headings, rows);
    let least: Vec<usize> =
        natural.iter().enumerate().map(|(c, w)| if is_numeric(rows, c) { *w } else { *w.min(&NARROWEST) }).collect();
    let mut blocks: Vec<Vec<usize>> = vec![Vec::new()];
    let mut used = 0;
    for column in 0..natural.len() {
        let mut block = blocks.pop().unwrap_or_default();
        if block.len() > 1 && used + GAP.len() + least[column] > width {
            blocks.push(std::mem::replace(&mut block, vec![0]));
            used = least[0];
        }
        used += least[column] + if block.is_empty() { 0 } else { GAP.len() };
        block.push(column);
        blocks.push(block);
    }
    let shrunk = |block: &Vec<usize>| -> Vec<(usize, usize)> {
        let mut columns: Vec<(usize, usize)> = block.iter().map(|&c| (c, natural[c])).collect();
        let gaps = GAP.len() * columns.len().saturating_sub(1);
        while columns.iter().map(|(_, w)| w).sum::<usize>() + gaps > width {
            match columns.iter_mut().filter(|(c, w)| *w > least[*c]).max_by_key(|(_, w)| *w) {
                Some((_, widest)) => *widest -= 1,
                None => break,
            }
        }
        columns
    };
    blocks.iter().map(|block| draw(headings, rows, &shrunk(block))).collect::<Vec<_>>().join("\n\n")
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

fn widths(headings: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    (0..headings.len())
        .map(|c| rows.iter().map(|r| one_line(cell(r, c)).width()).chain([headings[c].width()]).max().unwrap_or(0))
        .collect()
}

/// True for a column that has only numbers.
fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let mut filled = rows.iter().map(|r| cell(r, column)).filter(|t| !t.is_empty()).peekable();
    filled.peek().is_some() && filled.all(is_number)
}

/// Draws some columns (index, width) of a table.
fn draw(headings: &[&str], rows: &[Vec<String>], columns: &[(usize, usize)]) -> String {
    let numeric: Vec<bool> = columns.iter().map(|(c, _)| is_numeric(rows, *c)).collect();
    let lines = |text: &dyn Fn(usize) -> String| -> Vec<String> {
        let cells: Vec<Vec<String>> = columns.iter().map(|&(c, wide)| wrapped(&text(c), wide)).collect();
        let deep = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let line = |i: usize| {
            let cell = |(k, lines): (usize, &Vec<String>)| {
                fit(lines.get(i).map_or("", String::as_str), columns[k].1, numeric[k])
            };
            cells.iter().enumerate().map(cell).collect::<Vec<_>>().join(GAP).trim_end().to_owned()
        };
        (0..deep).map(line).collect()
    };
    let mut all = lines(&|c| headings[c].to_owned());
    all.push(columns.iter().map(|(_, wide)| "─".repeat(*wide)).collect::<Vec<_>>().join(GAP));
    all.extend(rows.iter().flat_map(|row| lines(&|c| one_line(cell(row, c)))));
    all.join("\n")
}

/// Wraps a text to lines of at most `width` columns, between words; a longer word is broken after a character like `/`
/// or `.`, or anywhere.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line) = (Vec::new(), String::new());
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        loop {
            let gap = usize::from(!line.is_empty());
            if line.width() + gap + word.width() <= width {
                line.push_str(if gap > 0 { " " } else { "" });
                line.push_str(word);
                break;
            }
            if gap > 0 {
                lines.push(std::mem::take(&mut line));
                continue;
            }
            let at = break_at(word, width);
            lines.push(word[..at].to_owned());
            word = &word[at..];
            if word.is_empty() {
                break;
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > DEEPEST_CELL {
        lines.truncate(DEEPEST_CELL);
        if let Some(last) = lines.last_mut() {
            *last = cut(last, width);
        }
    }
    lines
}

/// The byte at which a word wider than `width` is broken, after at least one letter.
fn break_at(word: &str, width: usize) -> usize {
    let (mut used, mut at, mut mark) = (0, 0, 0);
    for (start, c) in word.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width && at > 0 {
            break;
        }
        at = start + c.len_utf8();
        if "/._-:,".contains(c) {
            mark = at;
        }
    }
    if 2 * mark >= at { mark } else { at }
}

/// Replaces line ends and tabs, which would break the table.
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

/// Pads to `width` terminal columns.
fn fit(text: &str, width: usize, right: bool) -> String {
    let pad = " ".repeat(width.saturating_sub(text.width()));
    if right { pad + text } else { text.to_owned() + pad.as_str() }
}

/// Truncates a text to some columns, ending in `…`.
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
    kept
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
    fn a_narrow_table_wraps_its_words_and_keeps_its_numbers() {
        let long = rows(&[&["a very long name of a file.mid", "1,234,567"], &["b", "2"]]);
        assert_eq!(
            table_within(&["file", "notes"], &long, 26),
            "\
file                 notes
───────────────  ─────────
a very long      1,234,567
name of a
file.mid
b                        2"
        );
        let path = rows(&[&["some/long/path/of_a_file.mid"]]);
        assert_eq!(table_within(&["t"], &path, 12), "t\n────────────\nsome/long/\npath/of_a_\nfile.mid");
        assert_eq!(wrapped("夜想曲夜想曲", 7), ["夜想曲", "夜想曲"]);
        assert_eq!(wrapped(&"x ".repeat(500), 5).len(), DEEPEST_CELL);
        assert_eq!(wrapped("夜", 1), ["夜"]);
    }

    #[test]
    fn columns_without_room_stand_below() {
        let headings = ["run", "began", "loss", "perplexity", "gradient norm"];
        let row = rows(&[&["first", "2026-12-01", "2.345", "10.43", "0.1234"]]);
        let text = table_within(&headings, &row, 30);
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        assert_eq!(text.matches("first").count(), 3, "{text}");
        for part in ["2026-12-01", "perplexity", "0.1234"] {
            assert!(text.contains(part), "{part} in {text}");
        }
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

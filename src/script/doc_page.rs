//! A page of documentation, in plain text for a terminal and in Markdown for a notebook.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::script::Bundle;

/// A page of documentation: a list of blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DocPage(Vec<DocBlock>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum DocBlock {
    /// A line of code, its documentation, and options with descriptions.
    Entry { code: String, doc: String, options: Vec<(String, String)> },
    /// Names with a line on each; `head` is the heading of the first column.
    Table { head: &'static str, rows: Vec<Vec<String>> },
    /// A paragraph.
    Text(String),
}

impl DocPage {
    /// Adds code with its documentation.
    pub(crate) fn entry(&mut self, code: impl Into<String>, doc: &str, options: &[(&str, &str)]) -> &mut Self {
        let options = options.iter().map(|(key, doc)| ((*key).into(), (*doc).into())).collect();
        self.0.push(DocBlock::Entry { code: code.into(), doc: doc.into(), options });
        self
    }

    /// Adds a table of two columns.
    pub(crate) fn table(&mut self, head: &'static str, rows: Vec<Vec<String>>) -> &mut Self {
        self.0.push(DocBlock::Table { head, rows });
        self
    }

    /// Adds a paragraph.
    pub(crate) fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.0.push(DocBlock::Text(text.into()));
        self
    }

    /// Appends another page.
    pub(crate) fn append(&mut self, other: Self) -> &mut Self {
        self.0.extend(other.0);
        self
    }

    /// The page, or `None` if it is empty.
    pub(crate) fn filled(self) -> Option<Self> {
        (!self.0.is_empty()).then_some(self)
    }

    /// The page as text for a terminal of `width` columns; code is left as it is.
    pub(crate) fn plain(&self, width: usize) -> String {
        let width = readable(width);
        let mut text = String::new();
        for (i, block) in self.0.iter().enumerate() {
            let airy = !matches!(block, DocBlock::Entry { .. } | DocBlock::Table { .. });
            text.push_str(if i > 0 && (airy || matches!(self.0[i - 1], DocBlock::Text(_))) { "\n" } else { "" });
            match block {
                DocBlock::Entry { code, doc, options } => {
                    let _ = writeln!(text, "{code}");
                    for line in doc.lines().flat_map(|line| wrapped(line, width - 4)) {
                        let _ = writeln!(text, "{}", format!("    {line}").trim_end());
                    }
                    let names = options.iter().map(|o| o.0.len()).max().unwrap_or(0);
                    for (key, doc) in options {
                        for (i, line) in wrapped(doc, width.saturating_sub(names + 8).max(20)).iter().enumerate() {
                            let key = if i == 0 { key } else { "" };
                            let _ = writeln!(text, "      {key:<names$}  {line}");
                        }
                    }
                }
                DocBlock::Table { head, rows } => {
                    let _ = writeln!(text, "{}", columns(head, rows, width).trim_end());
                }
                DocBlock::Text(words) => {
                    for line in words.lines().flat_map(|line| wrapped(line, width)) {
                        let _ = writeln!(text, "{line}");
                    }
                }
            }
        }
        text.trim_end().into()
    }

    /// The page as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let blocks: Vec<String> = self.0.iter().map(markdown).collect();
        blocks.join("\n\n")
    }

    /// Both formats, the text for a terminal of `width` columns.
    pub(crate) fn bundle(&self, width: usize) -> Bundle {
        let mut bundle = Bundle::text(self.plain(width));
        bundle.forms.insert("text/markdown", self.markdown());
        bundle
    }
}

/// The most columns of a page; longer lines are hard to read.
pub(crate) const WIDEST: usize = 100;
/// Columns that names take at most.
const NAMES: usize = 44;

/// The columns used of a terminal: the last one stays free, since some terminals wrap there.
pub(crate) fn readable(width: usize) -> usize {
    width.saturating_sub(1).clamp(40, WIDEST)
}

/// Names and their descriptions in two columns, the words wrapped, for a terminal of `width` columns.
pub(crate) fn columns(head: &str, rows: &[Vec<String>], width: usize) -> String {
    let width = readable(width);
    let cell = |row: &Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
    let wide = rows
        .iter()
        .map(|row| cell(row, 0).width())
        .filter(|w| *w <= NAMES.min(width / 2))
        .max()
        .unwrap_or(0)
        .max(head.width());
    let room = width.saturating_sub(wide + 2).max(20);
    let mut text = format!("{head}\n{}\n", "─".repeat(width.min(wide + 2 + room)));
    for row in rows {
        let name = cell(row, 0);
        let lines = wrapped(&cell(row, 1), room);
        let pad = " ".repeat(wide.saturating_sub(name.width()));
        let mut lines = lines.into_iter();
        // A long name is on a line of its own.
        let first = if name.width() > wide { String::new() } else { lines.next().unwrap_or_default() };
        let _ = writeln!(text, "{}", format!("{name}{pad}  {first}").trim_end());
        for line in lines {
            let _ = writeln!(text, "{}  {line}", " ".repeat(wide));
        }
    }
    text
}

/// Wraps words into lines of at most `width` columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

fn markdown(block: &DocBlock) -> String {
    match block {
        DocBlock::Entry { code, doc, options } => {
            let mut text = format!("```rust\n{code}\n```\n");
            let _ = write!(text, "{}", escaped(doc));
            for (i, (key, doc)) in options.iter().enumerate() {
                let _ = write!(text, "{}\n- `{key}`: {}", if i == 0 { "\n" } else { "" }, escaped(doc));
            }
            text.trim_end().into()
        }
        DocBlock::Table { head, rows } => {
            let mut text = format!("| {head} | |\n|---|---|");
            for row in rows {
                let cell = |i: usize| row.get(i).map_or("", String::as_str).replace('|', "\\|");
                let _ = write!(text, "\n| `{}` | {} |", cell(0), escaped(&cell(1)));
            }
            text
        }
        DocBlock::Text(words) => escaped(words),
    }
}

/// Escapes text for Markdown.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('*', "\\*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> DocPage {
        let mut page = DocPage::default();
        page.entry("f(x: int) -> Score", "Makes a * b.\nMore.", &[("key", "what it means"), ("k", "x < 1")]);
        page.table("member", vec![vec!["a | b".into(), "both".into()]]);
        page
    }

    #[test]
    fn a_page_is_indented_in_a_terminal() {
        let text = page().plain(80);
        assert!(
            text.starts_with(
                "f(x: int) -> Score\n    Makes a * b.\n    More.\n      key  what it means\n      k    x < 1\nmember"
            ),
            "{text}"
        );
    }

    #[test]
    fn what_is_said_of_a_name_is_wrapped_and_never_cut() {
        let words = "word ".repeat(40);
        for width in [60, 80, 300] {
            let rows = [vec!["x".into(), words.clone()], vec!["y".repeat(50), "short".into()]];
            let text = columns("member", &rows, width);
            assert!(text.lines().all(|line| line.width() < width.min(101)), "{text}");
            assert_eq!(text.matches("word").count(), 40);
            assert!(text.lines().last().is_some_and(|line| line.trim() == "short"), "{text}");
            let mut page = DocPage::default();
            page.entry("f()", &words, &[("key", &words)]).text(words.clone());
            let text = page.plain(width);
            assert!(text.lines().all(|line| line.width() < width.min(101)), "{text}");
            assert_eq!(text.matches("word").count(), 120);
        }
    }

    #[test]
    fn a_page_is_markdown_in_a_notebook() {
        let expected = "```rust\nf(x: int) -> Score\n```\nMakes a \\* b.\nMore.\n\n- `key`: what it means\n- `k`: x &lt; 1\n\n\
                        | member | |\n|---|---|\n| `a \\| b` | both |";
        assert_eq!(page().markdown(), expected);
    }
}

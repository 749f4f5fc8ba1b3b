//! The error of a cell: message, place and hint.

use std::fmt;

/// The error of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellError {
    /// Its kind: "SyntaxError", "TypeError", "NameError", "Interrupted", "Error", "Panic".
    pub name: String,
    /// What went wrong, in a sentence.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// Line and column (from 1, in characters) and the text of that line.
    pub place: Option<(usize, usize, String)>,
    /// The script or cell in which it occurred, if not the unnamed one just run.
    pub source: Option<String>,
    /// The enclosing function calls, innermost first.
    pub calls: Vec<String>,
    /// True when the user cancelled.
    pub interrupted: bool,
    /// True when it was thrown by the script, or by parsing its arguments: for a program, a wrong call.
    pub usage: bool,
}

/// A source line is cut to this many characters around the column.
const SHOWN: usize = 100;

impl CellError {
    /// A fault without a place.
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            message: message.into(),
            hint: None,
            place: None,
            source: None,
            calls: Vec::new(),
            interrupted: false,
            usage: false,
        }
    }

    /// The message for the user of a program, without the line of its source.
    pub fn told(&self) -> String {
        let hint = self.hint.as_deref().map_or(String::new(), |hint| format!("\n  hint: {hint}"));
        if self.interrupted { "interrupted".into() } else { format!("error: {}{hint}", self.message) }
    }

    /// Kind, message and hint, without the place.
    pub(crate) fn brief(&self) -> String {
        let hint = self.hint.as_deref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{}: {}{hint}", self.name, self.message)
    }

    /// The text for a terminal: message, source line with a caret, hint. ANSI colours when `color`.
    pub fn render(&self, color: bool) -> String {
        let paint =
            |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
        let mut text = match self.interrupted {
            true => paint("33", "interrupted"),
            false => format!("{}: {}", paint("1;31", &self.name), self.message),
        };
        if let Some((line, column, code)) = &self.place {
            let (code, column) = window(code, *column);
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            let at = match &self.source {
                Some(source) => format!("{source}:{line}:{}", self.place.as_ref().map_or(0, |p| p.1)),
                None => format!("line {line}"),
            };
            // Tabs are kept in the margin so that the caret is aligned.
            let margin: String = code.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            text += &format!("\n{gutter} {} {at}", paint("34", "┌"));
            text += &format!("\n{} {} {code}", paint("34", &number), paint("34", "│"));
            text += &format!("\n{gutter} {} {margin}{}", paint("34", "│"), paint("1;31", "^"));
        }
        for call in &self.calls {
            text += &format!("\n  in {call}");
        }
        if let Some(hint) = &self.hint {
            text += &format!("\n{} {hint}", paint("36", "  hint:"));
        }
        text
    }
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for CellError {}

/// The part of a long line around a column, and the column in that part.
fn window(code: &str, column: usize) -> (String, usize) {
    let column = column.max(1);
    if code.chars().count() <= SHOWN || column <= SHOWN / 2 {
        return (code.chars().take(SHOWN).collect(), column.min(SHOWN + 1));
    }
    let skip = column - SHOWN / 2;
    let part: String = code.chars().skip(skip).take(SHOWN).collect();
    (format!("…{part}"), column - skip + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_column() {
        let fault = CellError {
            hint: Some("did you mean 'midi'?".into()),
            place: Some((2, 9, "let x = mdi(\"a\");".into())),
            source: Some("a.rhai".into()),
            ..CellError::new("NameError", "there is no function 'mdi'")
        };
        let expected = "NameError: there is no function 'mdi'\n  ┌ a.rhai:2:9\n2 │ let x = mdi(\"a\");\n  │         ^\n  hint: did you mean 'midi'?";
        assert_eq!(fault.render(false), expected);
        assert!(fault.render(true).contains("\x1b["));
    }

    #[test]
    fn a_long_line_is_cut_around_the_column() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let (part, column) = window(&line, 501);
        assert_eq!(part.chars().nth(column - 1), Some('X'));
        assert!(part.chars().count() <= SHOWN + 1);
    }
}

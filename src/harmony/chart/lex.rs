//! The lexer of charts: chords, bar lines, repeats, sections, words.

use super::BarMeter;
use crate::error::{Error, Result};

/// A sign and its position in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sign {
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) kind: SignKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum SignKind {
    /// A bar line, which may end a repeat and begin another.
    Line { ends: bool, begins: bool },
    /// The end of a line of text.
    LineEnd,
    /// A chord symbol.
    Chord,
    /// An extension of the symbol before: "C7 (b9)".
    Extension,
    /// `%`: repeats the bar before.
    Again,
    /// `/`: the number of further beats of the chord.
    Beats(usize),
    /// `[A]`
    Section(String),
    /// `[1.`
    Ending(Vec<usize>),
    /// `3/4:`
    Meter(BarMeter),
    /// `x3` behind a repeat.
    Times(usize),
    /// "D.C.", "al", "Fine" and so on.
    Direction(Direction),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Capo,
    Dal,
    Al,
    Fine,
    Segno,
    Coda,
    To,
}

/// The most repetitions.
const MOST_TIMES: usize = 64;

/// All signs of a text.
pub(super) fn signs(text: &[char]) -> Result<Vec<Sign>> {
    let mut signs: Vec<Sign> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let begin = at;
        let line_begins = signs.last().is_none_or(|s| s.kind == SignKind::LineEnd);
        let kind = match text[at] {
            '\n' | '\r' => {
                at += 1;
                Some(SignKind::LineEnd)
            }
            c if c.is_whitespace() || matches!(c, ',' | ';') => {
                at += 1;
                None
            }
            '#' => {
                at = line_end(text, at);
                None
            }
            '/' if line_begins && text.get(at + 1) == Some(&'/') && text.get(at + 2) == Some(&' ') => {
                at = line_end(text, at);
                None
            }
            '"' | '“' => {
                at = quoted(text, at)?;
                None
            }
            _ if bar_line(text, at) > 0 => {
                at += bar_line(text, at);
                let line = &text[begin..at];
                let begins = matches!(line.last(), Some(':' | '{'));
                Some(SignKind::Line { ends: matches!(line.first(), Some(':' | '}')), begins })
            }
            '[' => {
                let (kind, end) = bracket(text, at)?;
                at = end;
                Some(kind)
            }
            '*' if text.get(at + 1).is_some_and(|c| c.is_alphabetic()) => {
                at += 2;
                Some(SignKind::Section(text[begin + 1..at].iter().collect()))
            }
            _ => {
                at = word_end(text, at);
                Some(word(&text[begin..at], signs.last()))
            }
        };
        signs.extend(kind.map(|kind| Sign { begin, end: at, kind }));
    }
    Ok(signs)
}

fn line_end(text: &[char], at: usize) -> usize {
    text[at..].iter().position(|c| matches!(c, '\n' | '\r')).map_or(text.len(), |n| at + n)
}

/// Where a quotation ends.
fn quoted(text: &[char], at: usize) -> Result<usize> {
    let end = text[at + 1..].iter().position(|c| matches!(c, '"' | '”'));
    end.map(|n| at + n + 2).ok_or_else(|| unclosed(text, at))
}

fn unclosed(text: &[char], at: usize) -> Error {
    let message = format!("'{}' ({}) is never closed", text[at], place(text, at));
    Error::mistake(message).with_hint("a section is written [A], an ending [1.")
}

/// How many characters the bar line at a place has; 0 when there is none.
fn bar_line(text: &[char], at: usize) -> usize {
    let bar = |i: usize| matches!(text.get(i), Some('|' | '‖' | '𝄀' | '𝄁' | '𝄂'));
    let mut end = at;
    match text[at] {
        '{' | '}' => return 1,
        ':' | '[' if bar(at + 1) => end += 1,
        _ if bar(at) => {}
        _ => return 0,
    }
    while bar(end) || (text.get(end) == Some(&':') && end > at && (bar(end + 1) || bar(end - 1))) {
        end += 1;
    }
    if text.get(end) == Some(&']') { end + 1 - at } else { end - at }
}

/// A section `[A]` or an ending `[1.`.
fn bracket(text: &[char], at: usize) -> Result<(SignKind, usize)> {
    let digits = text[at + 1..].iter().take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '-')).count();
    let inner: String = text[at + 1..at + 1 + digits].iter().collect();
    if let Some(numbers) = ending(&inner) {
        let end = at + 1 + digits;
        return Ok((SignKind::Ending(numbers), if text.get(end) == Some(&']') { end + 1 } else { end }));
    }
    let line = &text[at + 1..line_end(text, at)];
    let length = line.iter().position(|c| *c == ']').ok_or_else(|| unclosed(text, at))?;
    let name: String = line[..length].iter().collect();
    Ok((SignKind::Section(name.trim().to_owned()), at + length + 2))
}

/// The numbers of an ending: `1.`, `1,2.`, `1-3`.
fn ending(text: &str) -> Option<Vec<usize>> {
    let text = text.trim_end_matches('.');
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        if from == 0 || to > MOST_TIMES {
            return None;
        }
        numbers.extend(from..=to);
    }
    Some(numbers)
}

/// The end of a word: white space, a comma or a bar line outside parentheses.
fn word_end(text: &[char], begin: usize) -> usize {
    let mut depth = 0usize;
    for (i, &c) in text.iter().enumerate().skip(begin) {
        match c {
            '(' | '（' => depth += 1,
            ')' | '）' => depth = depth.saturating_sub(1),
            '\n' | '\r' => return i,
            _ => {}
        }
        let apart = c.is_whitespace() || matches!(c, ',' | ';');
        let apart = apart && depth == 0 && !numbers_go_on(text, begin, i);
        if i > begin && (apart || (c != '[' && bar_line(text, i) > 0)) {
            return i;
        }
    }
    text.len()
}

/// True at the comma of an ending: "1,2.".
fn numbers_go_on(text: &[char], begin: usize, at: usize) -> bool {
    let digit = |c: &char| c.is_ascii_digit();
    text[at] == ',' && text[begin..at].iter().all(digit) && text.get(at + 1).is_some_and(|c| c.is_ascii_digit())
}

/// The sign of a word.
fn word(word: &[char], before: Option<&Sign>) -> SignKind {
    let text: String = word.iter().collect();
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok()).filter(|n| (1..=MOST_TIMES).contains(n));
    let before = before.map(|sign| &sign.kind);
    if text.chars().all(|c| c == '/') {
        return SignKind::Beats(text.len());
    }
    if let Some(meter) = BarMeter::read(text.trim_end_matches(':')) {
        return SignKind::Meter(meter);
    }
    if let (Some(SignKind::Line { .. }), Some(times)) =
        (before, number(text.strip_prefix(['x', '×'])).or(number(text.strip_suffix(['x', '×']))))
    {
        return SignKind::Times(times);
    }
    match text.to_lowercase().replace('.', "").as_str() {
        "%" | "x" | "𝄎" => return SignKind::Again,
        "" | "-" | "–" | "−" => return SignKind::Beats(1),
        "dc" => return SignKind::Direction(Direction::Capo),
        "ds" => return SignKind::Direction(Direction::Dal),
        "al" | "alla" => return SignKind::Direction(Direction::Al),
        "fine" => return SignKind::Direction(Direction::Fine),
        "segno" | "𝄋" | "§" => return SignKind::Direction(Direction::Segno),
        "coda" | "𝄌" => return SignKind::Direction(Direction::Coda),
        "to" => return SignKind::Direction(Direction::To),
        _ => {}
    }
    if let Some(numbers) = ending(&text).filter(|_| text.ends_with('.')) {
        return SignKind::Ending(numbers);
    }
    match text.strip_suffix(':') {
        Some(name) if name.starts_with(char::is_alphabetic) => SignKind::Section(name.to_owned()),
        _ if word[0] == '(' && before == Some(&SignKind::Chord) && !matches!(word.get(1), Some('A'..='G' | 'N')) => {
            SignKind::Extension
        }
        _ => SignKind::Chord,
    }
}

/// "column 7", or "line 2, column 3" in a chart of several lines; both count from one.
pub(super) fn place(text: &[char], at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    if text.contains(&'\n') {
        format!("line {}, column {column}", before.iter().filter(|c| **c == '\n').count() + 1)
    } else {
        format!("column {column}")
    }
}

//! The parser of charts: bars as written, with repeats, endings and directions.

use std::str::FromStr;

use super::lex::{Direction, Sign, SignKind, place, signs};
use super::unroll::{Jump, WrittenBar, unroll};
use super::{Chart, shortest};
use crate::error::{Error, Result};
use crate::harmony::Chord;

impl FromStr for Chart {
    type Err = Error;

    /// # Errors
    /// Names the sign that cannot be read, its line and its column.
    fn from_str(text: &str) -> Result<Self> {
        let text: Vec<char> = text.trim_start_matches('\u{feff}').chars().collect();
        let signs = signs(&text)?;
        let lined = signs.iter().any(|s| matches!(s.kind, SignKind::Line { .. }));
        let mut reader =
            ChartReader { text: &text, lined, bars: Vec::new(), next: WrittenBar::default(), last: None, word: None };
        for sign in &signs {
            reader.sign(sign)?;
        }
        reader.end_bar();
        if reader.bars.is_empty() {
            return Err(Error::mistake("no chords in the chart").with_hint("write them like \"Cmaj7 Am7 | Dm7 G7\""));
        }
        unroll(&reader.bars)
    }
}

/// Reads sign by sign.
struct ChartReader<'a> {
    text: &'a [char],
    /// The text has bar lines.
    lined: bool,
    bars: Vec<WrittenBar>,
    /// The bar that is being read.
    next: WrittenBar,
    /// Where the last symbol begins.
    last: Option<usize>,
    /// A direction that needs another word: "D.C. al".
    word: Option<Direction>,
}

impl ChartReader<'_> {
    fn sign(&mut self, sign: &Sign) -> Result<()> {
        match &sign.kind {
            SignKind::Line { ends, begins } => {
                self.end_bar();
                if *ends {
                    let error = self.nothing_before(sign, "repeat");
                    self.bars.last_mut().ok_or(error)?.ends = Some(None);
                }
                self.next.begins |= begins;
            }
            SignKind::LineEnd if self.lined => self.end_bar(),
            SignKind::LineEnd => {}
            SignKind::Times(times) => {
                if let Some(bar) = self.bars.last_mut().filter(|b| b.ends.is_some()) {
                    bar.ends = Some(Some(*times));
                }
            }
            SignKind::Chord => {
                let chord = self.symbol(sign.begin, sign.end)?;
                self.last = Some(sign.begin);
                self.add(chord);
            }
            SignKind::Extension => {
                let begin = self.last.unwrap_or(sign.begin);
                let chord = self.symbol(begin, sign.end)?;
                let bar = if self.next.bar.is_empty() { self.bars.last_mut() } else { Some(&mut self.next) };
                if let Some(last) = bar.and_then(|b| b.bar.last_mut()) {
                    *last = chord;
                }
            }
            SignKind::Again => self.again(sign)?,
            SignKind::Beats(count) => self.beats(sign, *count)?,
            SignKind::Section(name) => {
                self.end_bar();
                self.next.section = Some(name.clone());
            }
            SignKind::Ending(numbers) => {
                self.end_bar();
                self.next.endings.clone_from(numbers);
            }
            SignKind::Meter(meter) => {
                self.end_bar();
                self.next.meter = Some(*meter);
            }
            SignKind::Direction(word) => self.word(*word),
        }
        Ok(())
    }

    fn symbol(&self, begin: usize, end: usize) -> Result<Chord> {
        let mut symbol = &self.text[begin..end];
        let mut begin = begin;
        // A chord that may be left out: "(G7)".
        if let ['(', inner @ .., ')'] = symbol {
            (symbol, begin) = (inner, begin + 1);
        }
        Chord::read(symbol).map_err(|at| Chord::refusal(symbol, at, &place(self.text, begin + at)))
    }

    fn add(&mut self, chord: Chord) {
        self.next.bar.push(chord);
        if !self.lined {
            self.end_bar();
        }
    }

    /// Ends the bar, if it is not empty; otherwise its metre and marks go to the next one.
    fn end_bar(&mut self) {
        if !self.next.bar.is_empty() {
            let mut bar = std::mem::take(&mut self.next);
            bar.bar = shortest(bar.bar);
            self.bars.push(bar);
        }
    }

    fn again(&mut self, sign: &Sign) -> Result<()> {
        match (self.next.bar.last().cloned(), self.bars.last()) {
            (Some(chord), _) => self.next.bar.push(chord),
            (None, Some(before)) => self.next.bar.clone_from(&before.bar),
            (None, None) => return Err(self.nothing_before(sign, "repeat").with_hint("% repeats the bar before it")),
        }
        if !self.lined {
            self.end_bar();
        }
        Ok(())
    }

    /// Beats of the chord before.
    fn beats(&mut self, sign: &Sign, count: usize) -> Result<()> {
        let before = self.next.bar.last().or(self.bars.last().and_then(|b| b.bar.last())).cloned();
        let chord = before.ok_or_else(|| {
            self.nothing_before(sign, "hold").with_hint("a slash is one more beat of the chord before it")
        })?;
        // Without bar lines every chord fills its bar anyway.
        if self.lined {
            self.next.bar.extend(std::iter::repeat_n(chord, count));
        }
        Ok(())
    }

    /// Directions are written behind the bar they belong to; a segno and a coda before it.
    fn word(&mut self, word: Direction) {
        let before = self.word.take();
        let new = self.next.bar.is_empty();
        let bar = if new { self.bars.last_mut() } else { Some(&mut self.next) };
        match (before, word) {
            (_, Direction::Capo | Direction::Dal | Direction::Al | Direction::To) => {
                self.word = Some(word);
                if let (Some(bar), Direction::Capo | Direction::Dal) = (bar, word) {
                    bar.jump = Some(if word == Direction::Capo { Jump::Capo } else { Jump::Segno });
                }
            }
            (Some(Direction::Al), Direction::Fine | Direction::Coda) => {}
            (Some(Direction::To), Direction::Coda) => {
                if let Some(bar) = bar {
                    bar.to_coda = true;
                }
            }
            (_, Direction::Fine) => {
                if let Some(bar) = bar {
                    bar.fine = true;
                }
            }
            (Some(Direction::Dal), Direction::Segno) => self.word = Some(Direction::Dal),
            (_, Direction::Segno) => {
                self.end_bar();
                self.next.segno = true;
            }
            (_, Direction::Coda) => {
                self.end_bar();
                self.next.coda = true;
            }
        }
    }

    fn nothing_before(&self, sign: &Sign, to: &str) -> Error {
        let shown: String = self.text[sign.begin..sign.end].iter().collect();
        Error::mistake(format!("nothing comes before '{shown}' ({}) to {to}", place(self.text, sign.begin)))
    }
}

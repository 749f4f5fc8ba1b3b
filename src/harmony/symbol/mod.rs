//! The part of a chord symbol behind its root, read as intervals: `m7b5`, `7(b9,#11)`, `6/9`, `sus79`, `j7911#`.
//!
//! Lead sheets agree on little, so every spelling in use is read. Where two readings compete:
//! - `+` and `-` make a triad augmented or minor in front of the extension (`C+7`, `C-9`), and raise or lower the number
//!   behind them after it (`C7+9`, `C7-5`);
//! - an accidental belongs to the number behind it (`7b9`), unless there is none (`79b`), or unless numbers stand
//!   together without a sign as the Weimar Jazz Database writes them: `79b13` is seven, flat nine, thirteen;
//! - a `+` or `-` behind a five, or behind a further number, belongs to it (`C5+`, `C7(9-)`, `C7/13-`): Latin and
//!   German sheets write so;
//! - `(b9)` and its like on a plain major triad mean a dominant chord; `(#11)` does not, and `add` says what it says.

mod lexicon;
mod quality;

use lexicon::{WORDS, Word};
use quality::SymbolTones;

/// Reads what is behind a root: intervals in semitones above it, in the order root, third, fifth, seventh,
/// tensions. The error is the index of the character that makes no sense.
pub(super) fn intervals(symbol: &[char]) -> Result<Vec<u8>, usize> {
    let symbol: Vec<char> = symbol.iter().map(|sign| plain(*sign)).collect();
    let symbol = symbol.as_slice();
    let behind = numbers_stand_together(symbol);
    let mut reader = SymbolReader { symbol, at: 0, quality: SymbolTones::default(), behind, open: 0 };
    while reader.at < symbol.len() {
        reader.step()?;
    }
    if reader.open > 0 {
        return Err(symbol.len());
    }
    Ok(reader.quality.intervals())
}

/// True for the Weimar spelling, which is not used elsewhere: `79`, `711`, `6911`, `7913`.
fn numbers_stand_together(symbol: &[char]) -> bool {
    let text: String = symbol.iter().collect();
    ["79", "711", "713", "6911", "6913"].iter().any(|run| text.contains(run))
}

struct SymbolReader<'a> {
    symbol: &'a [char],
    at: usize,
    quality: SymbolTones,
    /// Accidentals stand behind their numbers.
    behind: bool,
    /// Open parentheses.
    open: usize,
}

impl SymbolReader<'_> {
    fn step(&mut self) -> Result<(), usize> {
        let next = self.symbol[self.at];
        match next {
            '(' | '[' => {
                self.open += 1;
                self.at += 1;
                Ok(())
            }
            ')' | ']' => {
                self.open = self.open.checked_sub(1).ok_or(self.at)?;
                self.at += 1;
                Ok(())
            }
            // Something has to follow.
            ',' | ' ' | '/' if self.at + 1 < self.symbol.len() => {
                self.at += 1;
                Ok(())
            }
            // An abbreviated word: "maj.7", "dim.".
            '.' if self.at > 0 && self.symbol[self.at - 1].is_alphabetic() => {
                self.at += 1;
                Ok(())
            }
            '0'..='9' => self.plain_number(),
            // "m#" is written for the minor chord with a raised fifth.
            '#' if self.at + 1 == self.symbol.len() && self.quality.minor && !self.quality.extended => {
                self.at += 1;
                self.alter(5, 1, self.at - 1)
            }
            '#' => self.altered_number(1),
            'b' => self.altered_number(-1),
            '+' | '-' => self.sign(if next == '+' { 1 } else { -1 }),
            _ => {
                let begin = self.at;
                let found = WORDS.iter().find(|(text, _)| self.follows(text)).ok_or(begin)?;
                self.at += found.0.chars().count();
                self.word(found.1, begin)
            }
        }
    }

    /// True when a word comes next; long ones in any case: "MAJ", "Sus".
    fn follows(&self, text: &str) -> bool {
        let any_case = text.chars().count() > 2;
        text.chars().enumerate().all(|(i, c)| {
            self.symbol.get(self.at + i).is_some_and(|s| *s == c || (any_case && s.to_ascii_lowercase() == c))
        })
    }

    fn word(&mut self, word: Word, begin: usize) -> Result<(), usize> {
        let quality = &mut self.quality;
        match word {
            Word::Major => quality.major = true,
            Word::MajorSeven => (quality.major, quality.seventh) = (true, true),
            Word::Minor if quality.minor || quality.extended => return Err(begin),
            Word::Minor => quality.minor = true,
            Word::MinorAdd => {
                quality.minor = true;
                return self.added();
            }
            Word::Flat => return self.altered(-1),
            Word::Sharp => return self.altered(1),
            // "7dim5", "7aug5"; "7aug" is "aug7".
            Word::Diminished | Word::Augmented
                if quality.extended && self.symbol.get(self.at).is_some_and(char::is_ascii_digit) =>
            {
                return self.altered(if word == Word::Augmented { 1 } else { -1 });
            }
            Word::Diminished => quality.diminished = true,
            Word::HalfDiminished => quality.half_diminished = true,
            Word::Augmented => quality.augmented = true,
            Word::Dominant => {}
            Word::Altered => quality.altered = true,
            Word::Suspended => self.suspended(),
            Word::Add => return self.added(),
            Word::LeaveOut => {
                let at = self.at;
                let interval = match self.number() {
                    Some(1) => 0,
                    Some(3) => 4,
                    Some(5) => 7,
                    _ => return Err(at),
                };
                // "no3rd", "no5th".
                if self.follows("rd") || self.follows("th") {
                    self.at += 2;
                }
                self.quality.left_out.push(interval);
            }
        }
        Ok(())
    }

    /// `sus`, `sus4`, `sus2`, `sus24`, `sus#4`, `susb2`; what else follows is an extension.
    fn suspended(&mut self) {
        let mut tones = Vec::new();
        loop {
            let rest = self.symbol.get(self.at..).unwrap_or_default();
            let (tone, length) = match rest {
                ['2', ..] => (2, 1),
                ['4', ..] => (5, 1),
                ['#', '4', ..] => (6, 2),
                ['b', '2', ..] => (1, 2),
                // "sus2/4"
                ['/', '2', ..] if !tones.is_empty() => (2, 2),
                ['/', '4', ..] if !tones.is_empty() => (5, 2),
                _ => break,
            };
            tones.push(tone);
            self.at += length;
        }
        self.quality.suspended.extend(if tones.is_empty() { vec![5] } else { tones });
    }

    /// What follows `add`: a number with or without an accidental.
    fn added(&mut self) -> Result<(), usize> {
        while self.symbol.get(self.at) == Some(&' ') {
            self.at += 1;
        }
        let begin = self.at;
        let alter = self.symbol.get(self.at).map_or(0, accidental);
        self.at += usize::from(alter != 0);
        let number = self.number();
        let alter = match number.filter(|_| alter == 0).and_then(|n| self.accidental_behind(n)) {
            Some(behind) => behind,
            None => alter,
        };
        match (number, alter) {
            (Some(3), 0) => self.quality.added_third = true,
            (Some(7), -1) => self.quality.added_sevenths.push(10),
            (Some(6), 0) => self.quality.six = true,
            (Some(7), 0) => self.quality.added_sevenths.push(if self.quality.major { 11 } else { 10 }),
            (Some(number), _) => self.quality.tensions.push(tension(number, alter).ok_or(begin)?),
            (None, _) => return Err(begin),
        }
        Ok(())
    }

    /// `+` and `-`: a triad in front of the extension, an accidental behind it.
    fn sign(&mut self, alter: i8) -> Result<(), usize> {
        let begin = self.at;
        let mut ahead = SymbolReader {
            symbol: self.symbol,
            at: begin + 1,
            quality: SymbolTones::default(),
            behind: false,
            open: 0,
        };
        let number = ahead.number();
        let five = number == Some(5) && !self.quality.extended;
        if five || (self.quality.extended && number.is_some_and(|n| tension(n, alter).is_some() || n == 5)) {
            return self.altered_number(alter);
        }
        self.at += 1;
        match alter {
            1 => self.quality.augmented = true,
            // Minor is written first.
            _ if self.symbol[..begin].iter().any(|c| !matches!(c, '(' | '[' | ' ')) => return Err(begin),
            _ => self.quality.minor = true,
        }
        Ok(())
    }

    fn altered_number(&mut self, alter: i8) -> Result<(), usize> {
        self.at += 1;
        self.altered(alter)
    }

    /// The number behind an accidental.
    fn altered(&mut self, alter: i8) -> Result<(), usize> {
        let begin = self.at.saturating_sub(1);
        while self.symbol.get(self.at) == Some(&' ') {
            self.at += 1;
        }
        let number = self.number().ok_or(begin)?;
        self.alter(number, alter, begin)
    }

    fn alter(&mut self, number: u8, alter: i8, begin: usize) -> Result<(), usize> {
        match number {
            5 => self.quality.fifths.push(if alter < 0 { 6 } else { 8 }),
            7 => self.quality.added_sevenths.push(if alter < 0 { 10 } else { 11 }),
            _ => {
                let tone = tension(number, alter).ok_or(begin)?;
                self.quality.sharp_edge |= matches!(tone, 13 | 15 | 20);
                self.quality.tensions.push(tone);
            }
        }
        Ok(())
    }

    /// A number without an accidental in front: the extension, or a tension after it.
    fn plain_number(&mut self) -> Result<(), usize> {
        let begin = self.at;
        let number = self.number().ok_or(begin)?;
        if let Some(alter) = self.accidental_behind(number) {
            return self.alter(number, alter, begin);
        }
        let first = !self.quality.extended;
        let quality = &mut self.quality;
        match number {
            5 if first => quality.power = true,
            2 => quality.tensions.push(14),
            4 => quality.suspended.push(5),
            6 => quality.six = true,
            7 => quality.seventh = true,
            9 | 11 | 13 => {
                let alone = first && !quality.six && quality.added_sevenths.is_empty();
                quality.seventh |= alone;
                quality.nine = alone && number > 9;
                quality.tensions.push(tension(number, 0).ok_or(begin)?);
            }
            _ => return Err(begin),
        }
        self.quality.extended = true;
        Ok(())
    }

    /// The accidental behind a number, when it belongs to it: `79b`, `7(9-)`, `5+`.
    fn accidental_behind(&mut self, number: u8) -> Option<i8> {
        let sign = *self.symbol.get(self.at)?;
        let alter = match sign {
            '+' => 1,
            '-' => -1,
            _ => accidental(&sign),
        };
        if alter == 0 || !matches!(number, 5 | 9 | 11 | 13) {
            return None;
        }
        let digit_next = self.symbol.get(self.at + 1).is_some_and(char::is_ascii_digit);
        let belongs = match sign {
            '#' | 'b' => self.behind || !digit_next,
            // "C9+" is an augmented ninth chord, "C7(9+)" has a sharp nine, "C7-9" a flat one.
            _ => !digit_next && (number == 5 || self.quality.extended || sign == '-'),
        };
        belongs.then(|| {
            self.at += 1;
            self.quality.extended |= number == 5;
            alter
        })
    }

    /// The next number of those chords are made of: `13` before `1`, but `6` and `9` of `69` apart.
    fn number(&mut self) -> Option<u8> {
        let digits = [self.symbol.get(self.at)?, self.symbol.get(self.at + 1).unwrap_or(&' ')];
        let (number, length) = match digits {
            ['1', '1'] => (11, 2),
            ['1', '3'] => (13, 2),
            [digit @ '1'..='9', _] => (digit.to_digit(10)? as u8, 1),
            _ => return None,
        };
        self.at += length;
        Some(number)
    }
}

/// −1 for a flat, 1 for a sharp, 0 for anything else.
fn accidental(sign: &char) -> i8 {
    match sign {
        '#' => 1,
        'b' => -1,
        _ => 0,
    }
}

/// Normalises a sign: look-alikes of typesetters, phones and other keyboards become one.
pub(super) fn plain(sign: char) -> char {
    match sign {
        '♯' | '＃' | '﹟' => '#',
        '♭' => 'b',
        '−' | '–' | '—' | '‐' | '‑' | '‒' | '―' | '﹣' | '－' => '-',
        '＋' | '﹢' => '+',
        '∅' | 'ᴓ' | '⌀' | 'Ø' | 'Φ' | 'φ' | 'ɸ' => 'ø',
        'º' | '○' | '˚' | '◦' | '⁰' | 'ᵒ' => '°',
        '∆' | '▵' | '△' | '▲' | '▴' | '⊿' | '^' => 'Δ',
        '（' | '⁽' => '(',
        '）' | '⁾' => ')',
        '／' | '⁄' | '∕' => '/',
        '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{3000}' => ' ',
        '⁴'..='⁹' => digit(sign, '⁴', 4),
        '０'..='９' => digit(sign, '０', 0),
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        other => other,
    }
}

/// The digit of a sign in a block in which `first` has the `value`.
fn digit(sign: char, first: char, value: u32) -> char {
    char::from_digit(sign as u32 - first as u32 + value, 10).unwrap_or(sign)
}

/// A tension in semitones above the root.
fn tension(number: u8, alter: i8) -> Option<u8> {
    match (number, alter) {
        (2 | 9, -1..=1) => Some((14 + alter) as u8),
        (4 | 11, 0..=1) => Some((17 + alter) as u8),
        (6 | 13, -1..=0) => Some((21 + alter) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

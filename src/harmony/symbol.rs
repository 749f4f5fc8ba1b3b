//! The part of a chord symbol behind its root, read as intervals: `m7b5`, `7(b9,#11)`, `6/9`, `sus79`, `j7911#`.
//!
//! Lead sheets agree on little, so every spelling in use is read. Where two readings compete:
//! - `+` and `-` make a triad augmented or minor in front of the extension (`C+7`, `C-9`), and raise or lower the number
//!   behind them after it (`C7+9`, `C7-5`);
//! - an accidental belongs to the number behind it (`7b9`), unless there is none (`79b`), or unless numbers stand
//!   together without a sign as the Weimar Jazz Database writes them: `79b13` is seven, flat nine, thirteen;
//! - `(b9)` and its like on a plain major triad mean a dominant chord; `(#11)` does not, and `add` says what it says.

use super::quality::Quality;
use super::words::{WORDS, Word};

/// Reads what stands behind a root: intervals in semitones above it, in the order root, third, fifth, seventh,
/// tensions. The error is the index of the character that makes no sense.
pub(super) fn intervals(symbol: &[char]) -> Result<Vec<u8>, usize> {
    let behind = numbers_stand_together(symbol);
    let mut reader = Reader { symbol, at: 0, quality: Quality::default(), behind, open: 0 };
    while reader.at < symbol.len() {
        reader.step()?;
    }
    if reader.open > 0 {
        return Err(symbol.len());
    }
    Ok(reader.quality.intervals())
}

/// True for the Weimar spelling: `79`, `711`, `6911`, `7913`, never written so elsewhere.
fn numbers_stand_together(symbol: &[char]) -> bool {
    let text: String = symbol.iter().collect();
    ["79", "711", "713", "6911", "6913"].iter().any(|run| text.contains(run))
}

struct Reader<'a> {
    symbol: &'a [char],
    at: usize,
    quality: Quality,
    /// Accidentals stand behind their numbers.
    behind: bool,
    /// Open parentheses.
    open: usize,
}

impl Reader<'_> {
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
            '0'..='9' => self.plain_number(),
            '#' | '♯' => self.altered_number(1),
            'b' | '♭' => self.altered_number(-1),
            '+' | '-' | '−' | '–' => self.sign(if next == '+' { 1 } else { -1 }),
            '^' => {
                self.at += 1;
                self.word(Word::MajorSeven, self.at - 1)
            }
            _ => {
                let begin = self.at;
                let found = WORDS.iter().find(|(text, _)| self.follows(text)).ok_or(begin)?;
                self.at += found.0.chars().count();
                self.word(found.1, begin)
            }
        }
    }

    fn follows(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.symbol.get(self.at + i) == Some(&c))
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

    /// `sus`, `sus4`, `sus2`, `sus24`; what else follows is an extension.
    fn suspended(&mut self) {
        let mut tones = Vec::new();
        while let Some(digit @ ('2' | '4')) = self.symbol.get(self.at) {
            tones.push(if *digit == '2' { 2 } else { 5 });
            self.at += 1;
        }
        self.quality.suspended.extend(if tones.is_empty() { vec![5] } else { tones });
    }

    /// What follows `add`: a number with or without an accidental.
    fn added(&mut self) -> Result<(), usize> {
        let begin = self.at;
        let alter = match self.symbol.get(self.at) {
            Some('#' | '♯') => 1,
            Some('b' | '♭') => -1,
            _ => 0,
        };
        self.at += usize::from(alter != 0);
        match (self.number(), alter) {
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
        let mut ahead =
            Reader { symbol: self.symbol, at: begin + 1, quality: Quality::default(), behind: false, open: 0 };
        let number = ahead.number();
        let five = number == Some(5) && !self.quality.extended;
        if five || (self.quality.extended && number.is_some_and(|n| tension(n, alter).is_some() || n == 5)) {
            return self.altered_number(alter);
        }
        self.at += 1;
        match alter {
            1 => self.quality.augmented = true,
            _ if self.quality.minor || self.quality.extended => return Err(begin),
            _ => self.quality.minor = true,
        }
        Ok(())
    }

    fn altered_number(&mut self, alter: i8) -> Result<(), usize> {
        let begin = self.at;
        self.at += 1;
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
            2 if first => quality.tensions.push(14),
            4 if first => quality.suspended.push(5),
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

    /// The accidental behind a number, when it belongs to it.
    fn accidental_behind(&mut self, number: u8) -> Option<i8> {
        let alter = match self.symbol.get(self.at)? {
            '#' | '♯' => 1,
            'b' | '♭' => -1,
            _ => return None,
        };
        if !matches!(number, 5 | 9 | 11 | 13) {
            return None;
        }
        let digit_next = self.symbol.get(self.at + 1).is_some_and(char::is_ascii_digit);
        (self.behind || !digit_next).then(|| {
            self.at += 1;
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
mod tests {
    use super::intervals;

    fn check(table: &[(&str, &[u8])]) {
        for (symbol, expected) in table {
            let chars: Vec<char> = symbol.chars().collect();
            let tones = intervals(&chars).map(|tones| tones.iter().map(|t| t % 12).collect::<Vec<_>>());
            assert_eq!(tones.as_deref(), Ok(*expected), "{symbol}");
        }
    }

    #[test]
    fn lead_sheet_spellings() {
        let major_seven: &[u8] = &[0, 4, 7, 11];
        let half_diminished: &[u8] = &[0, 3, 6, 10];
        check(&[("", &[0, 4, 7]), ("m", &[0, 3, 7]), ("min", &[0, 3, 7]), ("-", &[0, 3, 7]), ("maj", &[0, 4, 7])]);
        for symbol in ["maj7", "M7", "Δ7", "Δ", "△", "j7", "ma7", "Maj7", "^7", "^"] {
            check(&[(symbol, major_seven)]);
        }
        for symbol in ["m7b5", "ø", "ø7", "-7b5", "min7(b5)", "m7-5", "m7♭5", "Ø"] {
            check(&[(symbol, half_diminished)]);
        }
        check(&[("-7", &[0, 3, 7, 10]), ("m7", &[0, 3, 7, 10]), ("min7", &[0, 3, 7, 10]), ("mi7", &[0, 3, 7, 10])]);
        check(&[("dim", &[0, 3, 6]), ("°", &[0, 3, 6]), ("o", &[0, 3, 6])]);
        check(&[("dim7", &[0, 3, 6, 9]), ("°7", &[0, 3, 6, 9]), ("o7", &[0, 3, 6, 9])]);
        check(&[("+", &[0, 4, 8]), ("aug", &[0, 4, 8]), ("+5", &[0, 4, 8])]);
        check(&[("+7", &[0, 4, 8, 10]), ("7#5", &[0, 4, 8, 10]), ("7+", &[0, 4, 8, 10]), ("7+5", &[0, 4, 8, 10])]);
        check(&[("7alt", &[0, 4, 10, 1, 3, 6, 8]), ("alt", &[0, 4, 10, 1, 3, 6, 8])]);
        check(&[
            ("7b9#11", &[0, 4, 7, 10, 1, 6]),
            ("7(b9,#11)", &[0, 4, 7, 10, 1, 6]),
            ("7-9+11", &[0, 4, 7, 10, 1, 6]),
        ]);
        check(&[("13", &[0, 4, 7, 10, 2, 9]), ("9", &[0, 4, 7, 10, 2]), ("m11", &[0, 3, 7, 10, 2, 5])]);
        check(&[
            ("9sus4", &[0, 5, 7, 10, 2]),
            ("7sus", &[0, 5, 7, 10]),
            ("sus2", &[0, 2, 7]),
            ("sus24", &[0, 2, 5, 7]),
        ]);
        check(&[("6", &[0, 4, 7, 9]), ("6/9", &[0, 4, 7, 9, 2]), ("69", &[0, 4, 7, 9, 2]), ("m6", &[0, 3, 7, 9])]);
        check(&[("add9", &[0, 4, 7, 2]), ("madd9", &[0, 3, 7, 2]), ("2", &[0, 4, 7, 2]), ("5", &[0, 7])]);
        check(&[
            ("mMaj7", &[0, 3, 7, 11]),
            ("-maj7", &[0, 3, 7, 11]),
            ("m(maj7)", &[0, 3, 7, 11]),
            ("mΔ", &[0, 3, 7, 11]),
        ]);
        check(&[("(b9)", &[0, 4, 7, 10, 1]), ("(#11)", &[0, 4, 7, 6]), ("maj7#11", &[0, 4, 7, 11, 6])]);
        check(&[
            ("maj7#5", &[0, 4, 8, 11]),
            ("7b5", &[0, 4, 6, 10]),
            ("7b5#5", &[0, 4, 6, 8, 10]),
            ("7no5", &[0, 4, 10]),
        ]);
    }

    #[test]
    fn weimar_spellings_put_the_accidental_behind() {
        check(&[("79b13", &[0, 4, 7, 10, 1, 9]), ("79b", &[0, 4, 7, 10, 1]), ("79#", &[0, 4, 7, 10, 3])]);
        check(&[("7911#", &[0, 4, 7, 10, 2, 6]), ("7913b", &[0, 4, 7, 10, 2, 8]), ("79b13b", &[0, 4, 7, 10, 1, 8])]);
        check(&[("j7911#", &[0, 4, 7, 11, 2, 6]), ("j79#11#", &[0, 4, 7, 11, 3, 6]), ("6911#", &[0, 4, 7, 9, 2, 6])]);
        check(&[("-j7", &[0, 3, 7, 11]), ("-j7913", &[0, 3, 7, 11, 2, 9]), ("-69", &[0, 3, 7, 9, 2])]);
        check(&[("sus7913", &[0, 5, 7, 10, 2, 9]), ("+79#", &[0, 4, 8, 10, 3]), ("+j7", &[0, 4, 8, 11])]);
    }

    #[test]
    fn openewld_spellings() {
        check(&[("sus4(add7)", &[0, 5, 7, 10]), ("sus4(add7)(9)", &[0, 5, 7, 10, 2]), ("(add4)", &[0, 4, 7, 5])]);
        check(&[
            ("9#5", &[0, 4, 8, 10, 2]),
            ("13b9", &[0, 4, 7, 10, 1, 9]),
            ("m#5", &[0, 3, 8]),
            ("m9b5", &[0, 3, 6, 10, 2]),
        ]);
    }

    #[test]
    fn nonsense_is_placed() {
        for (symbol, at) in [
            ("m7x", 2),
            ("8", 0),
            ("maj7b", 4),
            ("7b11", 1),
            ("sus7m", 4),
            ("add", 3),
            ("no7", 2),
            ("/", 0),
            ("7(b9", 4),
            ("7)", 1),
        ] {
            let chars: Vec<char> = symbol.chars().collect();
            assert_eq!(intervals(&chars), Err(at), "{symbol}");
        }
    }
}

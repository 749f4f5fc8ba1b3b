//! Vocabularies: named blocks of tokens.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::error::{Error, Result, nearest};

/// The kind of a token, for metrics and masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// PAD, BOS, EOS, MASK.
    Special,
    /// A chord symbol: conditioning, given rather than predicted.
    Chord,
    /// A style, given rather than predicted.
    Style,
    /// The tempo of `note_duration` from here on, given rather than predicted.
    Tempo,
    /// A bar or a beat of `note_duration`: nothing more comes before it. The time until it follows, and is given.
    Click,
    /// A pitch begins.
    Note,
    /// A pitch ends.
    NoteOff,
    /// Loudness.
    Velocity,
    /// Time: shifts, positions, bars, durations, rests.
    Time,
    /// Anything else: tempo, metre, program, drums, learned pairs.
    Other,
}

/// The names of all tokens; an id is an index.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    names: Vec<String>,
    kinds: Vec<TokenKind>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Appends a token; a name that exists keeps its id.
    pub(super) fn push(&mut self, name: String, kind: TokenKind) {
        self.ids.entry(name.clone()).or_insert(self.names.len() as u32);
        self.names.push(name);
        self.kinds.push(kind);
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True when there is no token.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of an id: "NoteOn_60".
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }

    /// The kind of an id.
    pub fn kind(&self, id: u32) -> Option<TokenKind> {
        self.kinds.get(id as usize).copied()
    }

    /// The id of a name.
    ///
    /// # Errors
    /// An unknown name is refused with the nearest known one.
    ///
    /// ```
    /// use etude::tokens::{Options, Tokenizer};
    ///
    /// let tokenizer = Tokenizer::new("performance", &Options::default())?;
    /// let error = tokenizer.vocabulary().id("NotOn_60").expect_err("a letter is missing");
    /// assert_eq!(error.hint(), Some("did you mean 'NoteOn_60'?"));
    /// # Ok::<(), etude::Error>(())
    /// ```
    pub fn id(&self, name: &str) -> Result<u32> {
        if let Some(&id) = self.ids.get(name) {
            return Ok(id);
        }
        let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("the blocks are: {}", self.blocks().map(|b| b.prefix).collect::<Vec<_>>().join(", ")),
        };
        Err(Error::mistake(format!("no token is called '{name}'")).with_hint(hint))
    }

    /// The vocabulary as a table, one block a line: ids, how many, the first name and the last.
    pub fn table(&self) -> String {
        let mut text = format!("{:>13}  {:>6}  tokens\n", "ids", "count");
        for block in self.blocks() {
            let (first, last) = (block.first, block.first + block.count - 1);
            let names = match (self.name(first), self.name(last)) {
                (Some(one), Some(other)) if first != last => format!("{one} … {other}"),
                (one, _) => one.unwrap_or_default().to_string(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:>13}  {:>6}  {names}", format!("{first}–{last}"), block.count);
        }
        text
    }

    /// Runs of tokens whose names have one prefix; the special tokens, which share a suffix, are one block.
    fn blocks(&self) -> impl Iterator<Item = NameBlock<'_>> {
        let mut first = 0;
        std::iter::from_fn(move || {
            let prefix = self.prefix(first)?;
            let count =
                self.names[first..].iter().enumerate().take_while(|(i, _)| self.prefix(first + i) == Some(prefix));
            let block = NameBlock { prefix, first: first as u32, count: count.count() as u32 };
            first += block.count as usize;
            Some(block)
        })
    }

    fn prefix(&self, index: usize) -> Option<&str> {
        let name = self.names.get(index)?;
        match self.kinds[index] {
            TokenKind::Special => Some("special"),
            _ => Some(name.split_once('_').map_or(name.as_str(), |(prefix, _)| prefix)),
        }
    }
}

struct NameBlock<'a> {
    prefix: &'a str,
    first: u32,
    count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for (name, kind) in [
            ("PAD_None", TokenKind::Special),
            ("BOS_None", TokenKind::Special),
            ("NoteOn_0", TokenKind::Note),
            ("NoteOn_1", TokenKind::Note),
            ("Bar_None", TokenKind::Time),
        ] {
            vocabulary.push(name.to_string(), kind);
        }
        vocabulary
    }

    #[test]
    fn the_table_has_one_line_a_block() {
        let table = small().table();
        let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["0–1", "2", "PAD_None", "…", "BOS_None"]);
        assert_eq!(lines[2], ["2–3", "2", "NoteOn_0", "…", "NoteOn_1"]);
        assert_eq!(lines[3], ["4–4", "1", "Bar_None"]);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let error = small().id("NoteOn0").expect_err("there is no such token");
        assert_eq!(error.hint(), Some("did you mean 'NoteOn_0'?"));
        let error = small().id("???????????").expect_err("there is no such token");
        assert_eq!(error.hint(), Some("the blocks are: special, NoteOn, Bar"));
    }
}

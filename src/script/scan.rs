//! A lexer: splits code into words, symbols, strings and comments, and finds what is open at its end. It accepts any
//! text, valid or not: completion and completeness need code that is still being typed, which no parser accepts.

/// The kind of a [`Lexeme`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LexemeKind {
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// An operator or bracket; `=>`, `#{`, `${`, `::`, `..` and `?.` are one.
    Symbol,
    /// A string, or a part of one between `${…}`.
    Text,
    /// A comment.
    Comment,
}

/// A token, by its byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub(crate) kind: LexemeKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// An open construct at the end of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// A bracket: `(`, `[` or `{`, and the byte behind it.
    Bracket(char, usize),
    /// The code part of a string, `${`.
    Code,
    /// A string in backticks; it may run over lines.
    Template(usize),
    /// A string in quotes, and the byte behind its quote.
    Text(usize),
    /// A character in single quotes, or what was meant as a string.
    Single,
    /// A comment `/*`.
    Comment,
    /// A comment `//` on the last line.
    LineComment,
}

/// The tokens of a text.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) tokens: Vec<Lexeme>,
    pub(crate) open: Vec<Open>,
}

/// Splits a text into tokens.
pub(crate) fn scan(text: &str) -> Scan {
    let mut scanner = Scanner { text, at: 0, scan: Scan::default() };
    while scanner.at < text.len() {
        scanner.next();
    }
    scanner.scan
}

impl Scan {
    /// The tokens without comments.
    pub(crate) fn code(&self) -> impl DoubleEndedIterator<Item = &Lexeme> {
        self.tokens.iter().filter(|t| t.kind != LexemeKind::Comment)
    }
}

/// Lines and columns (from 1, in characters) of every `_` in a text that is not a default case of a `switch`.
pub(crate) fn last_marks(text: &str) -> Vec<(usize, usize)> {
    if !text.contains('_') {
        return Vec::new();
    }
    let scan = scan(text);
    let code: Vec<&Lexeme> = scan.code().collect();
    let word = |t: Option<&&Lexeme>| t.map(|t| &text[t.start..t.end]);
    let marks = code.iter().enumerate().filter(|(i, t)| {
        &text[t.start..t.end] == "_"
            && t.kind == LexemeKind::Word
            && !matches!(word(code.get(i + 1)), Some("=>" | "if"))
    });
    marks.map(|(_, t)| place(text, t.start)).collect()
}

/// Line and column (from 1, in characters) of a byte.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let begin = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    scan: Scan,
}

impl Scanner<'_> {
    fn next(&mut self) {
        let rest = &self.text[self.at..];
        if let Some(Open::Template(_)) = self.scan.open.last() {
            return self.template();
        }
        let Some(c) = rest.chars().next() else { return };
        if c.is_whitespace() {
            self.at += c.len_utf8();
        } else if rest.starts_with("//") {
            self.line_comment(rest);
        } else if rest.starts_with("/*") {
            self.block_comment();
        } else if c == '_' || c.is_alphabetic() {
            self.take(LexemeKind::Word, rest.find(|c: char| c != '_' && !c.is_alphanumeric()));
        } else if c.is_ascii_digit() {
            self.number(rest);
        } else if c == '"' {
            self.quoted('"');
        } else if c == '\'' {
            self.quoted('\'');
        } else if c == '`' {
            self.at += 1;
            self.scan.open.push(Open::Template(self.at));
        } else {
            self.symbol(rest, c);
        }
    }

    fn take(&mut self, kind: LexemeKind, len: Option<usize>) {
        let end = len.map_or(self.text.len(), |len| self.at + len);
        self.scan.tokens.push(Lexeme { kind, start: self.at, end });
        self.at = end;
    }

    fn number(&mut self, rest: &str) {
        let mut end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        // `1.5` and `2e-3`, but neither `1..5` nor `1.abs()`
        let tail = &rest[end..];
        if tail.starts_with('.') && tail[1..].starts_with(|c: char| c.is_ascii_digit()) {
            end += 1 + tail[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tail.len() - 1);
        }
        let tail = &rest[end..];
        if rest[..end].ends_with(['e', 'E']) && !rest.starts_with("0x") && tail.starts_with(['-', '+']) {
            end += 1 + tail[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len() - 1);
        }
        self.take(LexemeKind::Number, Some(end));
    }

    fn symbol(&mut self, rest: &str, c: char) {
        let long = ["=>", "#{", "::", "..", "?."].into_iter().find(|s| rest.starts_with(s));
        let len = long.map_or(c.len_utf8(), str::len);
        self.take(LexemeKind::Symbol, Some(len));
        match c {
            '(' | '[' | '{' => self.scan.open.push(Open::Bracket(c, self.at)),
            '#' if len == 2 => self.scan.open.push(Open::Bracket('{', self.at)),
            ')' | ']' | '}' => self.close(c),
            _ => {}
        }
    }

    /// Closes the innermost bracket if it matches; an unmatched bracket is ignored.
    fn close(&mut self, c: char) {
        let matches = match self.scan.open.last() {
            Some(Open::Code) => c == '}',
            Some(Open::Bracket(open, _)) => matches!((open, c), ('(', ')') | ('[', ']') | ('{', '}')),
            _ => false,
        };
        if matches {
            self.scan.open.pop();
        }
    }

    fn line_comment(&mut self, rest: &str) {
        let end = rest.find('\n');
        self.take(LexemeKind::Comment, end);
        if end.is_none() {
            self.scan.open.push(Open::LineComment);
        }
    }

    /// `/* … */`, which may be nested.
    fn block_comment(&mut self) {
        let rest = &self.text[self.at..];
        let (mut depth, mut at) = (0, 0);
        while at < rest.len() {
            let here = &rest[at..];
            if here.starts_with("/*") {
                depth += 1;
                at += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return self.take(LexemeKind::Comment, Some(at));
                }
            } else {
                at += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        self.take(LexemeKind::Comment, None);
        self.scan.open.push(Open::Comment);
    }

    /// A string or character on one line.
    fn quoted(&mut self, quote: char) {
        let rest = &self.text[self.at..];
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == quote {
                return self.take(LexemeKind::Text, Some(i + 1));
            } else if c == '\n' {
                // It ends with the line; the parser reports the error.
                return self.take(LexemeKind::Text, Some(i));
            }
        }
        let inside = self.at + 1;
        self.take(LexemeKind::Text, None);
        self.scan.open.push(if quote == '"' { Open::Text(inside) } else { Open::Single });
    }

    /// A part of a string in backticks, up to its end or to `${`.
    fn template(&mut self) {
        let rest = &self.text[self.at..];
        let mut chars = rest.char_indices();
        while let Some((i, c)) = chars.next() {
            if c == '`' {
                // A doubled backtick is an escaped one.
                if rest[i + 1..].starts_with('`') {
                    chars.next();
                    continue;
                }
                self.take(LexemeKind::Text, Some(i + 1));
                self.scan.open.pop();
                return;
            }
            if rest[i..].starts_with("${") {
                self.take(LexemeKind::Text, Some(i));
                self.take(LexemeKind::Symbol, Some(2));
                self.scan.open.push(Open::Code);
                return;
            }
        }
        self.take(LexemeKind::Text, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        scan(text).tokens.iter().map(|t| &text[t.start..t.end]).collect()
    }

    #[test]
    fn a_text_is_cut() {
        assert_eq!(
            words("let x = a.b(1.5, #{c: 2e-3});"),
            ["let", "x", "=", "a", ".", "b", "(", "1.5", ",", "#{", "c", ":", "2e-3", "}", ")", ";"]
        );
        assert_eq!(words("0..3 // end"), ["0", "..", "3", "// end"]);
        assert_eq!(words("`a ${b + `c`} d`"), ["a ", "${", "b", "+", "c`", "}", " d`"]);
    }

    #[test]
    fn what_is_open_is_known() {
        assert_eq!(scan("f(#{ a: [1").open, [Open::Bracket('(', 2), Open::Bracket('{', 4), Open::Bracket('[', 9)]);
        assert_eq!(scan("x + /* a /* b */").open, [Open::Comment]);
        assert_eq!(scan("midi(\"exa").open, [Open::Bracket('(', 5), Open::Text(6)]);
        assert_eq!(scan("`a ${b").open, [Open::Template(1), Open::Code]);
        assert!(scan("f({}) // (").open == [Open::LineComment]);
    }

    #[test]
    fn the_last_value_is_told_from_a_default_case() {
        assert_eq!(last_marks("switch _ { 1 => 2, _ => 3, _ if x => `${_}` }"), [(1, 8), (1, 41)]);
        assert_eq!(last_marks("a_b +\n  _"), [(2, 3)]);
    }

    proptest! {
        #[test]
        fn any_text_is_cut_in_order(text in "[a-z_0-9 .\"'`${}()\\[\\]#/*\\\\\n=>é𝄞]{0,60}") {
            let scan = scan(&text);
            let mut end = 0;
            for token in &scan.tokens {
                prop_assert!(token.start >= end && token.end >= token.start);
                prop_assert!(text.get(token.start..token.end).is_some());
                end = token.end;
            }
        }
    }
}

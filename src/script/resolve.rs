//! Infers the type of the expression before a dot, without running it: from the known values of variables and the
//! result types of members in the catalog.

use crate::script::catalog::MemberKind as Of;
use crate::script::scan::{Lexeme, LexemeKind};
use crate::script::symbols::Symbols;
use crate::script::value_info::ValueInfo;

/// The names for look-ups.
pub(crate) struct Resolver<'a> {
    pub(crate) text: &'a str,
    /// The tokens of the text, comments left out.
    pub(crate) tokens: &'a [Lexeme],
    pub(crate) symbols: &'a Symbols,
}

/// A step of a chain `a.b(…)[…]`.
#[derive(Debug, PartialEq)]
enum Link<'t> {
    Name(&'t str),
    Call(&'t str),
    Index(&'t str),
}

/// The limit of chains and nested look-ups.
const DEPTH: usize = 16;

impl Resolver<'_> {
    /// The type of the expression that ends before token `end`.
    pub(crate) fn before(&self, end: usize) -> Option<ValueInfo> {
        self.chain(end, DEPTH).map(|(known, _)| known)
    }

    fn word(&self, i: usize) -> &str {
        self.tokens.get(i).and_then(|t| self.text.get(t.start..t.end)).unwrap_or_default()
    }

    fn kind(&self, i: usize) -> Option<LexemeKind> {
        self.tokens.get(i).map(|t| t.kind)
    }

    /// Walks back over a chain to its start and infers forward; also returns where it begins.
    fn chain(&self, end: usize, depth: usize) -> Option<(ValueInfo, usize)> {
        let depth = depth.checked_sub(1)?;
        let mut links = Vec::new();
        let mut end = end;
        let (mut known, begin) = loop {
            let last = end.checked_sub(1)?;
            let begin = match self.word(last) {
                ")" => {
                    let open = self.opening(last)?;
                    match open.checked_sub(1).filter(|&i| self.kind(i) == Some(LexemeKind::Word)) {
                        Some(name) => {
                            links.push(Link::Call(self.word(name)));
                            name
                        }
                        // (expression)
                        None => break (self.chain(last, depth)?.0, open),
                    }
                }
                "]" => {
                    let open = self.opening(last)?;
                    let indexed = open
                        .checked_sub(1)
                        .is_some_and(|i| self.kind(i) == Some(LexemeKind::Word) || matches!(self.word(i), ")" | "]"));
                    if !indexed {
                        break (ValueInfo::of_type("array"), open);
                    }
                    links.push(Link::Index(self.word(open + 1)));
                    end = open;
                    continue;
                }
                "}" => {
                    let open = self.opening(last)?;
                    if self.word(open) != "#{" {
                        return None;
                    }
                    break (ValueInfo::of_type("map"), open);
                }
                _ if self.kind(last) == Some(LexemeKind::Text) => break (ValueInfo::of_type("string"), last),
                word if self.kind(last) == Some(LexemeKind::Number) => {
                    let kind = if word.contains(['.', 'e']) && !word.starts_with("0x") { "float" } else { "int" };
                    break (ValueInfo::of_type(kind), last);
                }
                word if self.kind(last) == Some(LexemeKind::Word) => {
                    links.push(Link::Name(word));
                    last
                }
                _ => return None,
            };
            match begin.checked_sub(1) {
                Some(dot) if matches!(self.word(dot), "." | "?.") => end = dot,
                _ => {
                    let first = links.pop()?;
                    break (self.first(&first, begin, depth)?, begin);
                }
            }
        };
        while let Some(link) = links.pop() {
            known = self.follow(&known, &link)?;
        }
        Some((known, begin))
    }

    /// The bracket that matches the closing one at token `close`.
    fn opening(&self, close: usize) -> Option<usize> {
        let mut open = 0;
        for i in (0..=close).rev() {
            match self.word(i) {
                ")" | "]" | "}" if self.kind(i) == Some(LexemeKind::Symbol) => open += 1,
                "(" | "[" | "{" | "#{" | "${" if self.kind(i) == Some(LexemeKind::Symbol) => {
                    open -= 1;
                    if open == 0 {
                        return Some(i);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The first link of a chain: a variable of the session, one defined in this text, or a function.
    fn first(&self, link: &Link, at: usize, depth: usize) -> Option<ValueInfo> {
        match link {
            Link::Call(name) => {
                self.symbols.catalog().functions(name).next().map(|f| ValueInfo::of_type(alternative(f.returns)))
            }
            Link::Name("true" | "false") => Some(ValueInfo::of_type("bool")),
            Link::Name("_") => Some(self.symbols.last().clone()),
            Link::Name(name) => self.defined(name, at, depth).or_else(|| self.symbols.variable(name).cloned()),
            Link::Index(_) => None,
        }
    }

    /// A variable defined in this text before token `at`: `let name = …;` or `for name in …`.
    fn defined(&self, name: &str, at: usize, depth: usize) -> Option<ValueInfo> {
        let i = (1..at).rev().find(|&i| {
            self.kind(i) == Some(LexemeKind::Word)
                && self.word(i) == name
                && matches!(self.word(i - 1), "let" | "const" | "for")
        })?;
        let begin = i + 2;
        match (self.word(i - 1), self.word(i + 1)) {
            ("for", "in") => {
                let end = (begin..at).find(|&j| self.word(j) == "{")?;
                let known = self.whole(begin, end, depth)?;
                known.items.first().cloned().or_else(|| Some(ValueInfo::of_type(item(&known)?)))
            }
            ("let" | "const", "=") => {
                let end = (begin..at).find(|&j| self.word(j) == ";" && !self.inside(begin, j))?;
                self.whole(begin, end, depth)
            }
            _ => None,
        }
    }

    /// The tokens `begin..end` as one chain.
    fn whole(&self, begin: usize, end: usize, depth: usize) -> Option<ValueInfo> {
        self.chain(end, depth).filter(|(_, from)| *from == begin).map(|(known, _)| known)
    }

    /// True when brackets opened after `begin` are still open at `at`.
    fn inside(&self, begin: usize, at: usize) -> bool {
        let mut open = 0;
        for i in begin..at {
            match self.word(i) {
                "(" | "[" | "{" | "#{" | "${" => open += 1,
                ")" | "]" | "}" => open -= 1,
                _ => {}
            }
        }
        open > 0
    }

    fn follow(&self, known: &ValueInfo, link: &Link) -> Option<ValueInfo> {
        match link {
            Link::Name(key) if known.kind == "map" => return known.key(key).cloned(),
            Link::Index(index) if known.kind == "array" => return known.item(index.parse().ok()).cloned(),
            _ => {}
        }
        let mut members = self.symbols.catalog().members(&known.kind);
        let member = match link {
            Link::Name(name) => members.find(|m| m.name == *name && matches!(m.kind, Of::Property { .. })),
            Link::Call(name) => members.find(|m| m.name == *name && m.kind == Of::Method),
            Link::Index(_) => members.find(|m| m.kind == Of::Index),
        };
        let name = match link {
            Link::Name(name) | Link::Call(name) => name,
            Link::Index(_) => "",
        };
        member.map(|m| ValueInfo::of_member(&known.kind, name, alternative(m.returns)))
    }
}

/// Of alternative types, the first that is an object.
fn alternative(returns: &str) -> &str {
    let mut all = returns.split(" | ");
    all.clone().find(|t| t.starts_with(char::is_uppercase)).or_else(|| all.next()).unwrap_or_default()
}

/// The type of the items of a loop over a value.
fn item(known: &ValueInfo) -> Option<String> {
    if let Some(first) = known.items.first() {
        return Some(first.kind.clone());
    }
    let item = match known.kind.as_str() {
        "Batches" => "Batch",
        "Chords" => "Chord",
        "Stream" => "map",
        _ => return None,
    };
    Some(item.into())
}

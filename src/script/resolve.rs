//! What stands before a dot, without running it: the value of a variable, then from type to type by what the catalog
//! says its members give.

use rhai::{Dynamic, Scope};

use crate::script::catalog::{Catalog, Kind as Of};
use crate::script::scan::{Kind, Token};
use crate::script::show::type_name;

/// What is known about an expression.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// Its value.
    Value(Dynamic),
    /// Its type.
    Type(String),
}

impl Known {
    /// The type, as scripts name it.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::Value(value) => type_name(value).into_owned(),
            Self::Type(name) => name.clone(),
        }
    }
}

/// Where names are looked up.
pub(crate) struct Resolver<'a> {
    pub(crate) text: &'a str,
    /// The tokens of the text, comments left out.
    pub(crate) tokens: &'a [Token],
    pub(crate) scope: &'a Scope<'static>,
    pub(crate) catalog: &'a Catalog,
    pub(crate) last: Dynamic,
}

/// A step of a chain `a.b(…)[…]`.
#[derive(Debug, PartialEq)]
enum Link<'t> {
    Name(&'t str),
    Call(&'t str),
    Index(&'t str),
}

/// A chain is followed, and a name looked up in names, no deeper than this.
const DEPTH: usize = 16;

impl Resolver<'_> {
    /// What the expression that ends before token `end` is.
    pub(crate) fn before(&self, end: usize) -> Option<Known> {
        self.chain(end, DEPTH).map(|(known, _)| known)
    }

    fn word(&self, i: usize) -> &str {
        self.tokens.get(i).and_then(|t| self.text.get(t.start..t.end)).unwrap_or_default()
    }

    fn kind(&self, i: usize) -> Option<Kind> {
        self.tokens.get(i).map(|t| t.kind)
    }

    /// Goes back over a chain and forward again; also where it begins.
    fn chain(&self, end: usize, depth: usize) -> Option<(Known, usize)> {
        let depth = depth.checked_sub(1)?;
        let mut links = Vec::new();
        let mut end = end;
        let (mut known, begin) = loop {
            let last = end.checked_sub(1)?;
            let begin = match self.word(last) {
                ")" => {
                    let open = self.opening(last)?;
                    match open.checked_sub(1).filter(|&i| self.kind(i) == Some(Kind::Word)) {
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
                        .is_some_and(|i| self.kind(i) == Some(Kind::Word) || matches!(self.word(i), ")" | "]"));
                    if !indexed {
                        break (Known::Type("array".into()), open);
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
                    break (Known::Type("map".into()), open);
                }
                _ if self.kind(last) == Some(Kind::Text) => break (Known::Type("string".into()), last),
                word if self.kind(last) == Some(Kind::Number) => {
                    let kind = if word.contains(['.', 'e']) && !word.starts_with("0x") { "float" } else { "int" };
                    break (Known::Type(kind.into()), last);
                }
                word if self.kind(last) == Some(Kind::Word) => {
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

    /// The bracket that token `close` closes.
    fn opening(&self, close: usize) -> Option<usize> {
        let mut open = 0;
        for i in (0..=close).rev() {
            match self.word(i) {
                ")" | "]" | "}" if self.kind(i) == Some(Kind::Symbol) => open += 1,
                "(" | "[" | "{" | "#{" | "${" if self.kind(i) == Some(Kind::Symbol) => {
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

    /// What a chain begins with: a variable of the session, one this text defines, a function.
    fn first(&self, link: &Link, at: usize, depth: usize) -> Option<Known> {
        match link {
            Link::Call(name) => self.catalog.functions(name).next().map(|f| Known::Type(alternative(f.returns).into())),
            Link::Name("true" | "false") => Some(Known::Type("bool".into())),
            Link::Name("_") => Some(Known::Value(self.last.clone())),
            Link::Name(name) => {
                self.defined(name, at, depth).or_else(|| Some(Known::Value(self.scope.get(name)?.flatten_clone())))
            }
            Link::Index(_) => None,
        }
    }

    /// A variable this text defines before token `at`: `let name = …;` or `for name in …`.
    fn defined(&self, name: &str, at: usize, depth: usize) -> Option<Known> {
        let i = (1..at).rev().find(|&i| {
            self.kind(i) == Some(Kind::Word)
                && self.word(i) == name
                && matches!(self.word(i - 1), "let" | "const" | "for")
        })?;
        let begin = i + 2;
        match (self.word(i - 1), self.word(i + 1)) {
            ("for", "in") => {
                let end = (begin..at).find(|&j| self.word(j) == "{")?;
                let known = self.whole(begin, end, depth)?;
                Some(Known::Type(item(&known)?))
            }
            ("let" | "const", "=") => {
                let end = (begin..at).find(|&j| self.word(j) == ";" && !self.inside(begin, j))?;
                self.whole(begin, end, depth)
            }
            _ => None,
        }
    }

    /// The tokens `begin..end` as one chain.
    fn whole(&self, begin: usize, end: usize, depth: usize) -> Option<Known> {
        self.chain(end, depth).filter(|(_, from)| *from == begin).map(|(known, _)| known)
    }

    /// True when brackets that open behind `begin` are open at `at`.
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

    fn follow(&self, known: &Known, link: &Link) -> Option<Known> {
        if let (Known::Value(value), Link::Name(key)) = (known, link)
            && let Ok(map) = value.as_map_ref()
        {
            return map.get(*key).map(|v| Known::Value(v.flatten_clone()));
        }
        if let (Known::Value(value), Link::Index(index)) = (known, link)
            && let Ok(items) = value.as_array_ref()
        {
            let item = index.parse::<usize>().ok().and_then(|i| items.get(i)).or(items.first())?;
            return Some(Known::Value(item.flatten_clone()));
        }
        let owner = known.type_name();
        let mut members = self.catalog.members(&owner);
        let member = match link {
            Link::Name(name) => members.find(|m| m.name == *name && matches!(m.kind, Of::Property { .. })),
            Link::Call(name) => members.find(|m| m.name == *name && m.kind == Of::Method),
            Link::Index(_) => members.find(|m| m.kind == Of::Index),
        };
        member.map(|m| Known::Type(alternative(m.returns).into()))
    }
}

/// Of several types one: the first that is an object.
fn alternative(returns: &str) -> &str {
    let mut all = returns.split(" | ");
    all.clone().find(|t| t.starts_with(char::is_uppercase)).or_else(|| all.next()).unwrap_or_default()
}

/// What a loop over this gives.
fn item(known: &Known) -> Option<String> {
    if let Known::Value(value) = known
        && let Ok(items) = value.as_array_ref()
    {
        return items.first().map(|v| type_name(v).into_owned());
    }
    let item = match known.type_name().as_str() {
        "Batches" => "Batch",
        "Chords" => "Chord",
        "Stream" => "map",
        _ => return None,
    };
    Some(item.into())
}

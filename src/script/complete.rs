//! Completeness of code, and completion at the cursor, without running any of it.

use std::collections::BTreeSet;

use rhai::ParseErrorType;

use crate::script::catalog::{Member, MemberKind as Of};
use crate::script::cursor::{Before, Completion, Completions};
use crate::script::resolve::Resolver;
use crate::script::scan::{LexemeKind, Open, scan};
use crate::script::symbols::Symbols;
use crate::script::value_info::ValueInfo;
use crate::script::{parser, paths, standard, syntax};

/// Whether code is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More must follow; the next line is indented by this many spaces.
    Incomplete(usize),
    /// It is invalid, whatever follows.
    Invalid,
}

/// Spaces of one step of indentation.
const INDENT: usize = 4;

impl Symbols {
    /// Whether code is complete.
    pub fn completeness(&self, code: &str) -> Completeness {
        let scan = scan(code);
        let depth = scan.open.iter().filter(|o| matches!(o, Open::Bracket(..) | Open::Code)).count();
        let more = Completeness::Incomplete(INDENT * depth);
        // A string ends with its line.
        if scan.open.iter().any(|o| matches!(o, Open::Text(_) | Open::Single)) {
            return Completeness::Invalid;
        }
        if scan.open.iter().any(|o| matches!(o, Open::Comment | Open::Template(_))) {
            return more;
        }
        let Err(error) = parser::parse(code) else { return Completeness::Complete };
        match error.err_type() {
            ParseErrorType::UnexpectedEOF => more,
            _ if syntax::beyond(code, error.position()) => more,
            _ => Completeness::Invalid,
        }
    }

    /// The completions at `cursor` (a byte offset): names, members by the value's type, option keys, paths in strings.
    pub fn complete(&self, code: &str, cursor: usize) -> Completions {
        let before = Before::new(code, cursor);
        match before.scan.open.last() {
            Some(Open::Comment | Open::LineComment) => return Completions::default(),
            Some(&Open::Text(inside)) => return paths::complete(self.catalog(), &before, inside),
            Some(Open::Template(_) | Open::Single) => return Completions::default(),
            _ => {}
        }
        let word = before.word();
        let items = if matches!(before.back(1), "." | "?.") {
            self.members(&before)
        } else if matches!(before.back(1), "let" | "const" | "fn" | "for") || glued_to_number(&before) {
            Vec::new()
        } else if let Some(keys) = self.keys(&before) {
            keys
        } else {
            self.names(&before)
        };
        let mut items: Vec<Completion> = matching(items, word);
        items.sort();
        items.dedup_by(|a, b| a.text == b.text);
        Completions { start: before.start, items }
    }

    pub(crate) fn resolver<'a>(&'a self, before: &'a Before) -> Resolver<'a> {
        Resolver { text: before.text, tokens: &before.tokens, symbols: self }
    }

    /// The expression before the dot.
    pub(crate) fn owner(&self, before: &Before) -> Option<ValueInfo> {
        self.resolver(before).before(before.tokens.len().checked_sub(1)?)
    }

    fn members(&self, before: &Before) -> Vec<Completion> {
        let Some(known) = self.owner(before) else { return Vec::new() };
        let key = |(key, info): &(String, ValueInfo)| Completion {
            text: key.clone(),
            kind: "key",
            doc: if info.line.is_empty() { info.kind.clone() } else { info.line.clone() },
        };
        let mut items: Vec<Completion> = known.keys.iter().map(key).collect();
        let owner = known.kind;
        items.extend(self.catalog().members(&owner).filter_map(member));
        let of_map = owner == "map" && !known.keys.is_empty();
        if !owner.starts_with(char::is_uppercase) || of_map {
            items.extend(standard::methods(&owner).into_iter().map(|f| Completion {
                kind: if f.property { "property" } else { "method" },
                doc: f.signature.clone(),
                text: f.name.clone(),
            }));
        }
        items
    }

    /// The option key at the cursor with its description.
    pub(crate) fn option(&self, before: &Before) -> Option<(&'static str, &'static str)> {
        let (options, _) = self.map_of_options(before)?;
        options.iter().find(|(key, _)| *key == before.word()).copied()
    }

    /// The completions of option keys, if the cursor is in a map of options.
    fn keys(&self, before: &Before) -> Option<Vec<Completion>> {
        let (options, map) = self.map_of_options(before)?;
        let present: BTreeSet<&str> = (map..before.tokens.len()).map(|i| before.token(i)).collect();
        let key = |(key, doc): &(&str, &str)| Completion { text: (*key).into(), kind: "key", doc: (*doc).into() };
        Some(options.iter().filter(|(key, _)| !present.contains(key)).map(key).collect())
    }

    /// The options of the map at the cursor, if a key belongs there, and the token that opens the map.
    fn map_of_options(&self, before: &Before) -> Option<(OptionDocs, usize)> {
        if !matches!(before.back(1), "#{" | ",") {
            return None;
        }
        let mut open = before.scan.open.iter().rev();
        let Some(&Open::Bracket('{', inside)) = open.next() else { return None };
        let map = before.ending(inside).filter(|&i| before.token(i) == "#{")?;
        let options = match open.next() {
            // f(x, #{ … })
            Some(&Open::Bracket('(', paren)) => {
                let name = before.ending(paren)?.checked_sub(1)?;
                self.options(before, name)
            }
            // f(#{ augment: #{ … } })
            Some(Open::Bracket('{', _)) if before.token(map.checked_sub(1)?) == ":" => {
                let key = before.token(map.checked_sub(2)?);
                Some(NESTED.iter().find(|(name, _)| *name == key)?.1)
            }
            _ => None,
        }?;
        Some((options, map))
    }

    /// The help topics that begin with `typed`: functions, types and their members, keywords.
    pub(crate) fn topics(&self, typed: &str) -> Completions {
        let mut found = self.complete(typed, typed.len());
        let names = paths::topics(self.catalog());
        found.items.retain(|item| item.kind != "keyword");
        if found.items.is_empty() || !typed.contains('.') {
            let fitting = names
                .into_iter()
                .filter(|name| name.starts_with(typed) && (typed.contains('.') || !name.contains('.')));
            let item = |name: String| Completion { text: name, kind: "topic", doc: String::new() };
            let own = std::mem::take(&mut found.items);
            found.start = if own.is_empty() { 0 } else { found.start };
            found.items = own.into_iter().chain(fitting.map(item)).collect();
            found.items.sort();
            found.items.dedup_by(|a, b| a.text == b.text);
        }
        found
    }

    /// The options of the function or method whose name is token `name`.
    fn options(&self, before: &Before, name: usize) -> Option<OptionDocs> {
        let catalog = self.catalog();
        let word = before.token(name);
        let owner = match name.checked_sub(1).map(|dot| before.token(dot)) {
            Some("." | "?.") => self.resolver(before).before(name - 1).map(|known| known.kind),
            _ => None,
        };
        let mut all = catalog.members.iter().filter(|m| m.name == word && !m.options.is_empty());
        let fitting = match &owner {
            Some(owner) => all.clone().find(|m| m.owner == Some(owner.as_str())),
            None => None,
        };
        fitting.or_else(|| all.next()).map(|m| m.options)
    }

    /// Variables, functions, keywords.
    fn names(&self, before: &Before) -> Vec<Completion> {
        let catalog = self.catalog();
        let variable = |(name, info): &(String, ValueInfo)| Completion {
            text: name.clone(),
            kind: "variable",
            doc: if info.line.is_empty() { info.kind.clone() } else { info.line.clone() },
        };
        let mut items: Vec<Completion> = self.variables().iter().map(variable).collect();
        let functions = self.functions().iter().filter(|f| !f.name.contains('$'));
        items.extend(functions.map(|f| Completion { text: f.name.clone(), kind: "function", doc: f.signature() }));
        items.extend(catalog.members.iter().filter(|m| m.owner.is_none()).map(function));
        let words = |words: &[&str], kind| -> Vec<Completion> {
            words.iter().map(|w| Completion { text: (*w).into(), kind, doc: String::new() }).collect()
        };
        items.extend(words(&standard::KEYWORDS, "keyword"));
        items.extend(words(&standard::FUNCTIONS, "function"));
        // Names that the text itself defines.
        let defining = |i: &usize| matches!(before.token(i - 1), "let" | "const" | "fn" | "for");
        let own = (1..before.tokens.len()).filter(defining).map(|i| before.token(i));
        items.extend(words(&own.collect::<Vec<_>>(), "variable"));
        items
    }
}

type OptionDocs = &'static [(&'static str, &'static str)];

/// Options that are maps of options.
const NESTED: [(&str, OptionDocs); 1] = [(
    "augment",
    &[
        ("transpose", "how many transpositions, the original among them: 12 means -5 to +6 semitones"),
        ("tempo", "tempo factors: [0.9, 1.0, 1.1]"),
        ("sample", "number of copies drawn at random for each piece"),
    ],
)];

fn member(member: &Member) -> Option<Completion> {
    let kind = match member.kind {
        Of::Method => "method",
        Of::Property { .. } => "property",
        _ => return None,
    };
    Some(Completion { text: member.name.into(), kind, doc: member.signature() })
}

fn function(member: &Member) -> Completion {
    Completion { text: member.name.into(), kind: "function", doc: member.signature() }
}

/// Those that begin with a word, or if there are none, those that do when case is ignored.
fn matching(items: Vec<Completion>, word: &str) -> Vec<Completion> {
    let exact: Vec<Completion> = items.iter().filter(|item| item.text.starts_with(word)).cloned().collect();
    if !exact.is_empty() {
        return exact;
    }
    let word = word.to_lowercase();
    items.into_iter().filter(|item| item.text.to_lowercase().starts_with(&word)).collect()
}

/// `2e` is the beginning of a number, not of a name.
fn glued_to_number(before: &Before) -> bool {
    before.tokens.last().is_some_and(|t| t.kind == LexemeKind::Number && t.end == before.text.len())
}

//! Documentation of the name at the cursor.

use crate::script::catalog::{Member, MemberKind as Of};
use crate::script::cursor::Before;
use crate::script::doc_page::{DocPage, WIDEST};
use crate::script::scan::{LexemeKind, Open};
use crate::script::symbols::Symbols;
use crate::script::value_info::ValueInfo;
use crate::script::{Bundle, help, standard};

impl Symbols {
    /// The documentation for `cursor`: of the word there, or of the function whose parentheses enclose it.
    pub fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        let mut end = cursor.min(code.len());
        while !code.is_char_boundary(end) {
            end -= 1;
        }
        // The whole word, also when the cursor is inside of it.
        let rest = &code[end..];
        let tail = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        let before = Before::new(code, end + tail);
        let key = self.option(&before).map(|(key, doc)| {
            let mut page = DocPage::default();
            page.entry(key, doc, &[]);
            page
        });
        let found = if before.word().is_empty() { None } else { key.or_else(|| self.document(&before)) };
        let page = found.or_else(|| {
            let paren = before.scan.open.iter().rev().find_map(|open| match open {
                Open::Bracket('(', inside) => Some(inside - 1),
                _ => None,
            })?;
            let called = Before::new(code, paren);
            if called.word().is_empty() { None } else { self.document(&called) }
        });
        page.map(|page| page.bundle(WIDEST))
    }

    /// The documentation of a function, type, member ("Model.generate", "net.generate") or variable; `None` when there
    /// is none.
    pub fn help(&self, name: &str) -> Option<Bundle> {
        self.help_within(name, WIDEST)
    }

    /// [`Symbols::help`], whose text is for a terminal of `width` columns.
    pub fn help_within(&self, name: &str, width: usize) -> Option<Bundle> {
        let name = name.trim().trim_end_matches("()");
        let before = Before::new(name, name.len());
        let whole = !before.word().is_empty() && before.scan.tokens.iter().all(|t| t.kind != LexemeKind::Text);
        let found = if whole { self.document(&before) } else { None };
        found.or_else(|| help::named(self.catalog(), name)).map(|page| page.bundle(width))
    }

    /// The signature of a function or method, for hints while typing; of several, the one with most parameters.
    pub fn signature(&self, name: &str) -> Option<String> {
        if let Some(f) = self.functions().iter().find(|f| f.name == name) {
            return Some(f.signature());
        }
        let members = &self.catalog().members;
        let fitting = members.iter().filter(|m| m.name == name && matches!(m.kind, Of::Function | Of::Method));
        fitting.max_by_key(|m| (m.kind == Of::Function, m.params.len())).map(Member::signature)
    }

    fn document(&self, before: &Before) -> Option<DocPage> {
        let (word, catalog) = (before.word(), self.catalog());
        if matches!(before.back(1), "." | "?.") {
            // "Model.generate" names the type itself.
            let named = before.back(2);
            let owner = match catalog.type_doc(named) {
                Some(_) => named.to_string(),
                None => self.owner(before)?.kind,
            };
            return help::named(catalog, &format!("{owner}.{word}")).or_else(|| {
                standard::methods(&owner).into_iter().find(|f| f.name == word).map(standard::Standard::page)
            });
        }
        if let Some(info) = self.variable(word) {
            return Some(self.of_variable(word, info));
        }
        if let Some(f) = self.functions().iter().find(|f| f.name == word) {
            let mut page = DocPage::default();
            page.entry(format!("fn {}", f.signature()), &f.doc, &[]);
            return Some(page);
        }
        help::named(catalog, word).or_else(|| standard::help(word))
    }

    /// A page on a variable: its type, its value, the documentation of the type.
    fn of_variable(&self, name: &str, info: &ValueInfo) -> DocPage {
        let mut page = DocPage::default();
        page.text(format!("{name}: {}, {}", info.kind, info.line));
        let about = help::of_type(self.catalog(), &info.kind).or_else(|| help::named(self.catalog(), &info.kind));
        if let Some(about) = about {
            page.append(about);
        }
        page
    }
}

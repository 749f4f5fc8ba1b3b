//! The documentation of what stands at the cursor.

use rhai::Dynamic;

use crate::script::catalog::{Kind as Of, Member};
use crate::script::complete::Before;
use crate::script::scan::{Kind, Open};
use crate::script::show::{self, type_name};
use crate::script::{Bundle, Session, help, standard};

impl Session {
    /// The documentation of what stands at `cursor`: the word there, or the function whose parentheses it is in.
    pub fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        let mut end = cursor.min(code.len());
        while !code.is_char_boundary(end) {
            end -= 1;
        }
        // The whole word, also when the cursor stands in it.
        let rest = &code[end..];
        let tail = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        let before = Before::new(code, end + tail);
        if !before.word().is_empty() {
            return self.document(&before).map(Bundle::text);
        }
        let paren = before.scan.open.iter().rev().find_map(|open| match open {
            Open::Bracket('(', inside) => Some(inside - 1),
            _ => None,
        })?;
        let called = Before::new(code, paren);
        if called.word().is_empty() { None } else { self.document(&called).map(Bundle::text) }
    }

    /// The documentation of a function, type, member ("Model.generate", "net.generate") or variable; `None` when there
    /// is none.
    pub fn help(&self, name: &str) -> Option<String> {
        let name = name.trim().trim_end_matches("()");
        let before = Before::new(name, name.len());
        let whole = !before.word().is_empty() && before.scan.tokens.iter().all(|t| t.kind != Kind::Text);
        let found = if whole { self.document(&before) } else { None };
        found.or_else(|| help::named(self.studio.catalog(), name))
    }

    /// The signature of a function or method, for hints while typing; of several, the one with most parameters.
    pub fn signature(&self, name: &str) -> Option<String> {
        if let Some(f) = self.functions.iter_functions().find(|f| f.name == name) {
            return Some(format!("{}({})", f.name, f.params.join(", ")));
        }
        let members = &self.studio.catalog().members;
        let fitting = members.iter().filter(|m| m.name == name && matches!(m.kind, Of::Function | Of::Method));
        fitting.max_by_key(|m| (m.kind == Of::Function, m.params.len())).map(Member::signature)
    }

    fn document(&self, before: &Before) -> Option<String> {
        let (word, catalog) = (before.word(), self.studio.catalog());
        if matches!(before.back(1), "." | "?.") {
            // "Model.generate" names the type itself.
            let named = before.back(2);
            let owner = match catalog.type_doc(named) {
                Some(_) => named.to_string(),
                None => self.owner(before)?.type_name(),
            };
            return help::named(catalog, &format!("{owner}.{word}")).or_else(|| {
                standard::methods(&self.engine, &owner)
                    .into_iter()
                    .find(|f| f.name == word)
                    .map(|f| format!("{owner}.{}\n    {}", f.signature, f.doc.replace('\n', "\n    ")))
            });
        }
        if let Some(value) = self.scope.get(word) {
            return Some(self.of_variable(word, &value.flatten_clone()));
        }
        if let Some(f) = self.functions.iter_functions().find(|f| f.name == word) {
            let doc: Vec<&str> =
                f.comments.iter().flat_map(|c| c.lines()).map(|l| l.trim_start_matches(['/', ' '])).collect();
            let doc = doc.join("\n    ");
            let signature = format!("fn {}({})", f.name, f.params.join(", "));
            return Some(if doc.is_empty() { signature } else { format!("{signature}\n    {doc}") });
        }
        help::named(catalog, word).or_else(|| standard::help(&self.engine, word))
    }

    /// A variable: its type, its value, what its type is.
    fn of_variable(&self, name: &str, value: &Dynamic) -> String {
        let catalog = self.studio.catalog();
        let kind = type_name(value);
        let shown = show::bundle(catalog, value, self.studio.width());
        let text = format!("{name}: {kind}\n{}", shown.plain());
        match catalog.type_doc(&kind) {
            Some(doc) => format!("{text}\n\n{doc}\nhelp(\"{kind}\") lists its members."),
            None => text,
        }
    }
}

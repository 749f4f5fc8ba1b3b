//! Rhai's standard library: functions of arrays, strings, maps and numbers, and keywords.

use std::sync::LazyLock;

use rhai::Engine;

use crate::script::doc_page::DocPage;
use crate::script::type_names::plain_type;

/// A function of Rhai's standard library.
#[derive(Debug, Clone)]
pub(crate) struct Standard {
    pub(crate) name: String,
    /// The type of its first parameter, whose method it is; "any" for all types.
    pub(crate) owner: String,
    /// `push(item: any)`, without the first parameter.
    pub(crate) signature: String,
    pub(crate) doc: String,
    /// True when it is written without parentheses: `array.len`.
    pub(crate) property: bool,
}

/// The words of the language.
pub(crate) const KEYWORDS: [&str; 27] = [
    "break",
    "catch",
    "const",
    "continue",
    "do",
    "else",
    "export",
    "false",
    "fn",
    "for",
    "if",
    "import",
    "in",
    "is_def_fn",
    "is_def_var",
    "let",
    "loop",
    "return",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "type_of",
    "until",
    "while",
    "call",
];

/// Functions of Rhai that are not methods.
pub(crate) const FUNCTIONS: [&str; 22] = [
    "print",
    "debug",
    "max",
    "min",
    "abs",
    "sqrt",
    "exp",
    "ln",
    "log",
    "sin",
    "cos",
    "tan",
    "parse_int",
    "parse_float",
    "range",
    "timestamp",
    "eval",
    "to_json",
    "parse_json",
    "floor",
    "ceiling",
    "round",
];

/// All standard functions, sorted by name; read from Rhai once.
static ALL: LazyLock<Vec<Standard>> = LazyLock::new(|| {
    let mut all = Engine::new().collect_fn_metadata(None, read, true);
    all.sort_by(|a, b| a.name.cmp(&b.name).then(b.property.cmp(&a.property)));
    all
});

fn read(info: rhai::FuncInfo) -> Option<Standard> {
    let meta = info.metadata;
    let (name, property) = match meta.name.strip_prefix("get$") {
        Some(name) => (name, true),
        None => (meta.name.as_str(), false),
    };
    if info.script.is_some() || !name.starts_with(|c: char| c.is_alphabetic()) || name.contains('$') {
        return None;
    }
    let params: Vec<(&str, &str)> =
        meta.params_info.iter().take(meta.num_params).map(|p| p.split_once(':').unwrap_or((p, "any"))).collect();
    let owner = params.first().map_or("", |p| plain_type(p.1));
    let rest: Vec<String> =
        params.iter().skip(1).map(|(name, kind)| format!("{}: {}", name.trim(), plain_type(kind))).collect();
    let signature = if property { name.to_string() } else { format!("{name}({})", rest.join(", ")) };
    let doc = meta.comments.iter().flat_map(|c| c.lines()).map(plain_comment).collect::<Vec<_>>().join("\n");
    Some(Standard { name: name.into(), owner: owner.into(), signature, doc: doc.trim().into(), property })
}

/// The methods of a built-in type ("array", "string", "map", "int", "float").
pub(crate) fn methods(owner: &str) -> Vec<&'static Standard> {
    // Functions with a text parameter that are not methods.
    let other = |name: &str| matches!(name, "to_debug" | "print" | "debug" | "get_fn_metadata_list");
    let shown = |f: &&Standard| f.owner == owner && !other(&f.name);
    let mut methods: Vec<&Standard> = ALL.iter().filter(shown).collect();
    // Of overloads, the one with a function parameter precedes the one with a name.
    methods.sort_by_key(|f| (f.name.as_str(), !f.property, !f.signature.contains("function"), f.signature.len()));
    methods.dedup_by(|a, b| a.name == b.name);
    methods
}

/// The documentation of standard functions of a name.
pub(crate) fn help(name: &str) -> Option<DocPage> {
    let mut found: Vec<&Standard> = ALL.iter().filter(|f| f.name == name && !f.doc.is_empty()).collect();
    found.dedup_by(|a, b| a.doc == b.doc);
    let mut page = DocPage::default();
    for f in found.iter().take(4) {
        page.append(f.page());
    }
    page.filled()
}

impl Standard {
    /// Its documentation.
    pub(crate) fn page(&self) -> DocPage {
        let owner = if self.owner.is_empty() { String::new() } else { format!("{}.", self.owner) };
        let mut page = DocPage::default();
        page.entry(format!("{owner}{}", self.signature), &self.doc, &[]);
        page
    }

    /// The first sentence of its documentation, which may span lines.
    pub(crate) fn brief(&self) -> String {
        let paragraph: Vec<&str> = self.doc.lines().take_while(|line| !line.trim().is_empty()).collect();
        let paragraph = paragraph.join(" ");
        let sentence = paragraph.split_once(". ").map_or(paragraph.as_str(), |(first, _)| first);
        sentence.trim_end_matches('.').to_string()
    }
}

/// A line of a doc comment without its leader; Markdown's headings and fences are dropped.
fn plain_comment(line: &str) -> &str {
    let line = line.trim_start_matches('/');
    let line = line.strip_prefix(' ').unwrap_or(line);
    if line.starts_with("```") { "" } else { line.trim_start_matches("# ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_told_in_a_whole_sentence() {
        let find = methods("array").into_iter().find(|f| f.name == "find").expect("Rhai has it").brief();
        assert!(find.ends_with("that returns `true`"), "{find}");
        for owner in ["array", "string", "map"] {
            for method in methods(owner) {
                let (brief, cut) = (method.brief(), ["and", "as", "the", "a", "of", "each"]);
                assert!(cut.iter().all(|word| !brief.ends_with(&format!(" {word}"))), "{}: {brief}", method.name);
            }
        }
        assert!(methods("string").iter().all(|f| f.name != "get_fn_metadata_list"));
    }
}

//! Rhai's own functions: those of arrays, strings, maps and numbers, and the words of the language.

use rhai::Engine;

use crate::script::show::plain_type;

/// A function of Rhai's standard library.
#[derive(Debug, Clone)]
pub(crate) struct Standard {
    pub(crate) name: String,
    /// The type of its first parameter: what it is a method of; "any" for all types.
    pub(crate) owner: String,
    /// `push(item: any)`, the first parameter left out.
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

/// Functions of Rhai that are called, not methods of something.
pub(crate) const FUNCTIONS: [&str; 20] = [
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
    "rand",
];

/// The standard functions that `keep` wants, by the name and the type of their first parameter.
pub(crate) fn functions(engine: &Engine, keep: impl Fn(&str, &str) -> bool) -> Vec<Standard> {
    let read = |info: rhai::FuncInfo| {
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
        if !keep(name, owner) {
            return None;
        }
        let rest: Vec<String> =
            params.iter().skip(1).map(|(name, kind)| format!("{}: {}", name.trim(), plain_type(kind))).collect();
        let signature = if property { name.to_string() } else { format!("{name}({})", rest.join(", ")) };
        let doc = meta.comments.iter().flat_map(|c| c.lines()).map(plain_comment).collect::<Vec<_>>().join("\n");
        Some(Standard { name: name.into(), owner: owner.into(), signature, doc: doc.trim().into(), property })
    };
    engine.collect_fn_metadata(None, read, true)
}

/// The methods of a built-in type ("array", "string", "map", "int", "float").
pub(crate) fn methods(engine: &Engine, owner: &str) -> Vec<Standard> {
    let mut methods = functions(engine, |name, first| first == owner && !name.starts_with("to_debug"));
    methods.sort_by(|a, b| a.name.cmp(&b.name).then(b.property.cmp(&a.property)));
    methods.dedup_by(|a, b| a.name == b.name);
    methods
}

/// The documentation of standard functions of a name.
pub(crate) fn help(engine: &Engine, name: &str) -> Option<String> {
    let mut found = functions(engine, |known, _| known == name);
    found.retain(|f| !f.doc.is_empty());
    found.dedup_by(|a, b| a.doc == b.doc);
    let text: Vec<String> = found
        .iter()
        .take(4)
        .map(|f| {
            let owner = if f.owner.is_empty() { String::new() } else { format!("{}.", f.owner) };
            format!("{owner}{}\n    {}", f.signature, f.doc.replace('\n', "\n    "))
        })
        .collect();
    (!text.is_empty()).then(|| text.join("\n"))
}

/// A line of a doc comment without its leader; Markdown's headings and fences are dropped.
fn plain_comment(line: &str) -> &str {
    let line = line.trim_start_matches('/');
    let line = line.strip_prefix(' ').unwrap_or(line);
    if line.starts_with("```") { "" } else { line.trim_start_matches("# ") }
}

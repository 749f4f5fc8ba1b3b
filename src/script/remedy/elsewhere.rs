//! What other languages and shells have: commands without `!`, keywords of C, JavaScript and Basic, misspelt ones of ours.

use super::statements::{is_command, shell};
use super::{Remedy, SourceLine, ours};
use crate::error::nearest;
use crate::script::scan::LexemeKind;

/// Words that begin a statement in other languages, and the one that does so here.
const KEYWORDS: [(&str, &str); 20] = [
    ("let", "let"),
    ("const", "const"),
    ("fn", "fn"),
    ("for", "for"),
    ("while", "while"),
    ("func", "fn"),
    ("fun", "fn"),
    ("function", "fn"),
    ("sub", "fn"),
    ("foreach", "for"),
    ("mut", "let"),
    ("auto", "let"),
    ("val", "let"),
    ("dim", "let"),
    ("local", "let"),
    ("int", "let"),
    ("float", "let"),
    ("double", "let"),
    ("string", "let"),
    ("bool", "let"),
];

/// The remedy for a line that cannot be parsed.
pub(super) fn remedy(line: &SourceLine) -> Option<Remedy> {
    command(line)
        .or_else(|| keyword(line))
        .or_else(|| then(line))
        .or_else(|| operator(line))
        .or_else(|| ternary(line))
        .or_else(|| nothing(line))
}

/// `git status`, `cd folder`: a command of the shell, for which `!` is missing.
pub(super) fn command(line: &SourceLine) -> Option<Remedy> {
    // Two words side by side, or a word alone: `ls == 1` and `find(x)` are code.
    let alone = line.len() == 1;
    let argued =
        line.len() > 1 && !line.touch(0) && (line.is_name(1) || line.word(1).starts_with(['-', '.', '/', '~']));
    if !is_command(line.text) || !(alone || argued) {
        return None;
    }
    match line.text.split_once(char::is_whitespace) {
        Some(("cd", folder)) => Remedy::new("the folder is changed at the prompt", format!(":cd {}", folder.trim())),
        _ if line.text == "cd" => Remedy::new("the folder is changed at the prompt", ":cd"),
        _ => Remedy::new("commands of the shell have ! in front at the prompt", shell(line.text)),
    }
}

/// `lets x = 1`, `func f(x) { x }`, `int x = 1`.
fn keyword(line: &SourceLine) -> Option<Remedy> {
    if !(line.is_name(0) && line.is_name(1)) {
        return None;
    }
    let names: Vec<&str> = KEYWORDS.iter().map(|(name, _)| *name).collect();
    let near = nearest(line.word(0), &names)?;
    let ours = KEYWORDS.iter().find(|(name, _)| *name == near)?.1;
    // What follows says that it is such a statement.
    let fits = match ours {
        "fn" => line.word(2) == "(",
        "for" => line.word(2) == "in",
        "while" => line.find(1, line.len(), "{").is_some(),
        _ => line.word(2) == "=",
    };
    if !fits || line.word(0) == ours {
        return None;
    }
    let code = format!("{ours} {}", line.part(1, line.len()));
    Remedy::new(format!("'{}' is written {ours}", line.word(0)), code)
}

/// `if x == 5 then print(1)`, `while x do y() end`.
fn then(line: &SourceLine) -> Option<Remedy> {
    if !matches!(line.word(0), "if" | "while" | "for") {
        return None;
    }
    let at = line.find(1, line.len(), "then").or_else(|| line.find(1, line.len(), "do"))?;
    let end = line.find(at, line.len(), "end").unwrap_or(line.len());
    let code = format!("{} {} {{ {} }}", line.word(0), ours(line.part(1, at)), ours(line.part(at + 1, end)));
    Remedy::new("a block is written in braces", code)
}

/// `===` and `!==`, `<>`.
fn operator(line: &SourceLine) -> Option<Remedy> {
    let free = line.tokens.iter().all(|t| t.kind != LexemeKind::Text);
    let found = [("!==", "!="), ("===", "=="), ("<>", "!=")].into_iter().find(|(theirs, _)| line.text.contains(theirs));
    let (theirs, ours) = found.filter(|_| free)?;
    Remedy::new(format!("'{theirs}' is written {ours}"), line.text.replace(theirs, ours))
}

/// `a ? b : c`
fn ternary(line: &SourceLine) -> Option<Remedy> {
    let ask = line.find(0, line.len(), "?")?;
    let colon = line.find(ask, line.len(), ":")?;
    let begin = line.find(0, ask, "=").map_or(0, |at| at + 1);
    let rest = line.part(colon + 1, line.len());
    let (otherwise, end) = rest.strip_suffix(';').map_or((rest, ""), |rest| (rest, ";"));
    let choice = format!(
        "if {} {{ {} }} else {{ {} }}{end}",
        line.part(begin, ask),
        line.part(ask + 1, colon),
        otherwise.trim()
    );
    let code = if begin > 0 { format!("{} {choice}", line.part(0, begin)) } else { choice };
    Remedy::new("a choice is written with if and else", code)
}

/// `null`, `nil`: words that Rhai reserves.
fn nothing(line: &SourceLine) -> Option<Remedy> {
    let at = (0..line.len()).find(|&i| line.is_name(i) && matches!(line.word(i), "null" | "nil"))?;
    Remedy::new(format!("'{}' is written ()", line.word(at)), ours(line.text))
}

/// `console.log(x)`: what names an unknown variable and prints elsewhere.
pub(super) fn printed(line: &SourceLine) -> Option<Remedy> {
    let open = match (line.word(0), line.word(2)) {
        ("console", "log" | "error" | "info") => 3,
        ("System", "out") if line.word(4) == "println" => 5,
        _ => return None,
    };
    let close = line.close(open)?;
    Remedy::new("print writes values", format!("print({})", ours(line.part(open + 1, close))))
}
